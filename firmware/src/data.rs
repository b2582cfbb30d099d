//! The data of a worker, from the host or recorded on the board.

use smidgen_protocol::shard::Shard;

/// A worker's data.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// As the host sent them (a [shard](smidgen_protocol::shard)), aligned to eight bytes; empty if it sent none.
    Sent(&'a [u8]),
    /// Rows that the board recorded, read in place.
    Recorded(&'a Shard<'a>),
}

impl<'a> Data<'a> {
    /// The data that the host sent.
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Sent(bytes) => bytes,
            Self::Recorded(_) => &[],
        }
    }

    /// The rows, if the data are a shard. It is not [checked](Shard::check) again.
    pub fn shard(self) -> Option<Shard<'a>> {
        match self {
            Self::Sent(bytes) => Shard::open(bytes).ok(),
            Self::Recorded(shard) => Some(*shard),
        }
    }
}
