//! Smoothness constants: L of f, the L_i of the workers, and their means.
//!
//! If the loss of a row depends only on its margin aᵀx, or on one margin per class, its Hessian in the margins is at
//! most c, and the second derivative of the regulariser is at most r, then
//!
//! ```text
//! L_i  = c λ_max( A_iᵀA_i ) / n_i + r                  rows A_i, n_i of them
//! L    = c λ_max( (1/n) Σ_i A_iᵀA_i / n_i ) + r
//! L_AM = (1/n) Σ L_i     L_QM = sqrt( (1/n) Σ L_i² )     L_var = L_QM² − L_AM²
//! ```
//!
//! | | c | |
//! |---|---|---|
//! | logistic | 1/4 | σ(1 − σ) |
//! | least squares | 2 | exact |
//! | squared hinge | 2 | exact where all margins fall short of their targets |
//! | softmax | 1/2 | diag(p) − ppᵀ, by Böhning (1992); rows with one more 1 for the bias |
//!
//! A perceptron has no such c: its Hessian grows with its weights.
//!
//! r is 2λ for the nonconvex regulariser, whose second derivative lies in [−λ/2, 2λ], and λ for l2.

use super::contraction::xi;
use super::spectrum::largest_eigenvalue;
use crate::options::Objective;
use crate::problem::dataset::Dataset;
use crate::problem::objective::{Curvature, Margins, Penalty};
use serde::Serialize;

/// The mean of the L_i that limits a step size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// L_QM, of the first theory of EF21.
    Quadratic,
    /// L_AM, of Error Feedback Reloaded.
    Arithmetic,
}

/// Smoothness constants of f and of the workers' f_i.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Smoothness {
    /// L of f.
    pub l: f64,
    /// L_i of each worker.
    pub l_i: Vec<f64>,
    /// Their arithmetic mean.
    pub l_am: f64,
    /// Their quadratic mean.
    pub l_qm: f64,
    /// Their variance.
    pub l_var: f64,
}

impl Smoothness {
    /// Computes the means from L and the L_i.
    ///
    /// # Panics
    /// If there are no workers.
    pub fn new(l: f64, l_i: Vec<f64>) -> Self {
        assert!(!l_i.is_empty(), "a mean needs at least one worker");
        let mean = |term: &dyn Fn(f64) -> f64| {
            l_i.iter().map(|&l_i| term(l_i)).sum::<f64>() / l_i.len() as f64
        };
        let l_am = mean(&|l_i| l_i);
        let l_qm = mean(&|l_i| l_i * l_i).sqrt();
        let l_var = mean(&|l_i| (l_i - l_am) * (l_i - l_am));
        Self { l, l_am, l_qm, l_var, l_i }
    }

    /// Returns the constants of an objective whose worker i has the rows `shares[i]`, if there are any.
    ///
    /// # Panics
    /// If there are no workers, or one without rows.
    pub fn of(
        objective: Objective,
        penalty: Penalty,
        dataset: &Dataset,
        shares: &[Vec<usize>],
    ) -> Option<Self> {
        match objective.info().curvature {
            Curvature::AtMost(curvature) => {
                let margins = objective.info().margins;
                Some(Self::of_rows(curvature, margins, penalty, dataset, shares))
            }
            Curvature::Unbounded { .. } => None,
        }
    }

    /// Returns the constants of a loss whose Hessian in the margins is at most `curvature`.
    fn of_rows(
        curvature: f64,
        margins: Margins,
        penalty: Penalty,
        dataset: &Dataset,
        shares: &[Vec<usize>],
    ) -> Self {
        let with_ones;
        let dataset = if margins.have_bias() {
            with_ones = dataset.with_ones();
            &with_ones
        } else {
            dataset
        };
        let weighted = |share: &[usize], workers: usize| {
            assert!(!share.is_empty(), "a worker has at least one row");
            let weight = curvature / (workers as f64 * share.len() as f64);
            share.iter().map(|&row| (row, weight)).collect::<Vec<_>>()
        };
        let pooled: Vec<_> =
            shares.iter().flat_map(|share| weighted(share, shares.len())).collect();
        let l = largest_eigenvalue(dataset, &pooled) + penalty.smoothness();
        let l_i = shares.iter().map(|share| largest_eigenvalue(dataset, &weighted(share, 1)));
        Self::new(l, l_i.map(|eigenvalue| eigenvalue + penalty.smoothness()).collect())
    }

    /// Returns the constants of logistic regression with the nonconvex regulariser.
    pub fn of_logistic(dataset: &Dataset, shares: &[Vec<usize>], lambda: f64) -> Self {
        Self::of(Objective::Logistic, Penalty::nonconvex(lambda), dataset, shares)
            .expect("logistic regression has constants")
    }

    /// Returns L_AM/L_i of worker i, the weight of its error in theorems. It is 1 if L_i is 0, as of a worker without
    /// features or regulariser: its gradient and error are 0, so the weight does not matter.
    pub fn inverse_weight(&self, worker: usize) -> f64 {
        match self.l_i[worker] {
            0.0 => 1.0,
            l_i => self.l_am / l_i,
        }
    }

    /// Returns the largest step size that theory allows EF21 with contraction `alpha`; for α = 1 it is 1/L, as of
    /// gradient descent.
    pub fn gamma(&self, mean: Mean, alpha: f64) -> f64 {
        1.0 / (self.l + self.mean(mean) * xi(alpha))
    }

    /// Returns a mean of the L_i.
    pub const fn mean(&self, mean: Mean) -> f64 {
        match mean {
            Mean::Quadratic => self.l_qm,
            Mean::Arithmetic => self.l_am,
        }
    }

