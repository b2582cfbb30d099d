//! The options that `simulate`, `run`, `emulate` and `plan` share, as they are given on the command line.

use crate::options::number::{fraction, non_negative, positive, probability};
use crate::options::{
    Absent, Choice, Compressor, Constants, Downlink, Faults, Init, Method, OUT, Objective, Options,
    Regulariser, SEED_MAX, Split, Step,
};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, Args, Command, FromArgMatches, value_parser};
use std::path::PathBuf;

/// [`Options`] as clap reads them.
// The comments on the fields are the texts of `--help`.
#[derive(Args)]
struct Arguments {
    /// Data set: digits, breast-cancer or breast-cancer-standardised, which are bundled, or a file in LIBSVM format
    ///
    /// Or quadratics:l-am=50,l-var=5e3,workers=100,dimension=10, least squares with smoothness constants of
    /// this mean and variance, 10 (the dimension) rows for each of 100 workers.
    #[arg(long, value_name = "NAME|PATH", default_value = "digits", help_heading = "Data")]
    dataset: PathBuf,

    /// Take the first N rows only [default: all]
    #[arg(long, value_name = "N", help_heading = "Data")]
    rows: Option<usize>,

    /// Hold out the last N rows, to test the model on them [default: none]
    #[arg(long, value_name = "N", help_heading = "Data")]
    test_rows: Option<usize>,

