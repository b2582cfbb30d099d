//! The line of a simulation.

use crate::options::Faults;

/// The line between host and workers.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bits per second, ten for a byte.
    pub baud: u32,
    /// Injected faults.
    pub faults: Faults,
    /// Seed of the faults.
    pub seed: u64,
}
