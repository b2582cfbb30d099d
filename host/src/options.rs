//! The options of a run, with their defaults. Each is valid by itself; `problem` and `run` check them against the data.
//!
//! `cli` parses them from the command line and from files.

mod choice;
mod export_format;
mod faults;
pub mod number;
mod objective;
mod per_worker;
mod split;
mod step;
mod straggler_policy;
pub mod windowing;

pub use crate::objective::Objective;
pub use choice::Choice;
use choice::choices;
pub use export_format::ExportFormat;
pub use faults::{Faults, FaultsError};
pub use objective::Regulariser;
pub use per_worker::PerWorkerError;
pub use split::{Split, SplitError};
pub use step::{Step, StepError};
pub use straggler_policy::{DEADLINE, ROUND_TIMEOUT, StragglerPolicy, StragglerPolicyError};

use crate::units::shown;
use serde::Serialize;
use serde_json::{Map, Value};
use smidgen_protocol::{message, method};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use windowing::Windowing;

/// Default of `--dataset`.
pub const DATASET: &str = "digits";
/// Default of `--out`.
pub const OUT: &str = "smidgen-out";
/// Default of `--k`: K = d / 32, which sends 3 % of the coordinates.
const DIMENSION_PER_K: usize = 32;
/// Default of `--workers` in simulation.
const SIMULATED_WORKER_COUNT: usize = 4;
/// The largest seed. A seed has 32 bits on the wire, and the seed of x⁰ is one larger, since 0 stands for x⁰ = 0.
pub const SEED_MAX: u32 = u32::MAX - 1;

/// Options shared by `simulate`, `run`, `emulate` and `plan`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// Name of a bundled or generated data set, or path of a file.
    #[serde(serialize_with = "shown::serialize")]
    pub dataset: PathBuf,

    /// Column of the labels in a table, or path of a file with them.
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub label: Option<OsString>,

    /// Time series from which boards record their rows, in place of a data set: a directory, a file or a bundled name.
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub recordings: Option<PathBuf>,

    /// How their samples become rows.
    #[serde(flatten)]
    pub windowing: Windowing,

    /// Full scale of each channel in the units of the files; empty for that of the data.
    #[serde(serialize_with = "per_worker::serialize", skip_serializing_if = "Vec::is_empty")]
    pub full_scale: Vec<f64>,

    /// Seed of the order of the rows; that of the file if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<u32>,

    /// Number of rows to use; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,

    /// Number of held-out rows, from the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<usize>,

    /// Number of workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,

    /// How rows are distributed to workers.
    pub split: Split,

    /// True to shift and scale every column to mean 0 and standard deviation 1.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub standardise: bool,

    /// Scales of the columns.
    pub scale_columns: ScaleColumns,

    /// True to append a feature that is 1 in every row.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub intercept: bool,

    /// Objective to minimise.
    pub objective: Objective,

    /// Regulariser, which includes the biases.
    pub regulariser: Regulariser,

    /// Weight λ of the regulariser.
    pub lambda: f64,

    /// Training method.
    pub method: Method,

    /// Compressor of the updates.
    pub compressor: Compressor,

    /// Maximum coordinates K per update: one value for all workers, or one per worker; empty for the default.
    #[serde(serialize_with = "per_worker::serialize", skip_serializing_if = "Vec::is_empty")]
    pub k: Vec<u32>,

    /// Bits per value in an update, 2 to 32.
    pub value_bits: u8,

    /// Step size γ.
    pub step: Step,

    /// Source of the constants L_i.
    pub constants: Constants,

    /// Initial estimators g_i⁰.
    pub init: Init,

    /// Model from which the run starts: the directory of a run, or its file.
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,

    /// Model whose hidden units are the features: the directory of a run, or its file.
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub features_from: Option<PathBuf>,

    /// How the next model is sent to workers.
    pub downlink: Downlink,

    /// Maximum coordinates per round of a compressed downlink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downlink_k: Option<u32>,

    /// Probability that a worker participates in a round: one value for all workers, or one per worker.
    #[serde(serialize_with = "per_worker::serialize")]
    pub participation: Vec<f64>,

    /// Rows per minibatch; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,

    /// η of ef21-hb and gd-hb (momentum), ef21-sgdm (averaging) and econtrol (gain).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,

    /// Weight λ₁ of the l1 norm in ef21-prox.
    pub l1: f64,

    /// True to check the inequalities of EF21's proof in every round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub check_theory: bool,

    /// Rounds T.
    pub rounds: u32,

    /// Value of ‖∇f(x)‖² at which to stop early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,

    /// Seed of the random numbers for faults of links, minibatches and participation.
    pub seed: u32,

    /// Faults injected on every link.
    pub faults: Faults,

    /// What to do when a worker is silent.
    pub absent: StragglerPolicy,

    /// File with the key that encrypts and authenticates all frames.
    #[serde(serialize_with = "shown::serialize_some", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,

    /// Rate of the serial line, in bit/s.
    pub baud: u32,

    /// Directory of the records and the report.
    #[serde(serialize_with = "shown::serialize")]
    pub out: PathBuf,

    /// Rounds between two checkpoints.
    #[serde(skip)]
    pub checkpoint_every: u32,

    /// Directory of the checkpoints; that of the records if absent.
    #[serde(skip)]
    pub checkpoint_dir: Option<PathBuf>,

    /// TOML file from which further options were read.
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// Reasons why `--k` does not fit the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KError {
    /// K exceeds the dimension.
    #[error(
        "--k {k} exceeds the dimension of the model, {dimension}; give 1 to {dimension}, or omit it"
    )]
    TooLarge {
        /// The given K.
        k: u32,
        /// The dimension d.
        dimension: usize,
    },
    /// The length of the list is not the number of workers.
    #[error(transparent)]
    PerWorker(#[from] PerWorkerError),
}

