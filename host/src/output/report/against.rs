//! The horizontal axes of charts.

use super::axis::Unit;
use super::mark::Mark;
use serde::Deserialize;

/// Quantity of the x axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// Rounds.
    Rounds,
    /// Uplink bytes on the wire.
    Uplink,
    /// Bytes on the wire in both directions.
    Bytes,
    /// Modelled seconds that the bytes take on the busiest link.
    Modelled,
    /// Seconds of a simulation's clock.
    Virtual,
    /// Seconds of the host's clock.
    Measured,
}

impl Against {
    /// Returns its name for a caption.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rounds => "rounds",
            Self::Uplink => "uplink bytes",
            Self::Bytes => "wire bytes",
            Self::Modelled => "modelled time",
            Self::Virtual => "virtual time",
            Self::Measured => "measured time",
        }
    }

    pub(super) const fn axis_label(self) -> &'static str {
        match self {
            Self::Rounds => "round t",
            Self::Uplink => "bytes on the wire, up",
            Self::Bytes => "bytes on the wire, up and down",
            Self::Modelled => "time of the bytes on the link, modelled (s)",
            Self::Virtual => "virtual time (s)",
            Self::Measured => "time by the host's clock (s)",
        }
    }

    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Rounds => Unit::Count,
            Self::Uplink | Self::Bytes => Unit::Bytes,
            Self::Modelled | Self::Virtual | Self::Measured => Unit::Seconds,
        }
    }

    /// Returns whether it is a cost, in bytes or time.
    pub const fn is_cost(self) -> bool {
        match self {
            Self::Rounds => false,
            Self::Uplink | Self::Bytes | Self::Modelled | Self::Virtual | Self::Measured => true,
        }
    }

    /// Returns the value at a mark; NaN if it is unknown.
    pub fn of(self, mark: &Mark) -> f64 {
        match self {
            Self::Rounds => f64::from(mark.round),
            Self::Uplink => mark.total.uplink.wire_bytes as f64,
            Self::Bytes => mark.total.wire_bytes() as f64,
            Self::Modelled => mark.total.modelled_seconds,
            Self::Virtual | Self::Measured => mark.total.elapsed_seconds.unwrap_or(f64::NAN),
        }
    }
}
