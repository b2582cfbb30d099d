//! smidgen's worker for microcontrollers.
//!
//! ```text
//!  objective ── objectives ── logistic, least_squares     f_i and its gradient, in fixed point
//!                             softmax, perceptron
//!                               columns ── rows ── value    before, during and after a pass over the rows
//!                               sigmoid, exponential        functions by tables
//!  curvature ── bound           how smooth f_i is, rounded upwards only
//!  top_k                        the compressor C: what to send of ∇f_i(x) − g_i
//!  worker                       the machine: frames in, frames out; no clock, no port, no heap
//!  journal                      what a board still has when it lost power: its data, in flash
//!  run                          the body: the machine on an embedded-io byte stream
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod bound;
mod columns;
pub mod compressor;
pub mod curvature;
mod exponential;
mod fixed_point;
pub mod journal;
pub mod least_squares;
pub mod logistic;
pub mod method;
pub mod multiclass;
pub mod objective;
pub mod objectives;
pub mod perceptron;
#[cfg(test)]
mod reference;
mod regulariser;
mod rows;
pub mod run;
mod sigmoid;
pub mod softmax;
pub mod top_k;
mod value;
pub mod worker;
