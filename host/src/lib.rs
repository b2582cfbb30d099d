//! smidgen's host: aggregator, theory, data, transports, simulation, records, report.

#![cfg_attr(
    not(test),
    warn(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)
)]

#[cfg(not(unix))]
compile_error!(
    "smidgen runs on Linux and on macOS; on Windows use the Windows Subsystem for Linux"
);

pub mod baseline;
pub mod best;
pub mod board;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod driver;
pub mod emulator;
pub mod experiment;
pub mod fault_injector;
pub mod files;
pub mod image;
pub mod interrupt;
pub mod key_file;
pub mod lyapunov;
pub mod objective;
pub mod plan;
pub mod ports;
mod private_file;
pub mod program;
pub mod progress;
pub mod quantity;
pub mod range;
pub mod recipe;
pub mod record;
pub mod recorder;
pub mod report;
pub mod reproduction;
pub mod serial_line;
pub mod shown;
pub mod simulation;
pub mod studies;
pub mod text;
pub mod theory;
pub mod training;
pub mod transport;
pub mod world;
