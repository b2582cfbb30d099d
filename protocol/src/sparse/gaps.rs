//! Index gaps in an adaptive Rice code.
//!
//! A gap is `q` ones, a zero, and `r` low bits, where `gap = q * 2^r + low`. The parameter `r` follows the mean of
//! the gaps so far, which both sides know, starting from the mean that is expected; nothing is spent on sending it
//! (the idea of JPEG-LS, Weinberger, Seroussi and Sapiro 2000). `ESCAPE` ones announce a plain index-wide gap,
//! so that no entry is ever long.

use super::bits::{BitReader, BitWriter};
use super::error::BodyError;

/// So many ones and no zero: the gap follows in plain bits.
const ESCAPE: u32 = 12;
/// The weight of the expected mean, in gaps.
const PRIOR: u32 = 2;
/// Sum and count are halved here, so that the code follows recent gaps.
const COUNT_MAX: u32 = 32;

/// The state of the code.
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
        self.sum = self.sum.saturating_add(gap);
        self.count += 1;
    }

    /// Length of the code word that [`GapCoder::write`] would write.
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

    /// The next gap; `None` where the body ends in the middle of a gap, after fewer than eight ones.
    pub(super) fn read(
        &mut self,
        index_bits: u8,
        bits: &mut BitReader,
    ) -> Result<Option<u32>, BodyError> {
        let r = self.parameter();
        let Some(ones) = read_ones(bits)? else {
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

/// Counts ones up to a zero or to `ESCAPE`; `None` if the padding was read instead.
fn read_ones(bits: &mut BitReader) -> Result<Option<u32>, BodyError> {
    let left = bits.left();
    for ones in 0..ESCAPE {
        match bits.read(1) {
            Some(1) => {}
            Some(_) => return Ok(Some(ones)),
            None if left < 8 => return Ok(None),
            None => return Err(BodyError::Padding),
        }
    }
    Ok(Some(ESCAPE))
}
