//! smidgen's host: aggregator, theory, data, transports, simulation, records, report.

pub mod aggregator;
pub mod baseline;
pub mod board;
pub mod config;
pub mod dataset;
pub mod driver;
pub mod emulator;
pub mod experiment;
pub mod fault_injector;
pub mod image;
pub mod lyapunov;
pub mod objective;
pub mod plan;
pub mod ports;
pub mod progress;
pub mod ratio;
pub mod recipe;
pub mod record;
pub mod recorder;
pub mod report;
pub mod serial_line;
pub mod simulation;
pub mod theory;
pub mod training;
pub mod transport;
