//! From margins to residuals and losses.

use crate::rows::RowLoss;
use crate::sigmoid::{self, Sigmoid};
use smidgen_protocol::shard::Shard;

/// Turns margins into residuals and adds up their losses.
pub(super) struct Residuals<'a> {
    shard: &'a Shard<'a>,
    sigmoid: Sigmoid,
    /// Bits dropped from a residual.
    dropped: u32,
    /// Σ log(1 + e^−|margin|), with [`sigmoid::EXPONENT`] fraction bits.
    pub soft_loss: u64,
    /// Σ |margin| over the rows on the wrong side, with the fraction bits of margins.
    pub hard_loss: u128,
}

impl<'a> Residuals<'a> {
    /// For margins with an exponent, and residuals of so many fraction bits, at most 31.
    pub(super) fn new(shard: &'a Shard<'a>, margin_exponent: i32, bits: u32) -> Self {
        let sigmoid = Sigmoid::new(margin_exponent);
        Self { shard, sigmoid, dropped: sigmoid::EXPONENT - bits, soft_loss: 0, hard_loss: 0 }
    }
}

impl RowLoss for Residuals<'_> {
    /// A residual is −y σ(−y aᵀx). Signs are masks, not branches: which side a row is on is as good as random.
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        let (mut soft_loss, mut hard_loss) = (self.soft_loss, self.hard_loss);
        for (row, margin) in (first..).zip(margins) {
            let negative = i64::from(self.shard.label(row) > 0) - 1;
            let signed = negate_if(*margin, negative);
            let wrong = signed >> 63;
            let magnitude = signed.unsigned_abs();
            let (sigma, loss) = self.sigmoid.at(magnitude);
            soft_loss += u64::from(loss);
            hard_loss += u128::from(magnitude & wrong as u64);
            // σ(z) = 1 − σ(−z). As σ(−z) > 0, this has 32 bits, and a residual at most 31 beside its sign.
            let pull = (wrong & 1 << sigmoid::EXPONENT) + negate_if(i64::from(sigma), wrong);
            *margin = negate_if(pull >> self.dropped, !negative);
        }
        (self.soft_loss, self.hard_loss) = (soft_loss, hard_loss);
    }
}

/// −value where the mask is −1, value where it is 0.
#[inline]
fn negate_if(value: i64, mask: i64) -> i64 {
    (value ^ mask) - mask
}
