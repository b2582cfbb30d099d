//! Scaling of one coordinate, before and after the pass.

use crate::regulariser::Term;
use smidgen_protocol::vector::{round_shift, saturate};

/// Additional fraction bits of the two terms of the gradient before they are added and rounded.
pub(crate) const GUARD_BITS: i32 = 16;

/// A product of a coordinate and the mantissa of its scale, without the bits of `shift`.
#[inline(always)]
pub(crate) fn scaled(x: i32, scale: i32, shift: i32) -> i32 {
    let product = i64::from(x) * i64::from(scale);
    let scaled = round_shift(product, shift);
    // The largest product may have been rounded up to 2^31.
    scaled.clamp(-i64::from(i32::MAX), i64::from(i32::MAX)) as i32
}

/// A coordinate of the gradient.
#[inline(always)]
pub(crate) fn coordinate(
    (slope, exponent): (i64, i32),
    term: &Term,
    grid: i32,
    saturated: &mut u32,
) -> i32 {
    // Saturating terms could cancel wrongly beyond 63 bits; the exponents that a probe finds stay far below.
    let sum = round_shift(slope, exponent - grid)
        .saturating_add(round_shift(term.slope, term.slope_exponent - grid));
    saturate(round_shift(sum, GUARD_BITS), saturated)
}
