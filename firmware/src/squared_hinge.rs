//! The squared hinge, the loss of a linear support vector machine, in fixed point.
//!
//! ```text
//! f_i(x) = (1/n_i) Σ_j max(0, 1 − y_j a_jᵀx)² + regulariser
//! ∇f_i(x) = (2/n_i) Σ_j −y_j max(0, 1 − y_j a_jᵀx) a_j + its slope
//! ```
//!
//! With y = ±1, max(0, 1 − y aᵀx)² is (aᵀx − y)² where aᵀx falls short of y on its side, and 0 elsewhere. So it is
//! evaluated as [least squares](crate::least_squares) with the targets y, whose errors are 0 beyond them.

#[cfg(test)]
mod tests;

use crate::bound::Bound;
use crate::margin::{Margin, MarginLoss, Targets};

/// The squared hinge on a [shard](smidgen_protocol::shard) of rows in two classes.
///
/// # Accuracy
/// As that of [`LeastSquares`](crate::least_squares::LeastSquares) with the targets ±1.
#[derive(Clone, Copy, Debug, Default)]
pub struct SquaredHinge {
    /// Fraction bits of margins.
    exponent: i32,
}

impl MarginLoss for SquaredHinge {
    const NAME: &'static str = "svm";
    const TARGETS: Targets = Targets::Signs;

    fn new(exponent: i32) -> Self {
        Self { exponent }
    }

    /// As for least squares.
    fn slope_exponent(&self) -> i32 {
        self.exponent - 1
    }

    /// aᵀx − y where y aᵀx < 1, else 0.
    #[inline(always)]
    fn slope(&self, Margin { margin, side, target }: Margin) -> i64 {
        if side > 0 { (margin - target).min(0) } else { (margin - target).max(0) }
    }

    fn loss_exponent(&self, dropped: i32) -> i32 {
        2 * (self.exponent - dropped)
    }

    #[inline(always)]
    fn loss(&self, _at: Margin, rounded: i64) -> u64 {
        rounded.unsigned_abs().pow(2)
    }

    /// The second derivative is 2 on one side of the target and 0 on the other.
    fn curvature() -> Option<Bound> {
        Some(Bound::new(2, 0))
    }
}
