//! Before and after the rows: the model times the scales, the sums times the scales.

use super::rows::Model;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::{Exponent, Ratio, round_shift};

/// Multiplies the model with the scales of the columns, once per evaluation instead of once per entry.
///
/// One exponent for all columns, such that the largest has 30 or 31 bits: margins need no alignment, and their
/// error is relative to the largest term.
pub fn scale<'a>(
    shard: &Shard<'_>,
    x: &[i32],
    x_exponent: Exponent,
    mantissas: &'a mut [i32],
) -> Model<'a> {
    // The lengths of the factors bound that of the product.
    let top = x.iter().enumerate().filter_map(|(k, &x)| {
        let scale = shard.scale(k);
        let product_is_zero = x == 0 || scale.mantissa == 0;
        (!product_is_zero).then(|| bits(x) + bits(scale.mantissa) - i32::from(scale.exponent))
    });
    let top = top.max().unwrap_or(0);
    for (k, (mantissa, &x)) in mantissas.iter_mut().zip(x).enumerate() {
        let scale = shard.scale(k);
        let product = i64::from(x) * i64::from(scale.mantissa);
        let scaled = round_shift(product, i32::from(scale.exponent) + top - 31);
        // The largest may have been rounded up to 2^31.
        *mantissa = scaled.clamp(-i64::from(i32::MAX), i64::from(i32::MAX)) as i32;
    }
    Model { mantissas, exponent: i32::from(x_exponent) + 31 - top }
}

fn bits(value: i32) -> i32 {
    (u32::BITS - value.unsigned_abs().leading_zeros()) as i32
}

/// From the sums of a pass to the data's part of the gradient: the scale of each column, and the mean over rows.
#[derive(Clone, Copy, Debug)]
pub struct Slopes {
    mean: Ratio,
    /// What a sum is shifted to the left, for 62 bits.
    left: u32,
    exponent: i32,
}

impl Slopes {
    /// For sums of at most 2^`sum_bits` with `sum_exponent` fraction bits, and a positive factor for the mean.
    pub fn new(sum_bits: u32, sum_exponent: i32, mean: Ratio) -> Self {
        let left = 62 - sum_bits;
        // Two products lose 32 bits each.
        let exponent = sum_exponent + left as i32 + i32::from(mean.exponent) - 64;
        Self { mean, left, exponent }
    }

    /// `sum * scale * mean`, of at most 61 bits and good to a unit or two, and its exponent.
    #[inline]
    pub fn at(&self, sum: i64, scale: Ratio) -> (i64, i32) {
        let mean = multiply_high(sum << self.left, self.mean.mantissa);
        (multiply_high(mean, scale.mantissa), self.exponent + i32::from(scale.exponent))
    }
}

/// `a * b / 2^32`, rounded down: 32-bit machines have no product of 128 bits.
#[inline]
fn multiply_high(a: i64, b: i32) -> i64 {
    (a >> 32) * i64::from(b) + ((i64::from(a as u32) * i64::from(b)) >> 32)
}
