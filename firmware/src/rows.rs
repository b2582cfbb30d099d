//! The pass over the rows of a shard: margins, residuals, and sums by column.
//!
//! A board spends nearly all of its time here. The pass is written for that:
//!
//! 1. It is compiled for each kind of row, so the loop over entries does not branch on widths or on sparsity.
//! 2. Sums are i64 and cannot overflow, so the loop neither saturates nor checks.
//! 3. Rows of one margin are processed in blocks, which lets independent multiplications overlap.
//! 4. Dense rows of one margin are added to the sums four at a time, but on a Cortex-M0, which has too few registers.
//! 5. Where the stack permits, vectors indexed by bytes are copied to tables of 256, which need no bounds checks.
//!
//! # Units and guarantees
//! A pass multiplies stored features by the mantissas of a model that [`columns::scale`](crate::columns::scale) has
//! multiplied by the scales of the columns. With e fraction bits in these products, margins have e −
//! [`Precision::dropped`]. A [`RowLoss`] turns margins into residuals of at most 2^[`Precision::residual_bits`]; then no
//! sum by column exceeds 2^[`Precision::sum_bits`], and none overflows. The shard must have passed [`open`].
//!
//! # Example
//! The sums by column of the residuals 1 and 1, which are the sums of the columns:
//!
//! ```
//! use smidgen_firmware::rows::{RowLoss, pass};
//! use smidgen_protocol::batch::Selection;
//! use smidgen_protocol::shard::{Parts, Shard};
//!
//! /// Keeps the margins, and sets the residuals to 1.
//! struct Ones(Vec<i64>);
//!
//! impl RowLoss for Ones {
//!     fn residuals(&mut self, _first: usize, margins: &mut [i64]) {
//!         self.0.extend(&*margins);
//!         margins.fill(1);
//!     }
//! }
//!
//! let shard = Shard::from_parts(&Parts {
//!     dimension: 2,
//!     classes: 2,
//!     values: &[1, 2, 3, -4],
//!     stride: 2,
//!     labels: &[0, 1],
//!     scale_mantissas: &[1; 3],
//!     scale_exponents: &[0; 3],
//! });
//! let (mut sums, mut loss) = ([0; 2], Ones(vec![]));
//! pass(&shard.expect("valid parts"), Selection::ALL, &[10, 1], &mut sums, &mut loss);
//! assert_eq!((loss.0, sums), (vec![12, 26], [4, -2]));
//! ```

mod row;

use crate::data::Data;
use crate::fixed_point::ceil_log2;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use crate::simd::dense::{self, Narrow};
use crate::simd::loops::IS_ON;
use crate::value::{One, Value};
use core::iter;
use core::ops::Range;
use row::{Dense, Listed, Ones, Row, Vector};
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::{Columns, Header, RowRuns, Shard, Values, Width};
use smidgen_protocol::vector::Ratio;

/// Bit widths of the quantities in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Low bits dropped from products: a margin has that many fraction bits less than the model, a sum less than
    /// residuals.
    pub dropped: i32,
    /// Bits of a residual besides its sign, at most 31.
    pub residual_bits: u32,
    /// log2 of a bound of the sums by column, at most 62.
    pub sum_bits: u32,
    /// log2 of the stored value of a bias input.
    pub one_bits: u32,
}

impl Precision {
    /// Widths for `row_count` rows of a shard.
    pub fn new(header: &Header, row_count: u32) -> Self {
        match header.width {
            Width::Unit => Self::of::<One>(row_count),
            Width::I8 => Self::of::<i8>(row_count),
            Width::I16 => Self::of::<i16>(row_count),
            Width::I32 => Self::of::<i32>(row_count),
        }
    }

    fn of<V: Value>(row_count: u32) -> Self {
        let row_bits = ceil_log2(row_count);
        // A sum over all rows has 2^row_bits products of 2^(residual_bits + BITS) at most, and must stay within 2^62.
        let residual_bits = 31.min(62 - V::BITS - row_bits);
        let sum_bits = residual_bits + V::BITS + row_bits;
        Self { dropped: V::DROPPED as i32, residual_bits, sum_bits, one_bits: V::ONE_BITS }
    }

    /// Scale of coordinate `k` of a model for [`pass_units`]: that of its column, or of the bias.
    pub fn scale(&self, shard: &Shard<'_>, k: usize) -> Ratio {
        let features = shard.header.dimension as usize;
        match k.checked_rem(features + 1) {
            Some(column) if column < features => shard.scale(column),
            _ => ratio_of_one(self.one_bits),
        }
    }
}

/// Scale of a bias of a model, for features of a width; see [`Softmax`](crate::softmax::Softmax).
#[must_use]
pub const fn bias_scale(width: Width) -> Ratio {
    ratio_of_one(match width {
        Width::Unit => One::ONE_BITS,
        Width::I8 => i8::ONE_BITS,
        Width::I16 => i16::ONE_BITS,
        Width::I32 => i32::ONE_BITS,
    })
}

