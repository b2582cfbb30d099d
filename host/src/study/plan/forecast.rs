//! The plan of a run: the first rounds in simulation, and what theory says.

use super::steps::{self, Admissible};
use super::target::{Target, norm};
use super::traffic::Traffic;
use crate::boards::board::BOARDS;
use crate::options::Choice;
use crate::problem::specification::Longest;
use crate::problem::theory::{self, RareFeatures, Smoothness, noise, xi};
use crate::record::StepTheory;
use crate::run::experiment::Experiment;
use crate::run::training::{Course, Goal, TrainingError, collect};
use crate::world::World;
use serde::Serialize;
use smidgen_aggregator::MethodSpec;

/// Maximum number of rounds of a trial.
const ROUNDS_MAX: u32 = 1000;

/// A plan. `smidgen plan --json` prints it serialised; its names are stable and contain the units.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Name of the data set.
    pub dataset: String,
    /// Number of its rows, without held-out ones.
    pub rows: usize,
    /// Dimension d of the model.
    pub dimension: u32,
    /// Number of workers, including clones.
    pub workers: usize,
    /// Coordinates K per update of each worker.
    pub k: Vec<u32>,
    /// Bits per value.
    pub value_bits: u8,
    /// Largest fraction of an update's energy lost by rounding to these bits, included in α; `None` without such
    /// rounding.
    pub rounding_loss: Option<f64>,
    /// Probability of each worker to participate in a round.
    pub participation: Vec<f64>,
    /// Rows per minibatch; `None` for all.
    pub batch: Option<u32>,
    /// Bound on the noise floor of ‖∇f‖² by theory, if there is one.
    pub noise_floor: Option<f64>,
    /// Largest relative quantisation error of a feature.
    pub quantisation_error: f64,
    /// L, L_i and their means, if they are known.
    pub smoothness: Option<Smoothness>,
    /// Contraction p_i α_i of each worker's updates.
    pub alpha: Vec<f64>,
    /// ξ(p_i α_i), with p_i α_i reduced by the noise of minibatches if there is any.
    pub xi: Vec<f64>,
    /// c_w and r, if coordinates are features and there is no regulariser.
    pub rare_features: Option<RareFeatures>,
    /// The method of the run.
    pub method: &'static str,
    /// The requested step.
    pub step: String,
    /// γ of the run; if it is tuned, its first and least value.
    pub gamma: f64,
    /// True if γ is tuned.
    pub gamma_tuned: bool,
    /// Bounds on γ by theory.
    #[serde(flatten)]
    pub theory: StepTheory,
    /// True if the run is randomised, so that `rounds_to_target` is a bound in expectation.
    pub in_expectation: bool,
    /// Step sizes that theory allows EF21.
    pub steps: Vec<Admissible>,
    /// The target.
    pub target: Target,
    /// Memory of the largest worker in bytes, including its state.
    pub memory_bytes: usize,
    /// What the largest worker records; `None` if rows are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
    /// Boards with that much memory.
    pub boards: Vec<&'static str>,
    /// Rate of the line in bit/s.
    pub baud: u32,
    /// Size of an update under an ideal code, and as sent; `None` if workers do not send in the same rounds.
    pub update: Option<Update>,
    /// The trial.
    pub trial: Trial,
    /// Bytes and seconds.
    pub traffic: Traffic,
}

/// What the recorder of a board holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recorded {
    /// Number of rows, held out or not.
    pub rows: usize,
    /// Number of values in a row.
    pub row_values: usize,
    /// Number of values in a window.
    pub window_values: usize,
}

/// Size of an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Update {
    /// Mean bytes of its body.
    pub body_bytes: f64,
    /// Bytes of its entries under an ideal code.
    pub information_bytes: f64,
}

/// Result of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Number of rounds.
    pub rounds: u32,
    /// ‖∇f‖² after them.
    pub gradient_norm_squared: f64,
    /// The first round at the target, if it was reached.
    pub target_round: Option<u32>,
}

