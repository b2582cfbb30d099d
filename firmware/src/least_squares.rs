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
use crate::columns::{self, Slopes, bits};
use crate::curvature::{Bias, CurvatureRequest, mean_curvature};
use crate::data::Data;
use crate::fixed_point::{mean_factor, scale_u128};
use crate::objective::{Evaluation, Objective};
use crate::rows::{self, Precision, RowLoss};
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::{Ratio, round_shift};

/// Least squares on a [shard](smidgen_protocol::shard) of rows, with their labels as targets.
///
/// # Accuracy
/// Let `top` be the largest product of scale and weight of any column, and `one` the stored value whose product keeps
/// one bit: 1, or 2^16 for features of 32 bits. A residual is within 2^-30 of the largest residual, plus 2^-30 of `top`
/// times the sum of `one` and the magnitudes of the row's stored values, since the products of all columns and the
/// target are rounded to one exponent. The gradient is rounded as in [`Logistic`](crate::logistic::Logistic).
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastSquares;

/// Bits of a target at the exponent of margins, so that the difference from a margin stays below 2^63.
pub(crate) const TARGET_BITS: i32 = 61;
/// Bits of a residual before rounding, which may carry into one more.
const RESIDUAL_BITS_MAX: u32 = 30;

impl Objective for LeastSquares {
    const NAME: &'static str = "least-squares";

    /// One i64 per column, for the sum of its residuals.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        rows::open(data).is_some_and(|shard| shard.header.dimension as usize == dimension)
    }

    fn evaluate(&mut self, request: Evaluation<'_>) -> i64 {
        let Some(shard) = request.data.shard() else { return 0 };
        let exponent_max = target_exponent_max(&shard, request.rows);
        mean_squares(request, &shard, exponent_max, |exponent| Errors { shard: &shard, exponent })
    }

    /// The second derivative of the square is 2.
    fn curvature(rows: CurvatureRequest<'_>) -> Option<Bound> {
        Some(mean_curvature(rows, Bias::None)?.shifted(1))
    }
}

/// The error of a row, whose square is its loss.
pub(crate) trait RowError: Copy {
    /// Fraction bits of margins and errors.
    fn exponent(&self) -> i32;

    /// The error of a row with margin aᵀx.
    fn at(&self, row: usize, margin: i64) -> i64;
}

/// The mean of the squared errors of the rows, and its gradient. `errors` makes them for the fraction bits of margins,
/// which are at most `exponent_max`.
pub(crate) fn mean_squares<E: RowError>(
    mut request: Evaluation<'_>,
    shard: &Shard<'_>,
    exponent_max: i32,
    errors: impl FnOnce(i32) -> E,
) -> i64 {
    let scale = |k| shard.scale(k);
    let row_count = request.rows.count(shard.header.rows);
    let Precision { dropped, residual_bits, sum_bits, .. } =
        Precision::new(&shard.header, row_count);
    let sums = request.take_scratch();
    let exponent_max = exponent_max.saturating_add(dropped);
    let exponent =
        columns::scale(request.x, request.x_exponent, scale, exponent_max, request.gradient);
    let errors = errors(exponent - dropped);
    let mut peak = Peak { errors, magnitude: 0 };
    rows::pass(shard, request.rows, request.gradient, sums, &mut peak);
    // All residuals drop the same bits, so that their sums by column share one exponent.
    let excess = u64::BITS - peak.magnitude.leading_zeros();
    let shift = excess.saturating_sub(residual_bits.min(RESIDUAL_BITS_MAX)) as i32;
    let mut residuals = Residuals { errors, shift, squares: 0 };
    rows::pass(shard, request.rows, request.gradient, sums, &mut residuals);
    let exponent = errors.exponent() - shift;
    let mean = mean_factor(row_count);
    // The factor 2 of the derivative goes into the exponent, where it costs no precision.
    let twice_mean = Ratio { exponent: mean.exponent - 1, ..mean };
    let slopes = Slopes::new(sum_bits, exponent - dropped, twice_mean);
    let penalty = columns::fill_gradient(&mut request, sums, |k, sum| slopes.at(sum, scale(k)));
    scale_u128(mean, residuals.squares, 2 * exponent, request.loss_exponent).saturating_add(penalty)
}

/// Largest exponent at which every target of the rows has at most [`TARGET_BITS`] bits.
fn target_exponent_max(shard: &Shard<'_>, rows: Selection) -> i32 {
    let rows = shard.runs(rows).flatten();
    let label_bits = rows.map(|row| bits(shard.label(row as usize))).max().unwrap_or(0);
    let Ratio { mantissa, exponent } = shard.label_scale();
    TARGET_BITS - label_bits - bits(mantissa) + i32::from(exponent)
}

/// Differences of margins and targets.
#[derive(Clone, Copy)]
struct Errors<'a> {
    shard: &'a Shard<'a>,
    exponent: i32,
}

impl RowError for Errors<'_> {
    fn exponent(&self) -> i32 {
        self.exponent
    }

    /// aᵀx − b.
    fn at(&self, row: usize, margin: i64) -> i64 {
        let target = i64::from(self.shard.label(row));
        margin - self.shard.label_scale().scale(target, -self.exponent)
    }
}

/// Finds the largest error. Its residuals are 0, so the pass changes no sum.
struct Peak<E> {
    errors: E,
    magnitude: u64,
}

impl<E: RowError> RowLoss for Peak<E> {
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        for (row, margin) in (first..).zip(margins) {
            self.magnitude = self.magnitude.max(self.errors.at(row, *margin).unsigned_abs());
            // Zero residuals leave the sums untouched in this pass.
            *margin = 0;
        }
    }
}

/// Rounds errors to residuals and accumulates their squares.
struct Residuals<E> {
    errors: E,
    /// Low bits dropped from an error.
    shift: i32,
    squares: u128,
}

impl<E: RowError> RowLoss for Residuals<E> {
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        for (row, margin) in (first..).zip(margins) {
            *margin = round_shift(self.errors.at(row, *margin), self.shift);
            self.squares += u128::from(margin.unsigned_abs().pow(2));
        }
    }
}
