//! A host that resumes a run: the rest of the run is that of an uninterrupted host.

use smidgen::options::{Compressor, Downlink, Method, Objective};
use smidgen::record::checkpoint::Checkpoint;
use smidgen::record::{Cost, RecordError, RoundRecord};
use smidgen::run::experiment::Experiment;
use smidgen::run::training::{Goal, Observer, train};
use smidgen::world::World;
use smidgen_aggregator::{Aggregator, Snapshot};
use smidgen_tests::conformance::{FEW_DIGITS, SESSION, each, experiment, simulated, transcripts};
use smidgen_tests::emulation::{driver, start};

/// Keeps all rounds, and the state after the last one.
#[derive(Default)]
struct Keeper {
    rounds: Vec<RoundRecord>,
    snapshot: Option<Snapshot>,
}

impl Observer for Keeper {
    fn round(
        &mut self,
        record: &RoundRecord,
        _: bool,
        aggregator: &Aggregator,
    ) -> Result<(), RecordError> {
        self.rounds.push(record.clone());
        self.snapshot = aggregator.snapshot();
        Ok(())
    }
}

/// Runs until round `rounds`; the state passes through the file format.
fn run_until(
    experiment: &Experiment,
    world: &mut impl World,
    rounds: u32,
) -> (Vec<RoundRecord>, Snapshot) {
    let goal = Goal { rounds, target: None };
    let mut keeper = Keeper::default();
    train(world, goal, 115_200, &mut keeper).unwrap_or_else(|error| panic!("{error}"));
    let checkpoint = Checkpoint {
        arguments: vec![],
        folder: "/".into(),
        data_checksum: experiment.data_checksum(),
        rounds,
        setup: Cost::default(),
        wall_seconds: 0.0,
        times: vec![],
        snapshot: keeper.snapshot.expect("a round was closed"),
    };
    let bytes = checkpoint.to_bytes();
    let read = Checkpoint::from_bytes(&bytes).unwrap_or_else(|flaw| panic!("{flaw}"));
    (keeper.rounds, read.snapshot)
}

/// A host that resumes `snapshot` as another process would, in a new session.
fn resumed(experiment: &Experiment, snapshot: Snapshot) -> Aggregator {
    let setup = smidgen_aggregator::Setup { session: SESSION + 1, ..experiment.setup.clone() };
    Aggregator::resume(setup, snapshot).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_method_resumes_from_any_round() {
    let base = "--dataset digits --rows 400 --workers 4 --k 4 --rounds 40";
    let choices = [
        each::<Method>("--step 0.1 --method"),
        each::<Downlink>("--downlink"),
        each::<Compressor>("--step 0.1 --seed 3 --compressor"),
        each::<Objective>("--step 0.1 --seed 5 --objective"),
    ];
    let combinations = [
        "",
        "--downlink dense --init full",
        "--method ef21-w --step am",
        "--participation 0.5",
        // It ends on a spike.
        "--step 60",
        "--faults loss=0.2,corrupt=0.05,duplicate=0.1,split",
    ];
    for options in choices.into_iter().flatten().chain(combinations.map(str::to_owned)) {
        let experiment = experiment(&format!("{base} {options}"));
        if experiment.setup.method.rule.has_local_state() {
            continue;
        }
        let (whole, end) = run_until(&experiment, &mut experiment.simulation(), 40);
        for round in [0, 1, 17, 39] {
            let (mut rounds, snapshot) =
                run_until(&experiment, &mut experiment.simulation(), round);
            let mut world = experiment.simulation();
            *world.aggregator() = resumed(&experiment, snapshot);
            let (rest, end_of_rest) = run_until(&experiment, &mut world, 40);
            rounds.extend(rest);
            assert_eq!(end_of_rest.final_model(), end.final_model(), "{options}, round {round}");
            assert_eq!(transcripts(&rounds), transcripts(&whole), "{options}, round {round}");
            let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
            let norms = rounds.iter().zip(&whole).map(|(one, other)| {
                (one.gradient_norm_squared.unwrap(), other.gradient_norm_squared.unwrap())
            });
            norms.for_each(|(one, other)| assert!(close(one, other), "{options}"));
        }
    }
}

/// The boards see only a new session: they have their data already.
#[test]
fn a_running_fleet_is_taken_over_without_its_data() {
    let test = "a_running_fleet_is_taken_over_without_its_data";
    let Some(emulators) = start(&["microbit", "stm32f405", "mps2-m3", "mps2-m33"], test) else {
        return;
    };
    let experiment = experiment(FEW_DIGITS);
    let (mut rounds, snapshot) = run_until(&experiment, &mut driver(&experiment, &emulators), 20);
    let mut world = driver(&experiment, &emulators);
    *world.aggregator() = resumed(&experiment, snapshot);
    let (rest, _) = run_until(&experiment, &mut world, 50);
    let data: usize = experiment.setup.shares.iter().map(|share| share.data.len()).sum();
    let again = rest[0].cost.downlink.wire_bytes;
    assert!(again < data as u64 / 4, "{again} bytes for boards that hold {data} bytes of data");
    rounds.extend(rest);
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)));
}
