//! Regularisers in f64.

use crate::options::{Objective, Regulariser};

/// λ times a sum over the coordinates of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    /// The sum.
    pub regulariser: Regulariser,
    /// λ.
    pub lambda: f64,
}

impl Penalty {
    /// Returns the nonconvex regulariser λ Σ x²/(1 + x²).
    pub const fn nonconvex(lambda: f64) -> Self {
        Self { regulariser: Regulariser::Nonconvex, lambda }
    }

    /// Returns the largest magnitude of its second derivative: 2λ or λ.
    pub const fn smoothness(self) -> f64 {
        match self.regulariser {
            Regulariser::Nonconvex => 2.0 * self.lambda,
            Regulariser::L2 => self.lambda,
        }
    }

    /// Returns μ if losses of this objective with the penalty are convex: then they are μ-strongly convex, whatever the
    /// data are.
    pub fn strong_convexity(self, objective: Objective) -> Option<f64> {
        let mu = match self.regulariser {
            Regulariser::Nonconvex if self.lambda > 0.0 => None,
            Regulariser::Nonconvex => Some(0.0),
            Regulariser::L2 => Some(self.lambda),
        };
        mu.filter(|_| objective.info().is_convex)
    }

    /// Returns its value at x, and adds its gradient to `gradient`.
    pub(super) fn add(self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for (x, gradient) in x.iter().zip(gradient) {
            let (value, slope) = self.at(*x);
            sum += value;
            *gradient += self.lambda * slope;
        }
        self.lambda * sum
    }

    fn at(self, x: f64) -> (f64, f64) {
        match self.regulariser {
            Regulariser::Nonconvex => {
                let inverse = 1.0 / (1.0 + x * x);
                (x * x * inverse, 2.0 * x * inverse * inverse)
            }
            Regulariser::L2 => (x * x / 2.0, x),
        }
    }
}
