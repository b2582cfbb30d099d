//! Training: a run from its first to its last round, in any world.

use crate::record::theory::Violation;
use crate::record::{BoardTimes, Cost, RecordError, RoundRecord};
use crate::units::interrupt;
use crate::units::serial_line;
use crate::world::{Measured, World, WorldError};
use smidgen_aggregator::{Aggregator, Carried, Closed, Event, Failure};
use thiserror::Error;

/// Reasons why a run ends early.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// The world failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A worker cannot participate.
    #[error("worker {} ({place}): {}", .failure.worker + 1, .failure.reason)]
    Failure {
        /// Place of the worker.
        place: String,
        /// Its failure.
        failure: Failure,
    },
    /// A round could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A round violates an inequality.
    #[error(transparent)]
    Theory(#[from] Violation),
}

/// End of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The last round T; x^0 … x^T are recorded.
    pub rounds: u32,
    /// Stop early once ‖∇f(x)‖², or ‖g‖² if the host does not have the data, is at most this.
    pub target: Option<f64>,
}

impl Goal {
    /// Returns whether a round has reached the target; `None` without a target.
    pub fn is_hit(&self, record: &RoundRecord) -> Option<bool> {
        let norm = record.gradient_norm_squared.unwrap_or(record.estimator_norm_squared);
        self.target.map(|target| norm <= target)
    }

    /// Returns whether a round is the last one.
    pub fn is_over(&self, record: &RoundRecord) -> bool {
        record.round >= self.rounds || self.is_hit(record) == Some(true)
    }
}

/// Observer of a run.
pub trait Observer {
    /// Called for every event other than a closed round.
    fn event(&mut self, _event: &Event, _aggregator: &Aggregator) {}

    /// Called with a message for the user.
    fn note(&mut self, _note: &str) {}

    /// Called when all workers have their data, with the cost of that.
    fn prepared(&mut self, _setup: Cost) {}

    /// Called when every worker has confirmed its state, with the cost of that.
    fn finished(&mut self, _closing: Cost) {}

    /// Called when a round was closed, which may be the last one.
    fn round(
        &mut self,
        record: &RoundRecord,
        last: bool,
        aggregator: &Aggregator,
    ) -> Result<(), RecordError>;

    /// Returns whether the state after the last closed round is written, so that a run that stops early can resume.
    fn keeps_state(&self) -> bool {
        false
    }

    /// Checks that no round violated an inequality although a theorem allows the step size.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }
}

/// Runs until the goal is reached and every worker has confirmed its state.
///
/// On a [request](crate::units::interrupt) to stop, it ends after the open round if that closes soon, otherwise after
/// the last closed one. If the observer does not keep the state, it ends at once.
///
/// `baud` converts bytes to modelled seconds: ten bits per byte, on the busiest link.
pub fn train(
    world: &mut impl World,
    goal: Goal,
    baud: u32,
    observer: &mut impl Observer,
) -> Result<(), TrainingError> {
    let mut begun = false;
    loop {
        let event = world.advance()?;
        // Polled before events: a lost board gives a note but no event.
        while let Some(note) = world.poll_note() {
            observer.note(&note);
        }
        let Some(event) = event else {
            if interrupt::is_requested()
                && (interrupt::is_immediate() || !begun || !observer.keeps_state())
            {
                return Err(WorldError::Interrupted.into());
            }
            // An absent board could block the open round, or the final confirmations, forever.
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
                    // A half trained model is not worth keeping.
                    if !goal.is_over(&record) {
                        world.aggregator().keep_none();
                    }
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

/// The records of a run in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Cost of identification, configuration and shards.
    pub setup: Cost,
    /// Every round.
    pub rounds: Vec<RoundRecord>,
    /// Cost of the final confirmations.
    pub closing: Cost,
}

/// Like [`train`], but collects the records in memory, and calls `on_round` for every round.
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
    RoundRecord {
        round: closed.round,
        loss: measured.and_then(|measured| measured.loss).unwrap_or(closed.loss),
        gradient_norm_squared: measured.map(|measured| measured.gradient_norm_squared),
        estimator_norm_squared: closed.estimator_norm_squared,
        absent: closed.excluded,
        information_bits: closed.information_bits,
        cost: cost(&closed.carried, baud),
        boards: Vec::new(),
        theory: None,
        transcript: format!("{:016x}", closed.transcript),
    }
}
