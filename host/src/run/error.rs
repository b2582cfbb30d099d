//! Errors of preparing a run.

use crate::boards::key_file::KeyError;
use crate::model::board::NotOnBoard;
use crate::options::{Choice, Method, NeedsRows, Objective, Split, WorkersError};
use crate::problem::dataset::DatasetError;
use crate::problem::dataset::recordings::RecordingsError;
use crate::problem::dataset::split::SplitError;
use crate::problem::range::RangeError;
use crate::problem::specification::SpecificationError;
use crate::record::model::ModelError;
use crate::units::quantity::counted;
use crate::units::shown::shown;
use smidgen_aggregator::WORKERS_MAX;
use std::path::PathBuf;
use thiserror::Error;

/// Reasons why an experiment cannot be prepared.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The data cannot be loaded.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The rows cannot be distributed to workers.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The recordings cannot be used.
    #[error(transparent)]
    Recordings(#[from] RecordingsError),
    /// Options are about samples, but there are none.
    #[error(
        "--window, --hop, --features, --rate and --full-scale say how samples become rows, but the run has those of a \
         data set; add --recordings, or omit them"
    )]
    NoRecordings,
    /// Options exclude too many rows.
    #[error(
        "{taken} leaves {} to train on, too few for {worker_count} workers: use at least as many rows as workers, or \
         --workers {rows}", counted(*.rows as u64, "row", "rows")
    )]
    Taken {
        /// The options.
        taken: String,
        /// Number of remaining rows.
        rows: usize,
        /// Number of workers.
        worker_count: usize,
    },
    /// The model that the run should start from cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model that the run should start from has another objective.
    #[error(
        "the model {} has the objective {theirs}, but the run has {ours}; give --objective {theirs}, or start without \
         --from",
        shown(path)
    )]
    OtherObjective {
        /// The model.
        path: PathBuf,
        /// Its objective.
        theirs: &'static str,
        /// The objective of the run.
        ours: &'static str,
    },
    /// The model that the run builds on has its own preparation of rows.
    #[error("a run with {name} prepares rows as the model {} does; omit {option}", shown(path))]
    OtherPreparation {
        /// The model.
        path: PathBuf,
        /// The option that names it.
        name: &'static str,
        /// The options that contradict it.
        option: &'static str,
    },
    /// The model whose hidden units should be features has none.
    #[error(
        "the model {} has the objective {objective}, which has no hidden units; give a model of {units}, or omit \
         --features-from",
        shown(path),
        units = Objective::listed("or", |objective| objective.info().margins.have_units())
    )]
    NoUnits {
        /// The model.
        path: PathBuf,
        /// Its objective.
        objective: &'static str,
    },
    /// Boards would have to compute hidden units.
    #[error(
        "--features-from needs rows on the host, because boards do not compute hidden units of their windows; give \
         --dataset and a model that was trained on one, or omit --features-from"
    )]
    UnitsOnBoard,
    /// The model that the run should start from is not one of rows that boards record.
    #[error(transparent)]
    NotOnBoard(#[from] NotOnBoard),
    /// No run is possible on the rows of boards.
    #[error(transparent)]
    OnBoard(#[from] OnBoardError),
    /// The options make the step size overflow.
    #[error(
        "the step size overflows or underflows; give a smaller --lambda, or a number for --step"
    )]
    Overflow,
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The numbers of boards and workers differ.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The options contradict each other.
    #[error(transparent)]
    Specification(#[from] SpecificationError),
    /// An initial value is out of the range of its grid.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// f does not depend on the model.
    #[error(
        "{dataset}: all features of the training rows are 0, so there is nothing to learn; use other rows (--rows, \
         --test-rows), or another data set"
    )]
    Flat {
        /// Name of the data set.
        dataset: String,
    },
    /// There are more workers than a run can have.
    #[error("{cause} gives {workers} workers, but a run can have at most {WORKERS_MAX}; {advice}")]
    Crowd {
        /// The option that causes it.
        cause: String,
        /// Number of workers.
        workers: usize,
        /// What to do.
        advice: &'static str,
    },
    /// Features are too large or too small to compute a step size.
    #[error(
        "{dataset}: a feature of {value:e} in column {column} makes the step size overflow or underflow; scale the \
         data, for instance to -1 to 1, by --scale-columns auto or by --standardise"
    )]
    Immoderate {
        /// Name of the data set.
        dataset: String,
        /// The largest feature.
        value: f64,
        /// Its column, counted from 1.
        column: usize,
    },
    /// `--workers` contradicts the number of workers that a split gives.
    #[error(
        "--split {split} gives {}, one per {each}, not {workers}; omit --workers, or use --split contiguous",
        counted(*.shares as u64, "worker", "workers")
    )]
    SplitWorkers {
        /// The split.
        split: Split,
        /// What has a worker of its own.
        each: &'static str,
        /// Number of workers of the split.
        shares: usize,
        /// The given number of workers.
        workers: u16,
    },
    /// No theorem covers the run.
    #[error(
        "--check-theory needs {} with a fixed step size other than tight, one K for all workers, a deterministic \
         compressor, all workers with all rows in every round, and no compressed downlink; add --step am or a number, \
         or omit it",
        Method::listed("or", |method| method.info().proof.has_lyapunov_function())
    )]
    NoTheorem,
    /// A checkpoint would not contain the whole state.
    #[error(
        "--checkpoint-dir: a worker of {0} has a vector that the host does not know, so that checkpoints would be \
         incomplete; omit it, or choose another method such as ef21"
    )]
    Private(&'static str),
    /// Clones need more workers than boards.
    #[error(
        "--method {method} gives {workers} workers for {boards} boards, which works only in simulation; use `smidgen \
         simulate`"
    )]
    Clones {
        /// The method.
        method: &'static str,
        /// Number of workers of the cloned problem.
        workers: usize,
        /// Number of boards.
        boards: usize,
    },
    /// A split needs another number of boards.
    #[error(
        "--split {split} needs {}, one per {each}, but there {}; use --split contiguous, or another number of boards",
        counted(*.shares as u64, "board", "boards"), are(*.boards)
    )]
    SplitBoards {
        /// The split.
        split: Split,
        /// What has a worker of its own.
        each: &'static str,
        /// Number of workers of the split.
        shares: usize,
        /// Number of boards.
        boards: usize,
    },
    /// The model has biases already.
    #[error(
        "--objective {0} has a bias in every margin, so --intercept would add a second one; omit it"
    )]
    Intercept(&'static str),
}

