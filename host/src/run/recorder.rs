//! The observer of a recorded run: writes its records and checkpoints, and shows its progress.

mod notes;
mod workers;

use crate::options::Choice;
use crate::output::progress::Progress;
use crate::output::report::sentence::slow_line;
use crate::problem::theory::Smoothness;
use crate::record::checkpoint::Checkpoints;
use crate::record::theory::Violation;
use crate::record::{
    Claim, Cost, HeldOutRecord, ModelRecord, RecordError, Records, RoundRecord, RunDirectory,
    StepTheory, Summary, Times, WorkerTimes,
};
use crate::run::experiment::Experiment;
use crate::run::lyapunov::Lyapunov;
use crate::run::training::{Goal, Observer, TrainingError, train};
use crate::units::interrupt;
use crate::units::quantity::number;
use crate::world::{Clock, World};
use notes::Notes;
use smidgen_aggregator::{Aggregator, Event, Selected, Snapshot};
use std::time::Instant;
use thiserror::Error;
use workers::worker_records;

/// Number of slow lines that are reported during the run; the report names the others.
const SLOW_COUNT_MAX: usize = 4;

/// The observer of a recorded run.
struct Recorder<'r> {
    experiment: &'r Experiment,
    /// Source of the directory, until the first round is closed. Before that, an earlier run or later rounds of this
    /// one are not removed.
    pending: Option<Pending>,
    /// True if the run was resumed, and so has checkpoints.
    is_resumed: bool,
    checkpoints: Option<Checkpoints>,
    /// State after the last closed round, from which a checkpoint is written when the run ends.
    last: Option<Snapshot>,
    goal: Goal,
    started: Instant,
    /// Seconds of earlier parts of the run.
    earlier_seconds: f64,
    notes: Notes<'r>,
    /// Measured times of each worker.
    times: Vec<WorkerTimes>,
    /// True for workers whose lines were reported as slow.
    slow: Vec<bool>,
    /// Clock of the times.
    clock: Clock,
    baud: u32,
    /// Summary so far.
    summary: Summary,
    /// Bytes of bodies after round 0. The updates of round 0 may be dense or empty.
    sent_bytes: u64,
    /// Bits that these updates would take under an ideal code.
    information_bits: f64,
    /// Check of theory, if it was requested.
    lyapunov: Option<Lyapunov>,
    /// True if a theorem allows the step size, so that every inequality must hold.
    is_allowed: bool,
    /// Directory, once the first round is closed.
    directory: Option<RunDirectory>,
}

/// Source of a directory.
enum Pending {
    /// A new run, which may replace an earlier one.
    New(Claim),
    /// The records of an earlier part of the run.
    Resumed(Records),
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &Event, aggregator: &Aggregator) {
        if let Event::Prepared(_) = event {
            self.learn(aggregator);
        }
        self.notes.tell(event, aggregator);
    }

    fn note(&mut self, note: &str) {
        self.notes.note(note);
    }

    fn prepared(&mut self, setup: Cost) {
        self.summary.setup = setup;
    }

    fn finished(&mut self, closing: Cost) {
        (self.summary.closing, self.summary.finished) = (closing, true);
    }

    fn round(
        &mut self,
        record: &RoundRecord,
        last: bool,
        aggregator: &Aggregator,
    ) -> Result<(), RecordError> {
        let theory = self.lyapunov.as_mut().map(|lyapunov| lyapunov.check(aggregator));
        let record = &RoundRecord { theory, ..record.clone() };
        self.begin()?.append(record)?;
        let held = self.summary.violation.is_none();
        self.add(record);
        if let Some(Violation { round, inequality }) = self.summary.violation.filter(|_| held) {
            self.note(&format!("in round {round}, {inequality} does not hold"));
        }
        self.time(aggregator);
        self.last = aggregator.snapshot();
        // Also after round 0, so that setup need not be repeated.
        let every = self.experiment.options().checkpoint_every;
        if !last && record.round.is_multiple_of(every) {
            self.keep()?;
        }
        self.notes.progress.round(record.round, record.loss, record.norm(), self.summary.cost);
        Ok(())
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), Violation> {
        self.summary.violation.filter(|_| self.is_allowed).map_or(Ok(()), Err)
    }
}

