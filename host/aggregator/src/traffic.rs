//! Traffic of the links, by cause.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;
use std::time::Duration;

/// Traffic in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes of packed bodies, each counted once however often it was sent.
    pub payload_bytes: u64,
    /// All bytes on the wire, retransmissions included.
    pub wire_bytes: u64,
    /// Frames, retransmissions included. Damaged frames that arrive count if they can be recognised as frames; other
    /// bytes count in `wire_bytes` only.
    pub frames: u64,
    /// Retransmitted frames, those that restore a worker included.
    pub retransmitted_frames: u64,
    /// Bytes on the wire of retransmitted frames.
    pub retransmitted_bytes: u64,
}

impl Traffic {
    /// Bytes on the wire that are neither payload nor retransmitted: headers, checksums, delimiters.
    pub const fn framing_bytes(&self) -> u64 {
        self.wire_bytes.saturating_sub(self.payload_bytes + self.retransmitted_bytes)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.payload_bytes += other.payload_bytes;
        self.wire_bytes += other.wire_bytes;
        self.frames += other.frames;
        self.retransmitted_frames += other.retransmitted_frames;
        self.retransmitted_bytes += other.retransmitted_bytes;
    }
}

/// Traffic of all links since the last close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the workers.
    pub uplink: Traffic,
    /// To the workers.
    pub downlink: Traffic,
    /// Bytes on the busiest link, both ways.
    pub busiest_link_bytes: u64,
    /// Time since the first frame.
    pub elapsed: Duration,
}
