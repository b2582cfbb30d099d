//! Why a run cannot begin.

use crate::boards::key_file::KeyError;
use crate::options::WorkersError;
use crate::problem::dataset::DatasetError;
use crate::problem::dataset::split::SplitError;
use crate::problem::method::listed;
use crate::problem::range::RangeError;
use crate::problem::specification::SpecificationError;
use crate::units::quantity::counted;
use smidgen_aggregator::WORKERS_MAX;
use thiserror::Error;

/// Why there is nothing to run.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The data cannot be had.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// They cannot be dealt out.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Options leave too few of them.
    #[error(
        "{taken} leaves {} to train on, too few for {worker_count} workers: take as many rows as workers at least, or give \
         --workers {rows}", counted(*.rows as u64, "row", "rows")
    )]
    Taken {
        /// The options.
        taken: String,
        /// Rows that are left.
        rows: usize,
        /// Workers that were asked for.
        worker_count: usize,
    },
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Boards and workers do not match.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The options contradict each other.
    #[error(transparent)]
    Specification(#[from] SpecificationError),
    /// A grid does not hold what the run starts with.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// f does not depend on the model.
    #[error(
        "{dataset}: none of the rows that are trained on has a feature other than 0, so there is nothing to learn from them; \
         take other rows (--rows, --test-rows), or another data set"
    )]
    Flat {
        /// Name of the data set.
        dataset: String,
    },
    /// There are more workers than a run can have.
    #[error("{cause} makes {workers} workers, and a run has {WORKERS_MAX} at most; {advice}")]
    Crowd {
        /// The option that asks for them.
        cause: &'static str,
        /// How many.
        workers: usize,
        /// What to do.
        advice: &'static str,
    },
    /// Step sizes cannot be computed from such features.
    #[error(
        "{dataset}: a feature of {value:e} in column {column} leaves no step size that a number can hold; scale the data, to \
         -1 to 1 for instance"
    )]
    Immoderate {
        /// Name of the data set.
        dataset: String,
        /// The largest feature.
        value: f64,
        /// Its column, counted from 1.
        column: usize,
    },
    /// A split decides how many workers there are, and another number was asked for.
    #[error(
        "--split one-each makes {rows} workers, one for each row, not {workers}; leave out --workers, or use --split \
         contiguous"
    )]
    OneEachWorkers {
        /// Rows, and with them workers.
        rows: usize,
        /// Workers that were asked for.
        workers: u16,
    },
    /// The run is none of those that the theorem is about.
    #[error(
        "--check-theory watches {} with a step that stays, one K for all, a compressor without chance, all workers with all rows \
         in every round and nothing compressed on the way down; add --step am or a number, or leave it out",
        listed("or", |traits| traits.proof.has_lyapunov_function())
    )]
    NoTheorem,
    /// A checkpoint would not hold the whole state.
    #[error(
        "--checkpoint-dir: a worker of {0} keeps a vector to itself, which no checkpoint holds; leave it out, or choose \
         another method such as ef21"
    )]
    Private(&'static str),
    /// Clones have no boards of their own.
    #[error(
        "--method ef21-clone makes {workers} workers of {boards} boards, which only simulation can; use `smidgen simulate`"
    )]
    Clones {
        /// Workers of the cloned problem.
        workers: usize,
        /// Boards that are given.
        boards: usize,
    },
    /// A split decides how many workers there are, and there are not as many boards.
    #[error(
        "--split one-each needs a board for each of the {rows} rows, and there are {boards}; use --split contiguous, or \
         --rows {boards}"
    )]
    OneEach {
        /// Rows, and with them workers.
        rows: usize,
        /// Boards that are given.
        boards: usize,
    },
}
