//! Byte streams to boards: serial ports, sockets, and channels inside this process.
//!
//! ```text
//!  Address ── open ──► (Reader, Writer)         serial · socket
//!                            │
//!  loopback ─────────────────┤                  a stream inside this process
//!                            ▼
//!                           Link                a thread that reads, and reopens a lost stream,
//!                                               which Rediscovery finds
//! ```
//!
//! This module does not interpret the bytes. Every read and write returns within a bounded time, whatever the operating
//! system or the peer does.

mod chunk;
mod link;
mod links;
mod loopback;
mod opening;
mod rediscovery;
mod serial;
mod socket;
mod stream;

pub use chunk::Chunk;
pub use link::{Link, LinkEvent};
pub use links::Links;
pub use loopback::{End, Incoming, Outgoing, loopback};
pub use opening::open;
pub use rediscovery::Rediscovery;
pub use stream::{
    Address, AddressError, POLL, Reader, TransportError, WRITE_POLL, Writer, is_not_yet,
};
