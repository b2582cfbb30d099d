use super::*;
use crate::cli::{self, Command};
use crate::objective::Workers;
use crate::record::Locks;
use crate::world::simulation::{Board, Simulation};
use crate::world::{Measured, WorldError};
use std::collections::BTreeMap;
use std::path::Path;

/// A simulated world that stops after some rounds.
struct Halting {
    simulation: Simulation<Board<Workers>>,
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
    let Command::Simulate(options) = cli.command else { unreachable!("the command is simulate") };
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
        let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let before = files();
    let transcript = &RunDirectory::read(folder.path()).unwrap().rounds[3].transcript;
    let transcript = u64::from_str_radix(transcript, 16).unwrap();
    let start = Start::Resumed {
        records: Records::read(folder.path(), 3, transcript).unwrap(),
        setup: Cost::default(),
        wall_seconds: 0.0,
        times: vec![],
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
