//! Experiments: data, constants, method and setup of a run, prepared from its options.
//!
//! Related: theory of the experiment in `theory`, its records in `records`, its worlds in `worlds`.

use super::data::{Data, Shape, check_crowd, immoderate};
use super::error::ExperimentError;
use super::on_board::{self, OnBoard, RecordingBoard};
use super::setup::{self, Parts};
use super::start::Start;
use crate::options::{self, Choice, Options};
use crate::problem::dataset::recordings::Recordings;
use crate::problem::objective::{Objective, Penalty};
use crate::problem::range;
use crate::problem::specification::{Longest, Problem, Rows, Specification, Worker};
use crate::problem::theory::{Constants, Smoothness};
use crate::record::checkpoint;
use smidgen_aggregator::Setup;
use std::sync::OnceLock;

/// A problem with its data, distributed to workers, and its method.
#[derive(Debug)]
pub struct Experiment {
    /// What is known of the data wherever its rows are.
    pub shape: Shape,
    /// The rows, where the host has them.
    pub data: Option<Data>,
    /// The workers of the run, in order.
    pub workers: Vec<Worker>,
    /// The constants of the problem, if they are known.
    pub smoothness: Option<Smoothness>,
    /// The setup of the aggregator.
    pub setup: Setup,
    /// The largest known step size of the method, with its theorem. The run may use another one.
    pub longest: Option<Longest>,
    /// The largest relative quantisation error of a feature.
    pub quantisation_error: f64,
    pub(super) penalty: Penalty,
    options: Options,
    data_checksum: OnceLock<u64>,
}

impl Experiment {
    /// Loads and distributes the data, and computes constants and step size. `boards` is the number of boards, `None`
    /// in simulation; `session` is the session number of the run.
    ///
    /// # Errors
    /// If the options do not fit the data, or each other.
    pub fn new(
        options: &Options,
        boards: Option<usize>,
        session: u32,
    ) -> Result<Self, ExperimentError> {
        let start = Start::of(options)?;
        let data = Data::load(options, boards, start.as_ref())?;
        let shape = data.shape();
        let Data { dataset, shares, .. } = &data;
        let dimension = shape.dimension(options.objective);
        let penalty = Penalty { regulariser: options.regulariser, lambda: options.lambda };
        // The constants of large data take a while; what is wrong with options is reported before.
        Specification::check_lists(options, dimension, shares.len())?;
        let constants = Constants::of(options.objective, penalty, dataset, shares);
        let rows = Some(Rows { dataset, shares });
        let row_counts = &shape.row_counts;
        let problem = Problem { dimension, row_counts, rows, constants: &constants };
        let (specification, longest) = specify(options, boards, problem)?;
        let objective = Objective::new(options.objective, penalty, dataset, shares);
        let initial_model = Start::initial_model(start.as_ref(), options);
        range::check(options, dataset, &objective, &specification, &initial_model)?;
        let (sent, quantisation_error) = match &data.recorded {
            Some(recorded) => (recorded.data.clone(), 0.0),
            None => setup::quantised(dataset, shares),
        };
        let seal = setup::seal(options, boards)?;
        let parts = Parts { session, initial_model, dimension, data: &sent, seal };
        let setup = setup::setup(options, &specification, parts);
        Ok(Self {
            shape,
            data: Some(data),
            penalty,
            workers: specification.workers,
            smoothness: constants.into_known(),
            setup,
            longest,
            quantisation_error,
            options: options.clone(),
            data_checksum: OnceLock::new(),
        })
    }

    /// Prepares a run on rows that boards have recorded, one worker for each of `boards`. The step size follows from
    /// constants that they report, unless it is given.
    ///
    /// # Errors
    /// If an option needs the rows, or the rows of the boards do not fit the options or each other.
    pub fn on_board(
        options: &Options,
        boards: &[RecordingBoard],
        session: u32,
    ) -> Result<Self, ExperimentError> {
        Self::check_on_board(options)?;
        let start = Start::of(options)?;
        let trained = start.as_ref().map(Start::windows).transpose()?;
        let found = OnBoard::of(boards, options.objective, trained.as_ref())?;
        let OnBoard { shape, data, norms_squared } = found;
        let dimension = shape.dimension(options.objective);
        let penalty = Penalty { regulariser: options.regulariser, lambda: options.lambda };
        Specification::check_lists(options, dimension, boards.len())?;
        let objective = options.objective;
        let constants = Constants::of_rows_within(objective, penalty, &norms_squared);
        let source = match constants {
            Constants::Reported(_) if options.step.given().is_none() => options::Constants::Boards,
            // As given: the host has no constants.
            Constants::Known(_) | Constants::Reported(_) | Constants::Unknown { .. } => {
                options.constants
            }
        };
        let options = &Options { constants: source, ..options.clone() };
        let row_counts = &shape.row_counts;
        let problem = Problem { dimension, row_counts, rows: None, constants: &constants };
        let (specification, longest) = specify(options, Some(boards.len()), problem)?;
        let initial_model = Start::initial_model(start.as_ref(), options);
        let seal = setup::seal(options, Some(boards.len()))?;
        let parts = Parts { session, initial_model, dimension, data: &data, seal };
        let setup = setup::setup(options, &specification, parts);
        Ok(Self {
            shape,
            data: None,
            penalty,
            workers: specification.workers,
            smoothness: None,
            setup,
            longest,
            // Values are exact on the grids of powers of two.
            quantisation_error: 0.0,
            options: options.clone(),
            data_checksum: OnceLock::new(),
        })
    }

