//! Command-line options shared by `simulate`, `run`, `emulate` and `plan`.

use crate::options::number::{fraction, non_negative, positive, probability};
use crate::options::windowing::{self, Windowing};
use crate::options::{
    Choice, Compressor, Constants, DATASET, DEADLINE, Downlink, Faults, Init, Method, OUT,
    Objective, Options, ROUND_TIMEOUT, Regulariser, SEED_MAX, ScaleColumns, Split, Step,
    StragglerPolicy,
};
use crate::problem::dataset;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, Args, Command, FromArgMatches, value_parser};
use smidgen_protocol::recipe::Feature;
use std::ffi::OsString;
use std::path::PathBuf;

/// A note on `--dataset` in `--help`.
const QUADRATICS_HELP: &str = "quadratics:l-am=50,l-var=5e3,workers=100,dimension=10 generates least squares with \
     smoothness constants of this mean and variance, for 100 workers with 10 rows (the dimension) per worker.";

/// Returns the text of `--dataset` in `-h`.
pub(super) fn dataset_help() -> String {
    format!("Data set: {} (bundled), or a file: CSV, .npy or LIBSVM", dataset::bundled_names())
}

/// Text of `--absent` in `-h`.
const ABSENT_HELP: &str =
    "What to do when a worker is silent: wait for it, or skip=SECONDS to close rounds without it";

/// Returns the text of `--absent` in `--help`.
fn absent_long_help() -> String {
    format!(
        "{ABSENT_HELP}\n\n\
         smidgen looks for a missing board on every port and recognises it by its identity. With wait, or \
         wait=SECONDS, the run ends after {DEADLINE} or SECONDS seconds of silence, and `smidgen resume` continues it. \
         With skip, or skip=SECONDS, a round closes without a worker after {ROUND_TIMEOUT} or SECONDS seconds of \
         silence, until the worker answers again. A worker excluded for another reason is tried again after 10 seconds, \
         then after intervals that double, up to ten minutes. The transcript records which workers were excluded."
    )
}

/// [`Windowing`] as clap parses it.
#[derive(Args)]
struct WindowingArguments {
    /// Samples per window, each of which becomes a row [default: those of existing rows, or 50]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), help_heading = "Recording")]
    window: Option<u16>,

    /// Samples from the start of a window to that of the next [default: those of existing rows, or half a window]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), help_heading = "Recording")]
    hop: Option<u16>,

    /// Features of each channel: mean, std, mad, min, max, rms [default: those of existing rows, or mean,std,mad]
    ///
    /// std is the standard deviation, mad the mean absolute difference of successive samples, rms the root of the mean
    /// square.
    #[arg(
        long,
        value_name = "LIST",
        value_parser = windowing::feature,
        value_delimiter = ',',
        help_heading = "Recording"
    )]
    features: Vec<Feature>,

    /// Samples per second [default: those of existing rows or of the times in files, or 10]
    #[arg(
        long,
        value_name = "HZ",
        value_parser = windowing::rate,
        allow_negative_numbers = true,
        help_heading = "Recording"
    )]
    rate: Option<u32>,
}

impl Args for Windowing {
    fn augment_args(command: Command) -> Command {
        WindowingArguments::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        WindowingArguments::augment_args_for_update(command)
    }
}

