//! The pass over the rows of a shard: margins, residuals, their sums by column.

use crate::fixed_point::ceil_log2;
use crate::value::{One, Value};
use core::iter;
use core::ops::Range;
use smidgen_protocol::batch::{Runs, Selection};
use smidgen_protocol::shard::{Columns, Header, Shard, Values, Width};
use smidgen_protocol::vector::Ratio;

/// How many bits the numbers of a pass over such rows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Precision {
    /// Low bits that products lose: fraction bits that a margin has fewer than the model, and a sum fewer than
    /// residuals.
    pub dropped: i32,
    /// Bits of a residual beside its sign, at most 31.
    pub residual_bits: u32,
    /// log2 of a bound of the sums by column, at most 62.
    pub sum_bits: u32,
    /// log2 of what a bias is stored as.
    one_bits: u32,
}

impl Precision {
    /// For so many rows of a shard.
    pub(crate) fn new(header: &Header, row_count: u32) -> Self {
        match header.width {
            Width::Unit => Self::of::<One>(row_count),
            Width::I8 => Self::of::<i8>(row_count),
            Width::I16 => Self::of::<i16>(row_count),
            Width::I32 => Self::of::<i32>(row_count),
        }
    }

    fn of<V: Value>(row_count: u32) -> Self {
        let row_bits = ceil_log2(row_count);
        let residual_bits = 31.min(62 - V::BITS - row_bits);
        let sum_bits = residual_bits + V::BITS + row_bits;
        Self { dropped: V::DROPPED as i32, residual_bits, sum_bits, one_bits: V::ONE_BITS }
    }

    /// The scale of coordinate `k` of a model for [`pass_units`]: that of its column, or of a bias.
    pub(crate) fn scale(&self, shard: &Shard<'_>, k: usize) -> Ratio {
        let features = shard.header.dimension as usize;
        match k.checked_rem(features + 1) {
            Some(column) if column < features => shard.scale(column),
            _ => Ratio { exponent: Ratio::ONE.exponent + self.one_bits as i16, ..Ratio::ONE },
        }
    }
}

/// What an objective makes of margins.
pub(crate) trait RowLoss {
    /// Replaces the margins aᵀx of the rows from `first` on by their residuals, of
    /// [`Precision::residual_bits`] bits. In [`pass_units`] they are all those of row `first`.
    fn residuals(&mut self, first: usize, margins: &mut [i64]);
}

/// Fills `sums` with Σ_j `residual_j * value_jk` for every column k, over the selected rows j.
///
/// All sums are of integers, so the order of the rows does not matter. None overflows: see [`Value`]. It is compiled
/// once for all objectives, not for each: that is why `loss` is dynamic.
pub(crate) fn pass(
    shard: &Shard<'_>,
    rows: Selection,
    x: &[i32],
    sums: &mut [i64],
    loss: &mut dyn RowLoss,
) {
    let mut pass = Pass { shard, runs: rows.runs(shard.header.rows), loss };
    sums.fill(0);
    match shard.columns {
        Columns::Dense => pass.dense::<SingleMargin>(x, sums),
        Columns::U8(counts, indices) if WITH_TABLES => {
            let (mut x_table, mut sum_table) = ([0; 256], [0; 256]);
            x_table[..x.len()].copy_from_slice(x);
            pass.sparse::<_, SingleMargin, _, _>(counts, indices, &x_table, &mut sum_table);
            sums.copy_from_slice(&sum_table[..x.len()]);
        }
        Columns::U8(counts, indices) => {
            pass.sparse::<_, SingleMargin, _, _>(counts, indices, x, sums)
        }
        Columns::U16(counts, indices) => {
            pass.sparse::<_, SingleMargin, _, _>(counts, indices, x, sums)
        }
    }
}

/// The same where a row has up to [`UNITS_MAX`] margins, each with a bias: x and `sums` are in as many pieces, each of
/// the weights of all columns and then the bias.
///
/// A bias is the weight of one more column. What is stored there would be near the largest of its width, so that the
/// bias is as exact as other weights are.
pub(crate) fn pass_units(
    shard: &Shard<'_>,
    rows: Selection,
    x: &[i32],
    sums: &mut [i64],
    loss: &mut dyn RowLoss,
) {
    let mut pass = Pass { shard, runs: rows.runs(shard.header.rows), loss };
    sums.fill(0);
    match shard.columns {
        Columns::Dense => pass.dense::<UnitMargins>(x, sums),
        Columns::U8(counts, indices) => {
            pass.sparse::<_, UnitMargins, _, _>(counts, indices, x, sums)
        }
        Columns::U16(counts, indices) => {
            pass.sparse::<_, UnitMargins, _, _>(counts, indices, x, sums)
        }
    }
}

