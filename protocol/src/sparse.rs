//! Bit-packed sparse vectors, and [`apply`], which adds them to an estimator.
//!
//! A body is a string of bits, the lowest bit of each byte first:
//!
//! ```text
//! [value_bits - 1: 6] [rice: 4]      only in a described body (downlink, state)
//! [shift: 5]
//! per entry, ascending indices:
//!   gap to the next possible index   adaptive Rice code, see `gaps`
//!   sign: 1                          1 is negative
//!   |mantissa| - 1: value_bits - 1   zero is never encoded
//! ones up to the next byte           an unfinished gap ends the body; no count is needed
//! ```
//!
//! The value of an entry is `mantissa * 2^shift` in units of the vector's exponent. Since `shift >= 0`, the receiver
//! applies exactly the values that the sender applied. The information limit is `log2 C(d, K) + K * value_bits` bits.

mod bits;
mod error;
mod gaps;

use crate::vector::{round_shift, saturate};
use bits::{BitReader, BitWriter};
pub use error::{BodyError, Full};
use gaps::GapCoder;

/// Width of the widest mantissa in a described body, in bits.
pub const VALUE_BITS_MAX: u8 = 48;
/// Largest shift of a body.
pub const SHIFT_MAX: u8 = 31;

/// Parameters of the encoding, known to both sides or given at the start of a described body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    index_bits: u8,
    value_bits: u8,
    rice: u8,
}

impl Packing {
    /// Packing for about `k` of `dimension` coordinates with mantissas of `value_bits` bits.
    ///
    /// `value_bits` is in `1..=VALUE_BITS_MAX`.
    pub fn new(dimension: u32, k: u32, value_bits: u8) -> Self {
        debug_assert!((1..=VALUE_BITS_MAX).contains(&value_bits));
        // Both sides derive the Rice parameter from what they know, so it costs no bits.
        let mean_gap = dimension.saturating_sub(k).checked_div(k.saturating_add(1)).unwrap_or(0);
        let rice = mean_gap.checked_ilog2().unwrap_or(0).min(15) as u8;
        Self { index_bits: index_bits(dimension), value_bits, rice }
    }
}

/// Number of bits of the largest index below `dimension`.
fn index_bits(dimension: u32) -> u8 {
    (u32::BITS - dimension.saturating_sub(1).leading_zeros()) as u8
}

/// Writes a body.
pub struct Encoder<'b> {
    bits: BitWriter<'b>,
    gaps: GapCoder,
    packing: Packing,
    next: u32,
}

impl<'b> Encoder<'b> {
    /// Starts a body with a packing that both sides know; `from` is the first possible index.
    ///
    /// `buffer` has room for the header, and `shift` is at most [`SHIFT_MAX`].
    pub fn new(buffer: &'b mut [u8], packing: Packing, shift: u8, from: u32) -> Self {
        Self::start(BitWriter::new(buffer), packing, shift, from)
    }

    /// Starts a body that begins with its packing; otherwise as [`Encoder::new`].
    pub fn described(buffer: &'b mut [u8], packing: Packing, shift: u8, from: u32) -> Self {
        let mut bits = BitWriter::new(buffer);
        bits.write(u64::from(packing.value_bits - 1), 6);
        bits.write(u64::from(packing.rice), 4);
        Self::start(bits, packing, shift, from)
    }

    fn start(mut bits: BitWriter<'b>, packing: Packing, shift: u8, from: u32) -> Self {
        debug_assert!(shift <= SHIFT_MAX);
        bits.write(u64::from(shift), 5);
        Self { bits, gaps: GapCoder::new(packing.rice), packing, next: from }
    }

