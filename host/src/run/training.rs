//! A run from its first to its last round, in any world: simulated, emulated or real.

use crate::record::theory::Violation;
use crate::record::{BoardTimes, Cost, RecordError, RoundRecord};
use crate::units::interrupt;
use crate::units::serial_line;
use crate::world::{Measured, World, WorldError};
use smidgen_aggregator::{Aggregator, Carried, Closed, Event, Failure};
use thiserror::Error;

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// The world came to a halt.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A worker cannot take part.
    #[error("worker {} ({place}): {}", .failure.worker + 1, .failure.reason)]
    Failure {
        /// Where the worker is.
        place: String,
        /// What is wrong with it.
        failure: Failure,
    },
    /// A round could not be written down.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A round does not keep to the theory that it was checked against.
    #[error(transparent)]
    Theory(#[from] Violation),
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The last round T; x^0 … x^T are recorded.
    pub rounds: u32,
    /// End sooner, once ‖∇f(x)‖² (or ‖g‖², where the data are not at hand) is not above this.
    pub target: Option<f64>,
}

impl Goal {
    /// Whether a round is down to the target; none if there is no target.
    pub fn is_hit(&self, record: &RoundRecord) -> Option<bool> {
        let norm = record.gradient_norm_squared.unwrap_or(record.estimator_norm_squared);
        self.target.map(|target| norm <= target)
    }

    /// Whether a round is the last.
    pub fn is_over(&self, record: &RoundRecord) -> bool {
        record.round >= self.rounds || self.is_hit(record) == Some(true)
    }
}

/// Who watches a run.
pub trait Observer {
    /// Something happened that is not a round.
    fn event(&mut self, _event: &Event, _aggregator: &Aggregator) {}

    /// Something that people should hear of.
    fn note(&mut self, _note: &str) {}

    /// All workers hold their data, which cost this.
    fn prepared(&mut self, _setup: Cost) {}

    /// Every worker has confirmed its state, which cost this.
    fn finished(&mut self, _closing: Cost) {}

    /// A round was closed, the last one perhaps.
    fn round(
        &mut self,
        record: &RoundRecord,
        last: bool,
        aggregator: &Aggregator,
    ) -> Result<(), RecordError>;

    /// Whether the state after the last closed round is kept, so that a run that ends early was not in vain.
    fn keeps_state(&self) -> bool {
        false
    }

    /// Whether the rounds so far keep to a theorem that allows their step.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }
}

/// Runs until the goal is reached and every worker has confirmed its state. On [request](crate::units::interrupt) it ends sooner:
/// after the open round if that closes soon, else after the last closed one, where the observer keeps the state of that; at once
/// where it does not.
///
/// `baud` turns bytes into modelled seconds: ten bits a byte, on the link that carried most.
pub fn train(
    world: &mut impl World,
    goal: Goal,
    baud: u32,
    observer: &mut impl Observer,
) -> Result<(), TrainingError> {
    let mut begun = false;
    loop {
        let event = world.advance()?;
        // A lost board is not an event, and notes must not wait for one.
        while let Some(note) = world.poll_note() {
            observer.note(&note);
        }
        let Some(event) = event else {
            if interrupt::is_requested()
                && (interrupt::is_immediate() || !begun || !observer.keeps_state())
            {
                return Err(WorldError::Interrupted.into());
            }
            // A board that is away may keep the open round, or the last word of the workers, waiting for ever.
            if interrupt::is_overdue() {
                return Ok(());
            }
            continue;
        };
        observer.event(&event, world.aggregator());
        match event {
            Event::Closed(closed) => {
                let mut record = record(&closed, world.measure(), baud);
                record.boards = BoardTimes::of_round(world.aggregator().elapsed(), baud);
                let last = goal.is_over(&record) || interrupt::is_requested();
                begun = true;
                observer.round(&record, last, world.aggregator())?;
                observer.check()?;
                if last {
                    world.aggregator().finish();
                } else {
                    world.aggregator().proceed();
                }
            }
            Event::Prepared(carried) => observer.prepared(cost(&carried, baud)),
            Event::Finished(carried) => {
                observer.finished(cost(&carried, baud));
                return Ok(());
            }
            Event::Failed(failure) => {
                let link = world.aggregator().link(failure.worker);
                let place = world.place(link);
                return Err(TrainingError::Failure { place, failure });
            }
            Event::Greeted(_)
            | Event::Loaded { .. }
            | Event::Rebooted(_)
            | Event::Moved(_)
            | Event::Excluded { .. }
            | Event::Readmitted(_) => {}
        }
    }
}

/// A run that was collected in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Greetings, configuration, shards.
    pub setup: Cost,
    /// Every round.
    pub rounds: Vec<RoundRecord>,
    /// The workers' word that their state is that of the host.
    pub closing: Cost,
}

/// As [`train`], and collects the records; `on_round` is called for every round.
pub fn collect(
    world: &mut impl World,
    goal: Goal,
    baud: u32,
    on_round: impl FnMut(&RoundRecord),
) -> Result<Course, TrainingError> {
    let mut collector = Collector { course: Course::default(), on_round };
    train(world, goal, baud, &mut collector)?;
    Ok(collector.course)
}

struct Collector<F> {
    course: Course,
    on_round: F,
}

impl<F: FnMut(&RoundRecord)> Observer for Collector<F> {
    fn prepared(&mut self, setup: Cost) {
        self.course.setup = setup;
    }

    fn finished(&mut self, closing: Cost) {
        self.course.closing = closing;
    }

    fn round(&mut self, record: &RoundRecord, _: bool, _: &Aggregator) -> Result<(), RecordError> {
        (self.on_round)(record);
        self.course.rounds.push(record.clone());
        Ok(())
    }
}

fn cost(carried: &Carried, baud: u32) -> Cost {
    let Carried { uplink, downlink, busiest_link_bytes, elapsed } = *carried;
    let modelled_seconds = serial_line::seconds(busiest_link_bytes, baud);
    Cost { uplink, downlink, modelled_seconds, elapsed_seconds: Some(elapsed.as_secs_f64()) }
}

fn record(closed: &Closed, measured: Option<Measured>, baud: u32) -> RoundRecord {
    let Cost { uplink, downlink, modelled_seconds, elapsed_seconds } = cost(&closed.carried, baud);
    RoundRecord {
        round: closed.round,
        loss: measured.and_then(|measured| measured.loss).unwrap_or(closed.loss),
        gradient_norm_squared: measured.map(|measured| measured.gradient_norm_squared),
        estimator_norm_squared: closed.estimator_norm_squared,
        absent: closed.excluded,
        information_bits: closed.information_bits,
        uplink,
        downlink,
        modelled_seconds,
        elapsed_seconds,
        boards: Vec::new(),
        theory: None,
        transcript: format!("{:016x}", closed.transcript),
    }
}