/// The largest number of margins of a row: they lie on the stack.
pub(crate) const UNITS_MAX: usize = 64;

/// Whether vectors that are indexed by bytes are copied to tables of 256 for the pass, so that no index needs a
/// check: a quarter off the time of a pass over one-hot rows. A board has no 3 KiB of stack for it.
const WITH_TABLES: bool = cfg!(not(target_os = "none"));

/// Rows whose margins, residuals and additions are computed together. What a row costs beside its entries is a
/// chain of dependent multiplications; those of different rows overlap.
const BLOCK: usize = 8;

/// A vector that rows look up by column: a slice or a table.
trait Vector<T>: AsMut<[T]> + AsRef<[T]> {}
impl<T, V: AsMut<[T]> + AsRef<[T]> + ?Sized> Vector<T> for V {}

/// The coordinate of a column: a shard that passed its check lists no other.
#[inline]
fn at(x: &(impl Vector<i32> + ?Sized), column: impl Into<usize>) -> i32 {
    x.as_ref().get(column.into()).copied().unwrap_or(0)
}

/// A pass in the making: it is compiled for each kind of rows, of values and of vectors.
struct Pass<'a> {
    shard: &'a Shard<'a>,
    /// The rows that it is over.
    runs: Runs,
    loss: &'a mut dyn RowLoss,
}

impl Pass<'_> {
    /// The next run of rows, and how many lie between it and the `passed` rows before; those have then passed, too.
    fn next_run(&mut self, passed: &mut usize) -> Option<(usize, Range<usize>)> {
        let run = self.runs.next()?;
        let run = run.start as usize..run.end as usize;
        let skipped = run.start - *passed;
        *passed = run.end;
        Some((skipped, run))
    }

    fn dense<B: Kernel<[i32], [i64]>>(&mut self, x: &[i32], sums: &mut [i64]) {
        let features = (self.shard.header.dimension as usize).max(1);
        match self.shard.values {
            // A header of dense rows names a width.
            Values::Unit => {}
            Values::I8(values) => B::run(self, values.chunks_exact(features).map(Dense), x, sums),
            Values::I16(values) => B::run(self, values.chunks_exact(features).map(Dense), x, sums),
            Values::I32(values) => B::run(self, values.chunks_exact(features).map(Dense), x, sums),
        }
    }

    fn sparse<C: Copy + Into<usize>, B: Kernel<X, S>, X: ?Sized, S: ?Sized>(
        &mut self,
        counts: &[u16],
        indices: &[C],
        x: &X,
        sums: &mut S,
    ) {
        let columns = split(counts, indices);
        match self.shard.values {
            Values::Unit => B::run(self, columns.map(Ones), x, sums),
            Values::I8(values) => {
                let rows = iter::zip(columns, split(counts, values));
                B::run(self, rows.map(Listed), x, sums)
            }
            Values::I16(values) => {
                let rows = iter::zip(columns, split(counts, values));
                B::run(self, rows.map(Listed), x, sums)
            }
            Values::I32(values) => {
                let rows = iter::zip(columns, split(counts, values));
                B::run(self, rows.map(Listed), x, sums)
            }
        }
    }
}

