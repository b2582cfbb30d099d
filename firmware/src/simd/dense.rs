//! Dense rows of 8 and 16 bits with multiplications of 16 bits, of which AVX2 has sixteen in an instruction.
//!
//! A factor of 32 bits, a coordinate of the model or a residual, is split into digits of 16 or 11 bits:
//!
//! ```text
//! Σ value · factor = Σ_digits 2^(place) Σ value · digit
//! ```
//!
//! An instruction adds two products of 16 bits in a word of 32. Sums of digits stay in such words for as many products
//! as fit, and are then added to sums of 64 bits. No sum is rounded, so the result is that of the plain loops.
//!
//! 1. A margin takes two neighbouring columns at a time. Four rows share the digits of the model.
//! 2. A sum by column takes two rows at a time, whose values are interleaved. It stays in registers for all rows of a
//!    block.

use super::loops::{ByArch, Loops};
use crate::value::Value;
use alloc::vec;
use alloc::vec::Vec;
use core::iter;
use core::marker::PhantomData;
use pulp::cast;
use pulp::x86::V3;

/// Eight words of 32 bits.
type Words = pulp::i32x8;
/// Sixteen halves of such words.
type Halves = pulp::i16x16;

const NO_WORDS: Words = pulp::i32x8(0, 0, 0, 0, 0, 0, 0, 0);
/// Halves of a vector.
const LANES: usize = 16;
/// Columns whose sums are in registers.
const COLUMNS: usize = 2 * LANES;
/// Rows that share the digits of the model.
const ROWS: usize = 4;
/// Rows of a block.
pub(crate) const BLOCK: usize = 32;
/// Fewer rows take less time without digits.
pub(crate) const FEW: usize = 4;

/// The instructions that the loops take.
#[derive(Clone, Copy)]
pub(crate) struct Instructions(V3);

impl Instructions {
    /// `None` if the processor does not have them.
    pub(crate) fn new() -> Option<Self> {
        V3::try_new().map(Self)
    }
}

/// A value of up to 16 bits.
pub(crate) trait Narrow: Value {
    /// Bits of a digit.
    const DIGIT_BITS: u32;
    /// Groups of sixteen columns after which the words of a margin are joined. Each adds two products to a word.
    const GROUPS: usize;
    /// Zero.
    const ZERO: Self;
    /// Values as halves.
    fn halves(simd: V3, values: &[Self; LANES]) -> Halves;
}

/// Two digits. A product has 22 bits, so a word holds 2^9 of them.
impl Narrow for i8 {
    const DIGIT_BITS: u32 = 16;
    const GROUPS: usize = 64;
    const ZERO: Self = 0;
    #[inline(always)]
    fn halves(simd: V3, values: &[Self; LANES]) -> Halves {
        cast(simd.avx2._mm256_cvtepi8_epi16(cast(*values)))
    }
}

/// Three digits. A product has 25 bits, so a word holds 2^5 of them, even with a carry.
impl Narrow for i16 {
    const DIGIT_BITS: u32 = 11;
    const GROUPS: usize = 16;
    const ZERO: Self = 0;
    #[inline(always)]
    fn halves(_: V3, values: &[Self; LANES]) -> Halves {
        cast(*values)
    }
}

/// Digits of a factor, the lowest first, each of them from −2^(b−1) to 2^(b−1), and whether the highest fits.
#[inline(always)]
fn digits<V: Narrow, const D: usize>(factor: i32) -> ([i16; D], bool) {
    let mut rest = factor;
    let mut digits = [0; D];
    for digit in &mut digits[..D - 1] {
        // Rounded to nearest, halves up, so that digits are as small as they can be.
        let upper = (rest >> V::DIGIT_BITS) + (rest >> (V::DIGIT_BITS - 1) & 1);
        *digit = rest.wrapping_sub(upper << V::DIGIT_BITS) as i16;
        rest = upper;
    }
    digits[D - 1] = rest as i16;
    (digits, i32::from(digits[D - 1]) == rest)
}

