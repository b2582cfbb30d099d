//! smidgen's worker for microcontrollers.
//!
//! ```text
//!  objective ── logistic        f_i and its gradient, in fixed point
//!  top_k                        the compressor C: what to send of ∇f_i(x) − g_i
//!  worker                       the machine: frames in, frames out; no clock, no port, no heap
//!  run                          the body: the machine on an embedded-io byte stream
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod compressor;
pub mod logistic;
pub mod method;
pub mod objective;
pub mod run;
pub mod top_k;
pub mod worker;
