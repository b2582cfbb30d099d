//! What passed the links, by cause.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;
use std::time::Duration;

/// What passed the links in one direction, counted where it passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes of packed bodies, each body counted once however often it was sent.
    pub payload_bytes: u64,
    /// All bytes on the wire: bodies, frames around them, and everything that was sent again.
    pub wire_bytes: u64,
    /// Frames, those that were sent again included. Of what arrives, damaged ones as well, if they can still be told for
    /// frames; bytes that cannot are in `wire_bytes` and in the counters alone.
    pub frames: u64,
    /// Frames that were sent again, those that restore a restarted worker included.
    pub retransmitted_frames: u64,
    /// Bytes on the wire of the frames that were sent again.
    pub retransmitted_bytes: u64,
}

impl Traffic {
    /// Wire bytes that are neither payload nor sent again: headers, checksums, delimiters.
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

/// What passed all links since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the workers.
    pub uplink: Traffic,
    /// To the workers.
    pub downlink: Traffic,
    /// Bytes, both ways, on the link that carried most.
    pub busiest_link_bytes: u64,
    /// From the first frame that was sent to now.
    pub elapsed: Duration,
}