/// Joins sums of digits.
#[inline(always)]
fn joined<V: Narrow, const D: usize>(sums: [i64; D]) -> i64 {
    let mut joined = 0;
    for (place, sum) in iter::zip(0.., sums) {
        joined += sum << (V::DIGIT_BITS * place);
    }
    joined
}

/// The digits of a model.
pub(crate) struct Model<const D: usize> {
    /// Of sixteen columns each.
    groups: Vec<[[i16; LANES]; D]>,
}

impl<const D: usize> Model<D> {
    /// `None` if a coordinate has no digits.
    pub(crate) fn new<V: Narrow>(Instructions(simd): Instructions, x: &[i32]) -> Option<Self> {
        let mut groups = vec![[[0; LANES]; D]; x.len().div_ceil(LANES)];
        let fits =
            simd.vectorize(ByArch(Split::<V, D> { x, groups: &mut groups, of: PhantomData }));
        fits.then_some(Self { groups })
    }

    /// Writes the margins of rows, which are as long as the model.
    pub(crate) fn margins<V: Narrow>(
        &self,
        Instructions(simd): Instructions,
        rows: &[&[V]],
        margins: &mut [i64],
    ) {
        simd.vectorize(ByArch(Margins { simd, model: self, rows, margins }));
    }

    #[inline(always)]
    fn products<V: Narrow>(&self, simd: V3, rows: [&[V]; ROWS]) -> [i64; ROWS] {
        let mut rests = [[V::ZERO; LANES]; ROWS];
        let mut pieces = [&[][..]; ROWS];
        for (row, (rest, piece)) in iter::zip(rows, iter::zip(&mut rests, &mut pieces)) {
            let (groups, values) = row.as_chunks::<LANES>();
            (*piece, *rest) = (groups, padded(values));
        }
        let mut products = [0; ROWS];
        for (tile, groups) in self.groups.chunks(V::GROUPS).enumerate() {
            let mut sums = [[NO_WORDS; D]; ROWS];
            let mut whole = [&[][..]; ROWS];
            for (to, piece) in iter::zip(&mut whole, pieces) {
                let first = tile * V::GROUPS;
                *to = &piece[first..piece.len().min(first + V::GROUPS)];
            }
            let [a, b, c, d] = whole;
            for ((((digits, a), b), c), d) in groups.iter().zip(a).zip(b).zip(c).zip(d) {
                add_group(simd, digits, [a, b, c, d], &mut sums);
            }
            if let Some(digits) = groups.get(a.len()) {
                let [a, b, c, d] = &rests;
                add_group(simd, digits, [a, b, c, d], &mut sums);
            }
            for (product, words) in iter::zip(&mut products, sums) {
                let mut totals = [0; D];
                for (to, words) in iter::zip(&mut totals, words) {
                    *to = total(words);
                }
                *product += joined::<V, D>(totals);
            }
        }
        products
    }
}

/// Splits a model into digits; returns whether all coordinates have them.
struct Split<'a, V, const D: usize> {
    x: &'a [i32],
    groups: &'a mut [[[i16; LANES]; D]],
    of: PhantomData<V>,
}

impl<V: Narrow, const D: usize> Loops for Split<'_, V, D> {
    type Output = bool;
    #[inline(always)]
    fn run(self) -> bool {
        let mut fits = true;
        for (group, x) in iter::zip(self.groups, self.x.chunks(LANES)) {
            for (lane, &x) in x.iter().enumerate() {
                let (digits, has) = digits::<V, D>(x);
                fits &= has;
                for (to, digit) in iter::zip(&mut *group, digits) {
                    to[lane] = digit;
                }
            }
        }
        fits
    }
}

/// See [`Model::margins`].
struct Margins<'a, V, const D: usize> {
    simd: V3,
    model: &'a Model<D>,
    rows: &'a [&'a [V]],
    margins: &'a mut [i64],
}

