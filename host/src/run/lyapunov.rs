//! The inequalities in the proof of Reloaded's Theorem 3, checked in every round of a run.
//!
//! ```text
//! e_i = g_i − ∇f_i(x^t)   G = (1/n) Σ_i (L_AM/L_i) ‖e_i‖²   R = ‖x^{t+1} − x^t‖²   Ψ = f(x) + κγ/(2θ) G
//!
//! contraction   ‖e_i^{t+1}‖² ≤ (1 − θ) ‖e_i^t‖² + β L_i² R                  for every worker, any γ
//! descent       f(x^{t+1}) ≤ f(x^t) + ⟨∇f(x^t), x^{t+1} − x^t⟩ + (L/2) R    any γ
//! lyapunov      Ψ^{t+1} ≤ Ψ^t − (γ/2) ‖∇f(x^t)‖²                            for γ that the theorem allows
//! ```
//!
//! If f is μ-strongly convex and γ allows r > 0 by the PL theorem, see [`linear`], Ψ has θ − r for θ, and
//!
//! ```text
//! linear        Ψ^{t+1} − f̂ ≤ (1 − r) (Ψ^t − f̂)         for every f̂ ≥ f*
//! ```
//!
//! with f̂ near the minimum f*. So Ψ^t − f̂ ≤ (1 − r)^t (Ψ⁰ − f̂); r is γμ if γ is not longer than in the theorem as it is
//! printed.
//!
//! With x^{t+1} = x^t − γ g^t the second is the descent lemma of the proof. κ is c_w for rare features and 1 elsewhere.
//! Workers that are weighted or cloned count with what their estimators estimate. The compressor is deterministic, so
//! each round is checked, not a mean.
//!
//! All values are computed in f64 from the data and from the host's fixed-point mirrors and model, so that fixed-point
//! errors are checked as well. Each inequality has its own allowance. The descent lemma holds for any step, so it
//! allows only for cancellation in f64. The others allow for what the fixed point may cost: where f* = 0 a run ends on
//! a floor that the grids make. With u_x and u_g the units of x and of gradients, ∇f̂_i what a board computes
//! ([`OnBoards`]) before it rounds to u_g, with exact residuals, and ε_i what their rounding may add to that,
//!
//! ```text
//! x^{t+1} = x^t − γ g^t + r,                  ‖r‖ ≤ ρ = √d (u_x + γ u_g)
//! the gradient of worker i is off by          δ_i = √d (2 u_g + L_i u_x) + ‖∇f̂_i − ∇f_i‖ + ε_i at x^{t+1}
//! the bound B_i of ‖e_i^{t+1}‖² becomes       (√B_i + 2 δ_i)² = B_i + a_i
//! Ψ^{t+1} may be higher by                    Σ_i w_i a_i + ‖∇f(x^t) + (x^{t+1} − x^t)/γ‖ ρ + (3/2) ρ²/γ
//! ```
//!
//! where w_i is the weight of ‖e_i‖² in Ψ. docs/theory.md derives the last line.

mod minimum;

use crate::problem::objective::{Computed, Objective, OnBoards};
use crate::problem::specification::Worker;
use crate::problem::theory::{Smoothness, beta, linear, theta};
use crate::record::theory::{Slacks, TheoryCheck};
use smidgen_aggregator::{Aggregator, WorkerSpec, value};

/// The quantities of the theorem for a run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The workers, clones included.
    pub workers: Vec<Worker>,
    /// Constants of the shares.
    pub smoothness: Smoothness,
    /// Step size γ.
    pub gamma: f64,
    /// The contraction of every worker.
    pub alpha: f64,
    /// The factor κ.
    pub factor: f64,
    /// μ, if f is strongly convex, else 0.
    pub mu: f64,
}

/// The check of a run.
#[derive(Debug)]
pub struct Lyapunov {
    objective: Objective,
    on_boards: OnBoards,
    terms: Terms,
    /// The linear rate, if there is one.
    linear: Option<Linear>,
    /// State of the previous round.
    before: Option<State>,
}

/// Linear decrease by the PL theorem.
#[derive(Clone, Copy, Debug)]
struct Linear {
    /// r
    rate: f64,
    /// f̂
    near_minimum: f64,
}

