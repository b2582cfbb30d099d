//! Method specification: updates of the workers, the server's step, weights, and the step size.
//!
//! It combines the properties of the method, see [`method`](super::method), with those of the step, see
//! [`theory`](super::theory).

mod error;
mod rules;
mod workers;

pub use error::SpecificationError;
use rules::{UNROUNDED_BITS, equal_workers, method_spec};
pub use workers::{Worker, rare_alpha};
use workers::{clone_mean, population};

use super::method::{MethodInfo, Population};
use super::objective::{Penalty, RowNoise};
use crate::options::{self, Choice, Options, Step};
use crate::problem::dataset::Dataset;
use crate::problem::theory::{
    Basis, Case, Constants, Mean, Presence, RareFeatures, Smoothness, Terms, contraction, growth,
    noise, xi,
};
use smidgen_aggregator::{DownlinkBudget, MethodSpec, StepRule, Theory};
use smidgen_protocol::method::{Budget, Compressor};
use std::borrow::Cow;

/// The largest known step size of a run, and its basis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Longest {
    /// γ
    pub gamma: f64,
    /// The theorem that allows it, or from which it is borrowed.
    pub basis: Basis,
}

/// A method specification: the method that the aggregator runs, and its workers in theory.
#[derive(Clone, Debug)]
pub struct Specification {
    /// Rules of the workers and the server.
    pub method: MethodSpec,
    /// The workers of the run: one per share, or several clones of it.
    pub workers: Vec<Worker>,
    /// η of the method.
    pub eta: f64,
}

/// The parts of the problem that a specification needs.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Dimension d of the model.
    pub dimension: usize,
    /// The number of rows of each worker.
    pub row_counts: &'a [usize],
    /// The rows, where the host has them.
    pub rows: Option<Rows<'a>>,
    /// Its constants.
    pub constants: &'a Constants,
}

/// Rows, distributed to workers.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The rows of all workers.
    pub dataset: &'a Dataset,
    /// The rows of each worker.
    pub shares: &'a [Vec<usize>],
}

impl Problem<'_> {
    /// Returns which worker has which features, if the coordinates of the model are features and the host has the rows.
    pub fn rare_features(&self, l_i: &[f64]) -> Option<RareFeatures> {
        let Rows { dataset, shares } = self.rows?;
        (self.dimension == dataset.dimension()).then(|| RareFeatures::of(dataset, shares, l_i))
    }
}

impl Specification {
    /// Returns the specification of the options for a problem.
    ///
    /// # Errors
    /// If the options contradict each other, or do not fit the problem.
    pub fn new(options: &Options, problem: Problem) -> Result<Self, SpecificationError> {
        let info = options.method.info();
        let eta = options.eta.unwrap_or(info.eta.default());
        let Problem { dimension, row_counts, .. } = problem;
        let method = method_spec(options, dimension, row_counts, eta)?;
        let equal = equal_workers(options, dimension, row_counts.len(), &method)?;
        let workers = match problem.constants.known() {
            Some(smoothness) => population(info.population, equal, smoothness),
            None if info.population.needs_constants() => {
                let (method, objective) = (options.method.name(), options.objective.name());
                return Err(SpecificationError::NoConstants { method, objective });
            }
            None => equal,
        };
        let without_gamma = Self { method, workers, eta };
        without_gamma.check(options)?;
        let gamma = without_gamma.gamma(options, problem)?;
        let theory = match options.constants {
            options::Constants::Data => None,
            options::Constants::Boards => Some(without_gamma.theory(options, problem.dimension)?),
        };
        let Self { method, workers, eta } = without_gamma;
        Ok(Self { method: MethodSpec { gamma, theory, ..method }, workers, eta })
    }

    /// Checks the options that have a value per worker, which needs no constants.
    ///
    /// # Errors
    /// If a list has another number of workers, or K is too large.
    pub fn check_lists(
        options: &Options,
        dimension: usize,
        workers: usize,
    ) -> Result<(), SpecificationError> {
        options.k(dimension, workers)?;
        options.participation(workers)?;
        Ok(())
    }

