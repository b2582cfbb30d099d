//! Fixed-point vectors, i32 mantissas with a shared exponent, and the rounding rule.
//!
//! `value_j = mantissa_j * 2^(-exponent)`. Mantissas lie in `-MANTISSA_MAX..=MANTISSA_MAX`, so their magnitudes fit an
//! i32. Values out of range saturate and are counted; nothing wraps.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Exponent of a fixed-point quantity: `value = mantissa * 2^(-exponent)`.
pub type Exponent = i8;

/// The target multiplies 32 bits by 32 bits to 64. Of the supported cores only Cortex-M0 does not. It is also the only
/// one of Arm's without atomic compare-and-swap, by which it is known.
pub const LONG_PRODUCTS: bool = cfg!(any(target_has_atomic = "32", target_arch = "riscv32"));

/// Largest magnitude of a mantissa.
pub const MANTISSA_MAX: i32 = i32::MAX;

/// Computes `value / 2^shift`, rounded to nearest, halves away from zero.
///
/// Host and worker use this rounding rule alone. It is odd, `round_shift(-v, s) == -round_shift(v, s)`, and never
/// overflows. A negative shift multiplies and saturates.
#[inline]
#[must_use]
pub const fn round_shift(value: i64, shift: i32) -> i64 {
    if shift <= 0 {
        return shift_left(value, shift.unsigned_abs());
    }
    // Adding half a unit before the shift could overflow; adding 1 after all but the last bit of the shift cannot.
    let magnitude = value.unsigned_abs();
    let rounded = if shift > 64 { 0 } else { ((magnitude >> (shift - 1)) + 1) >> 1 } as i64;
    // Restore the sign with a mask: signs of gradients are random, so a branch would be mispredicted half of the time.
    let sign = value >> 63;
    (rounded ^ sign) - sign
}

const fn shift_left(value: i64, shift: u32) -> i64 {
    if value == 0 {
        0
    // One leading zero must remain for the sign.
    } else if value.unsigned_abs().leading_zeros() > shift {
        value << shift
    } else if value < 0 {
        -i64::MAX
    } else {
        i64::MAX
    }
}

/// Clamps `value` to the range of mantissas; increments `saturated` if that changes it.
#[inline]
#[must_use]
pub fn saturate(value: i64, saturated: &mut u32) -> i32 {
    let cut = value.clamp(-(MANTISSA_MAX as i64), MANTISSA_MAX as i64);
    *saturated = saturated.saturating_add(u32::from(cut != value));
    cut as i32
}

/// Converts mantissas from one exponent to another in place, rounding each once.
pub fn rescale(mantissas: &mut [i32], from: Exponent, to: Exponent, saturated: &mut u32) {
    let shift = i32::from(from) - i32::from(to);
    if shift != 0 {
        for mantissa in mantissas {
            *mantissa = saturate(round_shift(i64::from(*mantissa), shift), saturated);
        }
    }
}

/// Converts i64 sums from one exponent to another in place, rounding each once.
pub fn rescale_sum(sum: &mut [i64], from: Exponent, to: Exponent) {
    let shift = i32::from(from) - i32::from(to);
    if shift != 0 {
        for value in sum {
            *value = round_shift(*value, shift);
        }
    }
}

/// Largest magnitude among mantissas; 0 for an empty slice.
#[must_use]
pub fn max_magnitude(mantissas: &[i32]) -> u32 {
    mantissas.iter().fold(0, |max, mantissa| max.max(mantissa.unsigned_abs()))
}

/// A real number `mantissa * 2^(-exponent)`: a step size, a scale, a weight.
///
/// The host computes it in f64 and rounds it once; both sides then use the same integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Ratio {
    /// Signed mantissa; the host produces 31 significant bits.
    pub mantissa: i32,
    /// Binary exponent.
    pub exponent: i16,
}

impl Ratio {
    /// One.
    pub const ONE: Self = Self { mantissa: 1 << 30, exponent: 30 };

    /// The e with |ratio| in `2^e..2^(e+1)`; 0 for a zero ratio.
    #[must_use]
    pub const fn magnitude(self) -> i32 {
        match self.mantissa.unsigned_abs().checked_ilog2() {
            Some(log2) => log2 as i32 - self.exponent as i32,
            None => 0,
        }
    }

    /// Computes `round(value * self * 2^(-shift))` with a single rounding; saturates at the range of i64.
    #[inline]
    #[must_use]
    pub fn scale(self, value: i64, shift: i32) -> i64 {
        let shift = shift + i32::from(self.exponent);
        match i32::try_from(value) {
            // The product of two 32-bit factors fits an i64; only wider values pay for 128 bits.
            Ok(narrow) => round_shift(i64::from(narrow) * i64::from(self.mantissa), shift),
            Err(_) => self.scale_i128(value, shift),
        }
    }

    fn scale_i128(self, value: i64, shift: i32) -> i64 {
        let product = i128::from(value) * i128::from(self.mantissa);
        let magnitude = product.unsigned_abs();
        let rounded = match shift {
            _ if magnitude == 0 => 0,
            ..=0 if magnitude.leading_zeros() <= shift.unsigned_abs() => u128::MAX,
            ..=0 => magnitude << shift.unsigned_abs(),
            1..=128 => ((magnitude >> (shift - 1)) + 1) >> 1,
            _ => 0,
        };
        // Symmetric around zero, unlike the range of i64, so that scaling stays odd.
        let cut = rounded.min(i64::MAX as u128) as i64;
        if product < 0 { -cut } else { cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!([3, 1, -1, -3].map(|v| round_shift(v, 1)), [2, 1, -1, -2]);
        assert_eq!(round_shift(i64::MAX, 64), 0);
        assert_eq!(round_shift(i64::MIN, 64), -1);
        assert_eq!(round_shift(1, -70), i64::MAX);
        assert_eq!(Ratio { mantissa: 0, exponent: 0 }.scale(i64::MAX, -200), 0);
    }

    #[test]
    fn saturation_is_counted() {
        let mut saturated = 0;
        let mut mantissas = [MANTISSA_MAX, -5, 3];
        rescale(&mut mantissas, 0, 1, &mut saturated);
        assert_eq!((mantissas, saturated), ([MANTISSA_MAX, -10, 6], 1));
    }

    proptest! {
        #[test]
        fn rounding_is_odd_and_nearest(value in -(1i64 << 62)..(1i64 << 62), shift in 1i32..62) {
            let rounded = round_shift(value, shift);
            prop_assert_eq!(round_shift(-value, shift), -rounded);
            let error = (i128::from(rounded) << shift) - i128::from(value);
            prop_assert!(error.abs() <= 1i128 << (shift - 1));
        }

        #[test]
        fn scale_matches_scale_i128(value: i32, mantissa: i32, exponent in -70i16..90) {
            let ratio = Ratio { mantissa, exponent };
            prop_assert_eq!(
                ratio.scale(i64::from(value), 3),
                ratio.scale_i128(i64::from(value), 3 + i32::from(exponent)),
            );
        }

        #[test]
        fn rescale_round_trip_is_lossless(mantissas: Vec<i16>, bits in 0i8..15) {
            let before: Vec<i32> = mantissas.into_iter().map(i32::from).collect();
            let (mut after, mut saturated) = (before.clone(), 0);
            rescale(&mut after, 3, 3 + bits, &mut saturated);
            rescale(&mut after, 3 + bits, 3, &mut saturated);
            prop_assert_eq!((after, saturated), (before, 0));
        }
    }
}
