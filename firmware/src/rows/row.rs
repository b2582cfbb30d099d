//! The inner loops of a pass: the margin of a row, and its share of the sums by column.

use crate::value::{One, Value};
use core::iter;

/// A vector indexed by column: a slice or a table.
pub(super) trait Vector<T>: AsMut<[T]> + AsRef<[T]> {}
impl<T, V: AsMut<[T]> + AsRef<[T]> + ?Sized> Vector<T> for V {}

/// Coordinate of a column. A checked shard contains no column out of range.
#[inline]
fn coordinate(x: &(impl Vector<i32> + ?Sized), column: impl Into<usize>) -> i32 {
    x.as_ref().get(column.into()).copied().unwrap_or(0)
}

/// Features of a row.
pub(super) trait Row: Sized {
    /// aᵀx
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64;
    /// `sums += residual * a`
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized));
    /// [`Row::add_all`] takes less time than [`Row::add`] for each row.
    const ADDS_SEVERAL: bool = false;
    /// `sums += Σ residual * a` over as many rows as there are residuals.
    fn add_all(
        rows: &mut impl Iterator<Item = Self>,
        residuals: &[i64],
        sums: &mut (impl Vector<i64> + ?Sized),
    ) {
        iter::zip(residuals, rows).for_each(|(&residual, row)| row.add(residual as i32, sums));
    }
    /// Product of a factor and the stored value of the bias input.
    fn bias(factor: i32) -> i64;
}

/// A value per column.
pub(super) struct Dense<'a, V>(pub &'a [V]);
/// Listed columns, and a value for each.
pub(super) struct Listed<'a, C, V>(pub (&'a [C], &'a [V]));
/// Listed columns, all with the value 1.
pub(super) struct Ones<'a, C>(pub &'a [C]);

/// The loops are not inlined: within the pass an Arm core has too few registers for them, which costs half as many
/// instructions again.
impl<V: Value> Row for Dense<'_, V> {
    #[inline(never)]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        V::product(self.0, x.as_ref())
    }

    #[inline(never)]
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized)) {
        for (value, sum) in iter::zip(self.0, sums.as_mut()) {
            *sum += value.times(residual);
        }
    }

    const ADDS_SEVERAL: bool = V::BY_FOUR;

    fn add_all(
        rows: &mut impl Iterator<Item = Self>,
        residuals: &[i64],
        sums: &mut (impl Vector<i64> + ?Sized),
    ) {
        // Rows wait here until there are four whose residuals change the sums.
        let (mut waiting, mut count) = ([(&[][..], 0); TOGETHER], 0);
        for (&residual, row) in iter::zip(residuals, rows) {
            if residual == 0 {
                continue;
            }
            if let Some(place) = waiting.get_mut(count) {
                *place = (row.0, residual as i32);
                count += 1;
            }
            if count == TOGETHER {
                add_four(&waiting, sums.as_mut());
                count = 0;
            }
        }
        for &(values, residual) in waiting.iter().take(count) {
            Dense(values).add(residual, sums);
        }
    }

    fn bias(factor: i32) -> i64 {
        V::ONE.times(factor)
    }
}

/// Dense rows that are added at a time, so that a sum is read and written once for all of them.
const TOGETHER: usize = 4;

/// `sums += Σ residual * a` over four rows.
#[inline(never)]
fn add_four<V: Value>(rows: &[(&[V], i32); TOGETHER], sums: &mut [i64]) {
    let ([a, b, c, d], residuals) = (rows.map(|(row, _)| row), rows.map(|(_, residual)| residual));
    for ((((&a, &b), &c), &d), sum) in a.iter().zip(b).zip(c).zip(d).zip(sums) {
        *sum += V::four([a, b, c, d], residuals);
    }
}

impl<C: Copy + Into<usize>, V: Value> Row for Listed<'_, C, V> {
    #[inline]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        let (columns, values) = self.0;
        iter::zip(columns, values).map(|(&column, value)| value.times(coordinate(x, column))).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized)) {
        let (columns, values) = self.0;
        for (&column, value) in iter::zip(columns, values) {
            if let Some(sum) = sums.as_mut().get_mut(column.into()) {
                *sum += value.times(residual);
            }
        }
    }

    fn bias(factor: i32) -> i64 {
        V::ONE.times(factor)
    }
}

impl<C: Copy + Into<usize>> Row for Ones<'_, C> {
    #[inline]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        self.0.iter().map(|&column| One.times(coordinate(x, column))).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized)) {
        for &column in self.0 {
            if let Some(sum) = sums.as_mut().get_mut(column.into()) {
                *sum += One.times(residual);
            }
        }
    }

    fn bias(factor: i32) -> i64 {
        One.times(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_added_together_as_one_by_one(
            rows in prop::collection::vec((prop::array::uniform7(any::<i8>()), prop_oneof![Just(0i32), any::<i32>()]), 0..20),
            start in prop::array::uniform7(-1i64 << 40..1 << 40),
        ) {
            let residuals: Vec<i64> = rows.iter().map(|(_, residual)| i64::from(*residual)).collect();
            let (mut together, mut one_by_one) = (start, start);
            let mut all = rows.iter().map(|(values, _)| Dense(&values[..]));
            Dense::add_all(&mut all, &residuals, &mut together[..]);
            for (values, residual) in &rows {
                Dense(values).add(*residual, &mut one_by_one[..]);
            }
            prop_assert_eq!(together, one_by_one);
        }
    }
}
