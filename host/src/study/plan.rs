//! What a run will take, before it is run: what theory says, memory, bytes and seconds.
//!
//! Nothing is estimated by formula that can be measured: the first rounds are run in simulation and their bytes counted.
//! They are not extrapolated to a target either, because convergence is no straight line: a target that the trial reaches
//! has its own cost, and beside it stands what the theorem promises.

#[cfg(test)]
mod golden;
mod steps;
mod table;
mod traffic;

use crate::boards::board::BOARDS;
use crate::options::Choice;
use crate::problem::specification::Longest;
use crate::problem::theory::{self, RareFeatures, Smoothness, noise, xi};
use crate::record::{RoundRecord, StepTheory};
use crate::run::experiment::Experiment;
use crate::run::training::{Course, Goal, TrainingError, collect};
use crate::world::World;
use serde::Serialize;
use smidgen_aggregator::{MethodSpec, StepRule};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::worker::memory_len;
pub use steps::Admissible;
pub use traffic::{OnLines, Traffic};

/// Rounds that are tried at most.
const ROUNDS_MAX: u32 = 1000;
/// What part of ‖∇f(x⁰)‖² is the target where none is given.
const TARGET: f64 = 0.01;

/// What a run will take. Serialised, it is what `smidgen plan --json` prints: names are stable, units stand in them.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Name of the data set.
    pub dataset: String,
    /// Its rows, without those held out.
    pub rows: usize,
    /// Dimension d of the model.
    pub dimension: u32,
    /// The workers, clones included.
    pub workers: usize,
    /// Coordinates K of an update of each.
    pub k: Vec<u32>,
    /// Bits of each coordinate.
    pub value_bits: u8,
    /// What rounding to as many takes of the energy of an update at most, which α counts; none where they are not rounded so.
    pub rounding_loss: Option<f64>,
    /// The probability with which each takes part in a round.
    pub participation: Vec<f64>,
    /// Rows that each looks at in a round; none if all.
    pub batch: Option<u32>,
    /// The floor that their noise leaves ‖∇f‖² in theory, where it knows one.
    pub noise_floor: Option<f64>,
    /// The largest relative error of a stored feature.
    pub quantisation_error: f64,
    /// L, L_i and their means; none where theory is silent.
    pub smoothness: Option<Smoothness>,
    /// p_i α_i, the contraction of each worker's updates.
    pub alpha: Vec<f64>,
    /// ξ(p_i α_i), or of what the noise of minibatches leaves of p_i α_i.
    pub xi: Vec<f64>,
    /// c_w and r, where coordinates are features and there is no regulariser.
    pub rare_features: Option<RareFeatures>,
    /// The method of the run.
    pub method: &'static str,
    /// The step that was asked for.
    pub step: String,
    /// γ of the run; where it is tuned, the first and the least.
    pub gamma: f64,
    /// Whether γ is tuned from there.
    pub gamma_tuned: bool,
    /// What theory says of γ.
    #[serde(flatten)]
    pub theory: StepTheory,
    /// Whether chance has a part in the run, so that `rounds_to_target` is a bound in expectation.
    pub in_expectation: bool,
    /// The steps that theory allows EF21.
    pub steps: Vec<Admissible>,
    /// What is to be reached.
    pub target: Target,
    /// Bytes of memory that the largest worker needs, state included.
    pub memory_bytes: usize,
    /// The boards that have as many.
    pub boards: Vec<&'static str>,
    /// Bit/s of the line.
    pub baud: u32,
    /// What information theory asks of an update, and what it takes; none where workers differ in when they send.
    pub update: Option<Update>,
    /// The rounds that were tried.
    pub trial: Trial,
    /// Bytes and seconds.
    pub traffic: Traffic,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    /// ‖∇f(x)‖² is at most this.
    pub gradient_norm_squared: f64,
    /// ‖∇f(x⁰)‖²
    pub start_gradient_norm_squared: f64,
    /// Whether it was asked for; else it is a hundredth of the start.
    pub is_given: bool,
}