impl Recorder<'_> {
    /// Returns the directory of the run. The first call removes an earlier run or later rounds from it.
    fn begin(&mut self) -> Result<&mut RunDirectory, RecordError> {
        match self.pending.take() {
            Some(Pending::New(claim)) => {
                self.forget_checkpoints_from(0)?;
                self.directory = Some(claim.begin(&self.summary)?);
            }
            Some(Pending::Resumed(records)) => {
                let next = records.rounds.last().map_or(0, |record| record.round + 1);
                self.forget_checkpoints_from(next)?;
                self.directory = Some(RunDirectory::reopen(&records)?);
                self.write_summary()?;
            }
            None => {}
        }
        Ok(self.directory.as_mut().expect("a run is claimed or reopened"))
    }

    /// Adds a round to the summary and the totals.
    fn add(&mut self, record: &RoundRecord) {
        self.summary.add(record);
        self.summary.target_reached = self.goal.is_hit(record);
        if record.round > 0 {
            self.sent_bytes += record.cost.uplink.payload_bytes;
            self.information_bits += record.information_bits;
        }
    }

    fn write_summary(&self) -> Result<(), RecordError> {
        self.directory.as_ref().map_or(Ok(()), |directory| directory.write_summary(&self.summary))
    }

    fn forget_checkpoints_from(&self, round: u32) -> Result<(), RecordError> {
        self.checkpoints.as_ref().map_or(Ok(()), |checkpoints| checkpoints.remove_from(round))
    }

    /// Returns the round of the latest checkpoint of this run.
    fn resumable(&self) -> Option<u32> {
        // Before a new run has its directory, the checkpoints there are those of an earlier run.
        let are_ours = self.is_resumed || self.directory.is_some();
        self.checkpoints.as_ref().filter(|_| are_ours).and_then(Checkpoints::latest_round)
    }

    /// Writes the model of the run so far and a checkpoint, after syncing the records that they refer to.
    fn keep(&self) -> Result<(), RecordError> {
        let (Some(directory), Some(snapshot)) = (&self.directory, self.last.clone()) else {
            return Ok(());
        };
        directory.sync()?;
        self.experiment.model(&snapshot, self.summary.loss).write(directory.path())?;
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let (setup, times) = (self.summary.setup, self.times.clone());
        checkpoints.write(setup, self.wall_seconds(), times, snapshot)
    }

    /// Returns the seconds of all parts of the run.
    fn wall_seconds(&self) -> f64 {
        self.earlier_seconds + self.started.elapsed().as_secs_f64()
    }

    fn start(&mut self, start: Start, aggregator: &Aggregator) {
        match start {
            Start::New(claim) => self.pending = Some(Pending::New(claim)),
            Start::Resumed { records, setup, wall_seconds, times } => {
                self.times = times;
                self.times.resize(self.notes.places.len(), WorkerTimes::default());
                self.earlier_seconds = wall_seconds;
                self.learn(aggregator);
                self.summary.setup = setup;
                records.rounds.iter().for_each(|round| self.add(round));
                if let Some(lyapunov) = &mut self.lyapunov {
                    lyapunov.check(aggregator);
                }
                self.pending = Some(Pending::Resumed(records));
                self.is_resumed = true;
            }
        }
    }

    /// Adds the times of the round just closed, and reports each slow line once.
    fn time(&mut self, aggregator: &Aggregator) {
        let baud = self.baud;
        for (worker, elapsed) in aggregator.elapsed() {
            self.times[worker].add(Times::new(&elapsed, baud));
            let is_slow = self.clock == Clock::Host && self.times[worker].total.is_line_slow();
            if is_slow && !std::mem::replace(&mut self.slow[worker], true) {
                let place = self.notes.place(worker, aggregator);
                if self.slow.iter().filter(|slow| **slow).count() <= SLOW_COUNT_MAX {
                    self.note(&slow_line(&place, &self.times[worker], baud));
                }
            }
        }
    }

    /// Records the constants that workers reported, and the step size computed from them.
    fn learn(&mut self, aggregator: &Aggregator) {
        let Some(l_i) = aggregator.reported() else { return };
        let longest = self.experiment.longest_of_reports(&l_i);
        let gamma = aggregator.gamma();
        let least = l_i.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = l_i.iter().copied().fold(0.0, f64::max);
        let Smoothness { l_am, l_qm, .. } = Smoothness::new(f64::NAN, l_i);
        self.note(&format!(
            "the workers report L_i from {} to {}, which give γ = {}",
            number(least),
            number(largest),
            number(gamma)
        ));
        let summary = &mut self.summary;
        (summary.l, summary.l_am, summary.l_qm) = (None, Some(l_am), Some(l_qm));
        summary.gamma = Some(gamma);
        summary.theory = longest.map(StepTheory::from).unwrap_or_default();
    }

    /// Completes the summary at the end of the run.
    fn conclude(&mut self, experiment: &Experiment, aggregator: &Aggregator) {
        let summary = &mut self.summary;
        summary.workers = worker_records(experiment, aggregator, &self.notes.places, &self.times);
        let scores: Vec<_> = summary.workers.iter().map(|worker| worker.held_out).collect();
        summary.held_out = HeldOutRecord::sum(&scores);
        let by_workers: u64 = summary.workers.iter().map(|worker| worker.saturated).sum();
        summary.saturated = by_workers + u64::from(aggregator.saturated());
        if let Some(model) = self.last.as_ref().map(Snapshot::final_model) {
            let loss = match model.selected {
                Selected::Best { loss } => loss,
                Selected::Last => summary.loss.unwrap_or(f64::NAN),
            };
            summary.model = Some(ModelRecord { round: model.round, loss });
            summary.test = experiment.test(&model.values());
        }
        let updates = u64::from(summary.rounds) * self.notes.places.len() as u64;
        summary.information_limit =
            experiment.information_limit(updates, self.information_bits, self.sent_bytes);
    }
}