/// The pass itself, over rows of one margin or of many.
trait Kernel<X: ?Sized, S: ?Sized> {
    fn run<R: Row>(pass: &mut Pass<'_>, rows: impl Iterator<Item = R> + Clone, x: &X, sums: &mut S);
}

/// One margin: a block of rows at a time.
struct SingleMargin;

impl<X: Vector<i32> + ?Sized, S: Vector<i64> + ?Sized> Kernel<X, S> for SingleMargin {
    fn run<R: Row>(
        pass: &mut Pass<'_>,
        rows: impl Iterator<Item = R> + Clone,
        x: &X,
        sums: &mut S,
    ) {
        let (mut margin_rows, mut sum_rows, mut passed) = (rows.clone(), rows, 0);
        while let Some((skipped, run)) = pass.next_run(&mut passed) {
            skip(&mut margin_rows, skipped);
            skip(&mut sum_rows, skipped);
            for first in run.clone().step_by(BLOCK) {
                let mut block = [0; BLOCK];
                let block = &mut block[..BLOCK.min(run.end - first)];
                for (margin, row) in iter::zip(&mut *block, &mut margin_rows) {
                    *margin = row.margin(x);
                }
                pass.loss.residuals(first, block);
                for (&residual, row) in iter::zip(&*block, &mut sum_rows) {
                    // A row that fits changes nothing.
                    if residual != 0 {
                        row.add(residual as i32, sums);
                    }
                }
            }
        }
    }
}

/// Many margins, each with a bias.
struct UnitMargins;

impl Kernel<[i32], [i64]> for UnitMargins {
    fn run<R: Row>(
        pass: &mut Pass<'_>,
        mut rows: impl Iterator<Item = R> + Clone,
        x: &[i32],
        sums: &mut [i64],
    ) {
        let stride = (pass.shard.header.dimension as usize).saturating_add(1);
        let units = x.chunks_exact(stride).len().min(UNITS_MAX);
        let mut passed = 0;
        while let Some((skipped, run)) = pass.next_run(&mut passed) {
            skip(&mut rows, skipped);
            for (index, row) in iter::zip(run, &mut rows) {
                let mut margins = [0; UNITS_MAX];
                let margins = &mut margins[..units];
                for (margin, x) in iter::zip(&mut *margins, x.chunks_exact(stride)) {
                    let Some((&bias, weights)) = x.split_last() else { break };
                    *margin = row.margin(weights) + R::bias(bias);
                }
                pass.loss.residuals(index, margins);
                for (&residual, sums) in iter::zip(&*margins, sums.chunks_exact_mut(stride)) {
                    let Some((bias, sums)) = sums.split_last_mut() else { break };
                    if residual != 0 {
                        row.add(residual as i32, sums);
                        *bias += R::bias(residual as i32);
                    }
                }
            }
        }
    }
}

/// The largest dimension: a margin of as many products of 46 bits stays below 2^62.
const DIMENSION_MAX: u32 = 1 << 16;
/// The largest number of rows: as many losses of 32 bits stay below 2^63.
const ROWS_MAX: u32 = 1 << 31;

/// The shard in these bytes, if a pass over its rows is safe.
pub(crate) fn open(data: &[u8]) -> Option<Shard<'_>> {
    let shard = Shard::open(data).ok()?;
    let Header { rows, dimension, .. } = shard.header;
    let fits = (1..=DIMENSION_MAX).contains(&dimension) && (1..=ROWS_MAX).contains(&rows);
    (fits && shard.check().is_ok() && ascending(&shard)).then_some(shard)
}

/// Whether the columns of every row are listed in ascending order, hence none twice: no sum has more terms than
/// there are rows.
fn ascending(shard: &Shard<'_>) -> bool {
    fn all<C: PartialOrd>(counts: &[u16], indices: &[C]) -> bool {
        split(counts, indices).all(|row| row.is_sorted_by(|one, next| one < next))
    }
    match shard.columns {
        Columns::Dense => true,
        Columns::U8(counts, indices) => all(counts, indices),
        Columns::U16(counts, indices) => all(counts, indices),
    }
}

/// Leaves out so many rows.
fn skip(rows: &mut impl Iterator, count: usize) {
    if let Some(last) = count.checked_sub(1) {
        rows.nth(last);
    }
}

/// Cuts the entries of all rows into those of each.
fn split<'a, T>(counts: &'a [u16], mut entries: &'a [T]) -> impl Iterator<Item = &'a [T]> + Clone {
    counts.iter().map(move |&count| {
        let (row, rest) = entries.split_at_checked(count.into()).unwrap_or_default();
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
    /// The product with the value of a bias.
    fn bias(factor: i32) -> i64;
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

    fn bias(factor: i32) -> i64 {
        V::ONE.times(factor)
    }
}

impl<C: Copy + Into<usize>, V: Value> Row for Listed<'_, C, V> {
    #[inline]
    fn margin(&self, x: &(impl Vector<i32> + ?Sized)) -> i64 {
        let (columns, values) = self.0;
        iter::zip(columns, values).map(|(&column, value)| value.times(at(x, column))).sum()
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
        self.0.iter().map(|&column| One.times(at(x, column))).sum()
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
