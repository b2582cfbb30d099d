//! The options of a run: what a user may ask for, each checked by itself, with its default.
//!
//! Whether they suit the data is for those who know the data. `cli` reads them from the command line and from files.

mod absent;
mod choice;
mod each;
mod faults;
pub mod number;
mod objective;
mod split;
mod step;

pub use absent::{Absent, AbsentError};
pub use choice::Choice;
use choice::choices;
pub use each::EachError;
pub use faults::{Faults, FaultsError};
pub use objective::{Objective, Regulariser};
pub use split::Split;
pub use step::{Step, StepError};

use crate::units::quantity::counted;
use crate::units::shown;
use serde::Serialize;
use serde_json::{Map, Value};
use smidgen_protocol::{message, method};
use std::path::PathBuf;

/// Where a run is written if `--out` is not given.
pub const OUT: &str = "smidgen-out";
/// Coordinates for each one that an update holds if `--k` is not given: K = d / 16 sends 6 % of them.
const DIMENSION_PER_K: usize = 16;
/// Workers in simulation if `--workers` is not given.
const SIMULATED_WORKER_COUNT: usize = 4;
/// The largest seed. On the wire a seed has 32 bits, and models start from the next one: 0 is x⁰ = 0.
pub const SEED_MAX: u32 = u32::MAX - 1;

/// The options that `simulate`, `run`, `emulate` and `plan` share.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// Data set: digits, breast-cancer or breast-cancer-standardised, which are bundled, or a file in LIBSVM format.
    #[serde(serialize_with = "shown::serialize")]
    pub dataset: PathBuf,

    /// Take the first N rows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,

    /// Hold out the last N rows, to test the model on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<usize>,

    /// Workers that share the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,

    /// How the rows are dealt out.
    pub split: Split,

    /// What is minimised.
    pub objective: Objective,

    /// What is added to the loss of the data, biases included.
    pub regulariser: Regulariser,

    /// Weight λ of the regulariser.
    pub lambda: f64,

    /// How it is minimised.
    pub method: Method,

    /// How updates are compressed.
    pub compressor: Compressor,

    /// Coordinates K that an update holds at most, of all workers or of each: 4 or 1,4,4.
    #[serde(serialize_with = "each::serialize", skip_serializing_if = "Vec::is_empty")]
    pub k: Vec<u32>,

    /// Bits of each value in an update, 2 to 32.
    pub value_bits: u8,

    /// Step size γ: qm, am, auto, exact, rare or a number.
    pub step: Step,

    /// Where the L_i come from, of which qm, am, exact and auto make the step.
    pub constants: Constants,

    /// The first estimators g_i⁰.
    pub init: Init,

    /// How workers learn the next model; dense and sparse give the same models, bit for bit.
    pub downlink: Downlink,

    /// Coordinates that a compressed downlink holds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downlink_k: Option<u32>,

    /// Probability with which a worker takes part in a round, of all workers or of each, drawn from --seed.
    #[serde(serialize_with = "each::serialize")]
    pub participation: Vec<f64>,

    /// Rows that a worker looks at in a round, drawn from --seed without repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,

    /// η of ef21-hb (momentum), ef21-sgdm (averaging) and econtrol (gain).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,

    /// Weight λ₁ of the l1 norm in ef21-prox.
    pub l1: f64,

    /// Watch the inequalities of EF21's proof in every round: contraction, descent, Lyapunov function.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub check_theory: bool,

    /// Rounds T.
    pub rounds: u32,

    /// Stop sooner, once ‖∇f(x)‖² ≤ F.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,

    /// Seed of all that is random: faults of links, minibatches, and who takes part in a round.
    pub seed: u32,

    /// Faults put on every link, real ones too: probabilities for each frame, and split.
    pub faults: Faults,

    /// What becomes of a round when a worker is silent: wait, or skip=SECONDS to close it without that worker.
    pub absent: Absent,

    /// Encrypt and authenticate all frames with the key in a file, which boards hold as well; see `smidgen key`.
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,

    /// Speed of the line, in bit/s.
    pub baud: u32,

    /// Directory for rounds.jsonl, summary.json and report.html; an earlier run there is replaced.
    #[serde(serialize_with = "shown::serialize")]
    pub out: PathBuf,

    /// Leave a checkpoint every N rounds, and after the last one; see `smidgen resume`.
    #[serde(skip)]
    pub checkpoint_every: u32,

    /// Directory for checkpoints.
    #[serde(skip)]
    pub checkpoint_dir: Option<PathBuf>,

    /// Take options from a TOML file, such as `k = 4`; the command line wins.
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

    /// Every option by its long name, defaults included, those without a value left out.
    pub fn record(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(options)) => options,
            other => unreachable!("options are a map of plain values, not {other:?}"),
        }
    }
}

choices! {
    /// The method that minimises f.
    pub enum Method {
        /// EF21 with TopK: error feedback, K coordinates a round
        Ef21 = "ef21",
        /// EF21-W: gradients are weighed by the workers' smoothness before they are compressed
        Ef21W = "ef21-w",
        /// EF21 on the cloned problem: a worker with a large L_i counts as several (simulation)
        Ef21Clone = "ef21-clone",
        /// EF21+: the update starts from zero where that is closer
        Ef21Plus = "ef21+",
        /// EF21-SGDM: the gradients are averaged over rounds
        Ef21Sgdm = "ef21-sgdm",
        /// EF21-HB: the server's step has momentum
        Ef21Hb = "ef21-hb",
        /// EF21-Prox: an l1 norm beside f, by a proximal step
        Ef21Prox = "ef21-prox",
        /// EF14: classic error feedback, a rival
        Ef14 = "ef14",
        /// EControl: error feedback with a gain, a rival
        Econtrol = "econtrol",
        /// TopK without feedback, which stalls
        Dcgd = "dcgd",
        /// Gradient descent: all d coordinates a round
        Gd = "gd",
    }
}

choices! {
    /// The compressor C.
    pub enum Compressor {
        /// The K largest magnitudes
        Topk = "topk",
        /// K coordinates drawn from --seed
        Randk = "randk",
        /// The K largest magnitudes as powers of two, 6 bits each
        Natural = "natural",
        /// The signs of all coordinates and one magnitude
        Sign = "sign",
    }
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

choices! {
    /// Where smoothness constants come from.
    pub enum Constants {
        /// The host computes L and all L_i from the data
        Data = "data",
        /// Every board tells an upper bound of its L_i; of the data the host needs to know nothing
        Boards = "boards",
    }
}

choices! {
    /// What g_i⁰ is.
    pub enum Init {
        /// ∇f_i(x⁰): one dense update of 32-bit values
        Full = "full",
        /// C(∇f_i(x⁰)): an update like any other
        Compressed = "compressed",
        /// 0: nothing is sent
        Zero = "zero",
    }
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

choices! {
    /// How a worker learns the next model.
    pub enum Downlink {
        /// The whole model travels
        Dense = "dense",
        /// What changed in the sum of the g_i travels; each worker takes the step itself
        Sparse = "sparse",
        /// EF21-P: the K largest changes of the model travel, and the rest is made up for later
        Ef21P = "ef21-p",
        /// EF21-BC: the K largest changes of the sum travel, and the rest is made up for later
        Ef21Bc = "ef21-bc",
    }
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
        match self {
            Self::Ef21P | Self::Ef21Bc => true,
            Self::Dense | Self::Sparse => false,
        }
    }
}
