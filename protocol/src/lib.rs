#![doc = include_str!("../README.md")]
//!
//! # Dependencies between modules
//!
//! A module imports only modules to its left or above.
//!
//! ```text
//!  vector ── digest ── step
//!    start    batch    sparse ── method
//!    shard    recipe
//!  counters ── frame ── message ── recorded
//!                 │        └── round
//!                 └────── seal
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod batch;
pub mod counters;
pub mod digest;
pub mod frame;
pub mod message;
pub mod method;
pub mod recipe;
pub mod recorded;
pub mod round;
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
