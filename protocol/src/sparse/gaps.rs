//! Index gaps in an adaptive Rice code.
//!
//! A gap is encoded as `q` ones, a zero and `r` low bits, where `gap = q * 2^r + low`. The parameter `r` adapts to the
//! mean of the gaps so far, starting from the expected mean, so it need not be sent (as in JPEG-LS, Weinberger,
//! Seroussi and Sapiro 2000). `ESCAPE` ones precede a gap in plain binary, which bounds the length of an entry.

use super::bits::{BitReader, BitWriter};
use super::error::BodyError;

/// Number of ones that announce a gap in plain binary.
const ESCAPE: u32 = 12;
/// Weight of the expected mean, in gaps.
const PRIOR: u32 = 2;
/// Sum and count are halved at this count, so that recent gaps dominate.
const COUNT_MAX: u32 = 32;

/// State of the adaptive code.
#[derive(Clone, Debug)]
pub(super) struct GapCoder {
    sum: u32,
    count: u32,
}

impl GapCoder {
    pub(super) fn new(rice: u8) -> Self {
        Self { sum: PRIOR << rice, count: PRIOR }
    }

    fn parameter(&self) -> u32 {
        self.sum.checked_div(self.count).and_then(u32::checked_ilog2).unwrap_or(0)
    }

    fn update(&mut self, gap: u32) {
        if self.count == COUNT_MAX {
            self.sum /= 2;
            self.count /= 2;
        }
        // Saturating: a body from outside may claim any gap.
        self.sum = self.sum.saturating_add(gap);
        self.count += 1;
    }

    /// Length of the code that [`GapCoder::write`] would write, in bits.
    pub(super) fn len_bits(&self, gap: u32, index_bits: u8) -> u32 {
        let r = self.parameter();
        match gap >> r {
            ones @ ..ESCAPE => ones + 1 + r,
            _ => ESCAPE + u32::from(index_bits),
        }
    }

    pub(super) fn write(&mut self, gap: u32, index_bits: u8, bits: &mut BitWriter) {
        let r = self.parameter();
        match gap >> r {
            ones @ ..ESCAPE => {
                bits.write((1 << ones) - 1, ones + 1);
                bits.write(u64::from(gap) & ((1 << r) - 1), r);
            }
            _ => {
                bits.write((1 << ESCAPE) - 1, ESCAPE);
                bits.write(u64::from(gap), u32::from(index_bits));
            }
        }
        self.update(gap);
    }

    /// Reads the next gap; `None` at the end of the body, which is a gap of fewer than eight ones and no zero.
    pub(super) fn read(
        &mut self,
        index_bits: u8,
        bits: &mut BitReader,
    ) -> Result<Option<u32>, BodyError> {
        let r = self.parameter();
        let Some(ones) = read_ones(bits)? else {
            // Only the shortest code is valid, so that equal entries have equal bytes.
            return Ok(None);
        };
        let gap = if ones == ESCAPE {
            let gap = bits.read(u32::from(index_bits)).ok_or(BodyError::Truncated)? as u32;
            if gap >> r < ESCAPE {
                return Err(BodyError::Escape);
            }
            gap
        } else {
            ones << r | bits.read(r).ok_or(BodyError::Truncated)? as u32
        };
        self.update(gap);
        Ok(Some(gap))
    }
}

/// Counts ones up to a zero or to `ESCAPE`; `None` at the padding.
fn read_ones(bits: &mut BitReader) -> Result<Option<u32>, BodyError> {
    let left = bits.left();
    for ones in 0..ESCAPE {
        match bits.read(1) {
            Some(1) => {}
            Some(_) => return Ok(Some(ones)),
            // Padding is shorter than a byte; more ones cannot come from an encoder.
            None if left < 8 => return Ok(None),
            None => return Err(BodyError::Padding),
        }
    }
    Ok(Some(ESCAPE))
}
