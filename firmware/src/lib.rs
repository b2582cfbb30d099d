#![doc = include_str!("../README.md")]
//!
//! # Dependencies between modules
//!
//! A module imports only modules to its right or below.
//!
//! ```text
//!  run ── remote ── worker ── method ── compressor ── top_k
//!                     ├────── journal
//!                     └────── recorder
//!  objectives ── logistic, least_squares, squared_hinge ── margin, softmax, perceptron
//!                  ├── classes ── columns ── regulariser      before and after the pass over the rows
//!                  ├── rows ── value                           the pass
//!                  └── multiclass ── exponential ── sigmoid    functions from tables
//!  objective ── curvature ── bound
//!  recorder ── features ── window                              samples to rows
//!    ├──────── store                                           keeps them
//!    └──────── stream ── sensor                                samples from a port
//!  simd ── columns::coordinate                                 columns and rows on the vectors of a host
//!  data, fixed_point, identity
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "simd")]
extern crate alloc;

pub mod bound;
pub mod classes;
pub mod columns;
pub mod compressor;
pub mod curvature;
pub mod data;
pub mod exponential;
pub mod fixed_point;
pub mod identity;
pub mod journal;
pub mod least_squares;
pub mod live;
pub mod logistic;
pub mod margin;
mod method;
pub mod multiclass;
pub mod objective;
pub mod objectives;
pub mod perceptron;
pub mod recorder;
#[cfg(test)]
mod reference;
pub mod regulariser;
pub mod remote;
pub mod rows;
pub mod run;
pub mod sigmoid;
mod simd;
pub mod softmax;
pub mod squared_hinge;
pub mod top_k;
mod value;
pub mod worker;

pub use rows::bias_scale;
