//! The options of a run: what a user may ask for, each checked by itself, with its default.
//!
//! Whether they suit the data is for those who know the data. `cli` reads them from the command line and from files.

mod absent;
mod each;
mod faults;
mod objective;
mod split;
mod step;

pub use absent::{Absent, AbsentError};
pub use each::EachError;
pub use faults::{Faults, FaultsError};
pub use objective::{HIDDEN, Objective, Regulariser};
pub use split::Split;
pub use step::{Step, StepError};

use crate::units::quantity::counted;
use crate::units::shown;
use clap::{Args, ValueEnum, value_parser};
use serde::Serialize;
use serde_json::{Map, Value};
use smidgen_protocol::{message, method};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Where a run is written if `--out` is not given.
pub const OUT: &str = "smidgen-out";
/// Coordinates for each one that an update holds if `--k` is not given: K = d / 16 sends 6 % of them.
const DIMENSION_PER_K: usize = 16;
/// Workers in simulation if `--workers` is not given.
const SIMULATED_WORKER_COUNT: usize = 4;
/// The largest seed. On the wire a seed has 32 bits, and models start from the next one: 0 is x⁰ = 0.
const SEED_MAX: u32 = u32::MAX - 1;

/// The options that `simulate`, `run`, `emulate` and `plan` share.
// The comments on the fields are the texts of `--help`.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// Data set: digits, breast-cancer or breast-cancer-standardised, which are bundled, or a file in LIBSVM format
    ///
    /// Or quadratics:l-am=50,l-var=5e3,workers=100,dimension=10, least squares with smoothness constants of
    /// this mean and variance, 10 (the dimension) rows for each of 100 workers.
    #[arg(long, value_name = "NAME|PATH", default_value = "digits", help_heading = "Data")]
    #[serde(serialize_with = "shown::serialize")]
    pub dataset: PathBuf,

    /// Take the first N rows only [default: all]
    #[arg(long, value_name = "N", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,

    /// Hold out the last N rows, to test the model on them [default: none]
    #[arg(long, value_name = "N", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<usize>,

    /// Workers that share the rows [default: one for each board or port; 4 in simulation]
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u16).range(1..),
        help_heading = "Data"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,

    /// How the rows are dealt out
    #[arg(long, value_enum, default_value_t = Split::Contiguous, help_heading = "Data")]
    pub split: Split,

    /// What is minimised
    #[arg(long, value_enum, default_value_t = Objective::Logistic, help_heading = "Method")]
    pub objective: Objective,

    /// What is added to the loss of the data, biases included
    #[arg(long, value_enum, default_value_t = Regulariser::Nonconvex, help_heading = "Method")]
    pub regulariser: Regulariser,

    /// Weight λ of the regulariser
    #[arg(
        long,
        value_name = "F",
        value_parser = non_negative,
        allow_negative_numbers = true,
        default_value_t = 1e-3,
        help_heading = "Method"
    )]
    pub lambda: f64,

    /// How it is minimised
    #[arg(long, value_enum, default_value_t = Method::Ef21, help_heading = "Method")]
    pub method: Method,

    /// How updates are compressed
    #[arg(long, value_enum, default_value_t = Compressor::Topk, help_heading = "Method")]
    pub compressor: Compressor,

    /// Coordinates K that an update holds at most, of all workers or of each: 4 or 1,4,4 [default: d/16, at least 1]
    #[arg(
        long,
        value_name = "K",
        value_parser = value_parser!(u32).range(1..),
        value_delimiter = ',',
        help_heading = "Method"
    )]
    #[serde(serialize_with = "each::serialize", skip_serializing_if = "Vec::is_empty")]
    pub k: Vec<u32>,

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
    pub value_bits: u8,

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
    pub step: Step,

    /// Where the L_i come from, of which qm, am, exact and auto make the step
    #[arg(long, value_enum, default_value_t = Constants::Data, help_heading = "Method")]
    pub constants: Constants,

    /// The first estimators g_i⁰
    #[arg(long, value_enum, default_value_t = Init::Compressed, help_heading = "Method")]
    pub init: Init,

    /// How workers learn the next model; dense and sparse give the same models, bit for bit
    #[arg(long, value_enum, default_value_t = Downlink::Sparse, help_heading = "Method")]
    pub downlink: Downlink,

    /// Coordinates that a compressed downlink holds at most [default: d/8, at least 1]
    #[arg(
        long,
        value_name = "K",
        value_parser = value_parser!(u32).range(1..),
        help_heading = "Method"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downlink_k: Option<u32>,

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
    #[serde(serialize_with = "each::serialize")]
    pub participation: Vec<f64>,

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,

    /// η of ef21-hb (momentum), ef21-sgdm (averaging) and econtrol (gain) [default: 0.5, 0.1, 0.1]
    #[arg(
        long,
        value_name = "F",
        value_parser = fraction,
        allow_negative_numbers = true,
        help_heading = "Method"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,

    /// Weight λ₁ of the l1 norm in ef21-prox
    #[arg(
        long,
        value_name = "F",
        value_parser = non_negative,
        allow_negative_numbers = true,
        default_value_t = 1e-3,
        help_heading = "Method"
    )]
    pub l1: f64,

    /// Watch the inequalities of EF21's proof in every round: contraction, descent, Lyapunov function
    ///
    /// A run whose step a theorem allows stops with a sentence in the first round that violates one. With a longer step it is recorded and the run
    /// goes on.
    #[arg(long, help_heading = "Run")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub check_theory: bool,

    /// Rounds T
    #[arg(
        long,
        value_name = "T",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 200,
        help_heading = "Run"
    )]
    pub rounds: u32,

    /// Stop sooner, once ‖∇f(x)‖² ≤ F
    #[arg(
        long,
        value_name = "F",
        value_parser = positive,
        allow_negative_numbers = true,
        help_heading = "Run"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,

    /// Seed of all that is random: faults of links, minibatches, and who takes part in a round
    #[arg(
        long,
        value_name = "S",
        value_parser = value_parser!(u32).range(..=i64::from(SEED_MAX)),
        default_value_t = 0,
        help_heading = "Run"
    )]
    pub seed: u32,

    /// Faults put on every link, real ones too: probabilities for each frame, and split
    ///
    /// loss=P, outage=P (of up to 32 frames one way), cut=P (the end is missing), corrupt=P (a bit is flipped), garble=P
    /// (for each byte), noise=P (bytes that nobody sent), duplicate=P, and split (reads are cut anywhere).
    #[arg(long, value_name = "LIST", default_value_t = Faults::default(), help_heading = "Link")]
    pub faults: Faults,

    /// What becomes of a round when a worker is silent: wait, or skip=SECONDS to close it without that worker
    ///
    /// A board that is away is looked for, by what it says of itself, whatever the port: with wait for 120 seconds, or
    /// wait=SECONDS, after which the run ends and `resume` goes on with it. With skip rounds close without it meanwhile. A worker that
    /// was left out finds its way back: it is waited for once it answers again, and one with which there can be no run is asked again after
    /// 10 seconds, and then after twice as long each time, up to ten minutes. Who was left out is part of the transcript.
    #[arg(
        long,
        value_name = "wait|wait=SECONDS|skip|skip=SECONDS",
        default_value_t = Absent::default(),
        help_heading = "Link"
    )]
    pub absent: Absent,

    /// Encrypt and authenticate all frames with the key in a file, which boards hold as well; see `smidgen key`
    ///
    /// Boards with another key, or without one, do not answer, and boards with a key answer nobody without it. The transcript
    /// is the same.
    #[arg(long, value_name = "FILE", help_heading = "Link")]
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,

    /// Speed of the line, in bit/s
    #[arg(
        long,
        value_name = "BIT/S",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 115_200,
        help_heading = "Link"
    )]
    pub baud: u32,

    /// Directory for rounds.jsonl, summary.json and report.html; an earlier run there is replaced
    #[arg(long, value_name = "DIR", default_value = OUT, help_heading = "Files")]
    #[serde(serialize_with = "shown::serialize")]
    pub out: PathBuf,

    /// Leave a checkpoint every N rounds, and behind the last one; see `smidgen resume`
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u32).range(1..),
        default_value_t = 100,
        help_heading = "Files"
    )]
    #[serde(skip)]
    pub every: u32,

    /// Directory for checkpoints [default: that of --out]
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    #[serde(skip)]
    pub checkpoint: Option<PathBuf>,

    /// Take options from a TOML file, such as `k = 4`; the command line wins
    #[arg(long, value_name = "FILE.toml", help_heading = "Files")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// A K that does not suit the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KError {
    /// An update cannot hold more coordinates than there are.
    #[error(
        "--k {k} exceeds the dimension of the model, {dimension}; give 1 to {dimension}, or leave it out"
    )]
    TooLarge {
        /// The K asked for.
        k: u32,
        /// The dimension d.
        dimension: usize,
    },
    /// The list has another length.
    #[error(transparent)]
    Each(#[from] EachError),
}

