//! Watches a run: writes its records and shows its progress.

use crate::aggregator::{Aggregator, Event};
use crate::experiment::Experiment;
use crate::lyapunov::{Lyapunov, Violation};
use crate::progress::Progress;
use crate::record::{Claim, Cost, RecordError, RoundRecord, RunDirectory, Summary, WorkerRecord};
use crate::simulation;
use crate::training::{Goal, Observer, TrainingError, World, train};
use std::time::Instant;

/// Boards that are greeted by a line of their own; the rest are counted.
const GREETING_COUNT_MAX: usize = 8;

/// The observer of a run that is recorded.
struct Recorder<'r> {
    claim: &'r Claim,
    goal: Goal,
    progress: &'r mut Progress,
    places: Vec<String>,
    greeted: usize,
    /// What is known by now.
    summary: Summary,
    /// Bytes of bodies after round 0, whose updates may be dense or empty.
    sent_bytes: u64,
    /// The watch over theory, where it was wanted.
    lyapunov: Option<Lyapunov>,
    /// Begun with the first round: an earlier run is not given up for one that never gets so far.
    directory: Option<RunDirectory>,
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &Event, aggregator: &Aggregator) {
        match *event {
            Event::Greeted(worker) => self.greet(worker, aggregator),
            Event::Loaded { worker, held, len } => {
                self.progress.transfer(&self.places[worker], held.into(), len.into());
            }
            Event::Rebooted(worker) => {
                self.note(&format!("{} was restarted and is being restored", self.places[worker]));
            }
            _ => {}
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

    fn round(&mut self, record: &RoundRecord, _: &Aggregator) -> Result<(), RecordError> {
        let directory = match &mut self.directory {
            Some(directory) => directory,
            none => none.insert(self.claim.begin(&self.summary)?),
        };
        directory.append(record)?;
        self.summary.add(record);
        self.summary.target_reached = self.goal.is_hit(record);
        if record.round > 0 {
            self.sent_bytes += record.uplink.payload_bytes;
        }
        self.progress.round(record.round, record.loss, record.norm(), self.summary.cost());
        Ok(())
    }

    fn check(&mut self, round: u32, aggregator: &Aggregator) -> Result<(), Violation> {
        self.lyapunov.as_mut().map_or(Ok(()), |lyapunov| lyapunov.check(round, aggregator))
    }
}

impl Recorder<'_> {
    /// Says who a board is; nobody needs to hear that of simulated ones.
    fn greet(&mut self, worker: usize, aggregator: &Aggregator) {
        let Some(identity) = aggregator.identity(worker) else { return };
        if identity.board == simulation::BOARD {
            return;
        }
        self.greeted += 1;
        let more = self.places.len().saturating_sub(GREETING_COUNT_MAX);
        if self.greeted <= GREETING_COUNT_MAX {
            self.note(&format!("{} is {identity}", self.places[worker]));
        } else if self.greeted == self.places.len() {
            self.note(&format!("and {more} more have said who they are"));
        }
    }

    /// What can be said of the workers and their updates when the run is over.
    fn conclude(&mut self, experiment: &Experiment, aggregator: &Aggregator) {
        let summary = &mut self.summary;
        summary.workers = worker_records(experiment, aggregator, &self.places);
        let by_workers: u64 = summary.workers.iter().map(|worker| worker.saturated).sum();
        summary.saturated = by_workers + u64::from(aggregator.saturated());
        summary.test = experiment.test(&aggregator.model());
        let updates = u64::from(summary.rounds) * self.places.len() as u64;
        summary.information_limit = experiment.information_limit(updates, self.sent_bytes);
    }
}

/// What a recorded run leaves in memory.
pub struct Recorded {
    /// The directory of the run, which is complete but for the baseline.
    pub directory: RunDirectory,
    /// Its summary, as it was written.
    pub summary: Summary,
}

