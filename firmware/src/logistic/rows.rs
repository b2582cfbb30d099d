//! The pass over the rows of a shard: margins, residuals, their sums by column.

use super::sigmoid::{SIGMA_EXPONENT, Z_EXPONENT, sigma_and_loss};
use core::iter;
use smidgen_protocol::shard::{Columns, Shard, Values};

/// The model as the rows meet it: `x_k * scale_k`, with one exponent.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    pub mantissas: &'a [i32],
    pub exponent: i32,
}

/// What a pass leaves beside the sums by column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Σ log(1 + e^−|margin|), with [`LOSS_EXPONENT`](super::sigmoid::LOSS_EXPONENT) fraction bits.
    pub soft_loss: u64,
    /// Σ |margin| over the rows on the wrong side, with `margin_exponent` fraction bits.
    pub hard_loss: u128,
    pub margin_exponent: i32,
    /// Fraction bits of the sums by column.
    pub sum_exponent: i32,
    /// log2 of a bound of the sums by column, at most 62.
    pub sum_bits: u32,
}

/// Adds `residual * value` of every row to the sums of its columns.
///
/// All sums are of integers, so the order of the rows does not matter. None overflows: see [`Value`].
pub fn pass(shard: &Shard<'_>, model: Model<'_>, sums: &mut [i64]) -> Fit {
    let dimension = model.mantissas.len();
    match (shard.columns, shard.values) {
        (Columns::Dense, Values::I8(values)) => dense(shard, values, dimension, model, sums),
        (Columns::Dense, Values::I16(values)) => dense(shard, values, dimension, model, sums),
        (Columns::Dense, Values::I32(values)) => dense(shard, values, dimension, model, sums),
        (Columns::Dense, Values::Unit) => unreachable!("a header of dense rows names a width"),
        (Columns::U8(counts, indices), values) => {
            sparse(shard, counts, indices, values, model, sums)
        }
        (Columns::U16(counts, indices), values) => {
            sparse(shard, counts, indices, values, model, sums)
        }
    }
}

fn dense<V: Value>(
    shard: &Shard<'_>,
    values: &[V],
    dimension: usize,
    model: Model<'_>,
    sums: &mut [i64],
) -> Fit {
    run::<V, _>(shard, values.chunks_exact(dimension).map(Dense), model, sums)
}

fn sparse<C: Copy + Into<usize>>(
    shard: &Shard<'_>,
    counts: &[u16],
    indices: &[C],
    values: Values<'_>,
    model: Model<'_>,
    sums: &mut [i64],
) -> Fit {
    let columns = split(counts, indices);
    match values {
        Values::Unit => run::<One, _>(shard, columns.map(Ones), model, sums),
        Values::I8(values) => listed(shard, columns, split(counts, values), model, sums),
        Values::I16(values) => listed(shard, columns, split(counts, values), model, sums),
        Values::I32(values) => listed(shard, columns, split(counts, values), model, sums),
    }
}

fn listed<'a, C: Copy + Into<usize> + 'a, V: Value + 'a>(
    shard: &Shard<'_>,
    columns: impl Iterator<Item = &'a [C]>,
    values: impl Iterator<Item = &'a [V]>,
    model: Model<'_>,
    sums: &mut [i64],
) -> Fit {
    run::<V, _>(shard, iter::zip(columns, values).map(|(c, v)| Listed(c, v)), model, sums)
}

/// Cuts the entries of all rows into those of each.
fn split<'a, T>(counts: &'a [u16], mut entries: &'a [T]) -> impl Iterator<Item = &'a [T]> {
    counts.iter().map(move |&count| {
        let (row, rest) = entries.split_at(usize::from(count));
        entries = rest;
        row
    })
}

/// A stored feature.
///
/// Its product with an i32 is below 2^(31 + `BITS`). A row has at most 2^16 entries, so a margin is below
/// 2^62; residuals have as few bits as keep the sum over all rows below 2^62.
trait Value: Copy {
    /// log2 of the largest magnitude, once `DROPPED` bits are gone from a product.
    const BITS: u32;
    /// Low bits dropped from a product: nothing, except where it would leave no room for a sum.
    const DROPPED: u32 = 0;
    fn times(self, factor: i32) -> i64;
}

impl Value for i8 {
    const BITS: u32 = 7;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        i64::from(self) * i64::from(factor)
    }
}

impl Value for i16 {
    const BITS: u32 = 15;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        i64::from(self) * i64::from(factor)
    }
}