/// Each board is one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--workers {workers} does not fit the {} given; leave it out, or give as many",
    counted(*board_count as u64, "board that is", "boards that are")
)]
pub struct WorkersError {
    /// The workers asked for.
    pub workers: u16,
    /// The boards or ports that are given.
    pub board_count: usize,
}

impl Options {
    /// The number of workers n: one for each board; where boards are simulated (`None`), as many as
    /// asked for, or 4.
    ///
    /// A split into rows, [`Split::OneEach`], has its own number.
    pub fn worker_count(&self, board_count: Option<usize>) -> Result<usize, WorkersError> {
        match (self.workers, board_count) {
            (Some(workers), Some(board_count)) if usize::from(workers) != board_count => {
                Err(WorkersError { workers, board_count })
            }
            (Some(workers), _) => Ok(workers.into()),
            (None, board_count) => Ok(board_count.unwrap_or(SIMULATED_WORKER_COUNT)),
        }
    }

    /// The K of each worker for data of this dimension: those asked for, or d/16 and at least 1.
    pub fn k(&self, dimension: usize, worker_count: usize) -> Result<Vec<u32>, KError> {
        if let Some(&k) = self.k.iter().find(|&&k| k as usize > dimension) {
            return Err(KError::TooLarge { k, dimension });
        }
        let default = [(dimension / DIMENSION_PER_K).max(1) as u32];
        let given = if self.k.is_empty() { &default[..] } else { &self.k };
        Ok(each::of("--k", given, worker_count)?)
    }

