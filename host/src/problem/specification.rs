//! What a method is made of: what workers send, what the server does with it, who counts how much, and the step size.
//!
//! The facts about each method stand in [`method`](super::method), those about each step in
//! [`theory`](super::theory); here they are put together.

use super::method::{Population, Traits, listed};
use super::objective::RowNoise;
use crate::options::{Choice, Options, Step};
use crate::problem::dataset::Dataset;
use crate::problem::theory::{
    Basis, Case, Mean, Presence, RareFeatures, Smoothness, Terms, contraction, growth, noise, xi,
};
use smidgen_aggregator::{DownlinkBudget, StepRule, Theory};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::message::Downlink;
use smidgen_protocol::method::{self, Compressor, Participation};
use std::borrow::Cow;
use thiserror::Error;

/// With this many bits, values are not rounded.
const UNROUNDED_BITS: u8 = 32;

/// The part of a worker in the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worker {
    /// Whose rows it has: an index into the shares of the data.
    pub share: usize,
    /// What its gradient is multiplied with before it meets the grid.
    pub scale: f64,
    /// What its estimator is multiplied with in the sum.
    pub weight: f64,
    /// Its part in f.
    pub loss_weight: f64,
    /// Coordinates K of its updates.
    pub k: u32,
    /// The probability p with which it takes part in a round.
    pub participation: f64,
    /// The contraction of its updates, rounding and participation included: with probability p, a compressor α has p α.
    pub alpha: f64,
}

/// The longest step that is known for a run, and what it stands on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Longest {
    /// γ
    pub gamma: f64,
    /// The theorem that allows it, or lends it.
    pub basis: Basis,
}

/// A method, with all its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Specification {
    /// What workers send of their gradients.
    pub method: method::Method,
    /// How they compress it.
    pub compressor: Compressor,
    /// The workers of the run: one for each share, or several clones of it.
    pub workers: Vec<Worker>,
    /// Bits of each coordinate of an update.
    pub value_bits: u8,
    /// Which of its rows a worker looks at in a round.
    pub batch: Batch,
    /// How the model travels.
    pub downlink: Downlink,
    /// Downlink sparsity budget; `None` sends every change.
    pub downlink_budget: Option<DownlinkBudget>,
    /// η of the method.
    pub eta: f64,
    /// η of the heavy ball, 0 for none.
    pub momentum: f64,
    /// Weight λ₁ of the l1 norm, 0 for none.
    pub l1: f64,
    /// Step size γ.
    pub gamma: f64,
    /// What becomes of it.
    pub step_rule: StepRule,
}

/// Options that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecificationError {
    /// An absent worker does not send zero: without memory of its last gradient the method is undefined.
    #[error(
        "--participation needs a method that keeps estimators, such as ef21; {0} sends gradients anew each round"
    )]
    Participation(&'static str),
    /// A worker that is left out is restored.
    #[error(
        "--absent skip needs a method whose state the host can restore, such as ef21; that of {0} it cannot"
    )]
    Absent(&'static str),
    /// With minibatches it is not gradient descent.
    #[error(
        "--method {0} looks at all rows, so it has no --batch; leave one of the two out, or give ef21 with --k as large as \
         the model"
    )]
    Batch(&'static str),
    /// The step belongs to another theory.
    #[error(
        "--step {step} is a theory of {} with the downlinks dense and sparse, and rare one of objectives with one weight for \
         each feature; give qm, am or a number", listed("and", |traits| traits.proof.has_refinements())
    )]
    Step {
        /// The step that was asked for.
        step: String,
    },
    /// Averages of a worker that is away stand still, which the theorem of EF21-SGDM does not know.
    #[error(
        "--step {0} is no theory of ef21-sgdm with --participation below 1, whose absent workers do not average their \
         gradients; give auto or a number, or choose ef21"
    )]
    AbsentAverage(String),
    /// Averages that take nothing in.
    #[error(
        "--eta 0 makes ef21-sgdm average nothing but the first gradients; give a number above 0, such as 0.1"
    )]
    NoAverage,
    /// A regulariser acts on all coordinates.
    #[error(
        "--step rare counts the features in the rows of each worker, and a regulariser gives every worker a gradient on \
         all coordinates; add --lambda 0, or choose am"
    )]
    RareRegularised,
    /// Theory has no step.
    #[error(
        "no theory has a step for --objective {0}; give --step a number such as 0.5, or auto to a method of estimators such \
         as ef21"
    )]
    NoStep(&'static str),
    /// Theory has no constants.
    #[error(
        "--method {method} needs smoothness constants, which --objective {objective} does not have; choose ef21"
    )]
    NoConstants {
        /// The method.
        method: &'static str,
        /// The objective.
        objective: &'static str,
    },
    /// The step is made of other numbers, or workers are weighed before they can tell.
    #[error(
        "--constants boards makes a step of what boards report, so it is for --step auto, am, qm or exact of methods without \
         weights or clones, and not for a perceptron or for minibatches whose noise grows with the loss, as that of least \
         squares does; leave it out"
    )]
    Reports,
    /// A server that compresses what it sends cannot send everything.
    #[error(
        "--downlink-k {k} exceeds the dimension of the model, {dimension}; give 1 to {dimension}"
    )]
    DownlinkK {
        /// The K asked for.
        k: u32,
        /// The dimension d.
        dimension: u32,
    },
}

