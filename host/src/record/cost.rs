//! The cost of rounds: traffic and time.

use serde::{Deserialize, Serialize};
use smidgen_aggregator::Traffic;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Traffic and time of one or more rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// From the workers to the host.
    pub uplink: Traffic,
    /// From the host to the workers.
    pub downlink: Traffic,
    /// Modelled: seconds that the bytes of the busiest link take, in both directions together, at the rate of the line.
    #[serde(alias = "link_seconds")]
    pub modelled_seconds: f64,
    /// Measured: seconds from the first frame of each round to its last, by the [`Clock`](crate::world::Clock) of the
    /// run. Absent in records of older versions.
    #[serde(default)]
    pub elapsed_seconds: Option<f64>,
}

impl Default for Cost {
    /// Returns no traffic and a measured time of 0 seconds.
    fn default() -> Self {
        let (uplink, downlink) = Default::default();
        Self { uplink, downlink, modelled_seconds: 0.0, elapsed_seconds: Some(0.0) }
    }
}

impl Cost {
    /// Returns the bytes on the wire in both directions.
    pub const fn wire_bytes(&self) -> u64 {
        self.uplink.wire_bytes + self.downlink.wire_bytes
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.uplink += other.uplink;
        self.downlink += other.downlink;
        self.modelled_seconds += other.modelled_seconds;
        let parts = self.elapsed_seconds.zip(other.elapsed_seconds);
        self.elapsed_seconds = parts.map(|(one, other)| one + other);
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// Returns running totals: item n is the sum of the first n + 1 `costs`.
pub fn running_totals(costs: impl IntoIterator<Item = Cost>) -> impl Iterator<Item = Cost> {
    costs.into_iter().scan(Cost::default(), |total, cost| {
        *total += cost;
        Some(*total)
    })
}
