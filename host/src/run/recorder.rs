//! The observer of a recorded run: writes its records and checkpoints, and shows its progress.

use crate::options::Choice;
use crate::output::progress::Progress;
use crate::output::report::sentence::slow_line;
use crate::problem::theory::Smoothness;
use crate::record::best::Best;
use crate::record::checkpoint::Checkpoints;
use crate::record::theory::Violation;
use crate::record::{
    Claim, Cost, HeldOutRecord, RecordError, Records, RoundRecord, RunDirectory, StepTheory,
    Summary, Times, WorkerRecord, WorkerTimes,
};
use crate::run::experiment::Experiment;
use crate::run::lyapunov::Lyapunov;
use crate::run::training::{Goal, Observer, TrainingError, train};
use crate::units::interrupt;
use crate::units::quantity::number;
use crate::world::simulation;
use crate::world::{Clock, World};
use smidgen_aggregator::{Aggregator, Event, Snapshot};
use std::time::Instant;
use thiserror::Error;

/// Number of boards whose identity is printed; the others are only counted.
const GREETING_COUNT_MAX: usize = 8;

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
    progress: &'r mut Progress,
    /// Place of each link.
    places: Vec<String>,
    /// Name of the method, if its workers have state that the host does not know.
    local_state_of: Option<&'static str>,
    greeted: usize,
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
    /// The best model so far.
    best: Option<Best>,
    /// Weight of the l1 norm.
    l1: f64,
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
        match *event {
            Event::Greeted(worker) => self.greet(worker, aggregator),
            Event::Loaded { worker, held, len } => {
                let place = self.place(worker, aggregator);
                self.progress.transfer(&place, held.into(), len.into());
            }
            Event::Prepared(_) => self.learn(aggregator),
            Event::Rebooted(worker) => {
                let place = self.place(worker, aggregator);
                self.note(&format!("{place} has rebooted and is being restored"));
                if let Some(method) = self.local_state_of {
                    self.note(&format!(
                        "its local state for {method} is restored only from its own flash; without that it \
                         starts from zero, and the run changes"
                    ));
                }
            }
            Event::Moved(worker) => {
                let place = self.place(worker, aggregator);
                let board = aggregator.identity(worker).map(ToString::to_string);
                let board = board.unwrap_or_default();
                self.note(&format!("worker {} ({board}) now answers on {place}", worker + 1));
            }
            Event::Excluded { worker, ref failure } => {
                let place = self.place(worker, aggregator);
                self.note(&match failure {
                    Some(failure) => {
                        format!("{place} is excluded and will be tried again: {}", failure.reason)
                    }
                    None => format!("{place} is silent; rounds continue without it"),
                });
            }
            Event::Readmitted(worker) => {
                let place = self.place(worker, aggregator);
                self.note(&format!("{place} answers again and is being restored"));
            }
            Event::Closed(_) | Event::Finished(_) | Event::Failed(_) => {}
        }
    }

    fn note(&mut self, note: &str) {
        self.progress.note(note);
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
        Best::update(&mut self.best, record, self.l1, aggregator);
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
        self.progress.round(record.round, record.loss, record.norm(), self.summary.cost);
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

    /// Writes the model of the last closed round and a checkpoint, after syncing the records that they refer to.
    fn keep(&self) -> Result<(), RecordError> {
        let (Some(directory), Some(snapshot)) = (&self.directory, self.last.clone()) else {
            return Ok(());
        };
        directory.sync()?;
        self.experiment.model(&snapshot, self.summary.loss).write(directory.path())?;
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let (setup, times, best) = (self.summary.setup, self.times.clone(), self.best.clone());
        checkpoints.write(setup, self.wall_seconds(), times, best, snapshot)
    }

    /// Returns the seconds of all parts of the run.
    fn wall_seconds(&self) -> f64 {
        self.earlier_seconds + self.started.elapsed().as_secs_f64()
    }

    fn start(&mut self, start: Start, aggregator: &Aggregator) {
        match start {
            Start::New(claim) => self.pending = Some(Pending::New(claim)),
            Start::Resumed { records, setup, wall_seconds, times, best } => {
                self.best = best.map(|best| *best);
                self.times = times;
                self.times.resize(self.places.len(), WorkerTimes::default());
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
                let place = self.place(worker, aggregator);
                if self.slow.iter().filter(|slow| **slow).count() <= SLOW_COUNT_MAX {
                    self.note(&slow_line(&place, &self.times[worker], baud));
                }
            }
        }
    }

    /// Returns the display name of a worker's place.
    fn place(&self, worker: usize, aggregator: &Aggregator) -> String {
        self.places[aggregator.link(worker)].clone()
    }

    /// Prints the identity of a board; not in simulation.
    fn greet(&mut self, worker: usize, aggregator: &Aggregator) {
        let Some(identity) = aggregator.identity(worker) else { return };
        if identity.board == simulation::BOARD {
            return;
        }
        self.greeted += 1;
        let more = self.places.len().saturating_sub(GREETING_COUNT_MAX);
        if self.greeted <= GREETING_COUNT_MAX {
            self.note(&format!("{} is {identity}", self.place(worker, aggregator)));
        } else if self.greeted == self.places.len() {
            self.note(&format!("and {more} more boards"));
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
        summary.workers = worker_records(experiment, aggregator, &self.places, &self.times);
        let scores: Vec<_> = summary.workers.iter().map(|worker| worker.held_out).collect();
        summary.held_out = HeldOutRecord::sum(summary.rounds, &scores);
        let by_workers: u64 = summary.workers.iter().map(|worker| worker.saturated).sum();
        summary.saturated = by_workers + u64::from(aggregator.saturated());
        summary.best = self.best.as_ref().map(|best| best.record);
        let model = self.best.as_ref().map_or_else(|| aggregator.model(), Best::model);
        summary.test = experiment.test(&model);
        let updates = u64::from(summary.rounds) * self.places.len() as u64;
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
        /// The best model so far.
        best: Option<Box<Best>>,
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
    let mut recorder = Recorder {
        experiment,
        pending: None,
        is_resumed: false,
        checkpoints,
        last: None,
        goal,
        started: Instant::now(),
        earlier_seconds: 0.0,
        places: (0..experiment.workers.len()).map(|link| world.place(link)).collect(),
        local_state_of: experiment
            .setup
            .method
            .rule
            .has_local_state()
            .then(|| options.method.name()),
        greeted: 0,
        times: vec![WorkerTimes::default(); experiment.workers.len()],
        slow: vec![false; experiment.workers.len()],
        clock: world.clock(),
        baud: options.baud,
        summary: Summary { clock: Some(world.clock()), ..experiment.summary() },
        progress,
        sent_bytes: 0,
        information_bits: 0.0,
        best: None,
        l1: experiment.setup.method.l1,
        lyapunov: experiment.lyapunov(),
        is_allowed: experiment.is_allowed(),
        directory: None,
    };
    recorder.start(start, world.aggregator());
    recorder.progress.phase(match &experiment.shape.preparation.windows {
        Some(_) => "sending the scales of columns",
        None => "sending shards",
    });
    for (place, share) in recorder.places.iter().zip(&experiment.setup.shares) {
        recorder.progress.transfer(place, 0, share.data.len() as u64);
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

fn worker_records(
    experiment: &Experiment,
    aggregator: &Aggregator,
    places: &[String],
    times: &[WorkerTimes],
) -> Vec<WorkerRecord> {
    let record = |worker: usize| {
        let identity = aggregator.identity(worker).map(ToString::to_string).unwrap_or_default();
        let (uplink, downlink) = aggregator.traffic(worker);
        let statistics = aggregator.statistics(worker);
        let share = experiment.workers[worker].share;
        let computed = experiment.smoothness.as_ref().map(|smoothness| smoothness.l_i[share]);
        WorkerRecord {
            name: places[aggregator.link(worker)].clone(),
            identity,
            owner: experiment.owner(share).map(Into::into),
            rows: experiment.shape.row_counts[share] as u64,
            held_out: aggregator.score(worker).map(Into::into),
            keeps_model: aggregator.keeps_model(worker),
            l_i: aggregator.l_i(worker).or(computed),
            uplink,
            downlink,
            rejected_by_host: WorkerRecord::by_reason(
                &aggregator.counters(worker).rejected_frames(),
            ),
            rejected_by_worker: WorkerRecord::by_reason(&statistics.rejected),
            saturated: statistics.saturated.into(),
            times: times[worker],
            reboots: aggregator.reboots(worker),
            left_out: aggregator.exclusions(worker),
            reason: aggregator.exclusion_reason(worker).map(ToString::to_string),
        }
    };
    (0..places.len()).map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};
    use crate::record::Locks;
    use crate::world::simulation::{Board, Simulation};
    use crate::world::{Measured, WorldError};
    use smidgen_firmware::objectives::Objectives;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// A simulated world that stops after some rounds.
    struct Halting {
        simulation: Simulation<Board<Objectives>>,
        rounds: usize,
    }

    impl World for Halting {
        fn advance(&mut self) -> Result<Option<Event>, WorldError> {
            if self.rounds == 0 {
                return Err(WorldError::Lost { place: "here".into(), seconds: 120 });
            }
            let event = self.simulation.advance()?;
            self.rounds -= usize::from(matches!(event, Some(Event::Closed(_))));
            Ok(event)
        }

        fn aggregator(&mut self) -> &mut Aggregator {
            self.simulation.aggregator()
        }

        fn measure(&mut self) -> Option<Measured> {
            self.simulation.measure()
        }

        fn clock(&self) -> Clock {
            self.simulation.clock()
        }

        fn place(&self, link: usize) -> String {
            self.simulation.place(link)
        }
    }

    /// Records a run of nine rounds to `path`, in a world that stops after `rounds`.
    fn run(path: &Path, rounds: usize) -> Option<Failed> {
        let (experiment, mut world) = halting(path, rounds);
        let claim = Claim::new(path, &mut Locks::default()).unwrap();
        record(&experiment, Start::New(claim), None, &mut world, &mut Progress::new(9)).err()
    }

    /// Returns an experiment of nine rounds in `path`, and a world that stops after `rounds`.
    fn halting(path: &Path, rounds: usize) -> (Experiment, Halting) {
        let arguments = ["smidgen", "simulate", "--rows", "50", "--rounds", "9", "--out"];
        let arguments = arguments.map(Into::into).into_iter().chain([path.into()]);
        let cli = cli::parse(arguments).unwrap();
        let Command::Simulate(options) = cli.command else {
            unreachable!("the command is simulate")
        };
        let experiment = Experiment::new(&options, None, 1).unwrap();
        let world = Halting { simulation: experiment.simulation(), rounds };
        (experiment, world)
    }

    #[test]
    fn run_is_complete_before_it_is_compared() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), 100).is_none());
        let recorded = RunDirectory::read(folder.path()).unwrap();
        assert!(recorded.summary.finished && recorded.baseline.is_empty());
        assert_eq!(recorded.rounds.len(), 10);
    }

    #[test]
    fn resumption_without_a_closed_round_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), 100).is_none());
        let files = || {
            let entries =
                std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
            entries
                .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                .collect::<BTreeMap<_, _>>()
        };
        let before = files();
        let transcript = &RunDirectory::read(folder.path()).unwrap().rounds[3].transcript;
        let transcript = u64::from_str_radix(transcript, 16).unwrap();
        let start = Start::Resumed {
            records: Records::read(folder.path(), 3, transcript).unwrap(),
            setup: Cost::default(),
            wall_seconds: 0.0,
            times: vec![],
            best: None,
        };
        let (experiment, mut world) = halting(folder.path(), 0);
        record(&experiment, start, None, &mut world, &mut Progress::new(9)).err().unwrap();
        assert_eq!(files(), before);
    }

    #[test]
    fn failed_run_writes_its_totals_and_counters() {
        let folder = tempfile::tempdir().unwrap();
        let failure = run(folder.path(), 4);
        let Some(Failed { cause, resumable }) = failure else { panic!("it halts") };
        assert!(matches!(*cause, TrainingError::World(WorldError::Lost { .. })));
        assert_eq!(resumable, None, "the run wrote no checkpoint");

        let recorded = RunDirectory::read(folder.path()).unwrap();
        let summary = recorded.summary;
        assert_eq!((summary.finished, summary.rounds, recorded.rounds.len()), (false, 3, 4));
        assert!(summary.setup.wire_bytes() > 0 && summary.workers.len() == 4);
        assert!(summary.workers.iter().all(|worker| worker.downlink.frames > 0));
    }
}
