//! Counters of received bytes, by outcome, and of saturated arithmetic.

/// Reason for dropping received bytes. Each reason has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reject {
    /// More bytes before a delimiter than the longest frame.
    Overlong,
    /// Bytes before a delimiter that are not valid COBS or too short for a checksum.
    Undecodable,
    /// Checksum mismatch: damaged, or from another session, worker or round.
    Checksum,
    /// Addressed to another worker on the same line.
    Address,
    /// Valid checksum, but the message cannot be parsed.
    Unparsable,
    /// A frame that was handled before: a repetition or a late arrival.
    Repeated,
    /// A message that is invalid in the current state.
    Unexpected,
    /// A message with an invalid body: an index or a length is out of range.
    Body,
    /// Authentication failed: plain, sealed with another key, damaged or replayed.
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

    /// Name of the reason, as used in records.
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

/// Number of frames, and their bytes on the wire, delimiters included.
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

/// Outcomes of the bytes received at one end of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accepted frames.
    pub accepted: Tally,
    /// Dropped frames and stray bytes, by reason.
    pub rejected: [Tally; Reject::COUNT],
    /// Mantissas clamped to their range.
    pub saturated: u32,
}

impl Counters {
    /// Counts a dropped frame.
    pub fn reject(&mut self, reason: Reject, wire_len: usize) {
        self.rejected[reason as usize].count(wire_len);
    }

    /// Counts the outcome of a frame of `wire_len` bytes.
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

    /// Sum of all counters, stray bytes included.
    pub fn total(&self) -> Tally {
        self.rejected.iter().fold(self.accepted, |total, tally| Tally {
            frames: total.frames.saturating_add(tally.frames),
            bytes: total.bytes.saturating_add(tally.bytes),
        })
    }

    /// Total bytes counted.
    pub fn bytes(&self) -> u64 {
        self.total().bytes
    }

    /// Dropped frames by reason, as sent in `Ready`.
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
