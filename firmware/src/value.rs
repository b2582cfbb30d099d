//! Stored features and their products with 32-bit factors.

/// A stored feature.
///
/// Its product with an i32 is at most 2^(31 + `BITS`). A row has at most 2^16 entries, so a margin is at most 2^62;
/// residuals are limited to the bits that keep the sum over all rows within 2^62.
pub(crate) trait Value: Copy {
    /// log2 of the largest magnitude, after dropping `DROPPED` bits from a product.
    const BITS: u32;
    /// Low bits dropped from a product, to leave room for sums.
    const DROPPED: u32 = 0;
    /// log2 of the value that represents a bias input of one, large for its width.
    const ONE_BITS: u32;
    /// Stored value of the bias input.
    const ONE: Self;
    /// The product with `factor`, without the dropped bits.
    fn times(self, factor: i32) -> i64;
}

/// The target has a 32 × 32 → 64 bit multiplication. Of the supported cores only Cortex-M0 lacks it, which is
/// also the only one without atomic compare-and-swap.
const LONG_PRODUCTS: bool = cfg!(target_has_atomic = "32");

/// Product of a 16-bit and a 32-bit value.
#[inline]
fn product(value: i16, factor: i32) -> i64 {
    if LONG_PRODUCTS {
        i64::from(value) * i64::from(factor)
    } else {
        product_by_halves(value, factor)
    }
}

/// The same by two 32-bit products, in less than half of the instructions of the library call for a 64-bit product.
#[inline]
fn product_by_halves(value: i16, factor: i32) -> i64 {
    // |value| ≤ 2^15 times 16 bits: both products fit 32 bits.
    let upper = i32::from(value) * (factor >> 16);
    let lower = i32::from(value) * (factor & 0xffff);
    // Assembled from words, because the compiler would emit a 64-bit shift.
    let upper = i64::from(upper >> 16) << 32 | i64::from((upper as u32) << 16);
    upper + i64::from(lower)
}

impl Value for i8 {
    const BITS: u32 = 7;
    const ONE_BITS: u32 = 6;
    const ONE: Self = 1 << Self::ONE_BITS;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        product(self.into(), factor)
    }
}

impl Value for i16 {
    const BITS: u32 = 15;
    const ONE_BITS: u32 = 14;
    const ONE: Self = 1 << Self::ONE_BITS;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        product(self, factor)
    }
}

impl Value for i32 {
    const BITS: u32 = 15;
    const DROPPED: u32 = 16;
    const ONE_BITS: u32 = 30;
    const ONE: Self = 1 << Self::ONE_BITS;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        (i64::from(self) * i64::from(factor)) >> Self::DROPPED
    }
}

/// The value of one-hot features.
#[derive(Clone, Copy)]
pub(crate) struct One;

impl Value for One {
    const BITS: u32 = 0;
    const ONE_BITS: u32 = 0;
    const ONE: Self = Self;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        i64::from(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn product_by_halves_matches_product(value: i16, factor: i32) {
            prop_assert_eq!(product_by_halves(value, factor), i64::from(value) * i64::from(factor));
        }
    }

    #[test]
    fn product_by_halves_does_not_overflow() {
        for value in [i16::MIN, i16::MAX] {
            for factor in [i32::MIN, -1, i32::MAX] {
                let product = i64::from(value) * i64::from(factor);
                assert_eq!(product_by_halves(value, factor), product);
            }
        }
    }
}
