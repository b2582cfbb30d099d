//! Numbers that sums over all rows need: of any length, and the mean's factor.

use smidgen_protocol::vector::Ratio;

/// log2, rounded up.
pub(crate) fn ceil_log2(n: u32) -> u32 {
    u32::BITS - n.saturating_sub(1).leading_zeros()
}

/// 1/n to 31 bits, for n up to 2^31.
pub(crate) fn mean_factor(n: u32) -> Ratio {
    let exponent = 30 + ceil_log2(n);
    let mantissa = ((1u64 << exponent) + u64::from(n / 2)) / u64::from(n.max(1));
    Ratio { mantissa: mantissa as i32, exponent: exponent as i16 }
}

/// `factor * value` from one exponent to another, for a value of any length.
pub(crate) fn scale_u128(factor: Ratio, value: u128, from: i32, to: i8) -> i64 {
    let excess = (u128::BITS - value.leading_zeros()).saturating_sub(62);
    factor.scale((value >> excess) as i64, from - excess as i32 - i32::from(to))
}

/// 2^63 / d for d from 2^31, below 2^32 and with all its bits but the last.
///
/// A 32-bit division gives the first 15 bits of 1/d. With e = 1 − d/d₀, what is missing is the factor 1/(1 − e), and
/// e³ is too small to matter. A board without a divider takes 300 instructions for this, 600 for a 64-bit division.
#[inline]
pub(crate) fn reciprocal(d: u32) -> u64 {
    let first = u64::from(u32::MAX / ((d >> 16) + 1));
    // With 45 fraction bits; below 2^-14.
    let e = ((1 << 48) - u64::from(d) * first) >> 3;
    let factor = e + ((e * e) >> 45);
    (first << 15) + ((first * factor) >> 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reciprocal_is_at_most_two_units_low(d in 1u32 << 31..) {
            let exact = (1u64 << 63) / u64::from(d);
            let quotient = reciprocal(d);
            prop_assert!(quotient < 1 << 32 && quotient <= exact && exact - quotient <= 2, "{exact} {quotient}");
        }
    }

    #[test]
    fn reciprocal_holds_at_range_ends() {
        for d in [1 << 31, (1 << 31) + 1, u32::MAX - 1, u32::MAX] {
            let exact = (1u64 << 63) / u64::from(d);
            let quotient = reciprocal(d);
            assert!(quotient < 1 << 32 && exact - quotient <= 2, "{d} {quotient}");
        }
    }
}