/// Runs `experiment` in `world` and writes every round where `claim` is, and the summary at the end, however it ends.
///
/// # Errors
/// If the run cannot go on or cannot be written.
pub fn record(
    experiment: &Experiment,
    claim: &Claim,
    world: &mut impl World,
    progress: &mut Progress,
) -> Result<Recorded, TrainingError> {
    let started = Instant::now();
    let options = experiment.options();
    let goal = Goal { rounds: options.rounds, target: options.target };
    let mut recorder = Recorder {
        claim,
        goal,
        places: (0..experiment.parts.len()).map(|worker| world.place(worker)).collect(),
        greeted: 0,
        summary: experiment.summary(),
        progress,
        sent_bytes: 0,
        lyapunov: experiment.lyapunov(),
        directory: None,
    };
    recorder.progress.phase("sending shards");
    for (place, share) in recorder.places.iter().zip(&experiment.setup.shares) {
        recorder.progress.transfer(place, 0, share.data.len() as u64);
    }
    let outcome = train(world, goal, options.baud, &mut recorder);
    recorder.conclude(experiment, world.aggregator());
    let Recorder { directory, mut summary, .. } = recorder;
    summary.wall_seconds = started.elapsed().as_secs_f64();
    let written = directory.as_ref().map_or(Ok(()), |directory| directory.write_summary(&summary));
    // Why the run failed matters more than whether that could be written down.
    outcome?;
    written?;
    Ok(Recorded { directory: directory.expect("a run has a first round"), summary })
}

fn worker_records(
    experiment: &Experiment,
    aggregator: &Aggregator,
    places: &[String],
) -> Vec<WorkerRecord> {
    let record = |(worker, place): (usize, &String)| {
        let identity = aggregator.identity(worker).map(ToString::to_string).unwrap_or_default();
        let (uplink, downlink) = aggregator.traffic(worker);
        let told = aggregator.told(worker);
        WorkerRecord {
            name: place.clone(),
            identity,
            rows: experiment.shares[experiment.parts[worker].share].len() as u64,
            uplink,
            downlink,
            rejected_by_host: WorkerRecord::by_reason(
                &aggregator.counters(worker).rejected_frames(),
            ),
            rejected_by_worker: WorkerRecord::by_reason(&told.rejected),
            saturated: told.saturated.into(),
            reboots: aggregator.reboots(worker),
        }
    };
    places.iter().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cli::{self, Command};
    use crate::simulation::Simulation;
    use crate::training::WorldError;
    use smidgen_firmware::objectives::Objectives;
    use std::path::Path;

    /// A simulated world that comes to a halt after some rounds.
    struct Halting {
        simulation: Simulation<Objectives>,
        rounds: usize,
    }

    impl World for Halting {
        fn next_event(&mut self) -> Result<Event, WorldError> {
            if self.rounds == 0 {
                return Err(WorldError::Lost { place: "here".into(), seconds: 120 });
            }
            let event = self.simulation.next_event()?;
            self.rounds -= usize::from(matches!(event, Event::Closed(_)));
            Ok(event)
        }

        fn aggregator(&mut self) -> &mut Aggregator {
            self.simulation.aggregator()
        }

        fn gradient_norm_squared(&mut self) -> Option<f64> {
            self.simulation.gradient_norm_squared()
        }

        fn place(&self, worker: usize) -> String {
            self.simulation.place(worker)
        }
    }

    /// A run of nine rounds in `path`, in a world that halts after so many.
    fn run(path: &Path, rounds: usize) -> Option<TrainingError> {
        let arguments = ["smidgen", "simulate", "--rows", "50", "--rounds", "9", "--out"];
        let arguments = arguments.map(Into::into).into_iter().chain([path.into()]);
        let cli = cli::parse(arguments).unwrap();
        let Command::Simulate(options) = cli.command else { unreachable!("it says simulate") };
        let experiment = Experiment::new(&options, None, 1).unwrap();
        let mut world = Halting { simulation: experiment.simulation(), rounds };
        let claim = Claim::new(path).unwrap();
        record(&experiment, &claim, &mut world, &mut Progress::new(9)).err()
    }

    #[test]
    fn a_run_is_complete_before_anything_is_compared_with_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), 100).is_none());
        let recorded = RunDirectory::read(folder.path()).unwrap();
        assert!(recorded.summary.finished && recorded.baseline.is_empty());
        assert_eq!(recorded.rounds.len(), 10);
    }

    #[test]
    fn a_run_that_fails_leaves_its_totals_and_counters() {
        let folder = tempfile::tempdir().unwrap();
        let failure = run(folder.path(), 4);
        assert!(matches!(failure, Some(TrainingError::World(WorldError::Lost { .. }))));

        let recorded = RunDirectory::read(folder.path()).unwrap();
        let summary = recorded.summary;
        assert_eq!((summary.finished, summary.rounds, recorded.rounds.len()), (false, 3, 4));
        assert!(summary.setup.wire_bytes() > 0 && summary.workers.len() == 4);
        assert!(summary.workers.iter().all(|worker| worker.downlink.frames > 0));
    }
}
