//! Stored features and their products with 32-bit factors.

use core::iter;
use smidgen_protocol::vector::LONG_PRODUCTS;

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
    /// The pass takes four products at a time, where that is worth its code. A Cortex-M0 has too few registers.
    const BY_FOUR: bool = false;
    /// The product with `factor`, without the dropped bits.
    fn times(self, factor: i32) -> i64;
    /// The sum of the products of four, written out since loops are not unrolled for size.
    #[inline]
    fn four([a, b, c, d]: [Self; 4], [p, q, r, s]: [i32; 4]) -> i64 {
        a.times(p) + b.times(q) + c.times(r) + d.times(s)
    }
    /// The sum of the products with `factors`.
    #[inline]
    fn product(values: &[Self], factors: &[i32]) -> i64 {
        match Self::BY_FOUR {
            true => sum_by_four(values, factors),
            false => iter::zip(values, factors).map(|(v, &factor)| v.times(factor)).sum(),
        }
    }
}

/// The sum of products, four at a time.
#[inline]
fn sum_by_four<V: Value>(values: &[V], factors: &[i32]) -> i64 {
    // A row may be followed by bytes that belong to no column.
    let len = values.len().min(factors.len());
    let ((values, rest), (factors, others)) =
        (values[..len].as_chunks(), factors[..len].as_chunks());
    let fours: i64 = iter::zip(values, factors).map(|(v, f)| V::four(*v, *f)).sum();
    let few: i64 = iter::zip(rest, others).map(|(value, &factor)| value.times(factor)).sum();
    fours + few
}

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
    joined(upper, lower)
}

/// `upper · 2^16 + lower`
#[inline]
fn joined(upper: i32, lower: i32) -> i64 {
    // Assembled from words, because the compiler would emit a 64-bit shift.
    let upper = i64::from(upper >> 16) << 32 | i64::from((upper as u32) << 16);
    upper + i64::from(lower)
}

/// Bytes whose products with halves of 16 bits have a sum of 32 bits: 2^7 products of at most 2^23.
const SUMMED: usize = 128;

/// Sum of products of bytes by two sums of 32-bit products, which are joined once.
#[inline]
fn byte_product_by_halves(values: &[i8], factors: &[i32]) -> i64 {
    let (mut values, mut factors, mut sum) = (values, factors, 0);
    while !values.is_empty() {
        let (some, rest) = values.split_at(values.len().min(SUMMED));
        let (mut upper, mut lower) = (0, 0);
        for (&value, &factor) in iter::zip(some, factors) {
            upper += i32::from(value) * (factor >> 16);
            lower += i32::from(value) * (factor & 0xffff);
        }
        sum += joined(upper, lower);
        (values, factors) = (rest, factors.get(SUMMED..).unwrap_or_default());
    }
    sum
}

impl Value for i8 {
    const BITS: u32 = 7;
    const ONE_BITS: u32 = 6;
    const ONE: Self = 1 << Self::ONE_BITS;
    const BY_FOUR: bool = LONG_PRODUCTS;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        product(self.into(), factor)
    }
    #[inline]
    fn product(values: &[Self], factors: &[i32]) -> i64 {
        if LONG_PRODUCTS {
            sum_by_four(values, factors)
        } else {
            byte_product_by_halves(values, factors)
        }
    }
}

impl Value for i16 {
    const BITS: u32 = 15;
    const ONE_BITS: u32 = 14;
    const ONE: Self = 1 << Self::ONE_BITS;
    const BY_FOUR: bool = LONG_PRODUCTS;
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

    /// The sum of products as it is defined.
    fn plain<V: Value>(values: &[V], factors: &[i32]) -> i64 {
        iter::zip(values, factors).map(|(value, &factor)| value.times(factor)).sum()
    }

    proptest! {
        #[test]
        fn sums_by_four_are_those_of_each(
            bytes: Vec<i8>, words: Vec<i32>, factors in prop::collection::vec(any::<i32>(), 0..140),
        ) {
            prop_assert_eq!(sum_by_four(&bytes, &factors), plain(&bytes, &factors));
            prop_assert_eq!(sum_by_four(&words, &factors), plain(&words, &factors));
        }

        #[test]
        fn byte_product_by_halves_matches_products(
            values in prop::collection::vec(any::<i8>(), 0..400), factors in prop::collection::vec(any::<i32>(), 0..400),
        ) {
            prop_assert_eq!(byte_product_by_halves(&values, &factors), plain(&values, &factors));
        }

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
        for value in [i8::MIN, i8::MAX] {
            for factor in [i32::MIN, -1, i32::MAX] {
                let (values, factors) = ([value; 1000], [factor; 1000]);
                let found = byte_product_by_halves(&values, &factors);
                assert_eq!(found, 1000 * i64::from(value) * i64::from(factor));
            }
        }
    }
}
