//! Index gaps in an adaptive Rice code.
//!
//! A gap is encoded as `q` ones, a zero and `r` low bits, where `gap = q * 2^r + low`. The parameter `r` adapts to the
//! mean of the gaps so far, starting from the expected mean, so it need not be sent (as in JPEG-LS, Weinberger,
//! Seroussi and Sapiro 2000). `ESCAPE` ones precede a gap in plain binary, which bounds the length of an entry.

use super::bits::{BitReader, BitWriter, PEEKED};
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
    /// Never below [`PRIOR`].
    count: u32,
}

impl GapCoder {
    pub(super) fn new(rice: u8) -> Self {
        Self { sum: PRIOR << rice, count: PRIOR }
    }

    /// log2 of the mean, rounded down; 0 for a mean below 1. A core without a divider and a count of leading zeros takes
    /// ten times as long to divide.
    fn parameter(&self) -> u32 {
        let (mut parameter, mut half) = (0, self.sum >> 1);
        while half >= self.count {
            (parameter, half) = (parameter + 1, half >> 1);
        }
        parameter
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

    /// Writes a gap, if there is room for it and for the bits that follow; returns whether there is.
    pub(super) fn write(
        &mut self,
        gap: u32,
        index_bits: u8,
        following: u32,
        bits: &mut BitWriter,
    ) -> bool {
        let r = self.parameter();
        let (code, len) = match gap >> r {
            ones @ ..ESCAPE => {
                let low = u64::from(gap) & ((1 << r) - 1);
                (((1 << ones) - 1) | (low << (ones + 1)), ones + 1 + r)
            }
            _ => (((1 << ESCAPE) - 1) | (u64::from(gap) << ESCAPE), ESCAPE + u32::from(index_bits)),
        };
        let has_room = len + following <= bits.room();
        if has_room {
            bits.write(code, len);
            self.update(gap);
        }
        has_room
    }

    /// Reads the next gap; `None` at the end of the body, which is a gap of fewer than eight ones and no zero.
    pub(super) fn read(
        &mut self,
        index_bits: u8,
        bits: &mut BitReader,
    ) -> Result<Option<u32>, BodyError> {
        let r = self.parameter();
        let (mut rest, mut ones) = (bits.peek(), 0);
        while rest & 1 == 1 && ones < ESCAPE {
            (rest, ones) = (rest >> 1, ones + 1);
        }
        let gap = if ones == ESCAPE {
            bits.skip(ESCAPE).ok_or(BodyError::Truncated)?;
            let gap = bits.read(u32::from(index_bits)).ok_or(BodyError::Truncated)? as u32;
            // Only the shortest code is valid, so that equal entries have equal bytes.
            if gap >> r < ESCAPE {
                return Err(BodyError::Escape);
            }
            gap
        } else if bits.left() <= ones as usize {
            // Padding is shorter than a byte; more ones cannot come from an encoder.
            return if ones < 8 { Ok(None) } else { Err(BodyError::Padding) };
        } else {
            let len = ones + 1 + r;
            let low = rest >> 1;
            bits.skip(ones + 1).ok_or(BodyError::Truncated)?;
            if len <= PEEKED {
                bits.skip(r).ok_or(BodyError::Truncated)?;
                ones << r | low & ((1 << r) - 1)
            } else {
                ones << r | bits.read(r).ok_or(BodyError::Truncated)? as u32
            }
        };
        self.update(gap);
        Ok(Some(gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parameter_is_the_logarithm_of_the_mean(sum: u32, shift in 0u32..32, count in 1u32..=COUNT_MAX) {
            let coder = GapCoder { sum: sum >> shift, count };
            let mean = coder.sum / count;
            prop_assert_eq!(coder.parameter(), mean.checked_ilog2().unwrap_or(0));
        }
    }
}
