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
use crate::classes;
use crate::curvature::{Bias, CurvatureRequest, mean_curvature};
use crate::data::Data;
use crate::least_squares::{RowError, TARGET_BITS, mean_squares};
use crate::objective::{Classes, Classification, Evaluation, Objective};
use crate::rows;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::round_shift;

/// The squared hinge on a [shard](smidgen_protocol::shard) of rows in two classes.
///
/// # Accuracy
/// As that of [`LeastSquares`](crate::least_squares::LeastSquares) with the targets ±1.
#[derive(Clone, Copy, Debug, Default)]
pub struct SquaredHinge;

impl Objective for SquaredHinge {
    const NAME: &'static str = "svm";

    /// One i64 per column, for the sum of its residuals.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        rows::open(data).is_some_and(|shard| {
            shard.header.dimension as usize == dimension && shard.header.classes == 2
        })
    }

    fn evaluate(&mut self, request: Evaluation<'_>) -> i64 {
        let Some(shard) = request.data.shard() else { return 0 };
        // A target of 1 has one bit more than its fraction.
        mean_squares(request, &shard, TARGET_BITS - 1, |exponent| Shortfalls {
            shard: &shard,
            exponent,
            // A coarse grid rounds a target to 0.
            target: round_shift(1, -exponent),
        })
    }

    /// The second derivative is 2 on one side of the target and 0 on the other.
    fn curvature(rows: CurvatureRequest<'_>) -> Option<Bound> {
        Some(mean_curvature(rows, Bias::None)?.shifted(1))
    }

    fn classify(request: Classification<'_>) -> Option<Classes> {
        Some(classes::linear(request))
    }
}

/// How far margins fall short of their targets.
#[derive(Clone, Copy)]
struct Shortfalls<'a> {
    shard: &'a Shard<'a>,
    exponent: i32,
    /// 1 with the fraction bits of margins.
    target: i64,
}

impl RowError for Shortfalls<'_> {
    fn exponent(&self) -> i32 {
        self.exponent
    }

    /// aᵀx − y where y aᵀx < 1, else 0.
    fn at(&self, row: usize, margin: i64) -> i64 {
        if self.shard.label(row) > 0 {
            (margin - self.target).min(0)
        } else {
            (margin + self.target).max(0)
        }
    }
}