/// `--workers` is not the number of boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--workers {workers} differs from the number of boards, {board_count}; omit it, or name as many boards"
)]
pub struct WorkersError {
    /// The given number of workers.
    pub workers: u16,
    /// Number of boards or ports.
    pub board_count: usize,
}

/// An option needs rows that are on boards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--data on-board leaves the rows on the boards, but {0} needs them on the host; omit it")]
pub struct NeedsRows(pub String);

impl Options {
    /// Returns the path or name of the data.
    pub fn source(&self) -> &Path {
        self.recordings.as_ref().unwrap_or(&self.dataset)
    }

    /// Returns the number of workers n: one per board, or in simulation (`None`) the given number or 4.
    ///
    /// [`Split::OneEach`] and [`Split::By`] have their own number.
    pub fn worker_count(&self, board_count: Option<usize>) -> Result<usize, WorkersError> {
        match (self.workers, board_count) {
            (Some(workers), Some(board_count)) if usize::from(workers) != board_count => {
                Err(WorkersError { workers, board_count })
            }
            (Some(workers), _) => Ok(workers.into()),
            (None, board_count) => Ok(board_count.unwrap_or(SIMULATED_WORKER_COUNT)),
        }
    }

    /// Returns the K of each worker for data of this dimension; the default is d/32, at least 1.
    pub fn k(&self, dimension: usize, worker_count: usize) -> Result<Vec<u32>, KError> {
        if let Some(&k) = self.k.iter().find(|&&k| k as usize > dimension) {
            return Err(KError::TooLarge { k, dimension });
        }
        let default = [(dimension / DIMENSION_PER_K).max(1) as u32];
        let given = if self.k.is_empty() { &default[..] } else { &self.k };
        Ok(per_worker::of("--k", given, worker_count)?)
    }

    /// Returns the probability of each worker to participate in a round.
    pub fn participation(&self, worker_count: usize) -> Result<Vec<f64>, PerWorkerError> {
        per_worker::of("--participation", &self.participation, worker_count)
    }

