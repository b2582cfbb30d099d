//! The conformance test of all worlds: the same options give the same transcripts.

use smidgen::cli::{self, Command};
use smidgen::objective::Workers;
use smidgen::options::Choice;
use smidgen::record::{Model, RecordError, RoundRecord};
use smidgen::run::ExperimentError;
use smidgen::run::experiment::Experiment;
use smidgen::run::training::{Goal, Observer, TrainingError, collect, train};
use smidgen::world::World;
use smidgen::world::simulation::{Board, Simulation};
use smidgen_aggregator::{Aggregator, Salts, Sealing};
use smidgen_protocol::seal::{KEY_LEN, Key};

/// The session of tests; transcripts do not depend on it.
pub const SESSION: u32 = 0x5eed;

/// The options of the conformance test: digits, 50 rounds.
pub const DIGITS: &str = "--dataset digits --k 4 --rounds 50";
/// The same with few rows, so that a quarter of them fits a micro:bit.
pub const FEW_DIGITS: &str = "--dataset digits --rows 400 --k 4 --rounds 50";

/// The experiment of `smidgen simulate` with these options.
///
/// # Panics
/// If they are wrong.
pub fn experiment(options: &str) -> Experiment {
    try_experiment(options).unwrap_or_else(|error| panic!("{options}: {error}"))
}

/// The same experiment, or why it cannot be prepared from these options.
///
/// # Panics
/// If an option is not one of `smidgen simulate`, or has an invalid value.
pub fn try_experiment(options: &str) -> Result<Experiment, ExperimentError> {
    let arguments = ["smidgen", "simulate"].into_iter().chain(options.split_whitespace());
    let cli = cli::parse(arguments.map(Into::into));
    let cli = cli.unwrap_or_else(|error| panic!("{options}: {error}"));
    let Command::Simulate(options) = cli.command else { unreachable!("it says simulate") };
    Experiment::new(&options, None, SESSION)
}

/// Every value of an option, as on the command line.
pub fn each<C: Choice>(option: &str) -> Vec<String> {
    C::ALL.iter().map(|choice| format!("{option} {}", choice.name())).collect()
}

/// The key of tests.
pub fn key() -> Key {
    Key::new(&[0x42; KEY_LEN]).expect("it is one")
}

/// An experiment with a key.
pub fn sealed(mut experiment: Experiment) -> Experiment {
    experiment.setup.seal = Some(Sealing { key: key(), salts: Salts::of_seed(1) });
    experiment
}

/// A simulated world for an experiment.
pub fn simulation(experiment: &Experiment) -> Simulation<Board<Workers>> {
    experiment.simulation()
}

/// All rounds of an experiment in a world; every worker has confirmed its state at the end.
pub fn run(
    experiment: &Experiment,
    world: &mut impl World,
) -> Result<Vec<RoundRecord>, TrainingError> {
    run_with(experiment, world, |_| {})
}

/// The same; `on_round` gets every round.
pub fn run_with(
    experiment: &Experiment,
    world: &mut impl World,
    on_round: impl FnMut(&RoundRecord),
) -> Result<Vec<RoundRecord>, TrainingError> {
    let options = experiment.options();
    let goal = Goal { rounds: options.rounds, target: options.target };
    Ok(collect(world, goal, options.baud, on_round)?.rounds)
}

/// All rounds of an experiment in simulation.
///
/// # Panics
/// If it fails.
pub fn simulated(experiment: &Experiment) -> Vec<RoundRecord> {
    run(experiment, &mut experiment.simulation()).unwrap_or_else(|error| panic!("{error}"))
}

/// The model of an experiment in simulation.
///
/// # Panics
/// If it fails.
pub fn trained(experiment: &Experiment) -> Model {
    trained_in(experiment, &mut experiment.simulation()).1
}

/// All rounds of an experiment in a world, without its target, and its model.
///
/// # Panics
/// If it fails.
pub fn trained_in(experiment: &Experiment, world: &mut impl World) -> (Vec<RoundRecord>, Model) {
    let mut training = Training { experiment, rounds: vec![], model: None };
    let options = experiment.options();
    let goal = Goal { rounds: options.rounds, target: None };
    train(world, goal, options.baud, &mut training).unwrap_or_else(|error| panic!("{error}"));
    (training.rounds, training.model.expect("a round was closed"))
}

struct Training<'e> {
    experiment: &'e Experiment,
    rounds: Vec<RoundRecord>,
    model: Option<Model>,
}

impl Observer for Training<'_> {
    fn round(
        &mut self,
        record: &RoundRecord,
        _: bool,
        aggregator: &Aggregator,
    ) -> Result<(), RecordError> {
        let snapshot = aggregator.snapshot().expect("a round is closed");
        self.model = Some(self.experiment.model(&snapshot, Some(record.loss)));
        self.rounds.push(record.clone());
        Ok(())
    }
}

/// The transcripts of rounds.
pub fn transcripts(rounds: &[RoundRecord]) -> Vec<&str> {
    rounds.iter().map(|round| round.transcript.as_str()).collect()
}