    /// Returns the number of clones of worker i in EF21 on the cloned problem: ⌈L_i/L_AM⌉, at least 1.
    pub fn clones(&self, worker: usize) -> f64 {
        (self.l_i[worker] / self.l_am).ceil().max(1.0)
    }
}

/// The constants of a problem.
#[derive(Clone, Debug)]
pub enum Constants {
    /// They are known.
    Known(Smoothness),
    /// Workers report them. Until then there is a guess.
    Reported(Smoothness),
    /// The curvature of the objective has no bound. A tuned step size starts from the constants of another objective.
    Unknown {
        /// The constants of the other objective.
        starts_like: Option<Smoothness>,
    },
}

impl Constants {
    /// Returns the constants of an objective whose worker i has the rows `shares[i]`.
    pub fn of(
        objective: Objective,
        penalty: Penalty,
        dataset: &Dataset,
        shares: &[Vec<usize>],
    ) -> Self {
        let margins = objective.info().margins;
        match objective.info().curvature {
            Curvature::AtMost(curvature) => {
                Self::Known(Smoothness::of_rows(curvature, margins, penalty, dataset, shares))
            }
            Curvature::Unbounded { starts_like } => {
                let starts_like = Smoothness::of(starts_like, penalty, dataset, shares);
                Self::Unknown { starts_like }
            }
        }
    }

    /// Returns upper bounds of the constants for rows that the host does not have. The features of those of worker i
    /// have at most the mean squared norm `norms_squared[i]`.
    pub fn of_rows_within(objective: Objective, penalty: Penalty, norms_squared: &[f64]) -> Self {
        let bound = |curvature: f64, margins: Margins| {
            let bias = f64::from(margins.have_bias());
            let l_i = |square| curvature * (square + bias) + penalty.smoothness();
            let l_i: Vec<_> = norms_squared.iter().map(l_i).collect();
            Smoothness::new(l_i.iter().sum::<f64>() / l_i.len() as f64, l_i)
        };
        let margins = objective.info().margins;
        match objective.info().curvature {
            Curvature::AtMost(curvature) => Self::Reported(bound(curvature, margins)),
            Curvature::Unbounded { starts_like } => {
                let starts_like = starts_like.info();
                let bounded = match starts_like.curvature {
                    Curvature::AtMost(curvature) => Some(bound(curvature, starts_like.margins)),
                    Curvature::Unbounded { .. } => None,
                };
                Self::Unknown { starts_like: bounded }
            }
        }
    }

    /// Returns the constants, if they are known.
    pub const fn known(&self) -> Option<&Smoothness> {
        match self {
            Self::Known(smoothness) => Some(smoothness),
            Self::Reported(_) | Self::Unknown { .. } => None,
        }
    }

    /// Returns the constants of a constant step size, which may be a guess until workers report theirs.
    pub const fn of_step(&self) -> Option<&Smoothness> {
        match self {
            Self::Known(smoothness) | Self::Reported(smoothness) => Some(smoothness),
            Self::Unknown { .. } => None,
        }
    }

    /// Consumes `self` and returns the constants, if they are known.
    pub fn into_known(self) -> Option<Smoothness> {
        match self {
            Self::Known(smoothness) => Some(smoothness),
            Self::Reported(_) | Self::Unknown { .. } => None,
        }
    }

    /// Returns the constants from which a tuned step size can start.
    pub const fn to_start_from(&self) -> Option<&Smoothness> {
        match self {
            Self::Known(smoothness) | Self::Reported(smoothness) => Some(smoothness),
            Self::Unknown { starts_like } => starts_like.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Regulariser, Split};
    use crate::problem::dataset::Labels;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a / b - 1.0).abs() <= tolerance
    }

    #[test]
    fn means_of_the_paper_example() {
        let smoothness = Smoothness::new(30.0, vec![1.0, 1.0, 1.0, 100.0]);
        assert_eq!((smoothness.l_am, smoothness.l_var), (25.75, 1837.6875));
        assert!(close(smoothness.l_qm, 50.0075, 1e-7));
        assert_eq!(smoothness.gamma(Mean::Quadratic, 1.0), 1.0 / 30.0);
        assert!(smoothness.gamma(Mean::Arithmetic, 0.5) > smoothness.gamma(Mean::Quadratic, 0.5));
    }

    #[test]
    fn constant_of_one_row_is_its_squared_norm() {
        let dataset = Dataset::parse("two", "1 1:3 2:4\n0 3:2\n").unwrap();
        let shares = dataset.deal(&Split::OneEach, 2).unwrap();
        let smoothness = Smoothness::of_logistic(&dataset, &shares, 0.5);
        for (found, expected) in smoothness.l_i.iter().zip([25.0 / 4.0 + 1.0, 1.0 + 1.0]) {
            assert!(close(*found, expected, 1e-14));
        }
        assert!(
            close(smoothness.l, 25.0 / 8.0 + 1.0, 1e-14),
            "orthogonal rows: the larger of the two"
        );
    }

    #[test]
    fn constant_of_least_squares_is_the_eigenvalue_of_its_hessian() {
        let dataset = Dataset::parse_with("two", "5 1:3 2:4\n-1 3:2\n", Labels::Real).unwrap();
        let shares = dataset.deal(&Split::OneEach, 2).unwrap();
        let penalty = Penalty { regulariser: Regulariser::L2, lambda: 0.5 };
        let smoothness =
            Smoothness::of(Objective::LeastSquares, penalty, &dataset, &shares).unwrap();
        for (found, expected) in smoothness.l_i.iter().zip([50.5, 8.5]) {
            assert!(close(*found, expected, 1e-14));
        }
        assert!(close(smoothness.l, 25.5, 1e-14));
    }
}