/// State of a round.
#[derive(Debug)]
struct State {
    x: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    psi: f64,
    /// ‖e_i‖² of each worker.
    errors: Vec<f64>,
    /// ‖∇f̂_i − ∇f_i‖ + ε_i, in the units of e_i.
    off: Vec<f64>,
    /// Bound on the cancellation error of f in f64.
    cancellation: f64,
    /// Units of the grids of x and of gradients.
    units: [f64; 2],
}

impl Lyapunov {
    /// Creates the check of a run. Share i has f_i of `objective`, and a board computes that of `on_boards`.
    pub fn new(objective: Objective, on_boards: OnBoards, terms: Terms) -> Self {
        let linear = terms.linear(&objective);
        Self { objective, on_boards, terms, linear, before: None }
    }

    /// Checks the round just closed.
    pub fn check(&mut self, aggregator: &Aggregator) -> TheoryCheck {
        let now = self.state(aggregator);
        let psi = now.psi;
        let slacks = self.before.as_ref().map(|before| self.slacks(before, &now));
        self.before = Some(now);
        TheoryCheck { psi, slacks }
    }

    fn slacks(&self, before: &State, now: &State) -> Slacks {
        let Terms { gamma, ref smoothness, .. } = self.terms;
        let moved: Vec<f64> =
            now.x.iter().zip(&before.x).map(|(now, before)| now - before).collect();
        let (square, along) = (dot(&moved, &moved), dot(&before.gradient, &moved));
        let bounds: Vec<f64> =
            (0..now.errors.len()).map(|worker| self.bound(worker, before, square)).collect();
        let grown: Vec<f64> = bounds
            .iter()
            .enumerate()
            .map(|(worker, &bound)| self.growth(worker, bound, before, now))
            .collect();
        let of_worker = |worker: usize| {
            (self.weight(worker) * (bounds[worker] - now.errors[worker]), grown[worker])
        };
        let (contraction_slack, contraction_allowance) =
            worst((0..bounds.len()).map(of_worker)).unwrap_or((f64::INFINITY, 0.0));
        let norm_squared = dot(&before.gradient, &before.gradient);
        Slacks {
            contraction_slack,
            contraction_allowance,
            descent_slack: before.loss + along + smoothness.l / 2.0 * square - now.loss,
            // Twice: for both losses, and for the product with the gradient.
            descent_allowance: 2.0 * (before.cancellation + now.cancellation),
            lyapunov_slack: before.psi - gamma / 2.0 * norm_squared - now.psi,
            linear_slack: self.linear.map(|Linear { rate, near_minimum }| {
                (1.0 - rate) * (before.psi - near_minimum) - (now.psi - near_minimum)
            }),
            grid_allowance: grown.iter().sum::<f64>() + self.lag(before, now, &moved),
        }
    }

    /// Returns the bound on ‖e_i‖² after a step of x with this squared length.
    fn bound(&self, worker: usize, before: &State, square: f64) -> f64 {
        let (alpha, l_i) = (self.terms.alpha, self.constant(worker));
        (1.0 - theta(alpha)) * before.errors[worker] + beta(alpha) * l_i * l_i * square
    }

    /// Returns w_i a_i, the allowance of a worker for the grids, in Ψ.
    fn growth(&self, worker: usize, bound: f64, before: &State, now: &State) -> f64 {
        let root = (now.x.len() as f64).sqrt();
        let [x_unit, gradient_unit] = coarser(before, now);
        let weight = self.terms.workers[worker].spec.weight;
        let delta = root * (2.0 * weight * gradient_unit + self.constant(worker) * x_unit)
            + now.off[worker];
        self.weight(worker) * 4.0 * delta * (bound.sqrt() + delta)
    }

    /// Returns the allowance for a step that is off by ρ, in Ψ.
    fn lag(&self, before: &State, now: &State, moved: &[f64]) -> f64 {
        let gamma = self.terms.gamma;
        let [x_unit, gradient_unit] = coarser(before, now);
        let rho = (moved.len() as f64).sqrt() * (x_unit + gamma * gradient_unit);
        let lag = before.gradient.iter().zip(moved).map(|(g, moved)| (g + moved / gamma).powi(2));
        rho * (lag.sum::<f64>().sqrt() + 1.5 * rho / gamma)
    }