/// Scale whose product with the stored value of a bias input, 2^`one_bits`, is one.
const fn ratio_of_one(one_bits: u32) -> Ratio {
    Ratio { exponent: Ratio::ONE.exponent + one_bits as i16, ..Ratio::ONE }
}

/// The loss of a row as a function of its margins.
pub trait RowLoss {
    /// Replaces margins by residuals of [`Precision::residual_bits`] bits: the derivative of the row's loss.
    ///
    /// In [`pass`], `margins` are aᵀx of the rows from `first` on; in [`pass_units`], all margins of row `first`.
    fn residuals(&mut self, first: usize, margins: &mut [i64]);
}

/// Computes Σ_j `residual_j * value_jk` for every column k over the selected rows j, for rows of one margin.
///
/// All sums are of integers, so the order of rows does not matter. None overflows: see the units of the [module](self).
/// `loss` is dynamic so that the pass is compiled once, not per objective.
pub fn pass(
    shard: &Shard<'_>,
    rows: Selection,
    x: &[i32],
    sums: &mut [i64],
    loss: &mut dyn RowLoss,
) {
    let mut pass = Pass { shard, runs: shard.runs(rows), loss };
    sums.fill(0);
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    if matches!(shard.columns, Columns::Dense) && pass.dense_by_vectors(x, sums) {
        return;
    }
    match shard.columns {
        Columns::Dense => pass.dense::<SingleMargin>(x, sums),
        Columns::U8(counts, indices) if WITH_TABLES => {
            let (mut x_table, mut sum_table) = ([0; 256], [0; 256]);
            // An index below 256 needs no bounds check in an array of 256. One-byte indices imply that x is no
            // longer.
            x_table[..x.len()].copy_from_slice(x);
            pass.sparse::<_, SingleMargin, _, _>(counts, indices, &x_table, &mut sum_table);
            sums.copy_from_slice(&sum_table[..sums.len().min(x.len())]);
        }
        Columns::U8(counts, indices) => {
            pass.sparse::<_, SingleMargin, _, _>(counts, indices, x, sums)
        }
        Columns::U16(counts, indices) => {
            pass.sparse::<_, SingleMargin, _, _>(counts, indices, x, sums)
        }
    }
}

/// As [`pass`], for rows of up to [`UNITS_MAX`] margins, each with a bias.
///
/// `x` and `sums` consist of one piece per unit: the weights of all columns, then the bias. A bias is the weight of one
/// more column, whose stored value would be near the largest of its width, so that it is as precise as other weights.
pub fn pass_units(
    shard: &Shard<'_>,
    rows: Selection,
    x: &[i32],
    sums: &mut [i64],
    loss: &mut dyn RowLoss,
) {
    let mut pass = Pass { shard, runs: shard.runs(rows), loss };
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

/// Maximum number of margins of a row, which are on the stack.
pub const UNITS_MAX: usize = 64;

/// Copy vectors indexed by bytes to tables of 256 entries, which saves a quarter of the time of a pass over one-hot
/// rows. A board does not have the 3 KiB of stack.
const WITH_TABLES: bool = cfg!(not(target_os = "none"));

/// Rows processed together. Beyond its entries, a row costs a chain of dependent multiplications; those of different
/// rows overlap. On a host, more rows fill its vectors.
const BLOCK: usize = if IS_ON { 32 } else { 8 };

/// State of a pass.
struct Pass<'a> {
    shard: &'a Shard<'a>,
    /// The selected rows that remain.
    runs: RowRuns<'a>,
    loss: &'a mut dyn RowLoss,
}

