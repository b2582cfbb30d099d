//! What theory says before the first round: how smooth the functions are, how long a step may be.
//!
//! Where the loss of a row depends on its margin aᵀx alone, or on one margin for each class, and its
//! Hessian in those is at most c, and the second derivative of the regulariser at most r,
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
//! | softmax | 1/2 | diag(p) − ppᵀ, by Böhning (1992); rows with one more 1 for the bias |
//!
//! A perceptron has no such c: its Hessian grows with its weights.
//!
//! r is 2λ for the nonconvex regulariser, whose second derivative lies in [−λ/2, 2λ], and λ for l2. EF21 with a compressor of contraction α converges with γ = 1/(L + L_QM ξ(α)) (Richtárik,
//! Sokolov, Fatkhullin 2021) and with γ = 1/(L + L_AM ξ(α)) (Error Feedback Reloaded, Theorem 3),
//! which is never shorter.

mod contraction;
pub mod noise;
mod rare;
mod spectrum;
mod theorem;

use crate::options::Objective;
use crate::problem::dataset::Dataset;
use crate::problem::objective::Penalty;
pub use contraction::{contraction, growth};
pub use rare::RareFeatures;
use serde::Serialize;
use spectrum::largest_eigenvalue;
pub use theorem::{Basis, Case, Gap, Presence, Theorem};

/// θ(α) = 1 − sqrt(1 − α), for 0 < α ≤ 1: what the estimators' error loses in a round.
pub fn theta(alpha: f64) -> f64 {
    // The same without cancellation for small α.
    alpha / (1.0 + (1.0 - alpha).sqrt())
}

/// β(α) = (1 − α) / θ(α): how much of the model's movement the estimators' error gains in a round.
pub fn beta(alpha: f64) -> f64 {
    (1.0 - alpha) / theta(alpha)
}

/// ξ(α) = sqrt(β/θ) = sqrt(1 − α) / θ(α): the price of compression in a step size, 0 where nothing
/// is compressed.
pub fn xi(alpha: f64) -> f64 {
    (1.0 - alpha).sqrt() / theta(alpha)
}

/// The contraction α = K/d of TopK whose values are exact.
pub fn top_k_alpha(k: usize, dimension: usize) -> f64 {
    k as f64 / dimension as f64
}

/// q: what rounding K values to mantissas of b = `value_bits` bits with a shift for all takes of their energy, at most.
///
/// In units of the last bit no value is off by more than 1/2, nor by more than itself, and the largest is at least 2^(b−2).
/// Hence q ≤ (K/4) / (4^(b−2) + (K−1)/4). With 32 bits nothing is rounded.
pub fn rounding_loss(k: u32, value_bits: u8) -> f64 {
    if value_bits >= 32 {
        return 0.0;
    }
    let k = f64::from(k);
    k / (4f64.powi(i32::from(value_bits) - 1) + k - 1.0)
}

/// Which mean of the L_i limits the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The quadratic mean: the first theory of EF21.
    Qm,
    /// The arithmetic mean: Error Feedback Reloaded.
    Am,
}

