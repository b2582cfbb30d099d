//! Counters: where every received byte went, and how often arithmetic left its range.

/// Why bytes that arrived were dropped. Each reason has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reject {
    /// More bytes before a delimiter than any frame has.
    Overlong,
    /// Bytes before a delimiter that are not COBS, or too short for a checksum.
    Undecodable,
    /// The checksum does not match: damaged, or from another session, worker or round.
    Checksum,
    /// For another worker on the same line.
    Address,
    /// A correct frame whose message cannot be parsed.
    Unparsable,
    /// A frame that was handled before: a repeated or late one.
    Repeated,
    /// A message that has no place in the present state.
    Unexpected,
    /// A message whose body breaks the rules: an index or a length out of range.
    Body,
    /// With a key: not sealed with it, or sealed for another moment: plain, foreign, damaged or replayed.
    Seal,
}

impl Reject {
    /// Number of reasons.
    pub const COUNT: usize = 9;
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Overlong,
        Self::Undecodable,
        Self::Checksum,
        Self::Address,
        Self::Unparsable,
        Self::Repeated,
        Self::Unexpected,
        Self::Body,
        Self::Seal,
    ];

    /// Name of the reason in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlong => "overlong",
            Self::Undecodable => "undecodable",
            Self::Checksum => "checksum",
            Self::Address => "address",
            Self::Unparsable => "unparsable",
            Self::Repeated => "repeated",
            Self::Unexpected => "unexpected",
            Self::Body => "body",
            Self::Seal => "seal",
        }
    }
}

/// Frames and the wire bytes they took, delimiter included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub frames: u32,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl Tally {
    /// Counts one frame of `wire_len` bytes.
    pub fn count(&mut self, wire_len: usize) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(wire_len as u64);
    }
}

/// What one end of a link did with the bytes it received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that were used.
    pub accepted: Tally,
    /// Frames and stray bytes that were dropped, by reason.
    pub rejected: [Tally; Reject::COUNT],
    /// Mantissas that were cut to their range.
    pub saturated: u32,
}

impl Counters {
    /// Counts a dropped frame.
    pub fn reject(&mut self, reason: Reject, wire_len: usize) {
        self.rejected[reason as usize].count(wire_len);
    }

    /// Counts the outcome of handling one frame of `wire_len` bytes.
    pub fn tally(&mut self, outcome: Result<(), Reject>, wire_len: usize) {
        match outcome {
            Ok(()) => self.accepted.count(wire_len),
            Err(reason) => self.reject(reason, wire_len),
        }
    }

    /// Frames dropped for `reason`.
    pub const fn rejected(&self, reason: Reject) -> Tally {
        self.rejected[reason as usize]
    }

    /// All that arrived and is explained: frames and stray bytes.
    pub fn total(&self) -> Tally {
        self.rejected.iter().fold(self.accepted, |total, tally| Tally {
            frames: total.frames.saturating_add(tally.frames),
            bytes: total.bytes.saturating_add(tally.bytes),
        })
    }

    /// All bytes that these counters explain.
    pub fn bytes(&self) -> u64 {
        self.total().bytes
    }

    /// Frames dropped, by reason, as they travel in `Ready`.
    pub fn rejected_frames(&self) -> [u32; Reject::COUNT] {
        self.rejected.map(|tally| tally.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        let mut counters = Counters::default();
        for (n, reason) in Reject::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n);
            counters.tally(Err(reason), n + 1);
        }
        counters.tally(Ok(()), 100);
        assert_eq!(counters.bytes(), 100 + (1..=Reject::COUNT as u64).sum::<u64>());
        assert!(counters.rejected.iter().all(|tally| tally.frames == 1));
    }
}
