//! The formulas of step sizes: γ of each theorem.

use super::contraction::{beta, theta, xi};
use super::theorem::Theorem;

/// The inputs of the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// L of f.
    pub l: f64,
    /// The mean of the L_i that limits the step size.
    pub mean: f64,
    /// The term that compression adds to L.
    pub error: f64,
    /// The least contraction of the workers.
    pub alpha: f64,
    /// The contraction reduced by the noise of minibatches.
    pub left: f64,
    /// The bound on ‖C(v)‖²/‖v‖².
    pub growth: f64,
    /// μ, if every f_i is convex: all of them are μ-strongly convex.
    pub mu: Option<f64>,
    /// η
    pub eta: f64,
    /// Contraction and growth of the compressor of the downlink, if it has one.
    pub down: Option<(f64, f64)>,
    /// The term that compression adds to L with rare features, if they are counted.
    pub rare_error: Option<f64>,
}

impl Theorem {
    /// Returns γ, or `None` if the theorem needs a number that the run does not have.
    pub fn gamma(self, terms: &Terms) -> Option<f64> {
        let Terms { l, mean, error, alpha, left, growth, mu, eta, down, rare_error } = *terms;
        Some(match self {
            Self::Descent
            | Self::Ef21
            | Self::Plus
            | Self::Reloaded1
            | Self::Reloaded2
            | Self::Reloaded3
            | Self::Unequal
            | Self::Sgd => 1.0 / (l + error),
            Self::Root => root(l, error),
            Self::Rare => 1.0 / (l + rare_error?),
            Self::Tight => tight(mean + mu?, left),
            Self::HeavyBall => heavy_ball(l, error, eta),
            // The theorem's inequality is strict.
            Self::Prox => 0.999 / (l / 2.0 + error),
            Self::Sgdm => (alpha / (20.0 * mean)).min(eta / (7.0 * l)),
            Self::ModelDown => {
                let (down, growth) = down?;
                1.0 / (l + model_shift(l, error, xi(down), growth))
            }
            Self::SumDown => {
                let (down, _) = down?;
                1.0 / (l + mean * both_links(left, down, growth))
            }
        })
    }
}

/// Returns the exact root of a γ² + b γ = 1 with sqrt(a) = `error` and b = L: up to 1.25 times 1/(L + error).
fn root(l: f64, error: f64) -> f64 {
    2.0 / (l + (l * l + 4.0 * error * error).sqrt())
}

/// Returns the step size 2/(mean of L_i + μ_i) · (1 − s)/(1 + s), s = sqrt(1 − α).
fn tight(mean: f64, alpha: f64) -> f64 {
    2.0 / mean * theta(alpha) / (1.0 + (1.0 - alpha).sqrt())
}

/// Returns the step size of EF21-HB: 1/((1+η)L/(1−η)² + error/(1−η)).
fn heavy_ball(l: f64, error: f64, eta: f64) -> f64 {
    1.0 / ((1.0 + eta) * l / (1.0 - eta).powi(2) + error / (1.0 - eta))
}

/// Returns the error term of EF21 with EF21-P: sqrt(4 c ξ² L_AM² (1 + ξ_P²) + 2 ξ_P² L²), c the growth of the downlink.
fn model_shift(l: f64, error: f64, xi_down: f64, growth: f64) -> f64 {
    let squared = xi_down * xi_down;
    (4.0 * growth * error * error * (1.0 + squared) + 2.0 * squared * l * l).sqrt()
}

/// Returns ξ of EF21-BC: sqrt(4 c β_M/θ_M + (2 β/θ)(1 + 2 c β_M/θ_M)), c the growth of the uplink.
fn both_links(alpha: f64, alpha_down: f64, growth: f64) -> f64 {
    let ratio = |alpha: f64| beta(alpha) / theta(alpha);
    let down = growth * ratio(alpha_down);
    (4.0 * down + 2.0 * ratio(alpha) * (1.0 + 2.0 * down)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-5
    }

    #[test]
    fn special_cases_equal_the_plain_step() {
        let (l, error) = (2.0, 5.0);
        assert!(close(heavy_ball(l, error, 0.0), 1.0 / 7.0));
        assert!(root(l, error) > 1.0 / 7.0 && root(l, error) < 1.25 / 7.0);
        assert!(close(root(l, 0.0), 1.0 / l));
        assert!(close(tight(l + 0.5, 1.0), 2.0 / (l + 0.5)), "of gradient descent");
        assert!(close(model_shift(l, error, 0.0, 1.0), 2.0 * error));
        assert!(close(both_links(0.5, 1.0, 1.0), 2f64.sqrt() * xi(0.5)));
    }
}