/// Constants of smoothness of f and of the workers' f_i.
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
    /// The means, from L and the L_i.
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

    /// The constants of an objective where worker i holds the rows `shares[i]`, if theory knows them.
    ///
    /// # Panics
    /// If there are no workers, or one without rows.
    pub fn of(
        objective: Objective,
        penalty: Penalty,
        dataset: &Dataset,
        shares: &[Vec<usize>],
    ) -> Option<Self> {
        let with_ones;
        let (curvature, dataset) = match objective {
            Objective::Logistic => (0.25, dataset),
            Objective::LeastSquares => (2.0, dataset),
            Objective::Softmax => {
                with_ones = dataset.with_ones();
                (0.5, &with_ones)
            }
            Objective::Perceptron => return None,
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
        Some(Self::new(l, l_i.map(|eigenvalue| eigenvalue + penalty.smoothness()).collect()))
    }

    /// The constants of logistic regression with the nonconvex regulariser.
    pub fn of_logistic(dataset: &Dataset, shares: &[Vec<usize>], lambda: f64) -> Self {
        Self::of(Objective::Logistic, Penalty::nonconvex(lambda), dataset, shares)
            .expect("theory knows logistic regression")
    }

    /// L_AM/L_i of worker i, by which theorems weigh its error; 1 where L_i is 0, as of a worker without any feature and without
    /// a regulariser: its gradient is 0 and so is its error, whatever they weigh.
    pub fn inverse_weight(&self, worker: usize) -> f64 {
        match self.l_i[worker] {
            0.0 => 1.0,
            l_i => self.l_am / l_i,
        }
    }

    /// The longest step that theory allows EF21 whose compressor has contraction `alpha`; for α = 1
    /// it is gradient descent's 1/L.
    pub fn gamma(&self, step: Step, alpha: f64) -> f64 {
        let mean = match step {
            Step::Qm => self.l_qm,
            Step::Am => self.l_am,
        };
        1.0 / (self.l + mean * xi(alpha))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Regulariser, Split};
    use crate::problem::dataset::Labels;
    use proptest::prelude::*;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a / b - 1.0).abs() <= tolerance
    }

    #[test]
    fn the_price_of_compression() {
        for (inverse, expected) in
            [(2.0, 2.41421356), (10.0, 18.48683298), (112.0, 222.49887892), (300.0, 598.49958264)]
        {
            assert!(close(xi(1.0 / inverse), expected, 1e-8));
        }
        assert_eq!((theta(1.0), beta(1.0), xi(1.0)), (1.0, 0.0, 0.0));
        let tiny = 1e-12;
        assert!(close(theta(tiny), tiny / 2.0, 1e-11), "1 − sqrt(1 − α) would cancel here");
    }

    #[test]
    fn rounding_is_bounded_by_halves_of_the_least_maximum() {
        // In units of the last of four bits: 4 is the least, whose error is at most a half, and a half is nothing.
        assert_eq!(rounding_loss(3, 4), (3.0 * 0.25) / (16.0 + 2.0 * 0.25));
        assert_eq!(rounding_loss(64, 32), 0.0);
    }

    #[test]
    fn the_means_of_the_example_of_the_paper() {
        let smoothness = Smoothness::new(30.0, vec![1.0, 1.0, 1.0, 100.0]);
        assert_eq!((smoothness.l_am, smoothness.l_var), (25.75, 1837.6875));
        assert!(close(smoothness.l_qm, 50.0075, 1e-7));
        assert_eq!(smoothness.gamma(Step::Qm, 1.0), 1.0 / 30.0);
        assert!(smoothness.gamma(Step::Am, 0.5) > smoothness.gamma(Step::Qm, 0.5));
    }

    #[test]
    fn one_row_has_the_eigenvalue_of_its_norm() {
        let dataset = Dataset::parse("two", "1 1:3 2:4\n0 3:2\n").unwrap();
        let shares = dataset.deal(Split::OneEach, 2).unwrap();
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
    fn least_squares_has_the_eigenvalue_of_its_hessian() {
        let dataset = Dataset::parse_with("two", "5 1:3 2:4\n-1 3:2\n", Labels::Real).unwrap();
        let shares = dataset.deal(Split::OneEach, 2).unwrap();
        let penalty = Penalty { regulariser: Regulariser::L2, lambda: 0.5 };
        let smoothness =
            Smoothness::of(Objective::LeastSquares, penalty, &dataset, &shares).unwrap();
        for (found, expected) in smoothness.l_i.iter().zip([50.5, 8.5]) {
            assert!(close(*found, expected, 1e-14));
        }
        assert!(close(smoothness.l, 25.5, 1e-14));
    }

    proptest! {
        #[test]
        fn the_identities_hold(alpha in 1e-6..1.0f64) {
            prop_assert!(close(1.0 + xi(alpha), 1.0 / theta(alpha), 1e-12));
            prop_assert!(close(xi(alpha).powi(2), beta(alpha) / theta(alpha), 1e-12));
        }
    }
}
