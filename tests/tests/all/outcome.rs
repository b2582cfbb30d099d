//! The model of a run is the best one that the host knows, in `model.json` and on boards.

use smidgen::record::model::Iterate;
use smidgen::record::{Cost, RecordError, RoundRecord};
use smidgen::run::experiment::Experiment;
use smidgen::run::training::{Goal, Observer, train};
use smidgen::world::World;
use smidgen::world::simulation::{memory_len, start};
use smidgen_aggregator::{Aggregator, Event, Outcome, Snapshot};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::digest;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{BROADCAST, Down, Ready, SCHEMA, Up, VERSION};
use smidgen_protocol::vector::Exponent;
use smidgen_tests::conformance::{experiment, trained};
use smidgen_tests::faulty::{Fault, FaultySimulation};
use smidgen_tests::frames::{self, transmitted};
use std::fs;
use std::time::Duration;

/// Rows on boards, and steps that are far too long: the last loss is above that of an earlier round.
const SPIKE: &str = "--recordings example --objective softmax --step 64";
/// The model has outgrown the exponent of the best one, which is the first.
const DIVERGING: &str =
    "--recordings example --objective perceptron --regulariser l2 --lambda 1 --step 4";
/// Their number of rounds.
const ROUNDS: usize = 12;

/// What is known of every round, and of the end.
#[derive(Default)]
struct Watch {
    l1: f64,
    rounds: Vec<RoundRecord>,
    objectives: Vec<f64>,
    models: Vec<(Vec<i32>, Exponent)>,
    snapshot: Option<Snapshot>,
    closing: Cost,
}

impl Observer for Watch {
    fn round(
        &mut self,
        record: &RoundRecord,
        _: bool,
        aggregator: &Aggregator,
    ) -> Result<(), RecordError> {
        let norm: f64 = aggregator.model().iter().map(|x| x.abs()).sum();
        self.rounds.push(record.clone());
        self.objectives.push(record.loss + self.l1 * norm);
        self.models.push((aggregator.x().to_vec(), aggregator.exponents().x));
        self.snapshot = aggregator.snapshot();
        Ok(())
    }

    fn finished(&mut self, closing: Cost) {
        self.closing = closing;
    }
}

impl Watch {
    fn of(experiment: &Experiment, world: &mut impl World) -> Self {
        let mut watch = Self { l1: experiment.setup.method.l1, ..Self::default() };
        let goal = Goal { rounds: experiment.options().rounds, target: None };
        train(world, goal, 115_200, &mut watch).unwrap_or_else(|error| panic!("{error}"));
        watch
    }

    fn outcome(&self) -> Outcome {
        self.snapshot.as_ref().expect("a round was closed").outcome()
    }

    fn best_round(&self) -> usize {
        let least = self.objectives.iter().copied().fold(f64::INFINITY, f64::min);
        self.objectives.iter().rposition(|&objective| objective == least).expect("a round")
    }
}

#[test]
fn run_that_ends_on_a_spike_gives_the_best_model() {
    for (options, rounds) in [
        ("--rows 100 --step 60 --k 2", 30),
        ("--rows 100 --step 100 --k 2 --downlink ef21-p", 29),
        ("--rows 100 --step 20 --method ef21-prox --l1 0.01", 30),
        (SPIKE, ROUNDS),
    ] {
        let experiment = experiment(&format!("{options} --rounds {rounds}"));
        let watch = Watch::of(&experiment, &mut experiment.simulation());
        let (best, outcome) = (watch.best_round(), watch.outcome());
        assert!(0 < best && best < rounds, "{options}: {best}");
        assert_eq!(outcome.round as usize, best, "{options}");
        assert_eq!(outcome.loss, Some(watch.rounds[best].loss), "{options}");
        assert_eq!((outcome.mantissas, outcome.exponent), watch.models[best], "{options}");
        // A run that ends with that round has the same model.
        let short = self::experiment(&format!("{options} --rounds {best}"));
        let model = trained(&experiment);
        assert_eq!(model, trained(&short), "{options}");
        assert_eq!((model.iterate, model.round), (Iterate::Best, best as u32), "{options}");
    }
}

#[test]
fn last_model_counts_where_losses_are_not_those_of_one_model() {
    for options in ["--participation 0.5", "--batch 5"] {
        let experiment = experiment(&format!("--rows 100 --rounds 30 --step 60 --k 2 {options}"));
        let watch = Watch::of(&experiment, &mut experiment.simulation());
        let outcome = watch.outcome();
        assert!(watch.best_round() < 30, "{options}");
        assert_eq!((outcome.round, outcome.loss), (30, None), "{options}");
        let model = trained(&experiment);
        assert_eq!((model.iterate, model.round), (Iterate::Last, 30), "{options}");
        assert_eq!(model.loss, Some(watch.rounds[30].loss), "{options}");
    }
}

#[test]
fn absent_board_leaves_the_last_model_until_it_is_back() {
    let options = "--dataset digits --workers 4 --k 4 --rounds 600 --absent skip=0.2";
    let experiment = experiment(options);
    for (seconds, is_back) in [(2, true), (100_000, false)] {
        let mut world = FaultySimulation::new(&experiment);
        let unplugged = Fault::Unplug(Duration::from_secs(seconds));
        world.plan(Duration::from_secs(3), 2, unplugged);
        let watch = Watch::of(&experiment, &mut world);
        assert!(watch.rounds.iter().any(|round| round.absent > 0));
        let outcome = watch.outcome();
        assert_eq!(outcome.loss.is_some(), is_back, "{seconds} s");
        assert!(is_back || outcome.round == 600, "{seconds} s: {}", outcome.round);
    }
}