impl<V: Narrow, const D: usize> Loops for Margins<'_, V, D> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (rows, margins) in iter::zip(self.rows.chunks(ROWS), self.margins.chunks_mut(ROWS)) {
            // Fewer rows are filled up with the first.
            let mut four = [rows[0]; ROWS];
            for (to, row) in iter::zip(&mut four, rows) {
                *to = row;
            }
            let products = self.model.products(self.simd, four);
            margins.copy_from_slice(&products[..margins.len()]);
        }
    }
}

#[inline(always)]
fn add_group<V: Narrow, const D: usize>(
    simd: V3,
    digits: &[[i16; LANES]; D],
    rows: [&[V; LANES]; ROWS],
    sums: &mut [[Words; D]; ROWS],
) {
    for (row, sums) in iter::zip(rows, sums) {
        let values = V::halves(simd, row);
        for (digits, sum) in iter::zip(digits, sums) {
            *sum = multiply_add(simd, values, cast(*digits), *sum);
        }
    }
}

/// `sum` plus the sums of two neighbouring products.
#[inline(always)]
fn multiply_add(simd: V3, a: Halves, b: Halves, sum: Words) -> Words {
    let products = simd.avx2._mm256_madd_epi16(cast(a), cast(b));
    cast(simd.avx2._mm256_add_epi32(products, cast(sum)))
}

#[inline(always)]
fn total(words: Words) -> i64 {
    let words: [i32; 8] = cast(words);
    let mut total = 0;
    for word in words {
        total += i64::from(word);
    }
    total
}

/// Values with zeros behind them.
#[inline(always)]
fn padded<V: Narrow, const N: usize>(values: &[V]) -> [V; N] {
    let mut padded = [V::ZERO; N];
    for (to, &value) in iter::zip(&mut padded, values) {
        *to = value;
    }
    padded
}

/// Adds up to [`BLOCK`] rows to the sums by column: `sums += Σ residual * row`.
#[inline]
pub(crate) fn add<V: Narrow, const D: usize>(
    Instructions(simd): Instructions,
    rows: &[&[V]],
    residuals: &[i64],
    sums: &mut [i64],
    plain: impl Fn(&[V], i32, &mut [i64]),
) {
    let mut pairs = [Pair { rows: [&[][..]; 2], digits: [0; D] }; BLOCK / 2];
    let mut count = 0;
    for (row, &residual) in iter::zip(rows, residuals) {
        let residual = residual as i32;
        let (digits, has) = digits::<V, D>(residual);
        if !has {
            plain(row, residual, sums);
            continue;
        }
        // A residual of zero changes no sum; such rows are frequent in a good fit.
        if residual != 0 {
            pairs[count / 2].set(count % 2, row, digits);
            count += 1;
        }
    }
    if count > 0 {
        let pairs = &pairs[..count.div_ceil(2)];
        simd.vectorize(ByArch(Add { simd, pairs, sums }));
    }
}

/// Two rows, and the digits of their residuals side by side in words.
#[derive(Clone, Copy)]
struct Pair<'a, V, const D: usize> {
    rows: [&'a [V]; 2],
    digits: [i32; D],
}

impl<'a, V, const D: usize> Pair<'a, V, D> {
    fn set(&mut self, place: usize, row: &'a [V], digits: [i16; D]) {
        if place == 0 {
            // Until there is another one, the second row is the first, times zero.
            self.rows = [row; 2];
            self.digits = digits.map(|digit| i32::from(digit as u16));
        } else {
            self.rows[1] = row;
            for (word, digit) in iter::zip(&mut self.digits, digits) {
                *word |= i32::from(digit) << 16;
            }
        }
    }
}

/// See [`add`].
struct Add<'a, V, const D: usize> {
    simd: V3,
    pairs: &'a [Pair<'a, V, D>],
    sums: &'a mut [i64],
}

impl<V: Narrow, const D: usize> Loops for Add<'_, V, D> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        add_pairs(self.simd, self.pairs, self.sums);
    }
}

