//! A run from options to a report: prepare it, train in a world, write records and checkpoints.

pub mod baseline;
pub mod experiment;
pub mod lyapunov;
pub mod recorder;
pub mod training;
