//! Stored features, and their products with words.

/// A stored feature.
///
/// Its product with an i32 is at most 2^(31 + `BITS`). A row has at most 2^16 entries, so a margin is at most
/// 2^62; residuals have no more bits than keep the sum over all rows within 2^62.
pub(crate) trait Value: Copy {
    /// log2 of the largest magnitude, once `DROPPED` bits are gone from a product.
    const BITS: u32;
    /// Low bits dropped from a product: nothing, except where it would leave no room for a sum.
    const DROPPED: u32 = 0;
    /// log2 of a value that is large for its width; a bias is stored as that.
    const ONE_BITS: u32;
    /// That value.
    const ONE: Self;
    /// The product with `factor`, without the dropped bits.
    fn times(self, factor: i32) -> i64;
}

/// Whether the machine multiplies to 64 bits. A Cortex-M0 does not, and is the one that does not swap atomically
/// either, which the compiler tells.
const LONG_PRODUCTS: bool = cfg!(target_has_atomic = "32");

/// The product of a half word and a word.
#[inline]
fn product(value: i16, factor: i32) -> i64 {
    if LONG_PRODUCTS {
        i64::from(value) * i64::from(factor)
    } else {
        product_by_halves(value, factor)
    }
}

/// The same of two products that fit 32 bits: less than half the instructions of a call for a long one.
#[inline]
fn product_by_halves(value: i16, factor: i32) -> i64 {
    let upper = i32::from(value) * (factor >> 16);
    let lower = i32::from(value) * (factor & 0xffff);
    // Word by word, or the compiler shifts all 64 bits.
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
