//! Fixed-point helpers: logarithm, reciprocals, scaling of sums.
//!
//! ```
//! use smidgen_firmware::fixed_point::{ceil_log2, mean_factor, reciprocal, scale_u128};
//!
//! assert_eq!((ceil_log2(8), ceil_log2(9)), (3, 4));
//! // The mean of three numbers with the sum 12 and 2 fraction bits, as a number with 4.
//! assert_eq!(scale_u128(mean_factor(3), 12 << 2, 2, 4), 4 << 4);
//! assert_eq!(reciprocal(1 << 31), (1 << 32) - 1);
//! ```

use crate::simd::loops::IS_ON;
use smidgen_protocol::vector::Ratio;

/// log2, rounded up; 0 for n ≤ 1.
pub fn ceil_log2(n: u32) -> u32 {
    u32::BITS - n.saturating_sub(1).leading_zeros()
}

/// 1/n with 31 significant bits, for n up to 2^31.
pub fn mean_factor(n: u32) -> Ratio {
    // 1/n lies in 2^-ceil_log2(n) · [1, 2), so the mantissa has 31 bits.
    let exponent = 30 + ceil_log2(n);
    let mantissa = ((1u64 << exponent) + u64::from(n / 2)) / u64::from(n.max(1));
    Ratio { mantissa: mantissa as i32, exponent: exponent as i16 }
}

/// Converts `factor * value` from exponent `from` to exponent `to`.
pub fn scale_u128(factor: Ratio, value: u128, from: i32, to: i8) -> i64 {
    // `Ratio::scale` takes an i64. The dropped bits are below the precision of the factor, which has 31 bits.
    let excess = (u128::BITS - value.leading_zeros()).saturating_sub(62);
    factor.scale((value >> excess) as i64, from - excess as i32 - i32::from(to))
}

/// 2^63 / d, rounded down with an error of at most two units, for d in 2^31..2^32.
///
/// A 32-bit division yields d₀, the reciprocal to 15 bits. With e = 1 − d · d₀, 1/d = d₀/(1 − e) ≈ d₀ (1 + e + e²).
/// On a core without a divider this takes 300 instructions, a 64-bit division 600.
#[inline]
pub fn reciprocal(d: u32) -> u64 {
    // Dividing by d rounded up keeps d₀ below the exact reciprocal, so e is never negative.
    let first = u64::from(first_reciprocal((d >> 16) + 1));
    // e has 45 fraction bits and is below 2^-14, so e³ is below the last bit of the result.
    let e = ((1 << 48) - u64::from(d) * first) >> 3;
    let factor = e + ((e * e) >> 45);
    (first << 15) + ((first * factor) >> 30)
}

/// (2^32 − 1) / d, rounded down, for d in 2^15..=2^16 + 1.
#[inline(always)]
fn first_reciprocal(d: u32) -> u32 {
    // A host has vector divisions of floats alone. The quotient is exact: one that is not an integer is at least 1/d
    // away from the next, far more than the error of a float.
    if IS_ON { (f64::from(u32::MAX) / f64::from(d)) as i32 as u32 } else { u32::MAX / d }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_reciprocal_is_the_quotient_of_integers() {
        assert!((1 << 15..=(1 << 16) + 1).all(|d| first_reciprocal(d) == u32::MAX / d));
    }

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
