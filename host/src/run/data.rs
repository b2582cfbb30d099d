//! The data of a run: loading, checking, and distributing rows to workers.

use super::error::ExperimentError;
use super::start::Start;
use crate::options::{Choice, Objective, Options, ScaleColumns};
use crate::problem::dataset::recordings::{Recordings, RowsOnBoards};
use crate::problem::dataset::split::SplitError;
use crate::problem::dataset::{Dataset, Preparation, Roles, Scales};
use smidgen_aggregator::WORKERS_MAX;
use std::path::Path;

/// The largest sum of squared features for which eigenvalues can be computed in f64, which squares it again.
const SQUARES_MAX: f64 = 1e150;

/// The rows of a run, where the host has them.
#[derive(Debug)]
pub struct Data {
    /// The rows of all workers.
    pub dataset: Dataset,
    /// Held-out rows.
    pub test: Option<Dataset>,
    /// The rows of each worker, as indices into the data set.
    pub shares: Vec<Vec<usize>>,
    /// What the user should know about them.
    pub notes: Vec<String>,
    /// Where the rows come from, if boards record them.
    pub(super) recorded: Option<Recorded>,
}

/// Rows that boards record themselves.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The recordings of each share.
    pub recordings: Recordings,
    /// What the board of each share is sent in place of its rows.
    pub data: Vec<Vec<u8>>,
    /// Bits of each column of the rows.
    pub bits: Vec<u8>,
}

/// What is known of the data of a run, wherever its rows are.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Name of the data set.
    pub name: String,
    /// Names of the classes; none for real targets.
    pub class_names: Vec<String>,
    /// What turns columns into features.
    pub preparation: Preparation,
    /// Number of rows of each share.
    pub row_counts: Vec<usize>,
}

impl Shape {
    /// Returns the number of rows of all shares.
    pub fn row_count(&self) -> usize {
        self.row_counts.iter().sum()
    }

    /// Returns the dimension of the model of an objective.
    pub(super) fn dimension(&self, objective: Objective) -> usize {
        objective.dimension(self.preparation.dimension(), self.class_names.len() as u8)
    }
}

impl Data {
    /// Returns what is known of the data without their rows.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: self.dataset.name().into(),
            class_names: self.dataset.class_names().to_vec(),
            preparation: self.dataset.preparation().clone(),
            row_counts: self.shares.iter().map(Vec::len).collect(),
        }
    }

    /// Loads the data set of the options and distributes its rows. `boards` is the number of boards, `None` in
    /// simulation.
    ///
    /// # Errors
    /// If the data set cannot be loaded, does not fit the model that the run starts from, or its rows cannot be
    /// distributed to that many workers.
    pub(super) fn load(
        options: &Options,
        boards: Option<usize>,
        start: Option<&Start>,
    ) -> Result<Self, ExperimentError> {
        if let Some(path) = &options.recordings {
            return Self::record(path, options, boards, start);
        }
        if !options.windowing.is_default() || !options.full_scale.is_empty() {
            return Err(ExperimentError::NoRecordings);
        }
        let info = options.objective.info();
        if options.intercept && info.margins.have_bias() {
            return Err(ExperimentError::Intercept(options.objective.name()));
        }
        let roles = Roles { label: options.label.as_deref(), owner: options.split.column() };
        let mut dataset = match start {
            Some(start) => start.dataset(options, roles)?,
            None => Dataset::load_raw(&options.dataset, info.labels, roles)?,
        };
        if let Some(seed) = options.shuffle {
            dataset = dataset.shuffle(seed);
        }
        if let Some(rows) = options.rows {
            dataset = dataset.take(rows)?;
        }
        let mut test = None;
        if let Some(rows) = options.test_rows {
            let (training, held) = dataset.hold_out(rows)?;
            (dataset, test) = (training, Some(held));
        }
        let preparation = match start {
            Some(start) => start.preparation(&dataset, options),
            None => dataset.preparation_with(scales(options), options.intercept)?,
        };
        let note = match (start, options.standardise) {
            (None, false) => dataset.scaling_note(&preparation),
            (Some(_), _) | (_, true) => None,
        };
        dataset = dataset.prepared(&preparation);
        test = test.map(|test| test.prepared(&preparation));
        let shares = deal(&dataset, options, boards)?;
        check_features(&dataset, options)?;
        Ok(Self { dataset, test, shares, notes: note.into_iter().collect(), recorded: None })
    }

    /// Records the rows of a run on recordings, as its boards will.
    fn record(
        path: &Path,
        options: &Options,
        boards: Option<usize>,
        start: Option<&Start>,
    ) -> Result<Self, ExperimentError> {
        let trained = start.map(Start::windows).transpose()?;
        let recordings = Recordings::read(path, options, boards, trained.as_ref())?;
        let RowsOnBoards { dataset, test, shares, data, bits } =
            recordings.rows(options.objective, trained.as_ref())?;
        check_crowd(shares.len(), "--recordings", "leave out some files")?;
        check_features(&dataset, options)?;
        let notes = recordings.notes.clone();
        let recorded = Some(Recorded { recordings, data, bits });
        Ok(Self { dataset, test, shares, notes, recorded })
    }
}

