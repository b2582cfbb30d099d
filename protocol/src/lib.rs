//! What smidgen's host and workers agree on, bit by bit.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