/// What a specification needs to know of the problem.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The rows of all.
    pub dataset: &'a Dataset,
    /// Dimension d of the model.
    pub dimension: usize,
    /// The rows of each.
    pub shares: &'a [Vec<usize>],
    /// The constants, if theory knows them.
    pub smoothness: Option<&'a Smoothness>,
    /// Constants of a problem like it, to start from where theory knows none and the step tunes itself.
    pub like: Option<&'a Smoothness>,
    /// K of each, checked against the dimension.
    pub k: &'a [u32],
    /// The probability with which each takes part in a round.
    pub participation: &'a [f64],
}

impl Problem<'_> {
    /// One worker for each share, all alike but for K and participation; K = d where `all` coordinates are sent.
    fn workers(
        &self,
        compressor: Compressor,
        value_bits: u8,
        all: bool,
    ) -> impl Iterator<Item = Worker> {
        let loss_weight = 1.0 / self.shares.len() as f64;
        let numbers = self.k.iter().zip(self.participation).enumerate();
        numbers.map(move |(share, (&k, &participation))| {
            let k = if all { self.dimension as u32 } else { k };
            let alpha = alpha(compressor, value_bits, k, participation, self.dimension);
            Worker { share, scale: 1.0, weight: 1.0, loss_weight, k, participation, alpha }
        })
    }
}

/// The contraction of a worker's updates, participation included.
fn alpha(
    compressor: Compressor,
    value_bits: u8,
    k: u32,
    participation: f64,
    dimension: usize,
) -> f64 {
    let budget = method::Budget { k, value_bits, compressor };
    participation * contraction(&budget, dimension, dimension)
}

impl Specification {
    /// The method that the options name, for a problem.
    pub fn new(options: &Options, problem: Problem) -> Result<Self, SpecificationError> {
        let dimension = problem.dimension as u32;
        let traits = options.method.traits();
        let eta = options.eta.unwrap_or(traits.eta.default());
        let compressor = match traits.is_dense {
            true => Compressor::TopK,
            false => options.compressor.wire(options.seed),
        };
        let value_bits = if traits.is_dense { UNROUNDED_BITS } else { options.value_bits };
        let sends_all = traits.is_dense || compressor.sends_all_coordinates();
        let workers = problem.workers(compressor, value_bits, sends_all);
        let specification = Self {
            method: (traits.worker_rule)(eta),
            compressor,
            workers: match problem.smoothness {
                Some(smoothness) => population(traits.population, workers, smoothness),
                None if traits.population.needs_constants() => {
                    let (method, objective) = (options.method.name(), options.objective.name());
                    return Err(SpecificationError::NoConstants { method, objective });
                }
                None => workers.collect(),
            },
            value_bits,
            batch: batch(options, problem.shares),
            downlink: options.downlink.wire(),
            downlink_budget: downlink_budget(options, dimension)?,
            eta,
            momentum: traits.eta.momentum(eta),
            l1: if traits.has_l1 { options.l1 } else { 0.0 },
            gamma: 0.0,
            step_rule: StepRule::Constant,
        };
        specification.check(options)?;
        let gamma = specification.gamma(options, problem)?;
        let step_rule = specification.step_rule(options);
        Ok(Self { gamma, step_rule, ..specification })
    }

