//! Numbers that sums over all rows need: of any length, and the mean's factor.

use smidgen_protocol::vector::Ratio;

/// log2, rounded up.
pub fn ceil_log2(n: u32) -> u32 {
    u32::BITS - n.saturating_sub(1).leading_zeros()
}

/// 1/n to 31 bits, for n up to 2^31.
pub fn reciprocal(n: u32) -> Ratio {
    let exponent = 30 + ceil_log2(n);
    let mantissa = ((1u64 << exponent) + u64::from(n / 2)) / u64::from(n.max(1));
    Ratio { mantissa: mantissa as i32, exponent: exponent as i16 }
}

/// `factor * value` from one exponent to another, for a value of any length.
pub fn scale_wide(factor: Ratio, value: u128, from: i32, to: i8) -> i64 {
    let excess = (u128::BITS - value.leading_zeros()).saturating_sub(62);
    factor.scale((value >> excess) as i64, from - excess as i32 - i32::from(to))
}