    fn check(&self, options: &Options) -> Result<(), SpecificationError> {
        if options.method.info().is_dense && !self.method.batch.is_full() {
            return Err(SpecificationError::Batch(options.method.name()));
        }
        let forgets = self.method.rule.forgets_updates();
        if forgets && self.workers.iter().any(Worker::is_drawn) {
            return Err(SpecificationError::Participation(options.method.name()));
        }
        if (forgets || self.method.rule.has_local_state())
            && options.absent.round_timeout().is_some()
        {
            return Err(SpecificationError::Absent(options.method.name()));
        }
        let averages = self.method.rule.averages_gradients();
        if averages && options.step.is_of_a_mean() && self.workers.iter().any(Worker::is_drawn) {
            return Err(SpecificationError::AbsentAverage(options.step.to_string()));
        }
        if options.step.counts_features() && options.lambda > 0.0 {
            return Err(SpecificationError::RareRegularised);
        }
        let convex = options.objective.info().is_convex;
        if options.step.needs_convexity() && convex && strong_convexity(options).is_none() {
            return Err(SpecificationError::TightNonconvex);
        }
        if averages && self.eta == 0.0 {
            return Err(SpecificationError::NoAverage);
        }
        Ok(())
    }

    /// Returns the step size of the options.
    fn gamma(&self, options: &Options, problem: Problem) -> Result<f64, SpecificationError> {
        if let Some(gamma) = options.step.given() {
            return Ok(gamma);
        }
        let smoothness = match self.method.step_rule {
            StepRule::Constant => problem.constants.of_step(),
            StepRule::Tuned | StepRule::TunedFromGuess => problem.constants.to_start_from(),
        };
        let smoothness = smoothness.ok_or(SpecificationError::NoStep(options.objective.name()))?;
        let gamma = self.for_first_step(problem.dimension).by_theory(options, problem, smoothness);
        gamma.ok_or_else(|| SpecificationError::Step { step: options.step.to_string() })
    }