/// The loss of the sixteenth worker rises from 1 to 841, but a board cannot report more than 8 then.
#[test]
fn round_with_a_loss_out_of_range_is_not_the_best() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("rows.csv");
    fs::write(&path, "x,label\n".to_owned() + &"1,1\n".repeat(15) + "30,1\n").expect("room");
    let path = path.to_str().expect("the path is UTF-8");
    let experiment = experiment(&format!(
        "--dataset {path} --objective least-squares --lambda 0 --scale-columns off --workers 16 \
         --method gd --step 0.17777 --rounds 1"
    ));
    let watch = Watch::of(&experiment, &mut experiment.simulation());
    assert!(watch.rounds[1].loss < watch.rounds[0].loss, "the mean is that of what is reported");
    assert_eq!(watch.outcome().round, 0);
}

/// What a worker says of its state.
fn asked(worker: &mut Worker<Vec<u64>>, tell: impl FnOnce(&Ready)) {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 999 };
    let frame = frames::frame(|out| hello.draft(BROADCAST, &[], &Context::SETUP, out).close());
    worker.receive(&frame);
    let answer = transmitted(worker).pop().expect("it answers");
    let payload = frames::payload(&answer, &Context::SETUP).expect("a frame of the setup");
    let Ok((Up::Ready(ready), _)) = Up::parse(&payload) else { panic!("it identifies itself") };
    tell(&ready);
}

#[test]
fn boards_with_rows_of_their_own_end_with_the_model_of_the_run() {
    for (options, is_finer) in [(SPIKE, false), (DIVERGING, true)] {
        for faults in ["", " --faults loss=0.1,duplicate=0.1,corrupt=0.05"] {
            let experiment = experiment(&format!("{options} --rounds {ROUNDS}{faults}"));
            let mut world = experiment.simulation();
            let watch = Watch::of(&experiment, &mut world);
            let outcome = watch.outcome();
            let (_, last_exponent) = watch.models.last().expect("a round");
            assert_eq!(outcome.exponent > *last_exponent, is_finer, "{options}");
            for worker in 0..experiment.workers.len() {
                let before = world.aggregator().statistics(worker).saturated;
                // A model that is no better than the first one is not kept.
                assert_eq!(world.aggregator().keeps_model(worker).is_none(), is_finer);
                let board = world.board_of(worker).expect("it is in the run");
                asked(world.boards_mut()[board].worker_mut(), |ready| {
                    assert_eq!(ready.model_digest, digest::vector(&outcome.mantissas), "{options}");
                    assert_eq!(ready.saturated, before, "{options}");
                });
            }
            // The boards score that model, not the last one.
            let scores = (0..world.boards().len()).filter_map(|w| world.aggregator().score(w));
            let (right, rows) = scores
                .fold((0, 0), |(right, rows), score| (right + score.right, rows + score.rows));
            let accuracy = |x: &[f64]| experiment.test(x).and_then(|test| test.accuracy);
            let share = f64::from(right) / f64::from(rows);
            assert_eq!(Some(share), accuracy(&outcome.values()), "{options}");
            assert_ne!(Some(share), accuracy(&world.aggregator().model()), "{options}");
        }
    }
}

#[test]
fn sending_the_model_at_the_end_is_part_of_the_cost() {
    let end = |rounds: usize| {
        let experiment = experiment(&format!("{SPIKE} --rounds {rounds}"));
        let watch = Watch::of(&experiment, &mut experiment.simulation());
        (watch.outcome(), watch.closing.downlink.wire_bytes, experiment.workers.len())
    };
    let (outcome, bytes, boards) = end(ROUNDS);
    let (_, without, _) = end(outcome.round as usize);
    let sent = outcome.mantissas.iter().filter(|&&mantissa| mantissa != 0).count();
    assert!(bytes - without > (boards * sent) as u64, "{bytes} and {without}");
}

#[test]
fn board_that_restarts_at_the_end_is_not_counted_and_delays_nobody() {
    let experiment = experiment(&format!("{SPIKE} --rounds {ROUNDS}"));
    let score = |restart_after: Duration| {
        let mut world = experiment.simulation();
        let mut restart_at = None;
        loop {
            let limit = restart_at.unwrap_or(Duration::MAX);
            match world.advance_until(limit).unwrap_or_else(|error| panic!("{error}")) {
                Some(Event::Closed(closed)) if closed.round < ROUNDS as u32 => {
                    world.aggregator().proceed();
                }
                Some(Event::Closed(_)) => {
                    world.aggregator().finish();
                    restart_at = Some(world.now() + restart_after);
                }
                Some(Event::Finished(_)) => break,
                Some(_) | None => {}
            }
            if restart_at.is_some_and(|at| at <= world.now()) {
                restart_at = None;
                let memory = vec![0; memory_len::<Objectives>(&experiment.setup) / 8];
                let mut worker = start::<Objectives>(0, memory, None, 1);
                worker.enable_recorder();
                let now = world.now();
                world.boards_mut()[0].restart(now, worker);
            }
        }
        let scores = (0..world.boards().len()).map(|worker| world.aggregator().score(worker));
        let scores: Vec<_> = scores.collect();
        assert!(scores[1..].iter().all(Option::is_some), "{restart_after:?}");
        scores[0].is_some()
    };
    let counted: Vec<_> = (0..40).map(Duration::from_millis).map(score).collect();
    let before = counted.iter().filter(|&&is_counted| !is_counted).count();
    assert!((5..35).contains(&before), "{counted:?}");
    assert!(counted[before..].iter().all(|&is_counted| is_counted), "{counted:?}");
}
