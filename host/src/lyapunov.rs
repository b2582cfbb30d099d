//! The Lyapunov function of Reloaded's Theorem 3, watched while a run goes on.
//!
//! ```text
//! Ψ^t = f(x^t) + γ/(2θ) · (1/n) Σ_i (L_AM/L_i) ‖g_i^t − ∇f_i(x^t)‖²
//! Ψ^{t+1} ≤ Ψ^t − (γ/2) ‖∇f(x^t)‖²          for γ ≤ 1/(L + L_AM ξ(α)) and a deterministic compressor
//! ```
//!
//! It is computed in f64 from the data, the host's mirrors and the model as they are, so it also watches the fixed point.

use crate::aggregator::{Aggregator, value};
use crate::objective::Objective;
use crate::theory::{Smoothness, theta};
use thiserror::Error;

/// What rounding to the grids may cost, relative to Ψ.
const GRID: f64 = 1e-9;

/// A round in which Ψ did not fall as theory says.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error(
    "in round {round} the Lyapunov function is {found:e} and not at most {bound:e} as theory says; the step may be too long for \
     these data, or the values have too few bits (--value-bits 32)"
)]
pub struct Violation {
    /// The round t + 1.
    pub round: u32,
    /// Ψ^{t+1}.
    pub found: f64,
    /// Ψ^t − (γ/2) ‖∇f(x^t)‖².
    pub bound: f64,
}

/// The watch.
#[derive(Debug)]
pub struct Lyapunov {
    objective: Objective,
    smoothness: Smoothness,
    gamma: f64,
    theta: f64,
    /// What Ψ may be at most in the next round.
    bound: Option<f64>,
}

impl Lyapunov {
    /// A watch for a run of EF21 with step size γ and a compressor of contraction α, where worker i has f_i of `objective`.
    pub fn new(objective: Objective, smoothness: Smoothness, gamma: f64, alpha: f64) -> Self {
        Self { objective, smoothness, gamma, theta: theta(alpha), bound: None }
    }

    /// Looks at a round that was just closed.
    ///
    /// # Errors
    /// If Ψ is larger than the round before allows.
    pub fn check(&mut self, round: u32, aggregator: &Aggregator) -> Result<(), Violation> {
        let x = aggregator.model();
        let mut gradient = vec![0.0; x.len()];
        let loss = self.objective.loss_and_gradient(&x, &mut gradient);
        let found = loss + self.gamma / (2.0 * self.theta) * self.error(&x, aggregator);
        let norm_squared: f64 = gradient.iter().map(|g| g * g).sum();
        let bound = self.bound.replace(found - self.gamma / 2.0 * norm_squared);
        match bound {
            Some(bound) if found > bound + GRID * bound.abs() => {
                Err(Violation { round, found, bound })
            }
            _ => Ok(()),
        }
    }

    /// (1/n) Σ_i (L_AM/L_i) ‖g_i − ∇f_i(x)‖²
    fn error(&self, x: &[f64], aggregator: &Aggregator) -> f64 {
        let exponent = aggregator.exponents().gradient;
        let worker_count = self.smoothness.l_i.len();
        let mut gradient = vec![0.0; x.len()];
        let mut sum = 0.0;
        for worker in 0..worker_count {
            self.objective.worker_loss_and_gradient(worker, x, &mut gradient);
            let mirror = aggregator.mirror(worker).mantissas();
            let g_i = mirror.iter().map(|&m| value(f64::from(m), exponent));
            let distance: f64 = g_i.zip(&gradient).map(|(g_i, g)| (g_i - g).powi(2)).sum();
            sum += self.smoothness.inverse_weight(worker) * distance;
        }
        sum / worker_count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;
    use crate::training::{Goal, TrainingError, World, collect};

    /// Runs digits with this γ times that of theory and this θ, and checks every round.
    fn checked(stretch: f64) -> Result<(), Violation> {
        let mut experiment = Experiment::of("--rows 200 --workers 4 --step am --lambda 0.1 --k 2");
        experiment.setup.gamma *= stretch;
        let smoothness = experiment.smoothness.clone().unwrap();
        let gamma = experiment.setup.gamma;
        let mut lyapunov = Lyapunov::new(experiment.objective(), smoothness, gamma, 2.0 / 64.0);
        let mut world = experiment.simulation();
        let mut outcome = Ok(());
        for round in 0..40 {
            let goal = Goal { rounds: round, target: None };
            let run: Result<_, TrainingError> = collect(&mut world, goal, 115_200, |_| {});
            run.unwrap();
            outcome = outcome.and(lyapunov.check(round, world.aggregator()));
            world = experiment.simulation();
        }
        outcome
    }

    #[test]
    fn the_step_of_theory_keeps_to_it_and_one_that_is_far_too_long_does_not() {
        assert_eq!(checked(1.0), Ok(()));
        assert!(checked(1000.0).is_err());
    }
}
