//! smidgen's host: aggregator, theory, data, transports, simulation, records, report.

pub mod aggregator;
pub mod board;
pub mod config;
pub mod dataset;
pub mod emulator;
pub mod image;
pub mod objective;
pub mod ports;
pub mod progress;
pub mod ratio;
pub mod record;
pub mod report;
pub mod simulation;
pub mod theory;
pub mod training;
pub mod transport;
