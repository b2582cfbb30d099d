//! The model of a run is the best one that the host knows, in `model.json` and on boards.

use smidgen::objective::Workers;
use smidgen::record::model::Iterate;
use smidgen::record::{Cost, RecordError, RoundRecord};
use smidgen::run::experiment::Experiment;
use smidgen::run::training::{Goal, Observer, train};
use smidgen::world::World;
use smidgen::world::simulation::{Board, Simulation, memory_len, start};
use smidgen_aggregator::{Aggregator, Event, FinalModel, Selected, Snapshot};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::digest;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context};
use smidgen_protocol::message::{BROADCAST, Down, Ready, SCHEMA, Up, VERSION};
use smidgen_protocol::vector::Exponent;
use smidgen_tests::conformance::{experiment, trained};
use smidgen_tests::faulty::{Fault, FaultySimulation};
use smidgen_tests::frames::{self, transmitted};
use std::fs;
use std::time::Duration;

/// Rows on boards, and steps that are far too long: the last loss is above that of an earlier round.
const SPIKE: &str = "--recordings example --objective softmax --step 64 --k 2 --value-bits 8";
/// The model has outgrown the exponent of the best one, which is the first.
const DIVERGING: &str = "--recordings example --objective perceptron --regulariser l2 --lambda 1 --step 4 --k 28 --value-bits 8";
/// A spike of a model that does not fit a frame.
const LARGE: &str = "--recordings example --objective perceptron --step 8 --k 28 --value-bits 8";
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

    fn final_model(&self) -> FinalModel {
        self.snapshot.as_ref().expect("a round was closed").final_model()
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
        ("--rows 100 --step 20 --k 4 --value-bits 8 --method ef21-prox --l1 0.01", 30),
        (SPIKE, ROUNDS),
    ] {
        let experiment = experiment(&format!("{options} --rounds {rounds}"));
        let watch = Watch::of(&experiment, &mut experiment.simulation());
        let (best, found) = (watch.best_round(), watch.final_model());
        assert!(0 < best && best < rounds, "{options}: {best}");
        assert_eq!(found.round as usize, best, "{options}");
        let loss = watch.rounds[best].loss;
        assert_eq!(found.selected, Selected::Best { loss }, "{options}");
        assert_eq!((found.mantissas, found.exponent), watch.models[best], "{options}");
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
        let found = watch.final_model();
        assert!(watch.best_round() < 30, "{options}");
        assert_eq!((found.round, found.selected), (30, Selected::Last), "{options}");
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
        let FinalModel { round, selected, .. } = watch.final_model();
        assert_eq!(selected != Selected::Last, is_back, "{seconds} s");
        assert!(is_back || round == 600, "{seconds} s: {round}");
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
    assert_eq!(watch.final_model().round, 0);
}

/// A worker's answer to Hello.
fn ask_state(worker: &mut Worker<Vec<u64>>, check: impl FnOnce(&Ready)) {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 999 };
    let frame = frames::frame(|out| hello.draft(BROADCAST, &[], &Context::SETUP, out).close());
    worker.receive(&frame);
    let answer = transmitted(worker).pop().expect("it answers");
    let payload = frames::payload(&answer, &Context::SETUP).expect("a frame of the setup");
    let Ok((Up::Ready(ready), _)) = Up::parse(&payload) else { panic!("it identifies itself") };
    check(&ready);
}

#[test]
fn boards_with_rows_of_their_own_end_with_the_model_of_the_run() {
    for options in [
        SPIKE,
        "--recordings example --objective softmax --step 256 --k 2 --value-bits 8 --downlink ef21-p",
        &format!("{SPIKE} --downlink dense"),
        LARGE,
        &format!("{LARGE} --downlink dense"),
        DIVERGING,
    ] {
        for faults in ["", " --faults loss=0.1,duplicate=0.1,corrupt=0.05"] {
            let experiment = experiment(&format!("{options} --rounds {ROUNDS}{faults}"));
            let mut world = experiment.simulation();
            let watch = Watch::of(&experiment, &mut world);
            let best = watch.final_model();
            let (_, last_exponent) = watch.models.last().expect("a round");
            assert!(options != DIVERGING || best.exponent > *last_exponent, "{options}");
            assert!((best.round as usize) < ROUNDS, "{options}");
            let bits = best.mantissas.iter().map(|m| m.unsigned_abs().checked_ilog2().unwrap_or(0));
            let has_parts = bits.sum::<u32>() as usize > 8 * BODY_LEN_MAX;
            assert_eq!(has_parts, options.contains("perceptron"), "{options}");
            for worker in 0..experiment.workers.len() {
                let before = world.aggregator().statistics(worker).saturated;
                // A model that is no better than the first one is not kept.
                let is_kept = world.aggregator().keeps_model(worker).is_some();
                assert_eq!(is_kept, best.round > 0, "{options}");
                let board = world.board_of(worker).expect("it is in the run");
                ask_state(world.boards_mut()[board].worker_mut(), |ready| {
                    assert_eq!(ready.model_digest, digest::vector(&best.mantissas), "{options}");
                    assert_eq!(ready.saturated, before, "{options}");
                });
            }
            // The boards score that model, not the last one.
            let scores = (0..world.boards().len()).filter_map(|w| world.aggregator().score(w));
            let (right, rows) = scores
                .fold((0, 0), |(right, rows), score| (right + score.right, rows + score.rows));
            let accuracy = |x: &[f64]| experiment.test(x).and_then(|test| test.accuracy);
            let share = f64::from(right) / f64::from(rows);
            assert_eq!(Some(share), accuracy(&best.values()), "{options}");
            assert_ne!(Some(share), accuracy(&world.aggregator().model()), "{options}");
        }
    }
}

