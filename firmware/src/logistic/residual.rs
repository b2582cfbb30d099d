//! Residuals and losses of logistic regression.

use crate::rows::RowLoss;
use crate::sigmoid::{self, Sigmoid};
use smidgen_protocol::shard::Shard;

/// Converts margins to residuals and accumulates losses.
pub(super) struct Residuals<'a> {
    shard: &'a Shard<'a>,
    sigmoid: Sigmoid,
    /// Low bits dropped from a residual.
    dropped: u32,
    /// Σ log(1 + e^−|margin|), with [`sigmoid::EXPONENT`] fraction bits.
    pub soft_loss: u64,
    /// Σ |margin| over misclassified rows, with the fraction bits of margins.
    pub hard_loss: u128,
}

impl<'a> Residuals<'a> {
    /// For margins with the given exponent, and residuals of `bits` fraction bits, at most 31.
    pub(super) fn new(shard: &'a Shard<'a>, margin_exponent: i32, bits: u32) -> Self {
        let sigmoid = Sigmoid::new(margin_exponent);
        Self { shard, sigmoid, dropped: sigmoid::EXPONENT - bits, soft_loss: 0, hard_loss: 0 }
    }
}

impl RowLoss for Residuals<'_> {
    /// A residual is −y σ(−y aᵀx).
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        // Signs are masks instead of branches: the class of the next row cannot be predicted.
        let (mut soft_loss, mut hard_loss) = (self.soft_loss, self.hard_loss);
        for (row, margin) in (first..).zip(margins) {
            let negative = i64::from(self.shard.label(row) > 0) - 1;
            let signed = negate_if(*margin, negative);
            // −1 for a misclassified row, whose loss is |margin| more than the soft part.
            let wrong = signed >> 63;
            let magnitude = signed.unsigned_abs();
            let (sigma, loss) = self.sigmoid.at(magnitude);
            soft_loss += u64::from(loss);
            hard_loss += u128::from(magnitude & wrong as u64);
            // σ(z) = 1 − σ(−z). Since σ(−z) > 0, it has 32 bits, and a residual at most 31 besides its sign.
            let pull = (wrong & 1 << sigmoid::EXPONENT) + negate_if(i64::from(sigma), wrong);
            *margin = negate_if(pull >> self.dropped, !negative);
        }
        (self.soft_loss, self.hard_loss) = (soft_loss, hard_loss);
    }
}

/// −value for mask −1, value for mask 0.
#[inline]
fn negate_if(value: i64, mask: i64) -> i64 {
    (value ^ mask) - mask
}
