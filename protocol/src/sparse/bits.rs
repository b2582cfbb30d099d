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

    /// Reads the next `count` bits, at most 56; `None` if fewer are left.
    pub(super) fn read(&mut self, count: u32) -> Option<u64> {
        debug_assert!(count <= 56);
        if count as usize > self.left() {
            return None;
        }
        let rest = self.bytes.get(self.position / 8..)?;
        let mut word = [0; 8];
        // Up to eight bytes from the current one on: 7 bits of offset and 56 of value fit.
        word.iter_mut().zip(rest).for_each(|(byte, &next)| *byte = next);
        let value = u64::from_le_bytes(word) >> (self.position % 8);
        self.position += count as usize;
        Some(value & ((1 << count) - 1))
    }
}
