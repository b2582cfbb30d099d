//! Worlds: the interface between a run and its workers, on real links or simulated.

pub mod client;
pub mod driver;
pub mod emulator;
pub mod fault_injector;
mod interface;
pub mod live;
pub mod load;
pub mod ports;
pub mod recording;
pub mod simulation;
pub mod transport;

pub use interface::{Clock, Measured, World, WorldError};