    fn check(&self, options: &Options) -> Result<(), SpecificationError> {
        if options.method.traits().is_dense && !self.batch.is_full() {
            return Err(SpecificationError::Batch(options.method.name()));
        }
        let forgets = self.method.forgets_updates();
        if forgets && self.workers.iter().any(|worker| worker.participation < 1.0) {
            return Err(SpecificationError::Participation(options.method.name()));
        }
        if (forgets || self.method.has_local_state()) && options.absent.patience().is_some() {
            return Err(SpecificationError::Absent(options.method.name()));
        }
        let averages = self.method.averages_gradients();
        if averages
            && options.step.is_of_a_mean()
            && self.workers.iter().any(|worker| worker.participation < 1.0)
        {
            return Err(SpecificationError::AbsentAverage(options.step.to_string()));
        }
        if options.step.counts_features() && options.lambda > 0.0 {
            return Err(SpecificationError::RareRegularised);
        }
        if averages && self.eta == 0.0 {
            return Err(SpecificationError::NoAverage);
        }
        Ok(())
    }

    /// Whether the step is tuned: it needs estimators of gradients, and losses that are all of f.
    fn step_rule(&self, options: &Options) -> StepRule {
        let estimates = self.method.estimates_gradient();
        if options.step.is_tuned() && estimates && self.l1 == 0.0 {
            StepRule::Tuned
        } else {
            StepRule::Constant
        }
    }

    /// The step size that the options ask for.
    fn gamma(&self, options: &Options, problem: Problem) -> Result<f64, SpecificationError> {
        if let Some(gamma) = options.step.given() {
            return Ok(gamma);
        }
        let like = problem.like.filter(|_| self.step_rule(options) == StepRule::Tuned);
        let smoothness = problem.smoothness.or(like);
        let smoothness = smoothness.ok_or(SpecificationError::NoStep(options.objective.name()))?;
        let gamma = self.first(options, problem.dimension).by_theory(options, problem, smoothness);
        gamma.ok_or_else(|| SpecificationError::Step { step: options.step.to_string() })
    }

