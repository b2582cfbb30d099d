//! What smidgen's host and workers agree on, bit by bit.
//!
//! ```text
//!  vector ── step ── sparse ── digest        numbers: mantissas, x -= gamma g, g_i += c_i
//!    start    batch                          x⁰ and the rows of a round, from seeds
//!    shard                                   a worker's rows as they travel and as they are stored
//!  counters ── message ── frame ── seal      letters: what travels, how it is framed, checked and sealed
//! ```
//!
//! A module uses only what stands before it. `wire-format.md` beside `src/` is the specification of
//! everything that travels; its hex examples are this crate's golden vectors. There is no clock, no
//! I/O, no allocation and no float in here: integer code gives the same bits on a Cortex-M0 and on a PC.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod batch;
pub mod counters;
pub mod digest;
pub mod frame;
pub mod message;
pub mod method;
pub mod seal;
pub mod shard;
pub mod sparse;
pub mod start;
pub mod step;
pub mod vector;

#[cfg(target_endian = "big")]
compile_error!(
    "shards are stored little-endian and read in place: big-endian machines are not supported"
);
