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

use crate::bound::Bound;
use crate::margin::{
    LANES, LossLanes, Margin, MarginLanes, MarginLoss, Rounding, Targets, limited,
};
use crate::sigmoid::{self, Sigmoid};

/// Logistic regression on a [shard](smidgen_protocol::shard) of rows in two classes.
///
/// # Accuracy
/// A coordinate of the gradient is within half a unit plus 2^-28 of the largest intermediate quantity: the residual (at
/// most 1) times the largest feature of the column, or the slope of the regulariser. A margin is within 2^-30 of its
/// largest term, times the number of entries of the row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logistic {
    sigmoid: Sigmoid,
}

impl MarginLoss for Logistic {
    const NAME: &'static str = "logistic";
    const TARGETS: Targets = Targets::Sides;

    fn new(exponent: i32) -> Self {
        Self { sigmoid: Sigmoid::new(exponent) }
    }

    fn slope_bits(&self) -> Option<u32> {
        Some(sigmoid::EXPONENT)
    }

    fn slope_exponent(&self) -> i32 {
        sigmoid::EXPONENT as i32
    }

    /// −y σ(−y aᵀx)
    #[inline(always)]
    fn slope(&self, at: Margin) -> i64 {
        self.rounded_slope(at, 0)
    }

    /// Towards zero. Signs are masks instead of branches: the class of the next row cannot be predicted.
    #[inline(always)]
    fn rounded_slope(&self, Margin { margin, side, .. }: Margin, dropped: i32) -> i64 {
        let signed = negate_if(margin, side >> 63);
        // −1 for a misclassified row.
        let wrong = signed >> 63;
        let (sigma, _) = self.sigmoid.at(signed.unsigned_abs());
        // σ(z) = 1 − σ(−z). Since σ(−z) > 0, it has 32 bits.
        let pull = (wrong & 1 << sigmoid::EXPONENT) + negate_if(i64::from(sigma), wrong);
        negate_if(pull >> dropped, !(side >> 63))
    }

    fn loss_exponent(&self, _dropped: i32) -> i32 {
        sigmoid::EXPONENT as i32
    }

    /// log(1 + e^−|margin|)
    #[inline(always)]
    fn loss(&self, Margin { margin, side, .. }: Margin, _rounded: i64) -> u64 {
        // Written as for the slope, so that the compiler looks up both at once.
        self.sigmoid.at(negate_if(margin, side >> 63).unsigned_abs()).1.into()
    }

    /// |margin| of a misclassified row.
    #[inline(always)]
    fn linear_loss(&self, Margin { margin, side, .. }: Margin) -> u64 {
        let signed = negate_if(margin, side >> 63);
        signed.unsigned_abs() & (signed >> 63) as u64
    }

    #[inline(always)]
    fn lanes(&self, rows: &MarginLanes, rounding: Rounding) -> LossLanes {
        let (mut signed, mut magnitudes) = ([0; LANES], [0; LANES]);
        for place in 0..LANES {
            signed[place] = negate_if(rows.margins[place], rows.sides[place] >> 63);
            magnitudes[place] = signed[place].unsigned_abs();
        }
        let (sigmas, losses) = self.sigmoid.lanes(&magnitudes);
        let mut found = LossLanes::default();
        for place in 0..LANES {
            let wrong = signed[place] >> 63;
            let sigma = negate_if(i64::from(sigmas[place]), wrong);
            let pull = (wrong & 1 << sigmoid::EXPONENT) + sigma;
            let rounded = negate_if(pull >> rounding.dropped, !(rows.sides[place] >> 63));
            found.residuals[place] = limited(rounded, rounding.limit);
            found.losses[place] = losses[place].into();
            found.linear[place] = magnitudes[place] & wrong as u64;
        }
        found
    }

    /// σ(1 − σ) is at most 1/4.
    fn curvature() -> Option<Bound> {
        Some(Bound::new(1, -2))
    }
}

/// −value for mask −1, value for mask 0.
#[inline]
fn negate_if(value: i64, mask: i64) -> i64 {
    (value ^ mask) - mask
}

#[cfg(test)]
mod tests;