impl FromArgMatches for Windowing {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let WindowingArguments { window, hop, features, rate } =
            WindowingArguments::from_arg_matches(matches)?;
        Ok(Self { window, hop, features, rate_millihertz: rate })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// [`Options`] as clap parses them.
// The doc comments of the fields are the texts of `--help`; a text with names or numbers from elsewhere is a function.
#[derive(Args)]
struct Arguments {
    #[arg(
        long,
        value_name = "NAME|PATH",
        default_value = DATASET,
        help = dataset_help(),
        long_help = format!("{}\n\n{QUADRATICS_HELP}", dataset_help()),
        help_heading = "Data"
    )]
    dataset: PathBuf,

    /// Column of the labels, by its name in the header of a CSV file or by its number, from 1, in a .npy array
    ///
    /// By default it is the only column called label, class or target, otherwise the last one. For an array also the
    /// path of another .npy file, which has the labels alone; then all columns are features.
    #[arg(long, value_name = "COLUMN|FILE.npy", help_heading = "Data")]
    label: Option<OsString>,

    /// Time series that boards record as rows themselves, in place of --dataset: a directory with a file per worker
    ///
    /// Each .csv or .ts file has the series of one worker: a column or dimension per channel, and classes. NAME_TEST.csv
    /// has held-out series of the worker NAME. Instead of a directory, give one file, with NAME_TEST beside it if there
    /// is one: its series are dealt to --workers. `example` is bundled. See docs/recordings.md.
    #[arg(
        long,
        value_name = "DIR|FILE|example",
        conflicts_with_all = [
            "dataset", "shuffle", "rows", "test_rows", "split", "standardise", "scale_columns", "intercept",
        ],
        help_heading = "Recording"
    )]
    recordings: Option<PathBuf>,

    #[command(flatten)]
    windowing: Windowing,

    /// Full scale of the sensor in the units of the files, for all channels or per channel
    ///
    /// By default the smallest power of two that no sample of the channel exceeds in any file.
    #[arg(
        long,
        value_name = "X",
        value_parser = positive,
        value_delimiter = ',',
        help_heading = "Recording"
    )]
    full_scale: Vec<f64>,

    /// Shuffle the rows before --rows, --test-rows and --split [default: the order of the file]
    ///
    /// SEED gives the same order on every machine.
    #[arg(long, value_name = "SEED", help_heading = "Data")]
    shuffle: Option<u32>,

    /// Use only the first N rows [default: all]
    #[arg(long, value_name = "N", help_heading = "Data")]
    rows: Option<usize>,

    /// Hold out the last N rows and test the model on them [default: none]
    #[arg(long, value_name = "N", help_heading = "Data")]
    test_rows: Option<usize>,

    /// Number of workers [default: the number of boards or ports; 4 in simulation]
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u16).range(1..),
        help_heading = "Data"
    )]
    workers: Option<u16>,

    /// How rows are distributed to workers
    ///
    /// contiguous: equal blocks in file order; the last worker also takes the remainder. sorted-norm: rows stably
    /// sorted by their norm, then equal blocks; the remainder is dropped. one-each: one row per worker. by=COLUMN: one
    /// worker for each value of a column of a CSV or .npy file, such as the person who was measured; numbers are in
    /// numerical order, texts in alphabetical order. That column is not a feature.
    #[arg(
        long,
        value_name = "contiguous|sorted-norm|one-each|by=COLUMN",
        default_value_t = Split::Contiguous,
        help_heading = "Data"
    )]
    split: Split,

    /// Shift and scale every column to mean 0 and standard deviation 1 over the training rows
    ///
    /// Held-out rows are shifted and scaled by the same numbers. A constant column is only shifted, to 0.
    #[arg(long, help_heading = "Data")]
    standardise: bool,

    /// Scales of the columns, if not --standardise
    ///
    /// The regulariser is that of the scaled columns, as with --standardise. Data that are made for their constants or
    /// standardised already (`quadratics:…`, `tight-quadratics`, `breast-cancer-standardised`) are not scaled, and rows
    /// of recordings have scales of their own.
    #[arg(
        long,
        value_parser = choice::<ScaleColumns>(),
        default_value = ScaleColumns::Auto.name(),
        help_heading = "Data"
    )]
    scale_columns: ScaleColumns,

    /// Append a feature that is 1 in every row, for logistic, least-squares and svm
    ///
    /// Its weight, the intercept, is the last coordinate of the model. The regulariser includes it, as it includes the biases of softmax and
    /// perceptron, which need no intercept.
    #[arg(long, help_heading = "Data")]
    intercept: bool,

    /// Objective to minimise
    #[arg(
        long,
        value_parser = choice::<Objective>(),
        default_value = Objective::all()[0].name(),
        help_heading = "Method"
    )]
    objective: Objective,

    /// Regulariser, which includes the biases
    #[arg(
        long,
        value_parser = choice::<Regulariser>(),
        default_value = Regulariser::Nonconvex.name(),
        help_heading = "Method"
    )]
    regulariser: Regulariser,

    /// Weight λ of the regulariser
    #[arg(
        long,
        value_name = "F",
        value_parser = non_negative,
        allow_negative_numbers = true,
        default_value_t = 1e-3,
        help_heading = "Method"
    )]
    lambda: f64,

    /// Training method
    #[arg(long, value_parser = choice::<Method>(), default_value = Method::Ef21.name(), help_heading = "Method")]
    method: Method,

    /// Compressor of the updates
    #[arg(
        long,
        value_parser = choice::<Compressor>(),
        default_value = Compressor::Topk.name(),
        help_heading = "Method"
    )]
    compressor: Compressor,

    /// Maximum coordinates K per update, for all workers or per worker, such as 4 or 1,4,4 [default: d/32, at least 1]
    #[arg(
        long,
        value_name = "K",
        value_parser = value_parser!(u32).range(1..),
        value_delimiter = ',',
        help_heading = "Method"
    )]
    k: Vec<u32>,

    /// Bits per value in an update, 2 to 32
    ///
    /// Error feedback corrects the rounding: 4 bits take about as many rounds as 32, at an eighth of the bytes for values.
    #[arg(
        long,
        value_name = "B",
        value_parser = value_parser!(u8).range(2..=32),
        default_value_t = 4,
        help_heading = "Method"
    )]
    value_bits: u8,

    /// Step size γ: qm, am, auto, exact, rare, tight or a number
    ///
    /// qm is the step size of EF21, 1/(L + L_QM·ξ). am is that of "Error Feedback Reloaded", 1/(L + L_AM·ξ), which is
    /// never smaller. exact is the root that am bounds, up to 1.25 times larger. rare uses which worker has which
    /// features, and needs --lambda 0. tight has the best worst-case rate for strongly convex functions, those with
    /// --regulariser l2: a theorem for equal L_i, an empirical law for others. With --lambda 0 it has no rate, and is
    /// allowed only up to exact. auto starts from the theory of the method and is tuned from round to round by the
    /// losses that workers report.
    #[arg(
        long,
        value_name = "qm|am|auto|exact|rare|tight|F",
        allow_negative_numbers = true,
        default_value_t = Step::Auto,
        help_heading = "Method"
    )]
    step: Step,

    /// Source of the constants L_i for --step qm, am, exact, tight and auto
    #[arg(long, value_parser = choice::<Constants>(), default_value = Constants::Data.name(), help_heading = "Method")]
    constants: Constants,

    /// Initial estimators g_i⁰
    #[arg(long, value_parser = choice::<Init>(), default_value = Init::Compressed.name(), help_heading = "Method")]
    init: Init,

    /// Start from the model of a run: its directory or model.json [default: zero; random for perceptron]
    ///
    /// The data need the columns or channels of that model, and only classes that it has. They are prepared as its data
    /// were.
    #[arg(long, value_name = "MODEL", help_heading = "Method")]
    from: Option<PathBuf>,

    /// Train on the hidden units of a perceptron, which stay as they are: its directory or model.json
    ///
    /// The data need the columns of that model, and are scaled as its data were. They may have other classes.
    #[arg(long, value_name = "MODEL", help_heading = "Method")]
    features_from: Option<PathBuf>,

    /// How the next model is sent to workers; dense and sparse give equal models, bit for bit
    #[arg(long, value_parser = choice::<Downlink>(), default_value = Downlink::Sparse.name(), help_heading = "Method")]
    downlink: Downlink,

    /// Maximum coordinates per round of a compressed downlink [default: d/8, at least 1]
    #[arg(
        long,
        value_name = "K",
        value_parser = value_parser!(u32).range(1..),
        help_heading = "Method"
    )]
    downlink_k: Option<u32>,

    /// Probability that a worker participates in a round, for all workers or per worker, drawn from --seed
    #[arg(
        long,
        value_name = "P",
        value_parser = probability,
        value_delimiter = ',',
        allow_negative_numbers = true,
        default_value = "1",
        help_heading = "Method"
    )]
    participation: Vec<f64>,

    /// Rows per minibatch, drawn from --seed without replacement [default: all]
    ///
    /// With ef21 and ef21-w this is EF21-SGD. The noise of minibatches keeps ‖∇f‖² above a floor; ef21-sgdm with a
    /// small --eta has a lower one.
    #[arg(
        long,
        value_name = "B",
        value_parser = value_parser!(u32).range(1..),
        help_heading = "Method"
    )]
    batch: Option<u32>,

    /// η of ef21-hb and gd-hb (momentum), ef21-sgdm (averaging) and econtrol (gain) [default: 0.5, 0.1, 0.1]
    #[arg(
        long,
        value_name = "F",
        value_parser = fraction,
        allow_negative_numbers = true,
        help_heading = "Method"
    )]
    eta: Option<f64>,

    /// Weight λ₁ of the l1 norm in ef21-prox
    #[arg(
        long,
        value_name = "F",
        value_parser = non_negative,
        allow_negative_numbers = true,
        default_value_t = 1e-3,
        help_heading = "Method"
    )]
    l1: f64,

    /// Check the inequalities of EF21's proof in every round: contraction, descent, Lyapunov function
    ///
    /// The first violation ends a run whose step size a theorem allows. With a larger step size it is recorded, and the
    /// run continues.
    #[arg(long, help_heading = "Run")]
    check_theory: bool,

    /// Rounds T
    #[arg(
        long,
        value_name = "T",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 200,
        help_heading = "Run"
    )]
    rounds: u32,

    /// Stop early once ‖∇f(x)‖² ≤ F
    #[arg(
        long,
        value_name = "F",
        value_parser = positive,
        allow_negative_numbers = true,
        help_heading = "Run"
    )]
    target: Option<f64>,

    /// Seed of the random numbers for faults of links, minibatches and participation
    #[arg(
        long,
        value_name = "S",
        value_parser = value_parser!(u32).range(..=i64::from(SEED_MAX)),
        default_value_t = 0,
        help_heading = "Run"
    )]
    seed: u32,

    /// Faults injected on every link, also on real ones: probabilities per frame, and split
    ///
    /// loss=P, outage=P (loses up to 32 frames in one direction), cut=P (truncates the frame), corrupt=P (flips a
    /// bit), garble=P (per byte), noise=P (inserts stray bytes), duplicate=P, and split (splits reads anywhere).
    #[arg(long, value_name = "LIST", default_value_t = Faults::default(), help_heading = "Link")]
    faults: Faults,

    #[arg(
        long,
        value_name = "wait|wait=SECONDS|skip|skip=SECONDS",
        default_value_t = StragglerPolicy::default(),
        help = ABSENT_HELP,
        long_help = absent_long_help(),
        help_heading = "Link"
    )]
    absent: StragglerPolicy,

    /// Encrypt and authenticate all frames with the key in FILE, which the boards need as well; see `smidgen key`
    ///
    /// Boards with another key, or without one, do not answer. Boards with a key answer only a host that has it. The
    /// transcript does not depend on the key.
    #[arg(long, value_name = "FILE", help_heading = "Link")]
    key: Option<PathBuf>,

    /// Rate of the serial line, in bit/s
    #[arg(
        long,
        value_name = "BIT/S",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 115_200,
        help_heading = "Link"
    )]
    baud: u32,

    /// Directory for rounds.jsonl, summary.json and report.html, which replace those of an earlier run
    #[arg(long, value_name = "DIR", default_value = OUT, help_heading = "Files")]
    out: PathBuf,

    /// Write a checkpoint every N rounds and after the last one; see `smidgen resume`
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 100,
        help_heading = "Files"
    )]
    checkpoint_every: u32,

    /// Directory for checkpoints [default: the directory of --out]
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    checkpoint_dir: Option<PathBuf>,

    /// Read options from a TOML file, such as `k = 4`; the command line takes precedence
    #[arg(long, value_name = "FILE.toml", help_heading = "Files")]
    config: Option<PathBuf>,
}

