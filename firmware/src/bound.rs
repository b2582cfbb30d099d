//! Upper bounds: non-negative reals whose operations round up.

use smidgen_protocol::vector::Ratio;

/// A non-negative real `mantissa * 2^exponent`. Every operation rounds up to 32 bits.
// The derived order is that of the reals, since mantissas are normalised to 32 bits and 0 has the least exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    exponent: i32,
    mantissa: u32,
}

impl Bound {
    /// Zero.
    pub const ZERO: Self = Self { exponent: i32::MIN, mantissa: 0 };

    /// An upper bound of `value * 2^exponent`.
    pub fn new(value: u64, exponent: i32) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let excess = 32 - value.leading_zeros() as i32;
        let exponent = exponent.saturating_add(excess);
        match if excess > 0 { ceil_shift(value, excess as u32) } else { value << -excess } {
            // Rounding up has reached the next power of two.
            0x1_0000_0000 => Self { exponent: exponent.saturating_add(1), mantissa: 1 << 31 },
            mantissa => Self { exponent, mantissa: mantissa as u32 },
        }
    }

    /// An upper bound of the magnitude of a ratio.
    pub fn of(ratio: Ratio) -> Self {
        Self::new(ratio.mantissa.unsigned_abs().into(), -i32::from(ratio.exponent))
    }

    /// An upper bound of the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (larger, smaller) = (self.max(other), self.min(other));
        if smaller == Self::ZERO {
            return larger;
        }
        let apart = larger.exponent.abs_diff(smaller.exponent);
        // 31 extra bits on both: their sum fits 64 bits, and the smaller one is rounded up below the last bit of the
        // result.
        let smaller = ceil_shift(u64::from(smaller.mantissa) << 31, apart);
        Self::new((u64::from(larger.mantissa) << 31) + smaller, larger.exponent.saturating_sub(31))
    }

    /// An upper bound of the product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let exponent = self.exponent.saturating_add(other.exponent);
        Self::new(u64::from(self.mantissa) * u64::from(other.mantissa), exponent)
    }

    /// An upper bound of the quotient.
    #[must_use]
    pub fn over(self, divisor: u32) -> Self {
        // `max` excludes a division by zero, and with it the panic that images must not contain.
        let quotient = (u64::from(self.mantissa) << 32).div_ceil(divisor.max(1).into());
        Self::new(quotient, self.exponent.saturating_sub(32))
    }

    /// An upper bound of this times `2^power`.
    #[must_use]
    pub fn shifted(self, power: i32) -> Self {
        Self::new(self.mantissa.into(), self.exponent.saturating_add(power))
    }

    /// An upper bound of the square root.
    #[must_use]
    pub fn root(self) -> Self {
        // The remaining exponent must be even to be halved.
        let shift = 32 - (self.exponent & 1);
        let square = u64::from(self.mantissa) << shift;
        let floor = square.isqrt();
        // `isqrt` rounds down; a bound must not.
        let root = floor + u64::from(floor * floor < square);
        Self::new(root, self.exponent.saturating_sub(shift) >> 1)
    }

    /// An upper bound in units of 2^-`shift`, if it fits 31 bits.
    pub fn integer(self, shift: i32) -> i32 {
        let exponent = self.exponent.saturating_add(shift);
        debug_assert!(exponent < 0, "a mantissa of 32 bits does not fit");
        ceil_shift(self.mantissa.into(), exponent.unsigned_abs()) as i32
    }

    /// An upper bound of log2.
    pub fn ceil_log2(self) -> i32 {
        self.exponent.saturating_add(32)
    }

    /// An upper bound as a ratio; `None` if out of range.
    pub fn ratio(self) -> Option<Ratio> {
        if self == Self::ZERO {
            return Some(Ratio::default());
        }
        let (mantissa, exponent) = match self.mantissa.div_ceil(2) {
            0x8000_0000 => (1 << 30, self.exponent.checked_add(2)?),
            mantissa => (mantissa as i32, self.exponent.checked_add(1)?),
        };
        Some(Ratio { mantissa, exponent: i16::try_from(exponent.checked_neg()?).ok()? })
    }
}

/// `value / 2^shift`, rounded up.
pub(crate) fn ceil_shift(value: u64, shift: u32) -> u64 {
    if shift >= u64::BITS {
        return u64::from(value > 0);
    }
    (value >> shift) + u64::from(value & ((1 << shift) - 1) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn real(bound: Bound) -> f64 {
        f64::from(bound.mantissa) * f64::from(bound.exponent).exp2()
    }

    fn bounds() -> impl Strategy<Value = Bound> {
        (any::<u64>(), 0u32..64, -300..300)
            .prop_map(|(value, shift, exponent)| Bound::new(value >> shift, exponent))
    }

    /// Asserts that `found` is at least `exact` and hardly more, up to the rounding of f64.
    fn assert_above(found: f64, exact: f64) -> Result<(), TestCaseError> {
        prop_assert!(found >= exact * (1.0 - 2f64.powi(-52)), "{found:e} is below {exact:e}");
        prop_assert!(found <= exact * (1.0 + 2f64.powi(-30)), "{found:e} is far above {exact:e}");
        Ok(())
    }

    proptest! {
        #[test]
        fn operations_never_round_down(a in bounds(), b in bounds(), divisor in 1u32.., value: u64, shift in 0u32..64) {
            let value = value >> shift;
            assert_above(real(Bound::new(value, 0)), value as f64)?;
            assert_above(real(a.plus(b)), real(a) + real(b))?;
            assert_above(real(a.times(b)), real(a) * real(b))?;
            assert_above(real(a.over(divisor)), real(a) / f64::from(divisor))?;
            assert_above(real(a.root()), real(a).sqrt())?;
            assert_above(real(a.shifted(-3)), real(a) / 8.0)?;
            let ratio = a.ratio().expect("a bound in range");
            assert_above(f64::from(ratio.mantissa) * (-f64::from(ratio.exponent)).exp2(), real(a))?;
            prop_assert_eq!(a < b, real(a) < real(b));
        }

        #[test]
        fn integer_is_an_upper_bound(a in bounds(), bits in 1..31) {
            prop_assume!(a != Bound::ZERO);
            let shift = bits - a.ceil_log2();
            let integer = a.integer(shift);
            prop_assert!(f64::from(integer) >= real(a) * f64::from(shift).exp2());
            prop_assert!(integer <= 1 << bits);
        }
    }

    #[test]
    fn out_of_range_ratio_is_none() {
        assert_eq!(Bound::new(1, 40_000).ratio(), None);
        assert_eq!(Bound::new(1, i32::MIN).ratio(), None);
        assert_eq!(Bound::ZERO.ratio(), Some(Ratio::default()));
        let huge = Bound::new(u64::MAX, i32::MAX);
        assert_eq!(huge.times(huge).over(1).plus(huge).root().ratio(), None);
    }
}