impl Pass<'_> {
    /// The next run of rows and the number of rows to skip before it, given the end of the previous run in `passed`.
    fn next_run(&mut self, passed: &mut usize) -> Option<(usize, Range<usize>)> {
        let run = self.runs.next()?;
        let run = run.start as usize..run.end as usize;
        let skipped = run.start - *passed;
        *passed = run.end;
        Some((skipped, run))
    }

    /// Passes over dense rows of one margin with the vectors of a host; returns false if it cannot.
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    fn dense_by_vectors(&mut self, x: &[i32], sums: &mut [i64]) -> bool {
        match (dense::Instructions::new(), self.shard.values) {
            (Some(with), Values::I8(values)) => self.dense_blocks::<i8, 2>(with, values, x, sums),
            (Some(with), Values::I16(values)) => self.dense_blocks::<i16, 3>(with, values, x, sums),
            (_, Values::Unit | Values::I32(_)) | (None, _) => false,
        }
    }

    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    fn dense_blocks<V: Narrow, const DIGITS: usize>(
        &mut self,
        with: dense::Instructions,
        values: &[V],
        x: &[i32],
        sums: &mut [i64],
    ) -> bool {
        let Some(model) = dense::Model::<DIGITS>::new::<V>(with, x) else { return false };
        let mut all = values.chunks_exact(self.shard.stride.max(1));
        let mut passed = 0;
        while let Some((skipped, run)) = self.next_run(&mut passed) {
            skip(&mut all, skipped);
            for first in run.clone().step_by(dense::BLOCK) {
                let (mut rows, mut margins) = ([&[][..]; dense::BLOCK], [0; dense::BLOCK]);
                let len = dense::BLOCK.min(run.end - first);
                // A row may be followed by bytes that belong to no column.
                iter::zip(&mut rows[..len], &mut all).for_each(|(to, row)| *to = &row[..x.len()]);
                let (rows, margins) = (&rows[..len], &mut margins[..len]);
                let plain = |row: &[V], residual, sums: &mut [i64]| Dense(row).add(residual, sums);
                if len < dense::FEW {
                    // Those of a minibatch, for which digits are not worth their time.
                    let each = iter::zip(&mut *margins, rows);
                    each.for_each(|(margin, row)| *margin = Dense(row).margin(x));
                    self.loss.residuals(first, margins);
                    iter::zip(rows, &*margins).for_each(|(row, &it)| plain(row, it as i32, sums));
                    continue;
                }
                model.margins(with, rows, margins);
                self.loss.residuals(first, margins);
                dense::add::<V, DIGITS>(with, rows, margins, sums, plain);
            }
        }
        true
    }

    fn dense<B: Kernel<[i32], [i64]>>(&mut self, x: &[i32], sums: &mut [i64]) {
        let stride = self.shard.stride.max(1);
        match self.shard.values {
            // `Header::parse` rejects dense rows without stored values.
            Values::Unit => {}
            Values::I8(values) => B::run(self, values.chunks_exact(stride).map(Dense), x, sums),
            Values::I16(values) => B::run(self, values.chunks_exact(stride).map(Dense), x, sums),
            Values::I32(values) => B::run(self, values.chunks_exact(stride).map(Dense), x, sums),
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

/// The inner loop of a pass, for rows of one margin or of several.
trait Kernel<X: ?Sized, S: ?Sized> {
    fn run<R: Row>(pass: &mut Pass<'_>, rows: impl Iterator<Item = R> + Clone, x: &X, sums: &mut S);
}

/// Rows of one margin, in blocks.
struct SingleMargin;

impl<X: Vector<i32> + ?Sized, S: Vector<i64> + ?Sized> Kernel<X, S> for SingleMargin {
    fn run<R: Row>(
        pass: &mut Pass<'_>,
        rows: impl Iterator<Item = R> + Clone,
        x: &X,
        sums: &mut S,
    ) {
        // Two iterators over the same rows: the margins of a block are complete before its residuals are added.
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
                if R::ADDS_SEVERAL {
                    R::add_all(&mut sum_rows, block, sums);
                    continue;
                }
                for (&residual, row) in iter::zip(&*block, &mut sum_rows) {
                    // A residual of zero changes no sum; such rows are frequent in a good fit.
                    if residual != 0 {
                        row.add(residual as i32, sums);
                    }
                }
            }
        }
    }
}

/// Rows of several margins, each with a bias.
struct UnitMargins;

impl Kernel<[i32], [i64]> for UnitMargins {
    fn run<R: Row>(
        pass: &mut Pass<'_>,
        mut rows: impl Iterator<Item = R> + Clone,
        x: &[i32],
        sums: &mut [i64],
    ) {
        // One more coordinate per unit, for its bias.
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
                        // A residual has at most 31 bits besides its sign, so the cast is exact.
                        *bias += R::bias(residual as i32);
                    }
                }
            }
        }
    }
}

/// Largest dimension: a margin of 2^16 products of 46 bits is below 2^62.
const DIMENSION_MAX: u32 = 1 << 16;
/// Largest number of rows: a sum of 2^31 losses of 32 bits is below 2^63.
const ROWS_MAX: u32 = 1 << 31;

/// Opens and checks a shard; `None` if it is invalid or too large for a pass.
pub fn open(data: Data<'_>) -> Option<Shard<'_>> {
    let shard = data.shard()?;
    let Header { rows, dimension, .. } = shard.header;
    let fits = (1..=DIMENSION_MAX).contains(&dimension) && (1..=ROWS_MAX).contains(&rows);
    (fits && shard.check().is_ok() && ascending(&shard)).then_some(shard)
}

/// Returns whether the columns of every row are strictly ascending. Then none is listed twice, and no sum has more
/// terms than there are rows.
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

/// Skips `count` rows.
fn skip(rows: &mut impl Iterator, count: usize) {
    if let Some(last) = count.checked_sub(1) {
        rows.nth(last);
    }
}

/// Splits the entries of all rows by row.
fn split<'a, T>(counts: &'a [u16], mut entries: &'a [T]) -> impl Iterator<Item = &'a [T]> + Clone {
    counts.iter().map(move |&count| {
        // A checked shard has as many entries as its counts add up to; otherwise the row is empty.
        let (row, rest) = entries.split_at_checked(count.into()).unwrap_or_default();
        entries = rest;
        row
    })
}