    fn state(&self, aggregator: &Aggregator) -> State {
        let x = aggregator.model();
        let exponents = aggregator.exponents();
        let mut gradient = vec![0.0; x.len()];
        let (errors, off): (Vec<f64>, Vec<f64>) = (0..self.terms.workers.len())
            .map(|worker| self.error(worker, &x, aggregator, &mut gradient))
            .unzip();
        let loss = self.objective.loss_and_gradient(&x, &mut gradient);
        let weighted = errors.iter().enumerate().map(|(worker, error)| self.weight(worker) * error);
        let psi = loss + weighted.sum::<f64>();
        let units = [exponents.x, exponents.gradient].map(|exponent| value(1.0, exponent));
        let cancellation = self.objective.cancellation(&x);
        State { x, loss, gradient, psi, errors, off, cancellation, units }
    }

    /// Returns ‖e_i‖², and ‖∇f̂_i − ∇f_i‖ + ε_i.
    fn error(
        &self,
        worker: usize,
        x: &[f64],
        aggregator: &Aggregator,
        work: &mut [f64],
    ) -> (f64, f64) {
        let Worker { share, spec: WorkerSpec { scale, weight, .. }, .. } =
            self.terms.workers[worker];
        let exponent = aggregator.exponents().gradient;
        let Computed { gradient: on_board, error: rounding } = self.on_boards.compute(share, x);
        self.objective.worker_loss_and_gradient(share, x, work);
        let mirror = aggregator.mirror(worker).mantissas();
        let g_i = mirror.iter().map(|&m| value(f64::from(m), exponent));
        let error = g_i.zip(&*work).map(|(g_i, g)| (weight * (g_i - scale * g)).powi(2)).sum();
        let off = on_board.iter().zip(&*work).map(|(held, g)| (held - g).powi(2)).sum::<f64>();
        (error, weight * scale * (off.sqrt() + rounding))
    }

    /// Returns L_i of the function that a worker estimates.
    fn constant(&self, worker: usize) -> f64 {
        let Worker { share, spec: WorkerSpec { scale, weight, .. }, .. } =
            self.terms.workers[worker];
        weight * scale * self.terms.smoothness.l_i[share]
    }

    /// Returns the weight of ‖e_i‖² in Ψ: κγ/(2(θ − r)) · L_AM/(n L_i).
    fn weight(&self, worker: usize) -> f64 {
        let Terms { gamma, alpha, factor, ref smoothness, ref workers, .. } = self.terms;
        let rate = self.linear.map_or(0.0, |linear| linear.rate);
        // A worker without features has no error, so its weight does not matter.
        let inverse = match self.constant(worker) {
            0.0 => 1.0,
            l_i => smoothness.l_am / l_i,
        };
        factor * gamma / (2.0 * (theta(alpha) - rate)) * inverse / workers.len() as f64
    }
}

impl Terms {
    /// Returns the linear decrease of the run.
    fn linear(&self, objective: &Objective) -> Option<Linear> {
        let Self { gamma, alpha, factor, mu, smoothness: Smoothness { l, l_am, .. }, .. } = self;
        let square = factor * l_am * l_am;
        let part = linear::Part { square, alpha: *alpha };
        let rate = linear::polyak_lojasiewicz(*gamma, *mu, *l, &[part]);
        (rate > 0.0)
            .then(|| Linear { rate, near_minimum: minimum::near_minimum(objective, *l, *mu) })
    }
}

/// Returns slack and allowance of the worker with the least sum of both, or of a worker for which the sum is NaN.
fn worst(workers: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    workers.reduce(|least, next| {
        let [sum, other] = [least, next].map(|(slack, allowance)| slack + allowance);
        // Checked first, because a comparison with NaN is false.
        if sum.is_nan() || sum <= other { least } else { next }
    })
}

/// Returns the units of both grids; if exponents changed in between, the larger ones.
fn coarser(before: &State, now: &State) -> [f64; 2] {
    [0, 1].map(|i| before.units[i].max(now.units[i]))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests;
