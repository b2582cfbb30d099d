//! Minibatches in theory: EF21-SGD and EF21-W-SGD.
//!
//! Where worker i compresses an unbiased estimate of ∇f_i(x) with variance σ_i², and w_i = L_i / Σ L_j, for any s, ρ > 0 with
//! θ̂ > 0
//!
//! ```text
//! E G^{t+1} ≤ (1 − θ̂) G^t + β̂₁ L_AM² E‖x^{t+1} − x^t‖² + β̂₂ Σ_i σ_i²/(n² w_i)
//! θ̂ = 1 − (1−α)(1+ρ)(1+s)     β̂₁ = (1−α)(1+ρ)(1+1/s)     β̂₂ = (1−α)(1+ρ) + 1 + 1/ρ
//! γ ≤ 1/(L + L_AM sqrt(β̂₁/θ̂))     κ = γ Ã β̂₂/θ̂ < 1     floor of ‖∇f‖²: β̂₂/θ̂ · (the mean of the variances)
//! ```
//!
//! With (1−α)(1+ρ) = 1−α̂ the best s makes θ̂ = θ(α̂) and sqrt(β̂₁/θ̂) = ξ(α̂): noise makes a weaker compressor. What
//! is left is ρ. A large one keeps noise out, a small one allows a longer step. We take ρ = α/(2 sqrt(1−α)), which is within
//! 2 % of the lowest floor for every α, and α̂ = α (1 − sqrt(1−α)/2), between α/2 and α: at most about half the step.
//! α is the least of the workers. Weights ∝ L_i ξ_i, which allow EF21 a longer step where workers differ, do not serve here:
//! the noise of a worker with ξ_i = 0 is divided by its weight, which is 0.

use super::contraction::theta;
use super::smoothness::Smoothness;
use crate::options::Objective;
use crate::problem::dataset::Dataset;
use crate::problem::objective::RowNoise;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::method::Method;

/// Whether there is noise in what workers compress that theory has not counted with: that of EF21-SGDM has.
pub fn disturbs(method: Method, batch: Batch) -> bool {
    !batch.is_full() && !method.averages_gradients()
}

/// What is left of a contraction α: all of it, or α̂ where there is noise.
pub fn left_of(alpha: f64, method: Method, batch: Batch) -> f64 {
    if disturbs(method, batch) { contraction(alpha) } else { alpha }
}

/// The contraction α̂ that is left of α beside noise.
pub fn contraction(alpha: f64) -> f64 {
    alpha * (1.0 - (1.0 - alpha).sqrt() / 2.0)
}

/// β̂₂/θ̂: what the variance of the gradients is multiplied with in the floor that ‖∇f‖² does not leave.
pub fn gain(alpha: f64) -> f64 {
    let kept = contraction(alpha);
    (1.0 - kept + 1.0 + 2.0 * (1.0 - alpha).sqrt() / alpha) / theta(kept)
}

/// What `size` of `row_count` rows, drawn without repetition, leave of the variance of one.
pub fn variance(row_count: usize, size: usize) -> f64 {
    match row_count.saturating_sub(size) {
        0 => 0.0,
        left_out => left_out as f64 / (size * (row_count - 1)) as f64,
    }
}

/// The largest ‖∇f‖² that noise alone can keep up, for workers that look at `size` of their rows and have a contraction of
/// at least α; none where the variance of a row has no bound.
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
    let bound = match objective.row_noise() {
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

    /// The floor for another ρ, with the best s.
    fn gain_with(alpha: f64, rho: f64) -> f64 {
        let left = (1.0 - alpha) * (1.0 + rho);
        if left < 1.0 { (left + 1.0 + 1.0 / rho) / theta(1.0 - left) } else { f64::INFINITY }
    }

    #[test]
    fn no_rho_has_a_floor_that_is_much_lower() {
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
    fn the_floor_is_the_mean_of_the_bounds_of_rows() {
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
    fn all_rows_have_no_variance_and_one_has_its_own() {
        assert_eq!([variance(10, 10), variance(10, 12), variance(1, 1)], [0.0; 3]);
        assert_eq!(variance(10, 1), 1.0);
        assert!((variance(11, 5) - 6.0 / 50.0).abs() < 1e-15);
    }
}
