//! Reals that host and worker must agree on, rounded from f64 to [`Ratio`] in one place.

use smidgen_protocol::vector::Ratio;

/// Significant bits of a mantissa.
const MANTISSA_BITS: i32 = 31;

/// The ratio nearest to `value`; its relative error is at most 2^-31.
///
/// # Panics
/// If `value` is not finite.
pub fn ratio(value: f64) -> Ratio {
    assert!(value.is_finite(), "a ratio is finite, this is {value}");
    if value == 0.0 {
        return Ratio::default();
    }
    // Two steps each way, because the power of two alone may leave the range of f64.
    let magnitude = value.abs().log2().floor() as i32;
    let exponent = MANTISSA_BITS - 1 - magnitude;
    let (half, rest) = (exponent / 2, exponent - exponent / 2);
    let mantissa = (value * 2f64.powi(half) * 2f64.powi(rest)).round();
    match i32::try_from(mantissa as i64) {
        Ok(mantissa) => Ratio { mantissa, exponent: exponent as i16 },
        Err(_) => Ratio { mantissa: (mantissa / 2.0) as i32, exponent: (exponent - 1) as i16 },
    }
}

/// The real value of a ratio.
pub fn real(ratio: Ratio) -> f64 {
    let exponent = -i32::from(ratio.exponent);
    let (half, rest) = (exponent / 2, exponent - exponent / 2);
    f64::from(ratio.mantissa) * 2f64.powi(half) * 2f64.powi(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_and_their_neighbours_are_exact_or_nearest() {
        for exponent in -1022..1023 {
            let power = 2f64.powi(exponent);
            assert_eq!(real(ratio(power)), power);
            let below = power * (1.0 - f64::EPSILON / 2.0);
            assert_eq!(real(ratio(-below)), -power, "rounds up to the next power of two");
        }
        assert_eq!(real(ratio(0.0)), 0.0);
    }

    proptest! {
        #[test]
        fn the_nearest_ratio_is_found(wanted in prop::num::f64::NORMAL) {
            let found = ratio(wanted);
            prop_assert!((real(found) / wanted - 1.0).abs() <= 2f64.powi(-31));
            prop_assert!(found.mantissa.unsigned_abs() >= 1 << 30);
        }
    }
}
