//! Linear rates of EF21 on strongly convex functions: the part r that a Lyapunov function loses in each round.
//!
//! # The PL theorem of EF21
//!
//! If f is μ-strongly convex it satisfies the PL inequality f − f* ≤ ‖∇f‖²/(2μ). Let w_i be the weights of a theorem,
//! θ_i = θ(p_i α_i), β_i = β(p_i α_i), and κ be c_w for rare features and 1 elsewhere. Then
//!
//! ```text
//! Ψ = f − f* + Σ_i κγ/(2 (θ_i − r)) ‖e_i‖²/(n² w_i)     Ψ^{t+1} ≤ (1 − r) Ψ^t
//! for every r ≤ γμ with   κγ² Σ_i β_i/(θ_i − r) L_i²/(n² w_i) + γL ≤ 1
//! ```
//!
//! With r ≤ θ/2 this is implied by the theorem as it is printed, γ ≤ min{1/(L + √2 L_AM ξ), θ/(2μ)} with r = γμ. The
//! longer γ = 1/(L + L_AM ξ) has r = γ min(μ, θL).
//!
//! # The tight theory of EF21
//!
//! If every f_i is μ-strongly convex, then with s = √(1 − α) and γ = 2/(mean of L_i + μ) · (1 − s)/(1 + s)
//!
//! ```text
//! V = s ‖∇f‖² + Σ_i ‖e_i‖²/(n² v_i),  v_i ∝ L_i + μ     V^{t+1} ≤ (1 − r) V^t
//! 1 − r = s + (1 − s)/2 · τ (τ(1 − s) + √(τ²(1 − s)² + 4s))     τ = the largest of (L_i − μ)/(L_i + μ)
//! ```
//!
//! This is the optimal rate of the paper for equal L_i. docs/theory.md proves it for others by the weights v_i; only
//! that no step has a better rate is empirical for them.

use super::contraction::{beta, theta};

/// A part of the estimators' error in the PL theorem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// κ L_i²/(n² w_i).
    pub square: f64,
    /// p_i α_i
    pub alpha: f64,
}

/// Number of halvings in the search of r.
const HALVINGS: u32 = 60;

/// Returns r by the PL theorem; 0 if γ is too long for a linear rate, or f is not strongly convex (μ = 0).
pub fn polyak_lojasiewicz(gamma: f64, mu: f64, l: f64, parts: &[Part]) -> f64 {
    let least = parts.iter().map(|part| theta(part.alpha)).fold(1.0, f64::min);
    let holds = |r: f64| {
        let error = |part: &Part| match beta(part.alpha) {
            0.0 => 0.0,
            beta => part.square * beta / (theta(part.alpha) - r),
        };
        gamma * gamma * parts.iter().map(error).sum::<f64>() + gamma * l <= 1.0
    };
    let longest = (gamma * mu).min(least);
    if holds(longest) && longest < least {
        return longest;
    }
    let (mut low, mut high) = (0.0, longest);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        *(if holds(middle) { &mut low } else { &mut high }) = middle;
    }
    low
}

/// Returns r by the tight theory for the contraction α, if all functions are μ-strongly convex and the largest of their
/// L_i is `l_max`.
pub fn tight(alpha: f64, l_max: f64, mu: f64) -> f64 {
    let s = (1.0 - alpha).sqrt();
    let tau = (l_max - mu) / (l_max + mu);
    let kept = tau * (1.0 - s);
    // Without strong convexity it is 0, up to rounding.
    (1.0 - s - kept / 2.0 * (kept + (kept * kept + 4.0 * s).sqrt())).max(0.0)
}

/// Returns the number of rounds after which a function that loses the part r in each round is `ratio` times its start.
pub fn rounds(r: f64, ratio: f64) -> f64 {
    (ratio.ln() / (-r).ln_1p()).max(0.0).ceil()
}

#[cfg(test)]
mod tests {
    use super::super::contraction::xi;
    use super::*;
    use nalgebra::{Matrix3, Vector3};
    use proptest::prelude::*;

    /// Returns a vector of coefficients of ∇f, the mean error and the mean deviation of the gradients' movement.
    fn combination(gradient: f64, error: f64, deviation: f64) -> Vector3<f64> {
        Vector3::new(gradient, error, deviation)
    }

