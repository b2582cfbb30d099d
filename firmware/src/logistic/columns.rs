//! Before and after the rows: the model times the scales, the sums times the scales.

use super::rows::Model;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::{Exponent, Ratio, round_shift};

/// Multiplies the model with the scales of the columns, once per evaluation instead of once per entry.
///
/// One exponent for all columns, such that the largest has 31 bits: margins need no alignment, and their error
/// is relative to the largest term.
pub fn scale<'a>(
    shard: &Shard<'_>,
    x: &[i32],
    x_exponent: Exponent,
    mantissas: &'a mut [i32],
) -> Model<'a> {
    let product = |k: usize| {
        let scale = shard.scale(k);
        (i64::from(x[k]) * i64::from(scale.mantissa), i32::from(scale.exponent))
    };
    let top = (0..x.len())
        .map(product)
        .filter(|(product, _)| *product != 0)
        .map(|(product, exponent)| bits(product) - exponent)
        .max()
        .unwrap_or(0);
    for (k, mantissa) in mantissas.iter_mut().enumerate() {
        let (product, exponent) = product(k);
        // Of 31 bits, one unit more if the largest is rounded up.
        let scaled = round_shift(product, exponent + top - 31);
        *mantissa = scaled.clamp(-i64::from(i32::MAX), i64::from(i32::MAX)) as i32;
    }
    Model { mantissas, exponent: i32::from(x_exponent) + 31 - top }
}

fn bits(value: i64) -> i32 {
    (u64::BITS - value.unsigned_abs().leading_zeros()) as i32
}

/// `sum * scale * mean` as a mantissa of at most 62 bits and its exponent, for |sum| ≤ 2^sum_bits.
#[inline]
pub fn slope(sum: i64, sum_exponent: i32, sum_bits: u32, scale: Ratio, mean: Ratio) -> (i64, i32) {
    let factor = i64::from(scale.mantissa) * i64::from(mean.mantissa);
    let product = i128::from(sum) * i128::from(factor);
    let exponent = sum_exponent + i32::from(scale.exponent) + i32::from(mean.exponent);
    ((product >> sum_bits) as i64, exponent - sum_bits as i32)
}