    /// The specification whose step is the first of the run. A step that is tuned is tried, not proven: it starts from that of values
    /// that are not rounded, since the rounding bound is a worst case, which would cost rounds at few bits.
    fn first(&self, options: &Options, dimension: usize) -> Cow<'_, Self> {
        match self.step_rule(options) {
            StepRule::Constant => Cow::Borrowed(self),
            StepRule::Tuned => {
                let mut exact = Self { value_bits: UNROUNDED_BITS, ..self.clone() };
                for worker in &mut exact.workers {
                    worker.alpha = alpha(
                        self.compressor,
                        UNROUNDED_BITS,
                        worker.k,
                        worker.participation,
                        dimension,
                    );
                }
                if let Some(budget) = &mut exact.downlink_budget {
                    budget.value_bits = UNROUNDED_BITS;
                }
                Cow::Owned(exact)
            }
        }
    }

    /// The longest step that is known for the run, whatever step it has: that of the arithmetic mean, or the one that was asked for
    /// where it is longer; none where theory has no constants.
    pub fn longest(&self, options: &Options, problem: Problem) -> Option<Longest> {
        let of = |step: Step| {
            let options = Options { step, ..options.clone() };
            let gamma = self.by_theory(&options, problem, problem.smoothness?)?;
            Some(Longest { gamma, basis: self.basis(&options) })
        };
        let am = of(Step::Am)?;
        // A step that is borrowed does not take the place of one that is not.
        let refined = options.step.refinement().and_then(|_| of(options.step));
        let longer = refined.filter(|step| step.basis.gap == am.basis.gap && step.gamma > am.gamma);
        Some(longer.unwrap_or(am))
    }

    /// A step of theory for a problem with these constants; none if it is a theory of other methods.
    fn by_theory(
        &self,
        options: &Options,
        problem: Problem,
        smoothness: &Smoothness,
    ) -> Option<f64> {
        // Theory counts the features of workers: here the coordinates of the model are features.
        let features = problem.dimension == problem.dataset.dimension();
        let rare = (options.step.counts_features() && features)
            .then(|| RareFeatures::of(problem.dataset, problem.shares, &smoothness.l_i));
        let gamma = self.step(options, smoothness, problem.dimension, rare)?;
        Some(gamma.min(self.noise_bound(options, problem, smoothness)))
    }

    /// The step size that the options ask for, made of constants alone.
    fn step(
        &self,
        options: &Options,
        smoothness: &Smoothness,
        dimension: usize,
        rare: Option<RareFeatures>,
    ) -> Option<f64> {
        if let Some(gamma) = options.step.given() {
            return Some(gamma);
        }
        let has_refinements =
            self.downlink_budget.is_none() && options.method.traits().proof.has_refinements();
        if options.step.refinement().is_some() && !has_refinements {
            return None;
        }
        self.basis(options).theorem.gamma(&self.terms(options, smoothness, dimension, rare))
    }

    /// Which theorem the step of the options stands on.
    pub fn basis(&self, options: &Options) -> Basis {
        let drawn = self.workers.iter().any(|worker| worker.participation < 1.0);
        Basis::of(&Case {
            method: options.method,
            proof: options.method.traits().proof,
            mean: options.step.mean(),
            refinement: options.step.refinement(),
            downlink: options.downlink,
            noise: noise::disturbs(self.method, self.batch),
            presence: match options.absent.patience() {
                Some(_) => Presence::Answering,
                None if drawn => Presence::Drawn,
                None => Presence::All,
            },
            alike: self.workers.iter().all(|worker| worker.alpha == self.workers[0].alpha),
        })
    }

    /// What makes the step size of the constants that workers report.
    ///
    /// # Errors
    /// If the options need other numbers, or constants before workers can report any.
    pub fn theory_of_reports(
        &self,
        options: &Options,
        dimension: usize,
    ) -> Result<Theory, SpecificationError> {
        let no_step = options.step.given().is_some() || options.step.counts_features();
        let has_constants = match options.objective.row_noise() {
            RowNoise::Bounded(_) => true,
            RowNoise::GrowsWithLoss => !noise::disturbs(self.method, self.batch),
            RowNoise::Unknown => false,
        };
        if no_step || !has_constants || options.method.traits().population.needs_constants() {
            return Err(SpecificationError::Reports);
        }
        let (specification, options) =
            (self.first(options, dimension).into_owned(), options.clone());
        Ok(Theory::new(move |l_i| {
            let smoothness = reported(l_i);
            specification.step(&options, &smoothness, dimension, None).unwrap_or(f64::NAN)
        }))
    }

    /// A contraction, or what minibatches leave of it.
    fn contraction(&self, alpha: f64) -> f64 {
        noise::left_of(alpha, self.method, self.batch)
    }

    /// The price ξ of it.
    fn xi(&self, alpha: f64) -> f64 {
        xi(self.contraction(alpha))
    }

    /// The contraction of the worker that loses most.
    fn least_alpha(&self) -> f64 {
        self.workers.iter().map(|worker| worker.alpha).fold(1.0, f64::min)
    }

    /// What compression adds to L: (1/n) Σ L_i ξ(p_i α_i), by weights of the workers' errors that are proportional to
    /// L_i ξ(p_i α_i). Theories of another mean of the L_i, and of minibatches, know one contraction, the least: a worker
    /// whose ξ is 0 would have no weight, and its noise a price without bound.
    fn error(&self, options: &Options, smoothness: &Smoothness) -> f64 {
        let dearest = self.xi(self.least_alpha());
        let all = self.mean(options, smoothness) * dearest;
        let knows_one_contraction = match (options.method.traits().population, options.step.mean())
        {
            (Population::Cloned, _) | (_, Mean::Quadratic) => true,
            (Population::Equal | Population::Weighted, Mean::Arithmetic) => {
                noise::disturbs(self.method, self.batch)
            }
        };
        if knows_one_contraction {
            return all;
        }
        let saved =
            |worker: &Worker| smoothness.l_i[worker.share] * (dearest - self.xi(worker.alpha));
        // Exactly L_AM ξ where workers are alike.
        all - self.workers.iter().map(saved).sum::<f64>() / self.workers.len() as f64
    }

    /// The step with κ = 1/2 where the variance of minibatches grows with f, as that of least squares does: A_i = max_j L_ij.
    /// Rows of the other objectives have bounded gradients, hence A_i = 0 and no bound.
    fn noise_bound(&self, options: &Options, problem: Problem, smoothness: &Smoothness) -> f64 {
        let grows = match options.objective.row_noise() {
            RowNoise::GrowsWithLoss => noise::disturbs(self.method, self.batch),
            RowNoise::Bounded(_) | RowNoise::Unknown => false,
        };
        if !grows {
            return f64::INFINITY;
        }
        let growth = |(worker, share): (usize, &Vec<usize>)| {
            let rows = share.iter().map(|&row| problem.dataset.row(row).norm_squared());
            let variance = noise::variance(share.len(), self.batch.size as usize);
            2.0 * rows.fold(0.0, f64::max) * variance * smoothness.inverse_weight(worker)
        };
        let growth = problem.shares.iter().enumerate().map(growth).fold(0.0, f64::max);
        1.0 / (2.0 * noise::gain(self.least_alpha()) * growth)
    }

    /// The mean of the smoothness constants that limits the step.
    fn mean(&self, options: &Options, smoothness: &Smoothness) -> f64 {
        let Traits { population, proof, .. } = options.method.traits();
        match population {
            Population::Cloned => clone_mean(smoothness, &self.workers),
            Population::Equal | Population::Weighted => {
                smoothness.mean(proof.mean(options.step.mean()))
            }
        }
    }

    /// The numbers of which theorems make the step of the options.
    fn terms(
        &self,
        options: &Options,
        smoothness: &Smoothness,
        dimension: usize,
        rare: Option<RareFeatures>,
    ) -> Terms {
        let alpha = self.least_alpha();
        Terms {
            l: smoothness.l,
            mean: self.mean(options, smoothness),
            error: self.error(options, smoothness),
            alpha,
            left: self.contraction(alpha),
            growth: self.growth(options),
            eta: self.eta,
            down: self.downlink_budget.map(|DownlinkBudget { k, value_bits }| {
                let budget = method::Budget { k, value_bits, compressor: Compressor::TopK };
                (contraction(&budget, dimension, dimension), growth(&budget))
            }),
            rare_error: rare.map(|features| self.rare_error(features, dimension, smoothness)),
        }
    }

    /// How much longer than what it is given an update may be, squared.
    fn growth(&self, options: &Options) -> f64 {
        if options.method.traits().restarts_estimators {
            return 4.0;
        }
        let Self { compressor, value_bits, .. } = *self;
        let of = |worker: &Worker| growth(&method::Budget { k: worker.k, value_bits, compressor });
        self.workers.iter().map(of).fold(1.0, f64::max)
    }

    /// Rare features: sqrt(c_w) L_AM ξ(α), α the least of the workers' contractions on the features that they own.
    fn rare_error(&self, features: RareFeatures, dimension: usize, smoothness: &Smoothness) -> f64 {
        let of = (self.compressor, self.value_bits);
        let alpha = rare_alpha(&self.workers, of, features, dimension);
        features.c_w.sqrt() * smoothness.l_am * self.xi(alpha)
    }
}