    /// The probability with which each worker takes part in a round.
    pub fn participation(&self, worker_count: usize) -> Result<Vec<f64>, EachError> {
        each::of("--participation", &self.participation, worker_count)
    }

    /// η of the method.
    pub fn eta(&self) -> f64 {
        self.eta.unwrap_or(if self.method == Method::Ef21Hb { 0.5 } else { 0.1 })
    }

    /// Every option by its long name, defaults included, those without a value left out.
    pub fn record(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(options)) => options,
            other => unreachable!("options are a map of plain values, not {other:?}"),
        }
    }
}

/// The method that minimises f.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// EF21 with TopK: error feedback, K coordinates a round
    Ef21,
    /// EF21-W: gradients are weighed by the workers' smoothness before they are compressed
    Ef21W,
    /// EF21 on the cloned problem: a worker with a large L_i counts as several (simulation)
    Ef21Clone,
    /// EF21+: the update starts from zero where that is closer
    #[value(name = "ef21+")]
    #[serde(rename = "ef21+")]
    Ef21Plus,
    /// EF21-SGDM: the gradients are averaged over rounds
    Ef21Sgdm,
    /// EF21-HB: the server's step has momentum
    Ef21Hb,
    /// EF21-Prox: an l1 norm beside f, by a proximal step
    Ef21Prox,
    /// EF14: classic error feedback, a rival
    Ef14,
    /// EControl: error feedback with a gain, a rival
    Econtrol,
    /// TopK without feedback, which stalls
    Dcgd,
    /// Gradient descent: all d coordinates a round
    Gd,
}

