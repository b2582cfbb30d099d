//! Minibatches in theory: EF21-SGD and EF21-W-SGD.
//!
//! If worker i compresses an unbiased estimate of ∇f_i(x) with variance σ_i², and w_i = L_i / Σ L_j, then for any s, ρ
//! > 0 with θ̂ > 0
//!
//! ```text
//! E G^{t+1} ≤ (1 − θ̂) G^t + β̂₁ L_AM² E‖x^{t+1} − x^t‖² + β̂₂ Σ_i σ_i²/(n² w_i)
//! θ̂ = 1 − (1−α)(1+ρ)(1+s)     β̂₁ = (1−α)(1+ρ)(1+1/s)     β̂₂ = (1−α)(1+ρ) + 1 + 1/ρ
//! γ ≤ 1/(L + L_AM sqrt(β̂₁/θ̂))     κ = γ Ã β̂₂/θ̂ < 1     floor of ‖∇f‖²: β̂₂/θ̂ · (the mean of the variances)
//! ```
//!
//! With (1−α)(1+ρ) = 1−α̂ the best s gives θ̂ = θ(α̂) and sqrt(β̂₁/θ̂) = ξ(α̂): noise acts like a weaker compressor.
//! It remains to choose ρ: a large ρ lowers the floor, a small one allows a larger step size. We use ρ = α/(2
//! sqrt(1−α)), which is within 2 % of the lowest floor for every α, and gives α̂ = α (1 − sqrt(1−α)/2), between α/2
//! and α: the step size is at most about halved. α is the least of the workers. Weights ∝ L_i ξ_i, which allow EF21 a
//! larger step size if workers differ, cannot be used here: the noise of a worker with ξ_i = 0 would be divided by its
//! weight 0.

use super::contraction::theta;
use super::smoothness::Smoothness;
use crate::options::Objective;
use crate::problem::dataset::Dataset;
use crate::problem::objective::RowNoise;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::method::Method;

/// Returns whether minibatches add noise that the theory of the method does not already include, as that of EF21-SGDM
/// does.
pub fn disturbs(method: Method, batch: Batch) -> bool {
    !batch.is_full() && !method.averages_gradients()
}

/// Returns the effective contraction: α, or α̂ with noise.
pub fn left_of(alpha: f64, method: Method, batch: Batch) -> f64 {
    if disturbs(method, batch) { contraction(alpha) } else { alpha }
}

/// Returns the contraction α̂ of α with noise.
pub fn contraction(alpha: f64) -> f64 {
    alpha * (1.0 - (1.0 - alpha).sqrt() / 2.0)
}

/// Returns β̂₂/θ̂, the factor of the variance in the floor of ‖∇f‖².
pub fn gain(alpha: f64) -> f64 {
    let kept = contraction(alpha);
    (1.0 - kept + 1.0 + 2.0 * (1.0 - alpha).sqrt() / alpha) / theta(kept)
}

/// Returns the variance of a batch of `size` of `row_count` rows, drawn without replacement, relative to that of one
/// row.
pub fn variance(row_count: usize, size: usize) -> f64 {
    match row_count.saturating_sub(size) {
        0 => 0.0,
        left_out => left_out as f64 / (size * (row_count - 1)) as f64,
    }
}

/// Returns the floor of ‖∇f‖² due to noise, for workers with batches of `size` rows and a contraction of at least α, or
/// `None` if the variance of a row is unbounded.
///
/// The slope of a row's margin is at most 1 in logistic regression, so its variance is at most ‖a_j‖²; in softmax
/// regression it is at most 2 (‖a_j‖² + 1).
pub fn floor(
    objective: Objective,
    (dataset, shares): (&Dataset, &[Vec<usize>]),
    smoothness: &Smoothness,
    size: usize,
    alpha: f64,
) -> Option<f64> {
    let bound = match objective.info().row_noise {
        RowNoise::Bounded(bound) => bound,
        RowNoise::GrowsWithLoss | RowNoise::Unknown => return None,
    };
    let noise = shares.iter().enumerate().map(|(worker, share)| {
        let squares: f64 = share.iter().map(|&row| bound(dataset.row(row).norm_squared())).sum();
        let weight = smoothness.inverse_weight(worker);
        weight * variance(share.len(), size) * squares / share.len() as f64
    });
    Some(gain(alpha) * noise.sum::<f64>() / shares.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the factor for another ρ, with the best s.
    fn gain_with(alpha: f64, rho: f64) -> f64 {
        let left = (1.0 - alpha) * (1.0 + rho);
        if left < 1.0 { (left + 1.0 + 1.0 / rho) / theta(1.0 - left) } else { f64::INFINITY }
    }

    #[test]
    fn floor_is_close_to_the_lowest_of_any_rho() {
        for alpha in [1e-3, 0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.999] {
            let chosen = alpha / (2.0 * (1.0f64 - alpha).sqrt());
            assert!((gain_with(alpha, chosen) / gain(alpha) - 1.0).abs() < 1e-9);
            let best = (1..4000).map(|j| gain_with(alpha, chosen * 1.002f64.powi(j - 2000)));
            let best = best.fold(f64::INFINITY, f64::min);
            assert!(gain(alpha) <= 1.02 * best, "α = {alpha}: {} and {best}", gain(alpha));
        }
        assert_eq!((gain(1.0), contraction(1.0)), (1.0, 1.0));
    }

    #[test]
    fn floor_is_the_mean_of_the_bounds_of_rows() {
        let dataset = Dataset::parse("three", "1 1:3 2:4\n0 1:2\n1 1:1 2:-1\n").unwrap();
        let shares = [vec![0, 1], vec![2]];
        let smoothness = Smoothness::new(2.0, vec![3.0, 1.0]);
        let floor = |objective| floor(objective, (&dataset, &shares), &smoothness, 1, 0.25);
        // The second worker has one row and no noise.
        let logistic = gain(0.25) * (2.0 / 3.0 * 29.0 / 2.0) / 2.0;
        assert!((floor(Objective::Logistic).unwrap() / logistic - 1.0).abs() < 1e-12);
        let softmax = gain(0.25) * (2.0 / 3.0 * 31.0) / 2.0;
        assert!((floor(Objective::Softmax).unwrap() / softmax - 1.0).abs() < 1e-12);
        assert_eq!(floor(Objective::LeastSquares), None);
    }

    #[test]
    fn variance_is_zero_for_all_rows_and_one_for_a_single_row() {
        assert_eq!([variance(10, 10), variance(10, 12), variance(1, 1)], [0.0; 3]);
        assert_eq!(variance(10, 1), 1.0);
        assert!((variance(11, 5) - 6.0 / 50.0).abs() < 1e-15);
    }
}