    /// Returns the form in the proof of the tight theory: V^{t+1} ≤ (1 − r) V^t if it is not negative. It is the
    /// S-lemma with the multiplier λ, for ‖D_i − (L + μ)/2 · Δ‖ ≤ (L − μ)/2 · ‖Δ‖, Δ the movement of x, D_i that of
    /// ∇f_i.
    fn form(s: f64, gamma: f64, l: f64, mu: f64, r: f64, lambda: f64) -> Matrix3<f64> {
        let square = |v: Vector3<f64>| v * v.transpose();
        let (centre, radius) = ((l + mu) / 2.0, (l - mu) / 2.0);
        let moved = combination(-gamma, -gamma, 0.0);
        let deviation = combination(0.0, 0.0, 1.0);
        let (gradient, error) = (combination(1.0, 0.0, 0.0), combination(0.0, 1.0, 0.0));
        (1.0 - r) * (s * square(gradient) + square(error))
            - s * square(gradient + centre * moved + deviation)
            - s * s * square(centre * moved + deviation - error)
            - lambda * (radius * radius * square(moved) - square(deviation))
    }

    /// Returns the least eigenvalue of the form, maximised over λ, of which it is a concave function.
    fn best_certificate(s: f64, gamma: f64, l: f64, mu: f64, r: f64) -> f64 {
        let of = |lambda: f64| form(s, gamma, l, mu, r, lambda).symmetric_eigenvalues().min();
        let (mut low, mut high) = (0.0, 1e4);
        for _ in 0..200 {
            let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if of(a) < of(b) { low = a } else { high = b }
        }
        of(low)
    }

    fn tight_gamma(s: f64, l: f64, mu: f64) -> f64 {
        2.0 / (l + mu) * (1.0 - s) / (1.0 + s)
    }

    proptest! {
        /// docs/theory.md states the identity: with this λ the form is a square.
        #[test]
        fn tight_rate_has_a_proof_in_closed_form(alpha in 0.001..0.999f64, mu in 0.001..0.9f64) {
            let (s, l) = ((1.0 - alpha).sqrt(), 1.0);
            let r = tight(alpha, l, mu);
            let q = 1.0 - r - s;
            let lambda = s * (1.0 + s) * (1.0 - r) / q;
            let form = form(s, tight_gamma(s, l, mu), l, mu, r, lambda);
            let left = combination(-s, 1.0, 0.0) * (q / (s * (1.0 + s))) + combination(0.0, 0.0, 1.0);
            let square = s * s * (1.0 + s) / q * (left * left.transpose());
            for (found, expected) in form.iter().zip(&square) {
                prop_assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{form} {square}");
            }
            // Differences of the workers from their mean have forms of their own, ((1−r) − s², s²; s², λ − s²).
            let square = s * s;
            prop_assert!((1.0 - r - square) * (lambda - square) >= square * square);
        }

        #[test]
        fn other_steps_do_not_have_the_tight_rate(alpha in 0.05..0.95f64, mu in 0.01..0.6f64) {
            let (s, l) = ((1.0 - alpha).sqrt(), 1.0);
            let r = tight(alpha, l, mu);
            for other in [0.95, 1.05] {
                let bound = best_certificate(s, other * tight_gamma(s, l, mu), l, mu, r);
                prop_assert!(bound < -1e-9, "{other}: {bound:e}");
            }
        }

        #[test]
        fn printed_step_of_the_pl_theorem_has_its_rate(
            alpha in 0.01..1.0f64,
            l_am in 1.0..9.0f64,
            mu in 0.001..1.0f64,
        ) {
            let (l, parts) = (1.0, [Part { square: l_am * l_am, alpha }]);
            let gamma = (1.0 / (l + 2f64.sqrt() * l_am * xi(alpha))).min(theta(alpha) / (2.0 * mu));
            prop_assert_eq!(polyak_lojasiewicz(gamma, mu, l, &parts), gamma * mu);
            // The longer step of Theorem 3, in closed form.
            let gamma = 1.0 / (l + l_am * xi(alpha));
            let expected = gamma * mu.min(theta(alpha) * l);
            let found = polyak_lojasiewicz(gamma, mu, l, &parts);
            prop_assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn no_rate_without_strong_convexity_or_with_a_long_step() {
        let parts = [Part { square: 4.0, alpha: 0.5 }];
        assert_eq!(polyak_lojasiewicz(0.1, 0.0, 1.0, &parts), 0.0);
        assert_eq!(polyak_lojasiewicz(0.9, 0.1, 1.0, &parts), 0.0);
        assert!(tight(0.5, 1.0, 0.0).abs() < 1e-15);
        assert!((tight(1.0, 3.0, 1.0) - 0.75).abs() < 1e-15, "gradient descent: 1 − (1/2)²");
        assert_eq!(rounds(0.5, 0.25), 2.0);
        assert_eq!((rounds(0.5, 2.0), rounds(0.0, 0.5)), (0.0, f64::INFINITY));
    }
}