/// Returns the scales of columns of these options.
fn scales(options: &Options) -> Scales {
    let has_bias = options.intercept || options.objective.info().margins.have_bias();
    match (options.standardise, options.scale_columns) {
        (true, _) => Scales::Standard,
        (false, ScaleColumns::Auto) => Scales::Equal { shifts: has_bias },
        (false, ScaleColumns::Off) => Scales::Kept,
    }
}

/// Refuses data whose features are all 0, if no coordinate of the model is a bias, and features too large for finite
/// constants.
fn check_features(dataset: &Dataset, options: &Options) -> Result<(), ExperimentError> {
    let has_bias = options.objective.info().margins.have_bias();
    if !has_bias && dataset.largest_feature().1 == 0.0 {
        return Err(ExperimentError::Flat { dataset: dataset.name().into() });
    }
    let squares = (0..dataset.row_count()).map(|row| dataset.row(row).norm_squared());
    if squares.sum::<f64>() > SQUARES_MAX {
        return Err(immoderate(dataset));
    }
    Ok(())
}

fn deal(
    dataset: &Dataset,
    options: &Options,
    boards: Option<usize>,
) -> Result<Vec<Vec<usize>>, ExperimentError> {
    let worker_count = options.worker_count(boards)?;
    let split = &options.split;
    let shares = dataset.deal(split, worker_count).map_err(|error| match error {
        SplitError::TooManyWorkers { .. } if options.rows.or(options.test_rows).is_some() => {
            let (taken, rows) = (taken(options), dataset.row_count());
            ExperimentError::Taken { taken, rows, worker_count }
        }
        error => error.into(),
    })?;
    let count = shares.len();
    let Some(each) = split.worker_of_each() else {
        check_crowd(count, "--workers", "give a smaller number")?;
        return Ok(shares);
    };
    let split = split.clone();
    if let Some(boards) = boards.filter(|&boards| boards != count) {
        return Err(ExperimentError::SplitBoards { split, each, shares: count, boards });
    }
    if let Some(workers) = options.workers.filter(|&workers| usize::from(workers) != count) {
        return Err(ExperimentError::SplitWorkers { split, each, shares: count, workers });
    }
    check_crowd(count, &format!("--split {split}"), "take fewer rows, or use --split contiguous")?;
    Ok(shares)
}

/// Returns the options that exclude rows of the data set.
fn taken(options: &Options) -> String {
    let of = |name, rows: Option<usize>| rows.map(|rows| format!("--{name} {rows}"));
    let given = [of("rows", options.rows), of("test-rows", options.test_rows)];
    given.into_iter().flatten().collect::<Vec<_>>().join(" with ")
}

/// Returns the error for data whose largest feature makes constants or step sizes infinite or zero.
pub(super) fn immoderate(dataset: &Dataset) -> ExperimentError {
    let (column, value) = dataset.largest_feature();
    ExperimentError::Immoderate { dataset: dataset.name().into(), value, column: column + 1 }
}

/// Refuses more workers than a run can have.
pub(super) fn check_crowd(
    workers: usize,
    cause: &str,
    advice: &'static str,
) -> Result<(), ExperimentError> {
    if workers > WORKERS_MAX {
        return Err(ExperimentError::Crowd { cause: cause.into(), workers, advice });
    }
    Ok(())
}
