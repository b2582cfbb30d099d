//! The pass over the rows of a shard: margins, residuals, their sums by column.

use super::residual::Residuals;
use super::value::{One, Value};
use core::iter;
use core::ops::IndexMut;
use smidgen_protocol::shard::{Columns, Shard, Values};

/// The model as the rows meet it: `x_k * scale_k`, with one exponent.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// One a column, none above `i32::MAX` in magnitude.
    pub mantissas: &'a [i32],
    /// Their fraction bits.
    pub exponent: i32,
}

/// What a pass leaves beside the sums by column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Σ log(1 + e^−|margin|), with [`sigmoid::EXPONENT`](super::sigmoid::EXPONENT) fraction bits.
    pub soft_loss: u64,
    /// Σ |margin| over the rows on the wrong side.
    pub hard_loss: u128,
    /// Fraction bits of margins.
    pub margin_exponent: i32,
    /// Fraction bits of the sums by column.
    pub sum_exponent: i32,
    /// log2 of a bound of the sums by column, at most 62.
    pub sum_bits: u32,
}

/// Fills `sums` with Σ_j `residual_j * value_jk` for every column k.
///
/// All sums are of integers, so the order of the rows does not matter. None overflows: see [`Value`].
pub fn pass(shard: &Shard<'_>, model: Model<'_>, sums: &mut [i64]) -> Fit {
    let x = model.mantissas;
    let pass = Pass { shard, exponent: model.exponent };
    sums.fill(0);
    match shard.columns {
        Columns::Dense => pass.dense(x, sums),
        Columns::U8(counts, indices) if WITH_TABLES => {
            let (mut x_table, mut sum_table) = ([0; 256], [0; 256]);
            x_table[..x.len()].copy_from_slice(x);
            let fit = pass.sparse(counts, indices, &x_table, &mut sum_table);
            sums.copy_from_slice(&sum_table[..x.len()]);
            fit
        }
        Columns::U8(counts, indices) => pass.sparse(counts, indices, x, sums),
        Columns::U16(counts, indices) => pass.sparse(counts, indices, x, sums),
    }
}

/// Whether vectors that are indexed by bytes are copied to tables of 256 for the pass, so that no index needs a
/// check: a quarter off the time of a pass over one-hot rows. A board has no 3 KiB of stack for it.
const WITH_TABLES: bool = cfg!(not(target_os = "none"));

/// Rows whose margins, residuals and additions are computed together. What a row costs beside its entries is a
/// chain of dependent multiplications; those of different rows overlap.
const BLOCK: usize = 8;

/// A vector that rows look up by column: a slice or a table.
trait Vector<T>: IndexMut<usize, Output = T> + AsMut<[T]> + AsRef<[T]> {}
impl<T, V: IndexMut<usize, Output = T> + AsMut<[T]> + AsRef<[T]> + ?Sized> Vector<T> for V {}

/// A pass in the making: it is compiled for each kind of rows, of values and of vectors.
#[derive(Clone, Copy)]
struct Pass<'a> {
    shard: &'a Shard<'a>,
    exponent: i32,
}