#[inline(always)]
fn add_pairs<V: Narrow, const D: usize>(simd: V3, pairs: &[Pair<'_, V, D>], sums: &mut [i64]) {
    let (tiles, rest) = sums.as_chunks_mut::<COLUMNS>();
    let whole = tiles.len() * COLUMNS;
    for (first, sums) in iter::zip((0..).step_by(COLUMNS), tiles) {
        add_tile(simd, pairs, first, sums);
    }
    if rest.is_empty() {
        return;
    }
    // The last columns, with zeros in place of missing ones.
    let mut pieces = [[[V::ZERO; COLUMNS]; 2]; BLOCK / 2];
    for (pieces, Pair { rows, .. }) in iter::zip(&mut pieces, pairs) {
        for (piece, row) in iter::zip(pieces, rows) {
            *piece = padded(&row[whole..whole + rest.len()]);
        }
    }
    let mut last = [Pair { rows: [&[][..]; 2], digits: [0; D] }; BLOCK / 2];
    for (to, ([one, other], pair)) in iter::zip(&mut last, iter::zip(&pieces, pairs)) {
        *to = Pair { rows: [one, other], digits: pair.digits };
    }
    let mut tile = [0; COLUMNS];
    add_tile(simd, &last[..pairs.len()], 0, &mut tile);
    for (sum, tile) in iter::zip(rest, tile) {
        *sum += tile;
    }
}

#[inline(always)]
fn add_tile<V: Narrow, const D: usize>(
    simd: V3,
    pairs: &[Pair<'_, V, D>],
    first: usize,
    sums: &mut [i64; COLUMNS],
) {
    let mut words = [[NO_WORDS; 4]; D];
    for Pair { rows: [one, other], digits } in pairs {
        let (one, other) = (columns(simd, &one[first..]), columns(simd, &other[first..]));
        let low = interleaved(simd, one[0], other[0]);
        let high = interleaved(simd, one[1], other[1]);
        let interleaved = [low[0], low[1], high[0], high[1]];
        for (words, &digits) in iter::zip(&mut words, digits) {
            let digits = cast(simd.avx._mm256_set1_epi32(digits));
            for (word, values) in iter::zip(words, interleaved) {
                *word = multiply_add(simd, values, digits, *word);
            }
        }
    }
    let mut ordered = [[0; COLUMNS]; D];
    for (ordered, [a, b, c, d]) in iter::zip(&mut ordered, words) {
        let (low, high) = (in_order(simd, a, b), in_order(simd, c, d));
        *ordered = cast([low[0], low[1], high[0], high[1]]);
    }
    for (column, sum) in sums.iter_mut().enumerate() {
        let mut digits = [0; D];
        for (digit, words) in iter::zip(&mut digits, &ordered) {
            *digit = i64::from(words[column]);
        }
        *sum += joined::<V, D>(digits);
    }
}

/// The first [`COLUMNS`] values of a row.
#[inline(always)]
fn columns<V: Narrow>(simd: V3, row: &[V]) -> [Halves; 2] {
    let groups = &row[..COLUMNS].as_chunks::<LANES>().0;
    [V::halves(simd, &groups[0]), V::halves(simd, &groups[1])]
}

/// Halves of two vectors by turns: those of columns 0 to 3 and 8 to 11, and the others.
#[inline(always)]
fn interleaved(simd: V3, a: Halves, b: Halves) -> [Halves; 2] {
    let (a, b) = (cast(a), cast(b));
    [cast(simd.avx2._mm256_unpacklo_epi16(a, b)), cast(simd.avx2._mm256_unpackhi_epi16(a, b))]
}

/// Words of such columns in the order of columns.
#[inline(always)]
fn in_order(simd: V3, a: Words, b: Words) -> [Words; 2] {
    let (a, b) = (cast(a), cast(b));
    [
        cast(simd.avx2._mm256_permute2x128_si256::<0x20>(a, b)),
        cast(simd.avx2._mm256_permute2x128_si256::<0x31>(a, b)),
    ]
}

#[cfg(test)]
mod tests;
