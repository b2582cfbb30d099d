//! smidgen's host: aggregator, theory, data, transports, simulation, records, report.

pub mod record;