    /// Returns the options by their long names, including defaults but not those without a value.
    pub fn record(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(options)) => options,
            other => unreachable!("options are a map of plain values, not {other:?}"),
        }
    }
}

choices! {
    /// The scales of columns to train on.
    pub enum ScaleColumns {
        /// Powers of two that give columns about equal weight, and shifts if the model has a bias
        Auto = "auto",
        /// Those of the file
        Off = "off",
    }
}

choices! {
    /// A training method.
    pub enum Method {
        /// EF21: error feedback with compressed differences
        Ef21 = "ef21",
        /// EF21-W: weights gradients by the workers' smoothness before compression
        Ef21W = "ef21-w",
        /// EF21 on the cloned problem: a worker with a large L_i counts as several (only in simulation)
        Ef21Clone = "ef21-clone",
        /// EF21+: sends the compressed gradient instead if that is closer
        Ef21Plus = "ef21+",
        /// EF21-SGDM: averages gradients over rounds
        Ef21Sgdm = "ef21-sgdm",
        /// EF21-HB: adds heavy-ball momentum to the server's step
        Ef21Hb = "ef21-hb",
        /// EF21-Prox: adds an l1 norm to f, by a proximal step
        Ef21Prox = "ef21-prox",
        /// EF14: classic error feedback, for comparison
        Ef14 = "ef14",
        /// EControl: error feedback with a gain, for comparison
        Econtrol = "econtrol",
        /// DCGD: compression without error feedback, which stalls; for comparison
        Dcgd = "dcgd",
        /// Gradient descent: sends all d coordinates
        Gd = "gd",
        /// Gradient descent with the heavy ball of Polyak: the server's step has momentum
        GdHb = "gd-hb",
    }
}

choices! {
    /// A compressor C.
    pub enum Compressor {
        /// The K entries of largest magnitude
        Topk = "topk",
        /// K random entries, drawn from --seed
        Randk = "randk",
        /// The K entries of largest magnitude, rounded to powers of two: 6 bits per value
        Natural = "natural",
        /// The signs of all entries and one magnitude
        Sign = "sign",
    }
}

impl Compressor {
    /// Returns its form in messages.
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
    /// Source of the smoothness constants.
    pub enum Constants {
        /// The host computes L and all L_i from the data
        Data = "data",
        /// Every board reports an upper bound of its L_i; the host does not need the data
        Boards = "boards",
    }
}

choices! {
    /// Where the rows are.
    pub enum DataPlace {
        /// The host has them, and sends every board its share
        Host = "host",
        /// Boards have recorded them, see `smidgen record`; no row is sent
        OnBoard = "on-board",
    }
}

choices! {
    /// Initial estimators g_i⁰.
    pub enum Init {
        /// ∇f_i(x⁰): one dense update of 32-bit values
        Full = "full",
        /// C(∇f_i(x⁰)): an ordinary update
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
    /// How the next model is sent to workers.
    pub enum Downlink {
        /// Sends the whole model
        Dense = "dense",
        /// Sends the changes of the sum of the g_i; workers take the step
        Sparse = "sparse",
        /// EF21-P: sends the K largest changes of the model, with error feedback
        Ef21P = "ef21-p",
        /// EF21-BC: sends the K largest changes of the sum, with error feedback
        Ef21Bc = "ef21-bc",
    }
}

impl Downlink {
    /// Returns its form in messages.
    pub fn wire(self) -> message::Downlink {
        match self {
            Self::Dense => message::Downlink::Dense,
            Self::Sparse | Self::Ef21Bc => message::Downlink::Sparse,
            Self::Ef21P => message::Downlink::Model,
        }
    }

    /// Returns whether the server compresses the downlink.
    pub fn is_compressed(self) -> bool {
        match self {
            Self::Ef21P | Self::Ef21Bc => true,
            Self::Dense | Self::Sparse => false,
        }
    }
}