/// The constants that workers report: L is not known, but L ≤ L_AM.
pub fn reported(l_i: &[f64]) -> Smoothness {
    let l_am = l_i.iter().sum::<f64>() / l_i.len() as f64;
    Smoothness::new(l_am, l_i.to_vec())
}

/// Whether a step is longer than the longest that is known, by more than rounding.
pub fn exceeds(gamma: f64, longest: f64) -> bool {
    gamma > longest * (1.0 + 1e-9)
}

/// The least contraction of the workers on the features that they own.
pub fn rare_alpha(
    workers: &[Worker],
    (compressor, value_bits): (Compressor, u8),
    RareFeatures { r, .. }: RareFeatures,
    dimension: usize,
) -> f64 {
    let alpha = |worker: &Worker| {
        let budget = method::Budget { k: worker.k, value_bits, compressor };
        worker.participation * contraction(&budget, dimension, r)
    };
    workers.iter().map(alpha).fold(1.0, f64::min)
}

/// One worker for each share; EF21-W weighs them (Reloaded, Theorem 2), the cloned problem has ⌈L_i / L_AM⌉ workers
/// for one (Theorem 1).
fn population(
    kind: Population,
    workers: impl Iterator<Item = Worker>,
    smoothness: &Smoothness,
) -> Vec<Worker> {
    let n = smoothness.l_i.len();
    match kind {
        Population::Equal => workers.collect(),
        Population::Weighted => workers
            .map(|worker| {
                let scale = smoothness.inverse_weight(worker.share);
                Worker { scale, weight: 1.0 / scale, ..worker }
            })
            .collect(),
        Population::Cloned => {
            let total: f64 = (0..n).map(|share| smoothness.clones(share)).sum();
            workers
                .flat_map(|worker| {
                    let (count, n) = (smoothness.clones(worker.share), n as f64);
                    let clone = Worker {
                        scale: total / (n * count),
                        loss_weight: 1.0 / (n * count),
                        ..worker
                    };
                    std::iter::repeat_n(clone, count as usize)
                })
                .collect()
        }
    }
}

