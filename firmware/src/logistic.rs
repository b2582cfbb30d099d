//! Logistic regression with a nonconvex regulariser, the objective of the EF21 papers, in fixed point.
//!
//! ```text
//! f_i(x) = (1/n_i) Σ_j log(1 + exp(−y_j a_jᵀx)) + λ Σ_k x_k²/(1 + x_k²)
//! ∇f_i(x) = (1/n_i) Σ_j −y_j σ(−y_j a_jᵀx) a_j + 2λ x/(1 + x²)²
//! ```
//!
//! An evaluation is one pass over the rows, between two over the columns:
//!
//! ```text
//! columns ─ x_k scale_k                one exponent for all, kept where the gradient will be
//!    rows ─ margin, residual           i64 sums; residual * value summed by column in the scratch
//! columns ─ sum_k scale_k / n_i + regulariser, rounded once to the gradient's grid
//! ```
//!
//! Every sum is of integers: the bits depend neither on the order of the rows nor on the machine.

mod columns;
mod regulariser;
mod residual;
mod rows;
mod sigmoid;
#[cfg(test)]
mod tests;
mod value;

use crate::objective::{Evaluation, Objective};
use columns::Slopes;
use regulariser::Regulariser;
use rows::Fit;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::{Ratio, round_shift, saturate};

/// Logistic regression with the regulariser λ Σ x²/(1 + x²), on a [shard](smidgen_protocol::shard) of rows.
///
/// # Accuracy
/// A coordinate of the gradient is within half a unit of its grid plus 2^-28 of the largest quantity on the way:
/// the residual (at most 1) times the largest feature of the column, or the regulariser's slope. Margins are
/// within 2^-30 of their largest term, times the number of entries of the row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logistic;

/// The largest dimension: a margin of as many products of 46 bits stays below 2^62.
const DIMENSION_MAX: usize = 1 << 16;
/// The largest number of rows: as many losses of 32 bits stay below 2^63.
const ROWS_MAX: u32 = 1 << 31;
/// Bits below the gradient's grid that its two terms keep until they are added and rounded.
const GUARD_BITS: i32 = 16;

impl Objective for Logistic {
    const NAME: &'static str = "logistic";

    /// One i64 a column: the sum of its residuals.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: &[u8], dimension: usize) -> bool {
        Shard::open(data).is_ok_and(|shard| {
            (1..=DIMENSION_MAX).contains(&dimension)
                && shard.header.dimension as usize == dimension
                && (1..=ROWS_MAX).contains(&shard.header.rows)
                && shard.check().is_ok()
                && rows::ascending(&shard)
        })
    }

    fn evaluate(&mut self, at: Evaluation<'_>) -> i64 {
        let shard = Shard::open(at.data).expect("data that passed the check");
        let sums = &mut at.scratch[..at.x.len()];
        let model = columns::scale(&shard, at.x, at.x_exponent, at.gradient);
        let fit = rows::pass(&shard, model, sums);
        let mean = reciprocal(shard.header.rows);
        let slopes = Slopes::new(fit.sum_bits, fit.sum_exponent, mean);
        let regulariser = Regulariser::new(at.lambda, at.x_exponent);
        let grid = i32::from(at.gradient_exponent) + GUARD_BITS;
        let mut penalty = 0;
        for (k, gradient) in at.gradient.iter_mut().enumerate() {
            let part = regulariser.at(at.x[k]);
            penalty += u128::from(part.loss);
            let (slope, exponent) = slopes.at(sums[k], shard.scale(k));
            let sum = round_shift(slope, exponent - grid)
                .saturating_add(round_shift(part.slope, part.slope_exponent - grid));
            *gradient = saturate(round_shift(sum, GUARD_BITS), at.saturated);
        }
        let penalty = scale_wide(at.lambda, penalty, regulariser.loss_exponent(), at.loss_exponent);
        loss(&fit, mean, at.loss_exponent).saturating_add(penalty)
    }
}

/// The mean loss of the rows.
fn loss(fit: &Fit, mean: Ratio, exponent: i8) -> i64 {
    let soft = scale_wide(mean, fit.soft_loss.into(), sigmoid::EXPONENT as i32, exponent);
    let hard = scale_wide(mean, fit.hard_loss, fit.margin_exponent, exponent);
    soft.saturating_add(hard)
}

/// 1/n to 31 bits, for n up to 2^31.
fn reciprocal(n: u32) -> Ratio {
    let exponent = 30 + rows::ceil_log2(n);
    let mantissa = ((1u64 << exponent) + u64::from(n / 2)) / u64::from(n);
    Ratio { mantissa: mantissa as i32, exponent: exponent as i16 }
}

/// `factor * value` from one exponent to another, for a value of any length.
fn scale_wide(factor: Ratio, value: u128, from: i32, to: i8) -> i64 {
    let excess = (u128::BITS - value.leading_zeros()).saturating_sub(62);
    factor.scale((value >> excess) as i64, from - excess as i32 - i32::from(to))
}