/// Result of a recorded run.
pub struct Recorded {
    /// The directory of the run, complete except for the baseline.
    pub directory: RunDirectory,
    /// Its summary, as written.
    pub summary: Summary,
}

/// A recorded run did not finish.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct Failed {
    /// The reason.
    pub cause: Box<TrainingError>,
    /// The round of its latest checkpoint, from which it can resume.
    pub resumable: Option<u32>,
}

/// Start of a run.
#[derive(Debug)]
pub enum Start {
    /// A new run.
    New(Claim),
    /// A resumed run.
    Resumed {
        /// Its records so far.
        records: Records,
        /// Cost of its setup.
        setup: Cost,
        /// Seconds that it has taken so far.
        wall_seconds: f64,
        /// Measured times of each worker.
        times: Vec<WorkerTimes>,
    },
}

/// Runs `experiment` in `world`. Writes every round, checkpoints, and at the end the summary, also if the run fails.
///
/// # Errors
/// If the run cannot continue, or cannot be written.
pub fn record(
    experiment: &Experiment,
    start: Start,
    checkpoints: Option<Checkpoints>,
    world: &mut impl World,
    progress: &mut Progress,
) -> Result<Recorded, Failed> {
    let options = experiment.options();
    let goal = Goal { rounds: options.rounds, target: options.target };
    let has_local_state = experiment.setup.method.rule.has_local_state();
    let mut recorder = Recorder {
        experiment,
        pending: None,
        is_resumed: false,
        checkpoints,
        last: None,
        goal,
        started: Instant::now(),
        earlier_seconds: 0.0,
        notes: Notes {
            progress,
            places: (0..experiment.workers.len()).map(|link| world.place(link)).collect(),
            local_state_of: has_local_state.then(|| options.method.name()),
            greeted: 0,
        },
        times: vec![WorkerTimes::default(); experiment.workers.len()],
        slow: vec![false; experiment.workers.len()],
        clock: world.clock(),
        baud: options.baud,
        summary: Summary { clock: Some(world.clock()), ..experiment.summary() },
        sent_bytes: 0,
        information_bits: 0.0,
        lyapunov: experiment.lyapunov(),
        is_allowed: experiment.is_allowed(),
        directory: None,
    };
    recorder.start(start, world.aggregator());
    recorder.notes.progress.phase(match &experiment.shape.preparation.windows {
        Some(_) => "sending the scales of columns",
        None => "sending shards",
    });
    let Notes { progress, places, .. } = &mut recorder.notes;
    for (place, share) in places.iter().zip(&experiment.setup.shares) {
        progress.transfer(place, 0, share.data.len() as u64);
    }
    interrupt::begin_training();
    let outcome = train(world, goal, options.baud, &mut recorder);
    recorder.conclude(experiment, world.aggregator());
    recorder.summary.wall_seconds = recorder.wall_seconds();
    let written = recorder.write_summary();
    // Also if the run failed, so that it can resume from its last closed round.
    let kept = recorder.keep();
    let resumable = recorder.resumable();
    // The failure of the run comes first, then errors of writing it.
    match outcome.and(written.map_err(Into::into)).and(kept.map_err(Into::into)) {
        Err(cause) => Err(Failed { cause: Box::new(cause), resumable }),
        Ok(()) => {
            let Recorder { directory, summary, .. } = recorder;
            Ok(Recorded { directory: directory.expect("a run has a first round"), summary })
        }
    }
}

#[cfg(test)]
mod tests;