/// M of the cloned problem: the quadratic mean of the clones' constants, N L_i / (n N_i) each.
fn clone_mean(smoothness: &Smoothness, workers: &[Worker]) -> f64 {
    let squares =
        workers.iter().map(|worker| (worker.scale * smoothness.l_i[worker.share]).powi(2));
    (squares.sum::<f64>() / workers.len() as f64).sqrt()
}

/// What a worker that takes part with probability `p` is told of it.
pub fn participation(p: f64, seed: u32) -> Participation {
    if p >= 1.0 {
        return Participation::FULL;
    }
    Participation { seed, probability: (p * 2f64.powi(32)) as u32 }
}

/// A batch as large as the largest share is not a minibatch.
fn batch(options: &Options, shares: &[Vec<usize>]) -> Batch {
    let row_count_max = shares.iter().map(Vec::len).max().unwrap_or(0);
    match options.batch {
        Some(size) if (size as usize) < row_count_max => Batch { size, seed: options.seed },
        _ => Batch::FULL,
    }
}

fn downlink_budget(
    options: &Options,
    dimension: u32,
) -> Result<Option<DownlinkBudget>, SpecificationError> {
    if !options.downlink.is_compressed() {
        return Ok(None);
    }
    let k = options.downlink_k.unwrap_or((dimension / 8).max(1));
    if k > dimension {
        return Err(SpecificationError::DownlinkK { k, dimension });
    }
    Ok(Some(DownlinkBudget { k, value_bits: options.value_bits }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-5
    }

    /// Four workers that are alike.
    fn four() -> impl Iterator<Item = Worker> {
        (0..4).map(|share| Worker {
            share,
            scale: 1.0,
            weight: 1.0,
            loss_weight: 0.25,
            k: 1,
            participation: 1.0,
            alpha: 1.0,
        })
    }

    /// The paper's example: n = 4, L = (1, 1, 1, 100).
    #[test]
    fn clones_of_the_papers_example() {
        let smoothness = Smoothness::new(25.75, vec![1.0, 1.0, 1.0, 100.0]);
        let workers = population(Population::Cloned, four(), &smoothness);
        assert_eq!(workers.iter().filter(|worker| worker.share == 3).count(), 4);
        assert_eq!(workers.len(), 7);
        assert!(close(clone_mean(&smoothness, &workers), 33.0917));
        assert!(close(workers.iter().map(|worker| worker.loss_weight).sum(), 1.0));
        // The mean of the clones' gradients is the mean of the gradients.
        let of_share_3: f64 = workers.iter().filter(|p| p.share == 3).map(|p| p.scale / 7.0).sum();
        assert!(close(of_share_3, 0.25));
    }

    #[test]
    fn weights_undo_the_scales() {
        let smoothness = Smoothness::new(25.75, vec![1.0, 1.0, 1.0, 100.0]);
        for worker in population(Population::Weighted, four(), &smoothness) {
            assert!(close(worker.weight * worker.scale, 1.0));
            assert!(close(worker.scale * smoothness.l_i[worker.share], smoothness.l_am));
        }
    }
}