impl Pass<'_> {
    fn dense(self, x: &[i32], sums: &mut [i64]) -> Fit {
        match self.shard.values {
            Values::Unit => unreachable!("a header of dense rows names a width"),
            Values::I8(values) => {
                self.run::<i8, _>(values.chunks_exact(x.len()).map(Dense), x, sums)
            }
            Values::I16(values) => {
                self.run::<i16, _>(values.chunks_exact(x.len()).map(Dense), x, sums)
            }
            Values::I32(values) => {
                self.run::<i32, _>(values.chunks_exact(x.len()).map(Dense), x, sums)
            }
        }
    }

    fn sparse<C: Copy + Into<usize>>(
        self,
        counts: &[u16],
        indices: &[C],
        x: &(impl Vector<i32> + ?Sized),
        sums: &mut (impl Vector<i64> + ?Sized),
    ) -> Fit {
        let columns = split(counts, indices);
        match self.shard.values {
            Values::Unit => self.run::<One, _>(columns.map(Ones), x, sums),
            Values::I8(values) => {
                let rows = iter::zip(columns, split(counts, values));
                self.run::<i8, _>(rows.map(Listed), x, sums)
            }
            Values::I16(values) => {
                let rows = iter::zip(columns, split(counts, values));
                self.run::<i16, _>(rows.map(Listed), x, sums)
            }
            Values::I32(values) => {
                let rows = iter::zip(columns, split(counts, values));
                self.run::<i32, _>(rows.map(Listed), x, sums)
            }
        }
    }

    /// The pass itself, a block of rows at a time.
    fn run<V: Value, R: Row>(
        self,
        rows: impl Iterator<Item = R> + Clone,
        x: &(impl Vector<i32> + ?Sized),
        sums: &mut (impl Vector<i64> + ?Sized),
    ) -> Fit {
        let row_bits = ceil_log2(self.shard.header.rows);
        let residual_bits = 31.min(62 - V::BITS - row_bits);
        let margin_exponent = self.exponent - V::DROPPED as i32;
        let mut residuals = Residuals::new(margin_exponent, residual_bits);
        let (mut ahead, mut behind) = (rows.clone(), rows);
        for from in (0..self.shard.header.rows as usize).step_by(BLOCK) {
            let mut block = [0; BLOCK];
            let len = BLOCK.min(self.shard.header.rows as usize - from);
            for (margin, row) in iter::zip(&mut block[..len], &mut ahead) {
                *margin = row.margin(x);
            }
            residuals.replace(&mut block[..len], |row| self.shard.label(from + row));
            for (&residual, row) in iter::zip(&block[..len], &mut behind) {
                row.add(residual as i32, sums);
            }
        }
        Fit {
            soft_loss: residuals.soft_loss,
            hard_loss: residuals.hard_loss,
            margin_exponent,
            sum_exponent: residual_bits as i32 - V::DROPPED as i32,
            sum_bits: residual_bits + V::BITS + row_bits,
        }
    }
}

/// Whether the columns of every row are listed in ascending order, hence none twice: no sum has more terms than
/// there are rows.
pub fn ascending(shard: &Shard<'_>) -> bool {
    fn all<C: PartialOrd>(counts: &[u16], indices: &[C]) -> bool {
        split(counts, indices).all(|row| row.is_sorted_by(|one, next| one < next))
    }
    match shard.columns {
        Columns::Dense => true,
        Columns::U8(counts, indices) => all(counts, indices),
        Columns::U16(counts, indices) => all(counts, indices),
    }
}

/// Cuts the entries of all rows into those of each.
fn split<'a, T>(counts: &'a [u16], mut entries: &'a [T]) -> impl Iterator<Item = &'a [T]> + Clone {
    counts.iter().map(move |&count| {
        let (row, rest) = entries.split_at(usize::from(count));
        entries = rest;
        row
    })
}

/// One row's features.
trait Row {
    /// aᵀx
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64;
    /// `sums += residual * a`
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized));
}

struct Dense<'a, V>(&'a [V]);
struct Listed<'a, C, V>((&'a [C], &'a [V]));
struct Ones<'a, C>(&'a [C]);

/// Not inlined: within the rest of a pass, an Arm core has not enough registers for these loops, which then take
/// half as many instructions again.
impl<V: Value> Row for Dense<'_, V> {
    #[inline(never)]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        iter::zip(self.0, x.as_ref()).map(|(value, &x)| value.times(x)).sum()
    }

    #[inline(never)]
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized)) {
        for (value, sum) in iter::zip(self.0, sums.as_mut()) {
            *sum += value.times(residual);
        }
    }
}

impl<C: Copy + Into<usize>, V: Value> Row for Listed<'_, C, V> {
    #[inline]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        let (columns, values) = self.0;
        iter::zip(columns, values).map(|(&column, value)| value.times(x[column.into()])).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized)) {
        let (columns, values) = self.0;
        for (&column, value) in iter::zip(columns, values) {
            sums[column.into()] += value.times(residual);
        }
    }
}

impl<C: Copy + Into<usize>> Row for Ones<'_, C> {
    #[inline]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        self.0.iter().map(|&column| One.times(x[column.into()])).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut (impl Vector<i64> + ?Sized)) {
        for &column in self.0 {
            sums[column.into()] += One.times(residual);
        }
    }
}

/// log2, rounded up.
pub fn ceil_log2(n: u32) -> u32 {
    u32::BITS - n.saturating_sub(1).leading_zeros()
}
