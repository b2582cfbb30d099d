//! Sparse vectors in few bytes, and [`apply`], which adds them to an estimator.
//!
//! A body is a string of decisions in a binary range code (module `range`):
//!
//! ```text
//! number of entries     updates: whether it is K; else its bits near those of the last body, then all but the highest
//! shift                 near that of the last body                                         if there are entries
//! value_bits            near that of the last body, unless it is an update                 if there are entries
//! is whole              else how many of the entries are in this body                      if there are entries
//! per entry, ascending indices:
//!   no entry, … , entry one decision a coordinate, weighed by |Σ g_i|, see `places`
//!   sign                likely the opposite of that of Σ g_i
//!   |mantissa| - 1      zero is never encoded: the highest bit that is set, then those below it
//! ```
//!
//! What a decision depends on is known to both ends: see [`Terms`]. The value of an entry is `mantissa * 2^shift` in
//! units of the vector's exponent. Since `shift >= 0`, the receiver applies exactly the values that the sender applied.
//! Without Σ g_i, bodies of random entries have about `log2 C(d, K) + K * value_bits` bits, the information limit.

mod error;
mod places;
mod range;

use crate::vector::{round_shift, saturate};
pub use error::BodyError;
use places::Places;
use postcard_schema::Schema;
use range::{Chance, Coder, EVEN, Reader, Writer};
use serde::{Deserialize, Serialize};

/// Width of the widest mantissa in a body, in bits.
pub const VALUE_BITS_MAX: u8 = 48;
/// Largest shift of a body.
pub const SHIFT_MAX: u8 = 31;

/// Chance that a number is not that of the last body.
const DIFFERS: u16 = 24_576;
/// Chance that an update has K entries, and that a body has all entries of its vector.
const USUAL: u16 = 63_488;
/// First chance that the sign of an entry is not that of Σ g_i.
const OPPOSES: u16 = 49_152;

/// Numbers of a body that the next one on its link is likely to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Form {
    /// Binary exponent of the factor of all mantissas.
    pub shift: u8,
    /// Width of mantissas, in bits.
    pub value_bits: u8,
    /// Number of bits of the number of entries.
    pub count_bits: u8,
}

impl Form {
    /// The form before the first body.
    pub const FIRST: Self = Self { shift: 0, value_bits: 8, count_bits: 4 };

    /// Returns whether a body can have this form.
    pub const fn is_valid(self) -> bool {
        let Self { shift, value_bits, count_bits } = self;
        shift <= SHIFT_MAX && 1 <= value_bits && value_bits <= VALUE_BITS_MAX && count_bits <= 32
    }
}

/// What both ends know before a body.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'s> {
    /// Dimension of the vector.
    pub dimension: u32,
    /// First coordinate that may have an entry.
    pub from: u32,
    /// Σ g_i as the worker holds it, before the body is applied; empty if it holds none.
    pub sum: &'s [i64],
    /// Form of the last body.
    pub last: Form,
    /// K if the body is of an update, whose width is that of the last one.
    pub budget: Option<u32>,
}

impl Terms<'static> {
    /// Terms of a vector that is sent to a worker which may know nothing.
    pub const fn plain(dimension: u32, from: u32) -> Self {
        Self { dimension, from, sum: &[], last: Form::FIRST, budget: None }
    }
}

/// A body that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length in bytes.
    pub len: usize,
    /// The first coordinate that the next body may have an entry at; the dimension if the body is the last.
    pub until: u32,
    /// The form of the body.
    pub form: Form,
}

/// Writes as many entries as fit; the indices ascend from `terms.from` on.
///
/// `form` gives shift and width. Mantissas fit it and are not zero. An update has its budget at most. `out` has 64 bytes
/// at least.
pub fn encode(
    out: &mut [u8],
    terms: &Terms,
    form: Form,
    entries: impl Iterator<Item = (u32, i64)> + Clone,
) -> Written {
    let count = entries.clone().count() as u32;
    let mut here = count;
    loop {
        let header = Header { form, count, here };
        let mut coder = Writer::new(out);
        // A header of its own numbers is never refused.
        let form = header.code(&mut coder, terms).map_or(form, |header| header.form);
        let mut values = Values::new(terms, form, count);
        let mut left = entries.clone();
        let fit = left.by_ref().take(here as usize).take_while(|&entry| {
            values.code(&mut coder, terms.sum, entry);
            !coder.is_full()
        });
        let fit = fit.count() as u32;
        if fit == here || here == 0 {
            let until = left.next().map_or(terms.dimension, |(index, _)| index);
            return Written { len: coder.finish(), until, form };
        }
        // The number of entries in the body takes room as well, but was not written before.
        here = fit.saturating_sub(1 + fit / 32);
    }
}

