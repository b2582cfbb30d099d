#![doc = include_str!("../README.md")]
//!
//! # Imports between rooms
//!
//! A room imports only rooms to its left; `tests/all/house.rs` checks it.
//!
//! ```text
//! units < objective < options < problem < boards < world < record < model < output < run < cli < study < cmd < kit
//! ```

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)
)]

#[cfg(not(unix))]
compile_error!(
    "smidgen runs on Linux and on macOS; on Windows use the Windows Subsystem for Linux"
);

pub mod boards;
pub mod cli;
mod cmd;
pub mod kit;
pub mod model;
pub mod objective;
pub mod options;
pub mod output;
pub mod problem;
pub mod record;
pub mod run;
pub mod study;
pub mod units;
pub mod world;

pub use cmd::main;