    /// Checks the options of a run on rows of boards, before these are asked.
    ///
    /// # Errors
    /// If an option needs rows on the host, or the run cannot continue its model.
    pub fn check_on_board(options: &Options) -> Result<(), ExperimentError> {
        on_board::check(options)?;
        Start::of(options)?.map_or(Ok(()), |start| start.windows().map(drop))
    }

    /// Returns one worker per share, without clones.
    pub fn one_per_share(&self) -> impl Iterator<Item = &Worker> {
        self.workers.chunk_by(|one, next| one.share == next.share).map(|clones| &clones[0])
    }

    /// Returns the value of the column that says who owns the rows of a share, if there is one.
    pub fn owner(&self, share: usize) -> Option<&str> {
        let Data { dataset, shares, .. } = self.data.as_ref()?;
        shares[share].first().and_then(|&row| dataset.owner(row))
    }

    /// Returns f in f64, on the data as they were read, if the host has them.
    pub fn objective(&self) -> Option<Objective> {
        let Data { dataset, shares, .. } = self.data.as_ref()?;
        Some(Objective::new(self.options.objective, self.penalty, dataset, shares))
    }

    /// Returns the checksum of the data of all workers, to compare with that of a checkpoint.
    pub fn data_checksum(&self) -> u64 {
        // Every checkpoint has it, and data may be large.
        *self.data_checksum.get_or_init(|| {
            checkpoint::data_checksum(self.setup.shares.iter().map(|share| &share.data[..]))
        })
    }

    /// Returns the recordings, if boards make their rows from some.
    pub fn recordings(&self) -> Option<&Recordings> {
        self.data.as_ref()?.recorded.as_ref().map(|recorded| &recorded.recordings)
    }

    /// Returns the options.
    pub const fn options(&self) -> &Options {
        &self.options
    }
}

/// Returns the specification of a run, and its largest known step size.
fn specify(
    options: &Options,
    boards: Option<usize>,
    problem: Problem<'_>,
) -> Result<(Specification, Option<Longest>), ExperimentError> {
    let specification = Specification::new(options, problem)?;
    let longest = specification.longest(options, problem);
    let (method, workers) = (options.method.name(), specification.workers.len());
    check_crowd(workers, &format!("--method {method}"), "use fewer workers, or ef21-w")?;
    let smoothness = problem.constants.known();
    if !setup::is_finite(smoothness, longest, &specification) {
        return Err(match problem.rows {
            Some(Rows { dataset, .. }) => immoderate(dataset),
            None => ExperimentError::Overflow,
        });
    }
    let is_watchable = smoothness.is_some() && setup::is_watchable(options, &specification);
    if options.check_theory && !is_watchable {
        return Err(ExperimentError::NoTheorem);
    }
    match boards.filter(|&boards| boards != workers) {
        Some(boards) => Err(ExperimentError::Clones { method, workers, boards }),
        None => Ok((specification, longest)),
    }
}

#[cfg(test)]
impl Experiment {
    /// Prepares the experiment of `smidgen simulate` with these options.
    pub(crate) fn of(options: &str) -> Self {
        use crate::cli::{self, Command};
        let line = format!("smidgen simulate {options}");
        let cli = cli::parse(line.split_whitespace().map(Into::into)).unwrap();
        let Command::Simulate(options) = cli.command else {
            unreachable!("the command is simulate")
        };
        Self::new(&options, None, 1).unwrap()
    }

    /// Trains with these options in simulation, and returns the model of the run.
    pub(crate) fn trained(options: &str) -> (Self, crate::record::Model) {
        use crate::record::{Model, RecordError, RoundRecord};
        use crate::run::training::{Goal, Observer, train};
        use smidgen_aggregator::Aggregator;

        struct Last<'e>(&'e Experiment, Option<Model>);
        impl Observer for Last<'_> {
            fn round(
                &mut self,
                record: &RoundRecord,
                _: bool,
                aggregator: &Aggregator,
            ) -> Result<(), RecordError> {
                let snapshot = aggregator.snapshot().expect("a round is closed");
                self.1 = Some(self.0.model(&snapshot, Some(record.loss)));
                Ok(())
            }
        }
        let experiment = Self::of(options);
        let goal = Goal { rounds: experiment.options().rounds, target: None };
        let mut last = Last(&experiment, None);
        train(&mut experiment.simulation(), goal, 115_200, &mut last).unwrap();
        let model = last.1.unwrap();
        (experiment, model)
    }
}