/// Reads a body, entry by entry. Its methods take the sum of its [`Terms`], so that entries can be added to that sum as
/// they are read.
#[derive(Clone, Debug)]
pub struct Decoder<'b> {
    coder: Reader<'b>,
    values: Values,
    form: Form,
    is_whole: bool,
    /// Entries that are left.
    left: u32,
}

impl<'b> Decoder<'b> {
    /// Opens a body.
    pub fn new(body: &'b [u8], terms: &Terms) -> Result<Self, BodyError> {
        let mut coder = Reader::new(body);
        let nothing = Header { form: terms.last, count: 0, here: 0 };
        let Header { form, count, here } = nothing.code(&mut coder, terms)?;
        let (values, is_whole) = (Values::new(terms, form, count), here == count);
        Ok(Self { coder, values, form, is_whole, left: here })
    }

    /// Binary exponent of the factor of all mantissas.
    pub fn shift(&self) -> u8 {
        self.form.shift
    }

    /// The form of the body, which is the last one for the next body.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns whether the body has all entries of its vector from its first coordinate on.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the next entry, or `None` at the end of the body. `sum` is as at the start from the last entry on.
    pub fn next_entry(&mut self, sum: &[i64]) -> Option<(u32, i64)> {
        self.left = self.left.checked_sub(1)?;
        Some(self.values.code(&mut self.coder, sum, (0, 1)))
    }

    /// Checks that every index is below `until`; returns the number of entries.
    ///
    /// A body passes only if [`encode`] writes the same bytes for its entries, form and terms.
    pub fn check(&self, sum: &[i64], until: u32) -> Result<u32, BodyError> {
        let (mut decoder, mut entries) = (self.clone(), 0);
        while let Some((index, _)) = decoder.next_entry(sum) {
            if index >= until {
                return Err(BodyError::Index);
            }
            entries += 1;
        }
        if decoder.coder.is_canonical() { Ok(entries) } else { Err(BodyError::Padding) }
    }

    /// Iterates over the entries.
    pub fn entries(mut self, sum: &[i64]) -> impl Iterator<Item = (u32, i64)> {
        core::iter::from_fn(move || self.next_entry(sum))
    }
}

/// What a body begins with.
#[derive(Clone, Copy, Debug)]
struct Header {
    form: Form,
    /// Entries of the vector from the first coordinate of the body on.
    count: u32,
    /// Those of them that are in the body.
    here: u32,
}

impl Header {
    /// Codes a header; returns the one that was coded.
    fn code(self, coder: &mut impl Coder, terms: &Terms) -> Result<Self, BodyError> {
        let last = terms.last;
        let usual = terms.budget.filter(|&k| coder.decide(USUAL, self.count == k));
        let (count, count_bits) = match (usual, terms.budget) {
            (Some(k), _) => (k, last.count_bits),
            (None, budget) => {
                let expected = budget.map_or(last.count_bits, bits);
                let found = near(coder, expected, bits(self.count))?;
                let count = count(coder, found, self.count)?;
                // K has a shorter code.
                if budget == Some(count) {
                    return Err(BodyError::Padding);
                }
                (count, budget.map_or(found, |_| last.count_bits))
            }
        };
        if count > terms.dimension.saturating_sub(terms.from) {
            return Err(BodyError::Count);
        }
        if count == 0 {
            return Ok(Self { form: last, count, here: 0 });
        }
        let shift = near(coder, last.shift, self.form.shift)?;
        let value_bits = match terms.budget {
            Some(_) => last.value_bits,
            None => near(coder, last.value_bits, self.form.value_bits)?,
        };
        let form = Form { shift, value_bits, count_bits };
        if !form.is_valid() {
            return Err(BodyError::Form);
        }
        let is_whole = coder.decide(USUAL, self.here == self.count);
        let here = match is_whole {
            true => count,
            false => coder.bits(bits(count).into(), self.here.into()) as u32,
        };
        if !is_whole && !(1..count).contains(&here) {
            return Err(BodyError::Count);
        }
        Ok(Self { form, count, here })
    }
}

/// Number of bits of a number.
fn bits(number: u32) -> u8 {
    (u32::BITS - number.leading_zeros()) as u8
}

