//! Runs: preparing an experiment, training it in a world, and writing records and checkpoints.

pub mod baseline;
mod data;
mod error;
pub mod experiment;
pub mod lyapunov;
pub mod on_board;
pub mod recorder;
mod records;
mod setup;
mod start;
mod theory;
pub mod training;
mod worlds;

pub use data::{Data, Shape};
pub use error::ExperimentError;