impl Value for i32 {
    const BITS: u32 = 15;
    const DROPPED: u32 = 16;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        (i64::from(self) * i64::from(factor)) >> Self::DROPPED
    }
}

/// The value of one-hot features.
#[derive(Clone, Copy)]
struct One;

impl Value for One {
    const BITS: u32 = 0;
    #[inline]
    fn times(self, factor: i32) -> i64 {
        i64::from(factor)
    }
}

/// One row's features.
trait Row {
    /// aᵀx
    fn margin(&self, x: &[i32]) -> i64;
    /// `sums += residual * a`
    fn add(&self, residual: i32, sums: &mut [i64]);
}

struct Dense<'a, V>(&'a [V]);
struct Listed<'a, C, V>(&'a [C], &'a [V]);
struct Ones<'a, C>(&'a [C]);

impl<V: Value> Row for Dense<'_, V> {
    #[inline]
    fn margin(&self, x: &[i32]) -> i64 {
        iter::zip(self.0, x).map(|(value, &x)| value.times(x)).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut [i64]) {
        for (value, sum) in iter::zip(self.0, sums) {
            *sum += value.times(residual);
        }
    }
}

impl<C: Copy + Into<usize>, V: Value> Row for Listed<'_, C, V> {
    #[inline]
    fn margin(&self, x: &[i32]) -> i64 {
        iter::zip(self.0, self.1).map(|(&column, value)| value.times(x[column.into()])).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut [i64]) {
        for (&column, value) in iter::zip(self.0, self.1) {
            sums[column.into()] += value.times(residual);
        }
    }
}

impl<C: Copy + Into<usize>> Row for Ones<'_, C> {
    #[inline]
    fn margin(&self, x: &[i32]) -> i64 {
        self.0.iter().map(|&column| i64::from(x[column.into()])).sum()
    }

    #[inline]
    fn add(&self, residual: i32, sums: &mut [i64]) {
        for &column in self.0 {
            sums[column.into()] += i64::from(residual);
        }
    }
}

/// The pass itself, compiled for each kind of row.
fn run<V: Value, R: Row>(
    shard: &Shard<'_>,
    rows: impl Iterator<Item = R>,
    model: Model<'_>,
    sums: &mut [i64],
) -> Fit {
    let margin_exponent = model.exponent - V::DROPPED as i32;
    let to_z = Shift::new(margin_exponent);
    let row_bits = ceil_log2(shard.header.rows);
    let residual_bits = SIGMA_EXPONENT.min(62 - V::BITS - row_bits);
    let dropped = SIGMA_EXPONENT - residual_bits;
    let (mut soft_loss, mut hard_loss) = (0u64, 0u128);
    sums.fill(0);
    for (j, row) in rows.enumerate() {
        let margin = row.margin(model.mantissas);
        let positive = shard.label(j);
        let right = (margin >= 0) == positive;
        let magnitude = margin.unsigned_abs();
        let (sigma, loss) = sigma_and_loss(to_z.apply(magnitude));
        soft_loss += u64::from(loss);
        hard_loss += if right { 0 } else { u128::from(magnitude) };
        // σ(−y aᵀx) from σ(−|aᵀx|); the residual is −y times it.
        let pull = if right { sigma } else { (1 << SIGMA_EXPONENT) - sigma } as i32 >> dropped;
        row.add(if positive { -pull } else { pull }, sums);
    }
    Fit {
        soft_loss,
        hard_loss,
        margin_exponent,
        sum_exponent: residual_bits as i32 - V::DROPPED as i32,
        sum_bits: residual_bits + V::BITS + row_bits,
    }
}

/// log2, rounded up.
pub fn ceil_log2(n: u32) -> u32 {
    u32::BITS - n.saturating_sub(1).leading_zeros()
}

/// How a margin becomes the argument of the sigmoid: shifts that never overflow.
#[derive(Clone, Copy)]
struct Shift {
    left: u32,
    right: u32,
}

impl Shift {
    /// The sigmoid ends before 2^41, so a longer way left changes nothing.
    const LEFT_MAX: i32 = 41;

    fn new(exponent: i32) -> Self {
        let right = exponent - Z_EXPONENT as i32;
        Self { left: (-right).clamp(0, Self::LEFT_MAX) as u32, right: right.clamp(0, 63) as u32 }
    }

    #[inline]
    fn apply(self, magnitude: u64) -> u64 {
        (magnitude.min(u64::MAX >> self.left) << self.left) >> self.right
    }
}
