//! Least squares in fixed point.
//!
//! ```text
//! f_i(x) = (1/n_i) ‖A_i x − b_i‖² + regulariser
//! ∇f_i(x) = (2/n_i) A_iᵀ(A_i x − b_i) + its slope
//! ```
//!
//! It is evaluated as [logistic regression](crate::logistic), except that residuals are unbounded: a first pass finds
//! the largest, and a second rounds all residuals to the bits that fit beside it.

#[cfg(test)]
mod tests;

use crate::bound::Bound;
use crate::margin::{Margin, MarginLoss, Targets};

/// Least squares on a [shard](smidgen_protocol::shard) of rows, with their labels as targets.
///
/// # Accuracy
/// Let `top` be the largest product of scale and weight of any column, and `one` the stored value whose product keeps
/// one bit: 1, or 2^16 for features of 32 bits. A residual is within 2^-30 of the largest residual, plus 2^-30 of `top`
/// times the sum of `one` and the magnitudes of the row's stored values, since the products of all columns and the
/// target are rounded to one exponent. The gradient is rounded as in [`Logistic`](crate::logistic::Logistic).
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastSquares {
    /// Fraction bits of margins.
    exponent: i32,
}

impl MarginLoss for LeastSquares {
    const NAME: &'static str = "least-squares";
    const TARGETS: Targets = Targets::Labels;

    fn new(exponent: i32) -> Self {
        Self { exponent }
    }

    /// The factor 2 of the derivative goes into the exponent, where it costs no precision.
    fn slope_exponent(&self) -> i32 {
        self.exponent - 1
    }

    /// aᵀx − b
    #[inline(always)]
    fn slope(&self, Margin { margin, target, .. }: Margin) -> i64 {
        margin - target
    }

    fn loss_exponent(&self, dropped: i32) -> i32 {
        2 * (self.exponent - dropped)
    }

    #[inline(always)]
    fn loss(&self, _at: Margin, rounded: i64) -> u64 {
        rounded.unsigned_abs().pow(2)
    }

    /// The second derivative of the square.
    fn curvature() -> Option<Bound> {
        Some(Bound::new(2, 0))
    }
}
