//! Softmax regression, also called multinomial logistic regression, in fixed point.
//!
//! ```text
//! s_jc = w_cᵀa_j + b_c        f_i(x) = (1/n_i) Σ_j cross-entropy of s_j + regulariser
//! x = (w_1, b_1, …, w_C, b_C)
//! ```
//!
//! It is evaluated as [logistic regression](crate::logistic), with one margin of a row per class.

#[cfg(test)]
mod tests;

use crate::bound::Bound;
use crate::classes;
use crate::columns::{self, Slopes};
use crate::curvature::{Bias, CurvatureRequest, mean_curvature};
use crate::data::Data;
use crate::fixed_point::mean_factor;
pub use crate::multiclass::CLASSES_MAX;
use crate::multiclass::{CrossEntropy, SLOPE_BITS};
use crate::objective::{Classes, Classification, Evaluation, Objective};
use crate::rows::{self, Precision, RowLoss};
use smidgen_protocol::shard::Shard;

/// Softmax regression with biases on a [shard](smidgen_protocol::shard) of rows in up to 64 classes:
/// d = C (p + 1) for C classes and p features.
///
/// # Accuracy
/// Slopes are within 2^-26, in addition to the effect of the error of margins; see
/// [`Logistic`](crate::logistic::Logistic).
#[derive(Clone, Copy, Debug, Default)]
pub struct Softmax;

impl Objective for Softmax {
    const NAME: &'static str = "softmax";

    /// One i64 per coordinate, for the sum of its slopes.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        rows::open(data).is_some_and(|shard| {
            let (features, classes) =
                (shard.header.dimension as usize, shard.header.classes.into());
            (2..=CLASSES_MAX).contains(&classes) && dimension == classes * (features + 1)
        })
    }

    fn evaluate(&mut self, mut request: Evaluation<'_>) -> i64 {
        let Some(shard) = request.data.shard() else { return 0 };
        let row_count = request.rows.count(shard.header.rows);
        let precision = Precision::new(&shard.header, row_count);
        let scale = |k| precision.scale(&shard, k);
        let sums = request.take_scratch();
        let exponent =
            columns::scale(request.x, request.x_exponent, scale, i32::MAX, request.gradient);
        let entropy = CrossEntropy::new(exponent - precision.dropped);
        // With many rows a residual has fewer bits than a slope, so that the sums fit.
        let dropped = SLOPE_BITS.saturating_sub(precision.residual_bits);
        let mut residuals = Residuals { shard: &shard, entropy, dropped };
        rows::pass_units(&shard, request.rows, request.gradient, sums, &mut residuals);
        let mean = mean_factor(row_count);
        let sum_exponent = (SLOPE_BITS - dropped) as i32 - precision.dropped;
        let slopes = Slopes::new(precision.sum_bits, sum_exponent, mean);
        let loss = residuals.entropy.loss(mean, request.loss_exponent);
        let penalty = columns::fill_gradient(&mut request, sums, |k, sum| slopes.at(sum, scale(k)));
        loss.saturating_add(penalty)
    }

    /// The eigenvalues of diag(p) − ppᵀ are at most 1/2 (Böhning 1992).
    fn curvature(rows: CurvatureRequest<'_>) -> Option<Bound> {
        Some(mean_curvature(rows, Bias::One)?.shifted(-1))
    }

    fn classify(request: Classification<'_>) -> Option<Classes> {
        Some(classes::units(request))
    }
}

/// Converts scores to residuals.
struct Residuals<'a> {
    shard: &'a Shard<'a>,
    entropy: CrossEntropy,
    /// Low bits dropped from a slope.
    dropped: u32,
}

impl RowLoss for Residuals<'_> {
    fn residuals(&mut self, row: usize, scores: &mut [i64]) {
        self.entropy.slopes(scores, self.shard.label(row) as usize);
        scores.iter_mut().for_each(|slope| *slope >>= self.dropped);
    }
}