    /// Workers that share the rows [default: one for each board or port; 4 in simulation]
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u16).range(1..),
        help_heading = "Data"
    )]
    workers: Option<u16>,

    /// How the rows are dealt out
    #[arg(long, value_parser = choice::<Split>(), default_value = Split::Contiguous.name(), help_heading = "Data")]
    split: Split,

    /// What is minimised
    #[arg(long, value_parser = choice::<Objective>(), default_value = Objective::Logistic.name(), help_heading = "Method")]
    objective: Objective,

    /// What is added to the loss of the data, biases included
    #[arg(long, value_parser = choice::<Regulariser>(), default_value = Regulariser::Nonconvex.name(), help_heading = "Method")]
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

    /// How it is minimised
    #[arg(long, value_parser = choice::<Method>(), default_value = Method::Ef21.name(), help_heading = "Method")]
    method: Method,

    /// How updates are compressed
    #[arg(long, value_parser = choice::<Compressor>(), default_value = Compressor::Topk.name(), help_heading = "Method")]
    compressor: Compressor,

    /// Coordinates K that an update holds at most, of all workers or of each: 4 or 1,4,4 [default: d/16, at least 1]
    #[arg(
        long,
        value_name = "K",
        value_parser = value_parser!(u32).range(1..),
        value_delimiter = ',',
        help_heading = "Method"
    )]
    k: Vec<u32>,

    /// Bits of each value in an update, 2 to 32
    ///
    /// Error feedback makes up for the rounding: 8 bits follow the curve of 32, at a quarter of
    /// the bytes for values.
    #[arg(
        long,
        value_name = "B",
        value_parser = value_parser!(u8).range(2..=32),
        default_value_t = 8,
        help_heading = "Method"
    )]
    value_bits: u8,

    /// Step size γ: qm, am, auto, exact, rare or a number
    ///
    /// qm is the step of EF21, 1/(L + L_QM·ξ), and am that of "Error Feedback Reloaded",
    /// 1/(L + L_AM·ξ), which is never smaller. exact is the root that am bounds, up to 1.25 times
    /// longer. rare counts who owns which features, where --lambda is 0. auto starts from the theory
    /// of the method and tunes itself between rounds from the losses that workers report.
    #[arg(
        long,
        value_name = "qm|am|auto|exact|rare|F",
        allow_negative_numbers = true,
        default_value_t = Step::Auto,
        help_heading = "Method"
    )]
    step: Step,

    /// Where the L_i come from, of which qm, am, exact and auto make the step
    #[arg(long, value_parser = choice::<Constants>(), default_value = Constants::Data.name(), help_heading = "Method")]
    constants: Constants,

    /// The first estimators g_i⁰
    #[arg(long, value_parser = choice::<Init>(), default_value = Init::Compressed.name(), help_heading = "Method")]
    init: Init,

    /// How workers learn the next model; dense and sparse give the same models, bit for bit
    #[arg(long, value_parser = choice::<Downlink>(), default_value = Downlink::Sparse.name(), help_heading = "Method")]
    downlink: Downlink,

    /// Coordinates that a compressed downlink holds at most [default: d/8, at least 1]
    #[arg(
        long,
        value_name = "K",
        value_parser = value_parser!(u32).range(1..),
        help_heading = "Method"
    )]
    downlink_k: Option<u32>,

    /// Probability with which a worker takes part in a round, of all workers or of each, drawn from --seed
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

    /// Rows that a worker looks at in a round, drawn from --seed without repetition [default: all]
    ///
    /// With ef21 and ef21-w that is EF21-SGD. The noise of minibatches leaves ‖∇f‖² at a floor: ef21-sgdm with
    /// a small --eta has a lower one.
    #[arg(
        long,
        value_name = "B",
        value_parser = value_parser!(u32).range(1..),
        help_heading = "Method"
    )]
    batch: Option<u32>,

    /// η of ef21-hb (momentum), ef21-sgdm (averaging) and econtrol (gain) [default: 0.5, 0.1, 0.1]
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

    /// Watch the inequalities of EF21's proof in every round: contraction, descent, Lyapunov function
    ///
    /// A run whose step a theorem allows stops with a sentence in the first round that violates one. With a longer step it is recorded and the run
    /// continues.
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

    /// Stop sooner, once ‖∇f(x)‖² ≤ F
    #[arg(
        long,
        value_name = "F",
        value_parser = positive,
        allow_negative_numbers = true,
        help_heading = "Run"
    )]
    target: Option<f64>,

    /// Seed of all that is random: faults of links, minibatches, and who takes part in a round
    #[arg(
        long,
        value_name = "S",
        value_parser = value_parser!(u32).range(..=i64::from(SEED_MAX)),
        default_value_t = 0,
        help_heading = "Run"
    )]
    seed: u32,

    /// Faults put on every link, real ones too: probabilities for each frame, and split
    ///
    /// loss=P, outage=P (of up to 32 frames one way), cut=P (the end is missing), corrupt=P (a bit is flipped), garble=P
    /// (for each byte), noise=P (stray bytes), duplicate=P, and split (reads are cut anywhere).
    #[arg(long, value_name = "LIST", default_value_t = Faults::default(), help_heading = "Link")]
    faults: Faults,

    /// What becomes of a round when a worker is silent: wait, or skip=SECONDS to close it without that worker
    ///
    /// A board that is away is looked for, by what it says of itself, whatever the port: with wait for 120 seconds, or
    /// wait=SECONDS, after which the run ends and `resume` continues it. With skip rounds close without it meanwhile. A worker that
    /// was left out finds its way back: it is waited for once it answers again, and one with which there can be no run is asked again after
    /// 10 seconds, and then after twice as long each time, up to ten minutes. Who was left out is part of the transcript.
    #[arg(
        long,
        value_name = "wait|wait=SECONDS|skip|skip=SECONDS",
        default_value_t = Absent::default(),
        help_heading = "Link"
    )]
    absent: Absent,

    /// Encrypt and authenticate all frames with the key in a file, which boards hold as well; see `smidgen key`
    ///
    /// Boards with another key, or without one, do not answer, and boards with a key answer only a host that has it. The transcript
    /// is the same.
    #[arg(long, value_name = "FILE", help_heading = "Link")]
    key: Option<PathBuf>,

    /// Speed of the line, in bit/s
    #[arg(
        long,
        value_name = "BIT/S",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 115_200,
        help_heading = "Link"
    )]
    baud: u32,

    /// Directory for rounds.jsonl, summary.json and report.html; an earlier run there is replaced
    #[arg(long, value_name = "DIR", default_value = OUT, help_heading = "Files")]
    out: PathBuf,

    /// Leave a checkpoint every N rounds, and after the last one; see `smidgen resume`
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 100,
        help_heading = "Files"
    )]
    checkpoint_every: u32,

    /// Directory for checkpoints [default: that of --out]
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    checkpoint_dir: Option<PathBuf>,

    /// Take options from a TOML file, such as `k = 4`; the command line wins
    #[arg(long, value_name = "FILE.toml", help_heading = "Files")]
    config: Option<PathBuf>,
}

impl From<Arguments> for Options {
    fn from(arguments: Arguments) -> Self {
        let Arguments {
            dataset,
            rows,
            test_rows,
            workers,
            split,
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
            rows,
            test_rows,
            workers,
            split,
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

/// Parses a choice by its name; `--help` lists all of them.
fn choice<C: Choice + Send + Sync>() -> impl TypedValueParser<Value = C> {
    let values = C::ALL.iter().map(|choice| PossibleValue::new(choice.name()).help(choice.about()));
    PossibleValuesParser::new(values)
        .map(|name| C::named(&name).expect("clap lets no other name through"))
}
