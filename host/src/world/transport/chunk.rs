//! The buffer of received bytes, which returns to its link.

use std::ops::Deref;
use std::sync::mpsc::Sender;
use std::{fmt, mem};

/// Bytes received on a link.
///
/// When a chunk is dropped, its buffer returns to the link. A link has few buffers and reads only if one is free. This
/// back-pressure limits the time and memory that a board can use by sending too much.
pub struct Chunk {
    pub(super) buffer: Vec<u8>,
    pub(super) len: usize,
    /// Takes the buffer back.
    pub(super) home: Sender<Vec<u8>>,
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // This fails if the link has ended.
        let _ = self.home.send(mem::take(&mut self.buffer));
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Chunk {}
