//! smidgen's host: aggregator, theory, data, transports, simulation, records, report.

pub mod ports;
pub mod record;
pub mod transport;
