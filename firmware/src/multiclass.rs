//! Cross-entropy of a softmax over several classes, and its slopes.
//!
//! ```text
//! p_c = e^(s_c − max s) / Σ     loss = log Σ + max s − s_label     ∂loss/∂s_c = p_c − [c = label]
//! ```
//!
//! Two classes with equal scores have the probability 1/2 each, so the loss is log 2:
//!
//! ```
//! use smidgen_firmware::multiclass::{CrossEntropy, SLOPE_BITS};
//! use smidgen_protocol::vector::Ratio;
//!
//! let (mut entropy, mut scores) = (CrossEntropy::new(20), [5 << 20, 5 << 20]);
//! entropy.slopes(&mut scores, 1);
//! let half = 1 << (SLOPE_BITS - 1);
//! assert!((scores[0] - half).abs() < 16 && (scores[1] + half).abs() < 16);
//! let loss = entropy.loss(Ratio::ONE, 30) as f64 / 2f64.powi(30);
//! assert!((loss - 2f64.ln()).abs() < 1e-8);
//! ```

use crate::exponential::{EXPONENT, Exponential, log};
use crate::fixed_point::{reciprocal, scale_u128};
use smidgen_protocol::vector::Ratio;

/// Maximum number of classes; a row's scores are on the stack.
pub const CLASSES_MAX: usize = 64;

/// Fraction bits of a slope, and its bits besides the sign.
pub const SLOPE_BITS: u32 = 30;

/// Converts scores to slopes and accumulates losses.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    exponential: Exponential,
    score_exponent: i32,
    /// Accumulated log Σ, with [`EXPONENT`] fraction bits.
    soft_loss: u128,
    /// Accumulated max s − s_label, with the fraction bits of scores.
    hard_loss: u128,
}

impl CrossEntropy {
    /// For scores with the given exponent.
    pub fn new(score_exponent: i32) -> Self {
        let exponential = Exponential::new(score_exponent);
        Self { exponential, score_exponent, soft_loss: 0, hard_loss: 0 }
    }

    /// Replaces the scores of a row, below 2^62, by slopes of [`SLOPE_BITS`] bits.
    pub fn slopes(&mut self, scores: &mut [i64], label: usize) {
        // Relative to the largest score every power is at most 1, and none overflows.
        let max = scores.iter().copied().max().unwrap_or(0);
        let score = scores.get(label).copied().unwrap_or(max);
        self.hard_loss += u128::from(max.abs_diff(score));
        let mut sum = 0;
        for score in &mut *scores {
            let power = self.exponential.at(max.saturating_sub(*score));
            *score = power.into();
            sum += u64::from(power);
        }
        self.soft_loss += u128::from(log(sum));
        // The largest power is 1, so the sum has at least 32 bits.
        let excess = u64::BITS - sum.leading_zeros() - 32;
        let inverse = reciprocal((sum >> excess) as u32);
        for (class, score) in scores.iter_mut().enumerate() {
            // A power of 32 bits times an inverse of 32 bits fits 64.
            let share = ((*score as u64 * inverse) >> (33 + excess)) as i64;
            *score = share - (i64::from(class == label) << SLOPE_BITS);
        }
    }

    /// Mean loss, given the factor of the mean.
    pub fn loss(&self, mean: Ratio, exponent: i8) -> i64 {
        let soft = scale_u128(mean, self.soft_loss, EXPONENT as i32, exponent);
        let hard = scale_u128(mean, self.hard_loss, self.score_exponent, exponent);
        soft.saturating_add(hard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slopes_and_loss_match_f64(
            scores in prop::collection::vec(-40.0..40.0f64, 2..=CLASSES_MAX),
            label: prop::sample::Index,
        ) {
            let label = label.index(scores.len());
            let unit = 40f64.exp2();
            let mut found: Vec<_> = scores.iter().map(|score| (score * unit) as i64).collect();
            let mut entropy = CrossEntropy::new(40);
            entropy.slopes(&mut found, label);
            let sum: f64 = scores.iter().map(|score| score.exp()).sum();
            for (class, (&found, score)) in found.iter().zip(&scores).enumerate() {
                let exact = score.exp() / sum - f64::from(u8::from(class == label));
                let error = found as f64 / f64::from(SLOPE_BITS).exp2() - exact;
                prop_assert!(error.abs() <= 2f64.powi(-26), "{class}: {error:e}");
            }
            let loss = entropy.loss(Ratio::ONE, 40) as f64 / unit;
            prop_assert!((loss - (sum.ln() - scores[label])).abs() <= 2f64.powi(-26));
        }
    }

    #[test]
    fn extreme_scores_do_not_overflow() {
        for exponent in [-500, 0, 31, 62, 500] {
            let mut scores = [1 << 62, -(1 << 62), 0];
            CrossEntropy::new(exponent).slopes(&mut scores, 1);
            let total: i64 = scores.iter().sum();
            assert!(total.abs() <= 4 && scores.iter().all(|s| s.abs() <= 1 << SLOPE_BITS));
        }
    }
}