impl From<Arguments> for Options {
    fn from(arguments: Arguments) -> Self {
        let Arguments {
            dataset,
            label,
            recordings,
            windowing,
            full_scale,
            shuffle,
            rows,
            test_rows,
            workers,
            split,
            standardise,
            scale_columns,
            intercept,
            objective,
            regulariser,
            lambda,
            method,
            compressor,
            k,
            value_bits,
            step,
            constants,
            init,
            from,
            features_from,
            downlink,
            downlink_k,
            participation,
            batch,
            eta,
            l1,
            check_theory,
            rounds,
            target,
            seed,
            faults,
            absent,
            key,
            baud,
            out,
            checkpoint_every,
            checkpoint_dir,
            config,
        } = arguments;
        Self {
            dataset,
            label,
            recordings,
            windowing,
            full_scale,
            shuffle,
            rows,
            test_rows,
            workers,
            split,
            standardise,
            scale_columns,
            intercept,
            objective,
            regulariser,
            lambda,
            method,
            compressor,
            k,
            value_bits,
            step,
            constants,
            init,
            from,
            features_from,
            downlink,
            downlink_k,
            participation,
            batch,
            eta,
            l1,
            check_theory,
            rounds,
            target,
            seed,
            faults,
            absent,
            key,
            baud,
            out,
            checkpoint_every,
            checkpoint_dir,
            config,
        }
    }
}

impl Args for Options {
    fn augment_args(command: Command) -> Command {
        Arguments::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Arguments::augment_args_for_update(command)
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Arguments::from_arg_matches(matches).map(Into::into)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the parser of a choice by its name, which also lists the choices in `--help`.
pub(super) fn choice<C: Choice + Send + Sync>() -> impl TypedValueParser<Value = C> {
    let values =
        C::all().iter().map(|choice| PossibleValue::new(choice.name()).help(choice.about()));
    PossibleValuesParser::new(values)
        .map(|name| C::named(&name).expect("clap accepts only these names"))
}
