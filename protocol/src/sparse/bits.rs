//! Bit strings over bytes, lowest bit first, padded with ones.

/// Writes bits into a buffer.
pub(super) struct BitWriter<'b> {
    bytes: &'b mut [u8],
    len: usize,
    pending: u64,
    pending_bits: u32,
}

impl<'b> BitWriter<'b> {
    pub(super) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, len: 0, pending: 0, pending_bits: 0 }
    }

    /// Number of bits that still fit.
    pub(super) fn room(&self) -> u32 {
        (self.bytes.len() - self.len) as u32 * 8 - self.pending_bits
    }

    /// Appends the lowest `count` bits of `value`, at most 56; the other bits of `value` are zero.
    pub(super) fn write(&mut self, value: u64, count: u32) {
        debug_assert!(count <= 56 && value >> count == 0 && count <= self.room());
        self.pending |= value << self.pending_bits;
        self.pending_bits += count;
        while self.pending_bits >= 8 {
            self.emit_byte();
        }
    }

    fn emit_byte(&mut self) {
        if let Some(byte) = self.bytes.get_mut(self.len) {
            *byte = self.pending as u8;
            self.len += 1;
        }
        self.pending >>= 8;
        self.pending_bits -= 8;
    }

    /// Pads the last byte with ones; returns the length in bytes.
    pub(super) fn finish(mut self) -> usize {
        if self.pending_bits > 0 {
            // Ones, because a gap of ones without an end is not an entry.
            self.pending |= u64::MAX << self.pending_bits;
            self.pending_bits = 8;
            self.emit_byte();
        }
        self.len
    }
}

/// Reads bits.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> BitReader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Number of unread bits.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    /// The next [`PEEKED`] bits or more, with zeros beyond the last byte.
    pub(super) fn peek(&self) -> u32 {
        let rest = self.bytes.get(self.position / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(&word) => word,
            None => {
                let mut word = [0; 4];
                word.iter_mut().zip(rest).for_each(|(byte, &next)| *byte = next);
                word
            }
        };
        u32::from_le_bytes(word) >> (self.position % 8)
    }

    /// Skips `count` bits; `None` if fewer are left.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        if count as usize > self.left() {
            return None;
        }
        self.position += count as usize;
        Some(())
    }

    /// Reads the next `count` bits, at most twice [`PEEKED`]; `None` if fewer are left.
    pub(super) fn read(&mut self, count: u32) -> Option<u64> {
        debug_assert!(count <= 2 * PEEKED);
        let low = u64::from(self.peek());
        if count <= PEEKED {
            self.skip(count)?;
            return Some(low & ((1 << count) - 1));
        }
        let upper = Self { position: self.position + PEEKED as usize, ..*self }.peek();
        self.skip(count)?;
        let mask = (1 << (count - PEEKED)) - 1;
        Some(low & ((1 << PEEKED) - 1) | u64::from(upper & mask) << PEEKED)
    }
}

/// Bits that a word of four bytes has from any bit of its first byte on.
pub(super) const PEEKED: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_are_read_as_bit_by_bit(
            bytes in prop::collection::vec(any::<u8>(), 0..40), counts in prop::collection::vec(0u32..=2 * PEEKED, 1..20),
        ) {
            let mut reader = BitReader::new(&bytes);
            let mut bits = bytes.iter().flat_map(|byte| (0..8).map(move |place| u64::from(byte >> place & 1)));
            for count in counts {
                if count as usize > reader.left() {
                    prop_assert_eq!(reader.read(count), None);
                    break;
                }
                let next: Vec<u64> = bits.by_ref().take(count as usize).collect();
                let word = next.iter().enumerate().map(|(place, bit)| bit << place).sum::<u64>();
                prop_assert_eq!(reader.read(count), Some(word));
            }
        }
    }
}
