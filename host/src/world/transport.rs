//! Byte streams to boards: serial ports and sockets.
//!
//! ```text
//!  Address ── open ──► Stream                   serial · socket
//!                         │
//!                         ▼
//!                       Links                   one loop that waits for all streams, reads and writes
//!                         │ lost      ▲ reopened
//!                         ▼           │
//!                       Seeker ───────┘         a thread that reopens a lost stream, which Rediscovery finds
//! ```
//!
//! This module does not interpret the bytes. Every read and write returns within a bounded time, whatever the operating
//! system or the peer does; what may block is left to seekers.

mod link;
mod links;
mod opening;
mod rediscovery;
mod seeker;
mod serial;
mod socket;
mod stream;

pub use link::LinkEvent;
pub use links::Links;
pub use rediscovery::Rediscovery;
pub use stream::{Address, AddressError, Stream, TransportError, is_not_yet};