fn are(boards: usize) -> String {
    let verb = if boards == 1 { "is" } else { "are" };
    format!("{verb} {}", counted(boards as u64, "board", "boards"))
}

/// Reasons why no run is possible on rows of boards.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OnBoardError {
    /// An option needs rows on the host.
    #[error(transparent)]
    NeedsRows(#[from] NeedsRows),
    /// The objective has targets.
    #[error(
        "--objective {0} learns real targets, but boards record classes; choose {classes}",
        classes = Objective::listed("or", |objective| objective.info().labels.are_classes())
    )]
    Targets(&'static str),
    /// A board has no rows.
    #[error(
        "{0} has no rows to train on; record some by `smidgen record --port {0} --label CLASS`"
    )]
    NoRows(String),
    /// Boards have rows of different recipes.
    #[error(
        "the rows of {place} are {theirs}, but those of {first} are {ours}; record all with the same options, after \
         `smidgen record --clear` on one of the boards"
    )]
    OtherRecipe {
        /// The board.
        place: String,
        /// Its recipe.
        theirs: String,
        /// The first board.
        first: String,
        /// Its recipe.
        ours: String,
    },
    /// The rows of a board are not those of the model that the run continues.
    #[error(
        "the rows of {place} are {theirs}, but those of the model are {ours}; record rows like those of the model, after \
         `smidgen record --clear`, or omit --from"
    )]
    ModelRecipe {
        /// The board.
        place: String,
        /// Its recipe.
        theirs: String,
        /// That of the model.
        ours: String,
    },
    /// A board has rows of a class that the model does not know.
    #[error(
        "{place} has rows of the class `{class}`, which the model does not know, only {known}; discard them, or omit \
         --from"
    )]
    ModelClass {
        /// The board.
        place: String,
        /// Its class.
        class: String,
        /// The classes of the model.
        known: String,
    },
    /// Boards have sensors of different full scales.
    #[error(
        "the largest samples of the channels of {place} are {theirs} g or °/s, but those of {first} are {ours}: equal \
         values would mean different movements; use equal sensors"
    )]
    OtherFullScale {
        /// The board.
        place: String,
        /// Its full scales.
        theirs: String,
        /// Another board.
        first: String,
        /// Its full scales.
        ours: String,
    },
    /// The boards have too few or too many classes.
    #[error(
        "--objective {objective} learns {legal} classes, but the boards have {found}: {names}; {advice}"
    )]
    Classes {
        /// The objective.
        objective: &'static str,
        /// Number of classes that it can have.
        legal: &'static str,
        /// Number of classes of the boards.
        found: usize,
        /// Their names.
        names: String,
        /// What to do.
        advice: &'static str,
    },
}