    /// Appends an entry. Returns [`Full`] and leaves the body unchanged if there is no room.
    ///
    /// `index` is above the previous one; `mantissa` is not zero and fits the packing.
    pub fn push(&mut self, index: u32, mantissa: i64) -> Result<(), Full> {
        let value_bits = u32::from(self.packing.value_bits);
        let magnitude = mantissa.unsigned_abs();
        debug_assert!(
            index >= self.next && mantissa != 0 && (magnitude - 1) >> (value_bits - 1) == 0
        );
        let gap = index - self.next;
        // A body that is full remains valid.
        if !self.gaps.write(gap, self.packing.index_bits, value_bits, &mut self.bits) {
            return Err(Full);
        }
        self.bits.write(u64::from(mantissa < 0) | (magnitude - 1) << 1, value_bits);
        self.next = index + 1;
        Ok(())
    }

    /// Finishes the body; returns its length in bytes.
    #[must_use = "the body is the first bytes of the buffer, as many as returned"]
    pub fn finish(self) -> usize {
        self.bits.finish()
    }
}

/// Reads a body, entry by entry.
#[derive(Clone, Debug)]
pub struct Decoder<'b> {
    bits: BitReader<'b>,
    gaps: GapCoder,
    packing: Packing,
    shift: u8,
    next: u32,
}

impl<'b> Decoder<'b> {
    /// Opens a body with a packing that both sides know.
    pub fn new(body: &'b [u8], packing: Packing, from: u32) -> Result<Self, BodyError> {
        Self::start(BitReader::new(body), packing, from)
    }

    /// Opens a body that begins with its packing.
    pub fn described(body: &'b [u8], dimension: u32, from: u32) -> Result<Self, BodyError> {
        let mut bits = BitReader::new(body);
        let value_bits = bits.read(6).ok_or(BodyError::Truncated)? as u8 + 1;
        let rice = bits.read(4).ok_or(BodyError::Truncated)? as u8;
        if !(2..=VALUE_BITS_MAX).contains(&value_bits) {
            return Err(BodyError::Width);
        }
        Self::start(bits, Packing { index_bits: index_bits(dimension), value_bits, rice }, from)
    }

    fn start(mut bits: BitReader<'b>, packing: Packing, from: u32) -> Result<Self, BodyError> {
        let shift = bits.read(5).ok_or(BodyError::Truncated)? as u8;
        Ok(Self { bits, gaps: GapCoder::new(packing.rice), packing, shift, next: from })
    }

    /// Binary exponent of the factor of all mantissas.
    pub fn shift(&self) -> u8 {
        self.shift
    }

    /// Returns the next entry, or `None` at the end of the body.
    pub fn next_entry(&mut self) -> Result<Option<(u32, i64)>, BodyError> {
        let Some(gap) = self.gaps.read(self.packing.index_bits, &mut self.bits)? else {
            return Ok(None);
        };
        let index = self.next.checked_add(gap).ok_or(BodyError::Index)?;
        let value_bits = u32::from(self.packing.value_bits);
        let word = self.bits.read(value_bits).ok_or(BodyError::Truncated)?;
        // Zero is never encoded, so the code word 0 stands for magnitude 1.
        let magnitude = (word >> 1) as i64 + 1;
        // Indices ascend, so a repeated index cannot be expressed.
        self.next = index.checked_add(1).ok_or(BodyError::Index)?;
        Ok(Some((index, if word & 1 == 1 { -magnitude } else { magnitude })))
    }

    /// Checks that every entry is well-formed and every index below `until`; returns the number of entries.
    ///
    /// A body passes only if an [`Encoder`] writes the same bits for its entries and packing.
    pub fn check(&self, until: u32) -> Result<u32, BodyError> {
        let (mut decoder, mut entries) = (self.clone(), 0);
        while let Some((index, _)) = decoder.next_entry()? {
            if index >= until {
                return Err(BodyError::Index);
            }
            entries += 1;
        }
        Ok(entries)
    }

    /// Iterates over the entries of a body that passed [`Decoder::check`]; stops at the first invalid entry otherwise.
    pub fn entries(mut self) -> impl Iterator<Item = (u32, i64)> {
        core::iter::from_fn(move || self.next_entry().ok().flatten())
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