    /// Returns the specification that gives the first step size of the run.
    ///
    /// A tuned step size is tried, not proven. It starts from that for unrounded values: the bound on rounding is a
    /// worst case, which would cost rounds with few bits.
    fn for_first_step(&self, dimension: usize) -> Cow<'_, Self> {
        match self.method.step_rule {
            StepRule::Constant => Cow::Borrowed(self),
            StepRule::Tuned | StepRule::TunedFromGuess => {
                let mut exact = self.clone();
                exact.method.value_bits = UNROUNDED_BITS;
                for worker in &mut exact.workers {
                    worker.alpha = worker.contraction(&exact.method, dimension, dimension);
                }
                if let Some(budget) = &mut exact.method.downlink_budget {
                    budget.value_bits = UNROUNDED_BITS;
                }
                Cow::Owned(exact)
            }
        }
    }

    /// Returns the largest known step size of the run, independent of its own: that of the arithmetic mean, or the
    /// requested one of theory if it is larger; `None` without constants.
    pub fn longest(&self, options: &Options, problem: Problem) -> Option<Longest> {
        let of = |step: Step| {
            let options = Options { step, ..options.clone() };
            let gamma = self.by_theory(&options, problem, problem.constants.known()?)?;
            Some(Longest { gamma, basis: self.basis(&options) })
        };
        let am = of(Step::Am)?;
        let proven = match options.step.needs_convexity() && !is_strongly_convex(options) {
            // Without a rate of its own, it is allowed as far as the exact step.
            true => Step::Exact,
            false => options.step,
        };
        // A borrowed step size does not replace an allowed one.
        let refined = proven.refinement().and_then(|_| of(proven));
        let longer = refined.filter(|step| step.basis.gap == am.basis.gap && step.gamma > am.gamma);
        Some(longer.unwrap_or(am))
    }

    /// Returns a step size by theory for a problem with these constants, or `None` if the theory is about other
    /// methods.
    fn by_theory(
        &self,
        options: &Options,
        problem: Problem,
        smoothness: &Smoothness,
    ) -> Option<f64> {
        let counts_features = options.step.counts_features();
        let rare = counts_features.then(|| problem.rare_features(&smoothness.l_i)).flatten();
        let gamma = self.step(options, smoothness, problem.dimension, rare)?;
        Some(gamma.min(self.noise_bound(options, problem, smoothness)))
    }

    /// Returns the step size of the options, computed from constants.
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
            self.method.downlink_budget.is_none() && options.method.info().proof.has_refinements();
        if options.step.refinement().is_some() && !has_refinements {
            return None;
        }
        self.basis(options).theorem.gamma(&self.terms(options, smoothness, dimension, rare))
    }

    /// Returns the theorem of the options' step size.
    pub fn basis(&self, options: &Options) -> Basis {
        let drawn = self.workers.iter().any(Worker::is_drawn);
        Basis::of(&Case {
            method: options.method,
            proof: options.method.info().proof,
            mean: options.step.mean(),
            refinement: options.step.refinement(),
            downlink: options.downlink,
            noise: noise::disturbs(self.method.rule, self.method.batch),
            presence: match options.absent.round_timeout() {
                Some(_) => Presence::Answering,
                None if drawn => Presence::Drawn,
                None => Presence::All,
            },
            alike: self.workers.iter().all(|worker| worker.alpha == self.workers[0].alpha),
        })
    }

    /// Returns the rule that computes the step size from constants that workers report.
    ///
    /// # Errors
    /// If the options need other numbers, or need constants before workers report them.
    fn theory(&self, options: &Options, dimension: usize) -> Result<Theory, SpecificationError> {
        let no_step = options.step.given().is_some() || options.step.counts_features();
        let has_constants = match options.objective.info().row_noise {
            RowNoise::Bounded(_) => true,
            RowNoise::GrowsWithLoss => !noise::disturbs(self.method.rule, self.method.batch),
            RowNoise::Unknown => false,
        };
        if no_step || !has_constants || options.method.info().population.needs_constants() {
            return Err(SpecificationError::Reports);
        }
        let (specification, options) =
            (self.for_first_step(dimension).into_owned(), options.clone());
        Ok(Theory::new(move |l_i| {
            let smoothness = reported(l_i);
            specification.step(&options, &smoothness, dimension, None).unwrap_or(f64::NAN)
        }))
    }

    /// Returns a contraction, reduced by the noise of minibatches if there is any.
    fn contraction(&self, alpha: f64) -> f64 {
        noise::left_of(alpha, self.method.rule, self.method.batch)
    }

    /// Returns ξ of a contraction.
    fn xi(&self, alpha: f64) -> f64 {
        xi(self.contraction(alpha))
    }

    /// Returns the least contraction of the workers.
    fn least_alpha(&self) -> f64 {
        self.workers.iter().map(|worker| worker.alpha).fold(1.0, f64::min)
    }

    /// Returns the term that compression adds to L: (1/n) Σ L_i ξ(p_i α_i), with weights of the workers' errors
    /// proportional to L_i ξ(p_i α_i).
    ///
    /// Theorems with another mean of the L_i or with minibatches have a single contraction, the least: a worker whose
    /// ξ is 0 would have weight 0, and its noise an unbounded factor.
    fn error(&self, options: &Options, smoothness: &Smoothness) -> f64 {
        let dearest = self.xi(self.least_alpha());
        let all = self.mean(options, smoothness) * dearest;
        let knows_one_contraction = match (options.method.info().population, options.step.mean()) {
            (Population::Cloned, _) | (_, Mean::Quadratic) => true,
            (Population::Equal | Population::Weighted, Mean::Arithmetic) => {
                noise::disturbs(self.method.rule, self.method.batch)
            }
        };
        if knows_one_contraction {
            return all;
        }
        let saved =
            |worker: &Worker| smoothness.l_i[worker.share] * (dearest - self.xi(worker.alpha));
        // Written so that it is exactly L_AM ξ if workers are alike.
        all - self.workers.iter().map(saved).sum::<f64>() / self.workers.len() as f64
    }

    /// Returns the step size with κ = 1/2 if the variance of minibatches grows with f
    /// ([`RowNoise::GrowsWithLoss`]): A_i = max_j L_ij. Where gradients of rows are bounded, A_i = 0 and there is no
    /// bound; where they are unknown, theory has no step.
    fn noise_bound(&self, options: &Options, problem: Problem, smoothness: &Smoothness) -> f64 {
        let grows = match options.objective.info().row_noise {
            RowNoise::GrowsWithLoss => noise::disturbs(self.method.rule, self.method.batch),
            RowNoise::Bounded(_) | RowNoise::Unknown => false,
        };
        // Where workers report constants, there is no such step.
        let Some(Rows { dataset, shares }) = problem.rows.filter(|_| grows) else {
            return f64::INFINITY;
        };
        let growth = |(worker, share): (usize, &Vec<usize>)| {
            let rows = share.iter().map(|&row| dataset.row(row).norm_squared());
            let variance = noise::variance(share.len(), self.method.batch.size as usize);
            2.0 * rows.fold(0.0, f64::max) * variance * smoothness.inverse_weight(worker)
        };
        let growth = shares.iter().enumerate().map(growth).fold(0.0, f64::max);
        1.0 / (2.0 * noise::gain(self.least_alpha()) * growth)
    }

    /// Returns the mean of the smoothness constants that limits the step size.
    fn mean(&self, options: &Options, smoothness: &Smoothness) -> f64 {
        let MethodInfo { population, proof, .. } = options.method.info();
        match population {
            Population::Cloned => clone_mean(smoothness, &self.workers),
            Population::Equal | Population::Weighted => {
                smoothness.mean(proof.mean(options.step.mean()))
            }
        }
    }

    /// Returns the inputs of the theorems' formulas.
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
            mu: strong_convexity(options),
            eta: self.eta,
            down: self.method.downlink_budget.map(|DownlinkBudget { k, value_bits }| {
                let budget = Budget { k, value_bits, compressor: Compressor::TopK };
                (contraction(&budget, dimension, dimension), growth(&budget))
            }),
            rare_error: rare.map(|features| self.rare_error(features, dimension, smoothness)),
        }
    }

    /// Returns the bound on ‖C(v)‖²/‖v‖².
    fn growth(&self, options: &Options) -> f64 {
        if options.method.info().restarts_estimators {
            return 4.0;
        }
        let of = |worker: &Worker| growth(&self.method.budget(worker.spec.k));
        self.workers.iter().map(of).fold(1.0, f64::max)
    }

    /// Returns the term for rare features: sqrt(c_w) L_AM ξ(α), with the least contraction α of the workers on their
    /// own features.
    fn rare_error(&self, features: RareFeatures, dimension: usize, smoothness: &Smoothness) -> f64 {
        let alpha = rare_alpha(&self.workers, &self.method, features, dimension);
        features.c_w.sqrt() * smoothness.l_am * self.xi(alpha)
    }
}

/// Returns μ of the options, if f is convex.
pub fn strong_convexity(options: &Options) -> Option<f64> {
    let penalty = Penalty { regulariser: options.regulariser, lambda: options.lambda };
    penalty.strong_convexity(options.objective)
}

/// Returns whether f is μ-strongly convex with μ > 0.
fn is_strongly_convex(options: &Options) -> bool {
    strong_convexity(options).is_some_and(|mu| mu > 0.0)
}

/// Returns the constants that workers report. L is unknown, but L ≤ L_AM.
pub fn reported(l_i: &[f64]) -> Smoothness {
    let l_am = l_i.iter().sum::<f64>() / l_i.len() as f64;
    Smoothness::new(l_am, l_i.to_vec())
}

/// Returns whether a step size exceeds the largest known one by more than rounding.
pub fn exceeds(gamma: f64, longest: f64) -> bool {
    gamma > longest * (1.0 + 1e-9)
}