/// An update on its way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Update {
    /// Bytes of its body in the mean.
    pub body_bytes: f64,
    /// Bytes that its entries would take if they were coded perfectly.
    pub information_bytes: f64,
}

/// How far the trial came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Rounds that were run.
    pub rounds: u32,
    /// ‖∇f‖² after them.
    pub gradient_norm_squared: f64,
    /// The first round at the target, if any was.
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
        let memory_bytes = memory_bytes(experiment);
        let fitting = BOARDS.iter().filter(|board| board.room_len >= memory_bytes);
        let workers = &experiment.workers;
        Ok(Self {
            dataset: experiment.dataset.name().into(),
            rows: experiment.dataset.row_count(),
            dimension: setup.dimension,
            workers: workers.len(),
            k: workers.iter().map(|worker| worker.spec.k).collect(),
            value_bits: setup.method.value_bits,
            rounding_loss: rounding_loss(experiment),
            participation: workers.iter().map(|worker| worker.participation).collect(),
            batch: Some(setup.method.batch.size).filter(|_| !setup.method.batch.is_full()),
            noise_floor: experiment.noise_floor(),
            quantisation_error: experiment.quantisation_error,
            smoothness: experiment.smoothness.clone(),
            alpha: workers.iter().map(|worker| worker.alpha).collect(),
            xi: workers
                .iter()
                .map(|part| xi(noise::left_of(part.alpha, setup.method.rule, setup.method.batch)))
                .collect(),
            rare_features: experiment.rare_features(),
            method: options.method.name(),
            step: options.step.to_string(),
            gamma,
            gamma_tuned: setup.method.step_rule == StepRule::Tuned,
            theory: longest.map(StepTheory::from).unwrap_or_default(),
            in_expectation: setup.is_stochastic() || setup.method.compressor.is_random(),
            target,
            memory_bytes,
            boards: fitting.map(|board| board.name).collect(),
            baud: options.baud,
            update: Update::new(experiment, &course),
            trial: Trial::new(&course, target),
            traffic: Traffic::new(experiment, &course, target, &steps),
            steps,
        })
    }
}

impl Target {
    fn new(experiment: &Experiment, course: &Course) -> Self {
        let given = experiment.options().target;
        let start = course.rounds.first().map_or(f64::NAN, norm);
        Self {
            gradient_norm_squared: given.unwrap_or(TARGET * start),
            start_gradient_norm_squared: start,
            is_given: given.is_some(),
        }
    }

    /// The first round that is there.
    fn round(&self, course: &Course) -> Option<u32> {
        let there = |round: &&RoundRecord| norm(round) <= self.gradient_norm_squared;
        course.rounds.iter().find(there).map(|round| round.round)
    }
}

impl Update {
    fn new(experiment: &Experiment, course: &Course) -> Option<Self> {
        let rounds = course.rounds.get(1..).unwrap_or_default();
        let updates = (rounds.len() * experiment.workers.len()) as u64;
        let sent = rounds.iter().map(|round| round.uplink.payload_bytes).sum();
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

/// The largest rounding loss q of an update, where values are rounded to `value_bits` bits and not to powers of two.
fn rounding_loss(experiment: &Experiment) -> Option<f64> {
    let MethodSpec { compressor, value_bits, .. } = experiment.setup.method;
    let largest = experiment.workers.iter().map(|worker| worker.spec.k).max()?;
    (compressor.has_value_bits() && value_bits < 32)
        .then(|| theory::rounding_loss(largest, value_bits))
}

/// ‖∇f‖² of a round in simulation, where it is always known.
fn norm(round: &RoundRecord) -> f64 {
    round.gradient_norm_squared.unwrap_or(f64::NAN)
}

/// What the first rounds tell.
struct Tried {
    course: Course,
    /// The step, which workers may have a say in.
    gamma: f64,
    /// The longest step that is known.
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

/// Bytes of memory that the largest worker needs.
fn memory_bytes(experiment: &Experiment) -> usize {
    let setup = &experiment.setup;
    let need = |worker| memory_len::<Objectives>(&setup.configuration(worker, 0, 0));
    (0..setup.shares.len()).map(need).max().unwrap_or(0)
}