/// Codes a number of `bits` bits: all but its highest one.
fn count(coder: &mut impl Coder, bits: u8, number: u32) -> Result<u32, BodyError> {
    match bits {
        0 => Ok(0),
        1..=32 => {
            let below = u32::from(bits) - 1;
            Ok(1 << below | coder.bits(below, number.into()) as u32)
        }
        33.. => Err(BodyError::Count),
    }
}

/// Codes a number below 64 that is likely near another one: whether it differs, in which direction, and one decision
/// for each step.
fn near(coder: &mut impl Coder, expected: u8, number: u8) -> Result<u8, BodyError> {
    if !coder.decide(DIFFERS, number != expected) {
        return Ok(expected);
    }
    let is_above = coder.half(number > expected);
    let mut found = expected;
    loop {
        let stepped = if is_above { found.checked_add(1) } else { found.checked_sub(1) };
        found = stepped.filter(|&found| found < 64).ok_or(BodyError::Form)?;
        if !coder.half(found != number) {
            return Ok(found);
        }
    }
}

/// Codes entries.
#[derive(Clone, Debug)]
struct Values {
    places: Places,
    /// Bits of |mantissa| - 1.
    magnitude_bits: u32,
    opposes: Chance,
    /// That a bit of a magnitude is set while those above it are not, the highest first.
    is_set: [Chance; 8],
}

impl Values {
    fn new(terms: &Terms, form: Form, count: u32) -> Self {
        Self {
            places: Places::new(terms.sum, terms.from, terms.dimension, count),
            magnitude_bits: u32::from(form.value_bits).saturating_sub(1),
            opposes: Chance::new(OPPOSES),
            is_set: [Chance::new(EVEN); 8],
        }
    }

    /// Codes an entry; returns the one that was coded.
    fn code(
        &mut self,
        coder: &mut impl Coder,
        sum: &[i64],
        (index, mantissa): (u32, i64),
    ) -> (u32, i64) {
        let index = self.places.code(coder, sum, index);
        let is_negative = match sum.get(index as usize) {
            None | Some(0) => coder.half(mantissa < 0),
            Some(&sum) => (sum < 0) != self.opposes.decide(coder, (mantissa < 0) != (sum < 0)),
        };
        let magnitude = self.magnitude(coder, mantissa.unsigned_abs().wrapping_sub(1)) as i64 + 1;
        (index, if is_negative { -magnitude } else { magnitude })
    }

    /// Codes |mantissa| - 1.
    fn magnitude(&mut self, coder: &mut impl Coder, magnitude: u64) -> u64 {
        let deepest = self.is_set.len() - 1;
        for (depth, bit) in (0..self.magnitude_bits).rev().enumerate() {
            let Some(is_set) = self.is_set.get_mut(depth.min(deepest)) else { break };
            if is_set.decide(coder, magnitude >> bit & 1 == 1) {
                return 1 << bit | coder.bits(bit, magnitude);
            }
        }
        0
    }
}

/// The smallest shift for which magnitudes up to `max_magnitude` fit mantissas of `value_bits` bits.
#[must_use]
pub fn shift_for(max_magnitude: u32, value_bits: u8) -> u8 {
    if value_bits >= 32 {
        return 0;
    }
    let limit = 1i64 << (value_bits - 1);
    let mut shift =
        (u32::BITS - max_magnitude.leading_zeros()).saturating_sub(u32::from(value_bits)) as i32;
    // Rounding may carry into one more bit, which takes one more shift.
    while round_shift(i64::from(max_magnitude), shift) > limit {
        shift += 1;
    }
    shift as u8
}

/// Adds an update to an estimator: `g[j] += mantissa * 2^shift` for every entry. Both sides of a link call it.
///
/// `on_change(j, before, after)` is called for each entry, so that a sum or digest of the estimator can follow exactly,
/// even where a coordinate saturates. Indices must lie within `estimator`: check a received body first.
pub fn apply(
    estimator: &mut [i32],
    entries: impl Iterator<Item = (u32, i64)>,
    shift: u8,
    saturated: &mut u32,
    mut on_change: impl FnMut(u32, i32, i32),
) {
    for (index, mantissa) in entries {
        let Some(coordinate) = estimator.get_mut(index as usize) else {
            debug_assert!(false, "indices are checked before an update is applied");
            continue;
        };
        let before = *coordinate;
        let moved = i64::from(before).saturating_add(round_shift(mantissa, -i32::from(shift)));
        *coordinate = saturate(moved, saturated);
        on_change(index, before, *coordinate);
    }
}

#[cfg(test)]
mod tests;