impl Plan {
    /// Runs the first rounds.
    ///
    /// # Errors
    /// If they cannot be run.
    pub fn new(experiment: &Experiment) -> Result<Self, TrainingError> {
        let (setup, options) = (&experiment.setup, experiment.options());
        let Tried { course, gamma, longest } = trial(experiment)?;
        let target = Target::new(experiment, &course);
        let steps = steps::admissible(experiment, target.gradient_norm_squared);
        let memory_bytes = experiment.memory_len(setup);
        let recordings = experiment.recordings();
        let recorded = recordings.map(|recordings| {
            let recipe = recordings.windows.recipe();
            let rows = recordings.workers.iter().map(|worker| worker.row_count(&recipe)).max();
            (recipe, rows.unwrap_or(0))
        });
        let fitting = BOARDS.iter().filter(|board| {
            board.memory_len >= memory_bytes
                && recorded.is_none_or(|(recipe, rows)| {
                    board.recorder.is_some_and(|recorder| recorder.holds(&recipe, rows))
                })
        });
        let workers = &experiment.workers;
        let MethodSpec { rule, batch, .. } = setup.method;
        Ok(Self {
            dataset: experiment.shape.name.clone(),
            rows: experiment.shape.row_count(),
            dimension: setup.dimension,
            workers: workers.len(),
            k: workers.iter().map(|worker| worker.spec.k).collect(),
            value_bits: setup.method.value_bits,
            rounding_loss: rounding_loss(experiment),
            participation: workers.iter().map(|worker| worker.participation).collect(),
            batch: Some(batch.size).filter(|_| !batch.is_full()),
            noise_floor: experiment.noise_floor(),
            quantisation_error: experiment.quantisation_error,
            smoothness: experiment.smoothness.clone(),
            alpha: workers.iter().map(|worker| worker.alpha).collect(),
            xi: workers
                .iter()
                .map(|worker| xi(noise::left_of(worker.alpha, rule, batch)))
                .collect(),
            rare_features: experiment.rare_features(),
            method: options.method.name(),
            step: options.step.to_string(),
            gamma,
            gamma_tuned: setup.method.step_rule.is_tuned(),
            theory: longest.map(StepTheory::from).unwrap_or_default(),
            in_expectation: setup.is_stochastic() || setup.method.compressor.is_random(),
            target,
            memory_bytes,
            recorded: recorded.map(|(recipe, rows)| Recorded {
                rows,
                row_values: recipe.row_len(),
                window_values: recipe.window_len(),
            }),
            boards: fitting.map(|board| board.name).collect(),
            baud: options.baud,
            update: Update::new(experiment, &course),
            trial: Trial::new(&course, target),
            traffic: Traffic::new(experiment, &course, target, &steps),
            steps,
        })
    }
}

impl Update {
    fn new(experiment: &Experiment, course: &Course) -> Option<Self> {
        let rounds = course.rounds.get(1..).unwrap_or_default();
        let updates = (rounds.len() * experiment.workers.len()) as u64;
        let sent = rounds.iter().map(|round| round.cost.uplink.payload_bytes).sum();
        let bits = rounds.iter().map(|round| round.information_bits).sum();
        let limit = experiment.information_limit(updates, bits, sent)?;
        let body_bytes = sent as f64 / updates as f64;
        Some(Self { body_bytes, information_bytes: limit.bits_per_update / 8.0 })
    }
}

impl Trial {
    fn new(course: &Course, target: Target) -> Self {
        let last = course.rounds.last();
        Self {
            rounds: last.map_or(0, |last| last.round),
            gradient_norm_squared: last.map_or(f64::NAN, norm),
            target_round: target.round(course),
        }
    }
}

/// Returns the largest rounding loss q of an update, if values are rounded to `value_bits` bits.
fn rounding_loss(experiment: &Experiment) -> Option<f64> {
    let MethodSpec { compressor, value_bits, .. } = experiment.setup.method;
    let largest = experiment.workers.iter().map(|worker| worker.spec.k).max()?;
    (compressor.has_value_bits() && value_bits < 32)
        .then(|| theory::rounding_loss(largest, value_bits))
}

/// Result of the first rounds.
struct Tried {
    course: Course,
    /// The step size, which may depend on reports of the workers.
    gamma: f64,
    /// The largest known step size.
    longest: Option<Longest>,
}

/// Runs the first rounds.
fn trial(experiment: &Experiment) -> Result<Tried, TrainingError> {
    let options = experiment.options();
    let goal = Goal { rounds: options.rounds.min(ROUNDS_MAX), target: None };
    let mut world = experiment.simulation();
    let course = collect(&mut world, goal, options.baud, |_| {})?;
    let aggregator = world.aggregator();
    let longest = match aggregator.reported() {
        Some(l_i) => experiment.longest_of_reports(&l_i),
        None => experiment.longest,
    };
    Ok(Tried { course, gamma: aggregator.gamma(), longest })
}