#[test]
fn sending_the_model_at_the_end_is_part_of_the_cost() {
    let end = |rounds: usize| {
        let experiment = experiment(&format!("{SPIKE} --rounds {rounds}"));
        let watch = Watch::of(&experiment, &mut experiment.simulation());
        (watch.final_model(), watch.closing.downlink.wire_bytes, experiment.workers.len())
    };
    let (best, bytes, boards) = end(ROUNDS);
    let (_, without, _) = end(best.round as usize);
    let sent = best.mantissas.iter().filter(|&&mantissa| mantissa != 0).count();
    assert!(bytes - without > (boards * sent) as u64, "{bytes} and {without}");
}

type Simulated = Simulation<Board<Workers>>;

/// Runs all rounds of an experiment, and ends the run in steps of this length. Each begins with `act`, which gets the
/// model of the run and the time since the last round.
fn end_in_steps(
    experiment: &Experiment,
    step: Duration,
    mut act: impl FnMut(&mut Simulated, &FinalModel, Duration),
) -> (Simulated, FinalModel) {
    let mut world = experiment.simulation();
    let mut end = None;
    loop {
        let limit = end.as_ref().map_or(Duration::MAX, |_| world.now() + step);
        match world.advance_until(limit).unwrap_or_else(|error| panic!("{error}")) {
            Some(Event::Closed(closed)) if closed.round < experiment.options().rounds => {
                world.aggregator().proceed();
            }
            Some(Event::Closed(_)) => {
                let snapshot = world.aggregator().snapshot().expect("the round is closed");
                world.aggregator().finish();
                end = Some((snapshot.final_model(), world.now()));
            }
            Some(Event::Finished(_)) => break,
            Some(_) | None => {}
        }
        if let Some((model, since)) = &end {
            let time = world.now() - *since;
            act(&mut world, model, time);
        }
    }
    (world, end.expect("the last round").0)
}

/// A host that vanishes at any time of the end leaves the last model, the model of the run, or none.
#[test]
fn board_never_holds_a_model_that_is_half_written() {
    for (options, has_parts) in [(SPIKE, false), (LARGE, true), (DIVERGING, true)] {
        let experiment = experiment(&format!("{options} --rounds {ROUNDS}"));
        let mut last: Option<(Vec<i32>, Exponent)> = None;
        let (mut is_finer, mut steps_without, mut models) = (false, 0, vec![]);
        let step = Duration::from_micros(100);
        end_in_steps(&experiment, step, |world, best, _| {
            let aggregator = world.aggregator();
            let state = || (aggregator.x().to_vec(), aggregator.exponents().x);
            let (last, exponent) = last.get_or_insert_with(state);
            let powers = (best.exponent - *exponent).max(0);
            is_finer = powers > 0;
            let cut: Vec<_> = best.mantissas.iter().map(|&m| m / (1 << powers)).collect();
            let back = cut.iter().map(|&m| m << powers).collect();
            let wholes = [&*last, &best.mantissas, &cut, &back];
            for board in world.boards() {
                let x = board.worker().state().expect("a session").0;
                match board.worker().model_number() {
                    None => steps_without += 1,
                    Some(_) => {
                        let whole = wholes.iter().position(|&whole| whole == x);
                        models.push(whole.unwrap_or_else(|| panic!("{options}: a mixture")));
                    }
                }
            }
        });
        assert_eq!(steps_without > 0, has_parts, "{options}: {steps_without}");
        models.sort_unstable();
        models.dedup();
        assert!(is_finer || options != DIVERGING);
        assert_eq!(models, if is_finer { &[0, 1, 2, 3][..] } else { &[0, 1] }, "{options}");
    }
}

#[test]
fn board_that_is_lost_at_the_end_is_not_counted_and_the_others_have_the_model() {
    let restart = |experiment: &Experiment, world: &mut Simulated| {
        let memory = vec![0; memory_len::<Objectives>(&experiment.setup) / 8];
        let mut worker = start::<Objectives>(0, memory, None, 1);
        worker.enable_recorder();
        let now = world.now();
        world.boards_mut()[0].restart(now, worker);
    };
    let silence = |_: &Experiment, world: &mut Simulated| {
        let now = world.now();
        world.boards_mut()[0].occupy(now, Duration::from_secs(1_000_000));
    };
    type Loss = dyn Fn(&Experiment, &mut Simulated);
    for (options, lose) in [("", &restart as &Loss), ("--absent skip=0.2", &silence)] {
        let experiment = experiment(&format!("{SPIKE} --rounds {ROUNDS} {options}"));
        let is_counted = |lost_after: Duration| {
            let mut is_lost = false;
            let step = Duration::from_millis(1);
            let (mut world, best) = end_in_steps(&experiment, step, |world, _, time| {
                if !is_lost && time >= lost_after {
                    is_lost = true;
                    lose(&experiment, world);
                }
            });
            for board in 1..world.boards().len() {
                ask_state(world.boards_mut()[board].worker_mut(), |ready| {
                    assert_eq!(ready.model_digest, digest::vector(&best.mantissas), "{options}");
                });
            }
            let scores = (0..world.boards().len()).map(|worker| world.aggregator().score(worker));
            let scores: Vec<_> = scores.collect();
            assert!(scores[1..].iter().all(Option::is_some), "{lost_after:?} {options}");
            scores[0].is_some()
        };
        let counted: Vec<_> = (0..40).map(Duration::from_millis).map(is_counted).collect();
        let before = counted.iter().filter(|&&is_counted| !is_counted).count();
        assert!((5..35).contains(&before), "{options}: {counted:?}");
        assert!(counted[before..].iter().all(|&is_counted| is_counted), "{options}: {counted:?}");
    }
}
