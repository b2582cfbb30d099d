//! Logistic regression, the objective of the EF21 papers, in fixed point.
//!
//! ```text
//! f_i(x) = (1/n_i) Σ_j log(1 + exp(−y_j a_jᵀx)) + regulariser
//! ∇f_i(x) = (1/n_i) Σ_j −y_j σ(−y_j a_jᵀx) a_j + its slope
//! ```
//!
//! An evaluation passes over the columns, over the rows, and over the columns again:
//!
//! ```text
//! columns ─ x_k scale_k                one exponent for all, stored in place of the gradient
//!    rows ─ margin, residual           i64 sums; residual * value is summed by column in the scratch
//! columns ─ sum_k scale_k / n_i + regulariser, rounded once to the gradient's exponent
//! ```
//!
//! All sums are of integers, so the result depends neither on the order of the rows nor on the machine.

mod residual;

use crate::bound::Bound;
use crate::classes;
use crate::columns::{self, Slopes};
use crate::curvature::{Bias, CurvatureRequest, mean_curvature};
use crate::data::Data;
use crate::fixed_point::{mean_factor, scale_u128};
use crate::objective::{Classes, Classification, Evaluation, Objective};
use crate::rows::{self, Precision};
use crate::sigmoid;
use residual::Residuals;
use smidgen_protocol::vector::Ratio;

/// Logistic regression on a [shard](smidgen_protocol::shard) of rows in two classes.
///
/// # Accuracy
/// A coordinate of the gradient is within half a unit plus 2^-28 of the largest intermediate quantity: the residual (at
/// most 1) times the largest feature of the column, or the slope of the regulariser. A margin is within 2^-30 of its
/// largest term, times the number of entries of the row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logistic;

impl Objective for Logistic {
    const NAME: &'static str = "logistic";

    /// One i64 per column, for the sum of its residuals.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        rows::open(data).is_some_and(|shard| {
            shard.header.dimension as usize == dimension && shard.header.classes == 2
        })
    }

    fn evaluate(&mut self, mut request: Evaluation<'_>) -> i64 {
        let Some(shard) = request.data.shard() else { return 0 };
        let row_count = request.rows.count(shard.header.rows);
        let scale = |k| shard.scale(k);
        let sums = request.take_scratch();
        // The scaled model is stored in place of the gradient, which is not needed before the pass is over.
        let exponent =
            columns::scale(request.x, request.x_exponent, scale, i32::MAX, request.gradient);
        let Precision { dropped, residual_bits, sum_bits, .. } =
            Precision::new(&shard.header, row_count);
        let margin_exponent = exponent - dropped;
        let mut residuals = Residuals::new(&shard, margin_exponent, residual_bits);
        rows::pass(&shard, request.rows, request.gradient, sums, &mut residuals);
        let mean = mean_factor(row_count);
        let slopes = Slopes::new(sum_bits, residual_bits as i32 - dropped, mean);
        let penalty = columns::fill_gradient(&mut request, sums, |k, sum| slopes.at(sum, scale(k)));
        loss(&residuals, mean, margin_exponent, request.loss_exponent).saturating_add(penalty)
    }

    /// The second derivative σ(1 − σ) is at most 1/4.
    fn curvature(rows: CurvatureRequest<'_>) -> Option<Bound> {
        Some(mean_curvature(rows, Bias::None)?.shifted(-2))
    }

    fn classify(request: Classification<'_>) -> Option<Classes> {
        Some(classes::linear(request))
    }
}

/// Mean loss of the rows.
fn loss(residuals: &Residuals, mean: Ratio, margin_exponent: i32, exponent: i8) -> i64 {
    let Residuals { soft_loss, hard_loss, .. } = *residuals;
    let soft = scale_u128(mean, soft_loss.into(), sigmoid::EXPONENT as i32, exponent);
    let hard = scale_u128(mean, hard_loss, margin_exponent, exponent);
    soft.saturating_add(hard)
}

#[cfg(test)]
mod tests;