impl Method {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ef21 => "ef21",
            Self::Ef21W => "ef21-w",
            Self::Ef21Clone => "ef21-clone",
            Self::Ef21Plus => "ef21+",
            Self::Ef21Sgdm => "ef21-sgdm",
            Self::Ef21Hb => "ef21-hb",
            Self::Ef21Prox => "ef21-prox",
            Self::Ef14 => "ef14",
            Self::Econtrol => "econtrol",
            Self::Dcgd => "dcgd",
            Self::Gd => "gd",
        }
    }
}

/// The compressor C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compressor {
    /// The K largest magnitudes
    Topk,
    /// K coordinates drawn from --seed
    Randk,
    /// The K largest magnitudes as powers of two, 6 bits each
    Natural,
    /// The signs of all coordinates and one magnitude
    Sign,
}

impl Compressor {
    /// What a worker is told of it.
    pub fn wire(self, seed: u32) -> method::Compressor {
        match self {
            Self::Topk => method::Compressor::TopK,
            Self::Randk => method::Compressor::RandK { seed },
            Self::Natural => method::Compressor::Natural,
            Self::Sign => method::Compressor::Sign,
        }
    }
}

/// Where smoothness constants come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constants {
    /// The host computes L and all L_i from the data
    Data,
    /// Every board tells an upper bound of its L_i; of the data the host needs to know nothing
    Boards,
}

/// What g_i⁰ is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// ∇f_i(x⁰): one dense update of 32-bit values
    Full,
    /// C(∇f_i(x⁰)): an update like any other
    Compressed,
    /// 0: nothing is sent
    Zero,
}

impl From<Init> for message::Init {
    fn from(init: Init) -> Self {
        match init {
            Init::Full => Self::Full,
            Init::Compressed => Self::Compressed,
            Init::Zero => Self::Zero,
        }
    }
}

/// How a worker learns the next model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Downlink {
    /// The whole model travels
    Dense,
    /// What changed in the sum of the g_i travels; each worker takes the step itself
    Sparse,
    /// EF21-P: the K largest changes of the model travel, and the rest is made up for later
    Ef21P,
    /// EF21-BC: the K largest changes of the sum travel, and the rest is made up for later
    Ef21Bc,
}

impl Downlink {
    /// What a worker is told of it.
    pub fn wire(self) -> message::Downlink {
        match self {
            Self::Dense => message::Downlink::Dense,
            Self::Sparse | Self::Ef21Bc => message::Downlink::Sparse,
            Self::Ef21P => message::Downlink::Model,
        }
    }

    /// Whether the server compresses what it sends.
    pub fn is_compressed(self) -> bool {
        matches!(self, Self::Ef21P | Self::Ef21Bc)
    }
}

/// The magnitudes that an option may have, apart from 0. With them no product of two options and no number that is made of them
/// leaves f64, so what does is a matter of the data.
const MAGNITUDES: RangeInclusive<f64> = 1e-100..=1e100;
/// The least probability that the 32 bits on the wire tell from 0.
const PROBABILITY_MIN: f64 = 1.0 / (1u64 << 32) as f64;

fn number(text: &str, is_legal: impl Fn(f64) -> bool, legal: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A zero has no sign from here on.
        Ok(number) if is_legal(number) => Ok(number + 0.0),
        _ => Err(format!("give a number {legal}")),
    }
}

fn is_zero_or_moderate(number: f64) -> bool {
    number == 0.0 || MAGNITUDES.contains(&number)
}

fn non_negative(text: &str) -> Result<f64, String> {
    number(text, is_zero_or_moderate, "of at least 0: 0, or one from 1e-100 to 1e100")
}

fn probability(text: &str) -> Result<f64, String> {
    number(text, |number| (PROBABILITY_MIN..=1.0).contains(&number), "from 2.4e-10 (2^-32) to 1")
}

fn fraction(text: &str) -> Result<f64, String> {
    let is_legal = |number| number < 1.0 && is_zero_or_moderate(number);
    number(text, is_legal, "of at least 0 and less than 1: 0, or one from 1e-100 on")
}

/// A number greater than 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    number(text, |number| MAGNITUDES.contains(&number), "greater than 0: one from 1e-100 to 1e100")
}
