//! Watches a run: writes its records and shows its progress.

use crate::aggregator::{Aggregator, Event};
use crate::experiment::Experiment;
use crate::progress::Progress;
use crate::record::{Cost, RecordError, RoundRecord, RunDirectory, Summary, WorkerRecord};
use crate::training::{Goal, Observer, TrainingError, World, train};
use std::path::Path;
use std::time::Instant;

/// The observer of a run that is recorded.
struct Recorder<'p> {
    path: &'p Path,
    /// Made when the first round is closed: an earlier run is not given up for one that never begins.
    directory: Option<RunDirectory>,
    /// What is known before the first round.
    summary: Summary,
    progress: &'p mut Progress,
    places: Vec<String>,
    rounds: Vec<RoundRecord>,
    total: Cost,
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &Event, aggregator: &Aggregator) {
        match *event {
            Event::Greeted(worker) => {
                if let Some(identity) = aggregator.identity(worker) {
                    self.note(&format!("{} is {identity}", self.places[worker]));
                }
            }
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

    fn round(&mut self, record: &RoundRecord, _: &Aggregator) -> Result<(), RecordError> {
        self.directory()?.append(record)?;
        self.total += record.cost();
        self.progress.round(record, self.total);
        self.rounds.push(record.clone());
        Ok(())
    }
}

impl Recorder<'_> {
    fn directory(&mut self) -> Result<&mut RunDirectory, RecordError> {
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => {
                let directory = RunDirectory::create(self.path)?;
                directory.begin(&self.summary)?;
                directory
            }
        };
        Ok(self.directory.insert(directory))
    }
}

/// What a recorded run leaves in memory.
pub struct Recorded {
    /// The directory of the run.
    pub directory: RunDirectory,
    /// Its summary, complete but for the baseline.
    pub summary: Summary,
}

/// Runs `experiment` in `world` and writes every round to the directory that its options name.
///
/// The summary is in [`Recorded`]; write it with [`RunDirectory::finish`].
pub fn record(
    experiment: &Experiment,
    world: &mut impl World,
    progress: &mut Progress,
) -> Result<Recorded, TrainingError> {
    let started = Instant::now();
    let options = experiment.options();
    RunDirectory::check(&options.out)?;
    let places = (0..experiment.parts.len()).map(|worker| world.place(worker)).collect();
    let mut recorder = Recorder {
        path: &options.out,
        directory: None,
        summary: experiment.summary(),
        progress,
        places,
        rounds: Vec::new(),
        total: Cost::default(),
    };
    recorder.progress.phase("sending shards");
    let goal = Goal { rounds: options.rounds, target: options.target };
    let setup = train(world, goal, options.baud, &mut recorder)?;
    let Recorder { directory, mut summary, places, rounds, .. } = recorder;
    summary.setup = setup;
    summary.conclude(&rounds);
    summary.workers = worker_records(experiment, world.aggregator(), &places);
    summary.information_limit = Some(information_limit(experiment, &rounds));
    summary.wall_seconds = started.elapsed().as_secs_f64();
    let directory = directory.expect("it was made with the first round");
    Ok(Recorded { directory, summary })
}

/// The updates that hold K entries: all but that of round 0, which may be dense or empty.
fn information_limit(
    experiment: &Experiment,
    rounds: &[RoundRecord],
) -> crate::record::InformationLimit {
    let rounds = rounds.get(1..).unwrap_or_default();
    let sent_bytes = rounds.iter().map(|round| round.uplink.payload_bytes).sum();
    experiment.information_limit((rounds.len() * experiment.parts.len()) as u64, sent_bytes)
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
