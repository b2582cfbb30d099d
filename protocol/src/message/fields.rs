//! Field types shared by several messages.

use crate::sparse::{Form, SHIFT_MAX};
use crate::vector::{Exponent, round_shift};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Number of a request, counted up by the host within a session.
pub type Ticket = u16;

/// Exponents of a session; the host may announce others between rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Exponents {
    /// Exponent of the model, e_x.
    pub x: Exponent,
    /// Exponent of gradients, estimators and their sum, e_g.
    pub gradient: Exponent,
    /// Exponent of the loss.
    pub loss: Exponent,
}

/// The vector of a worker's state that a [`Down::Part`](super::Down::Part) writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Part {
    /// The model x.
    Model,
    /// The estimator g_i.
    Estimator,
    /// The sum Σ g_i.
    Sum,
    /// A change of the sum; entries are added.
    SumChange,
    /// A change of the model; entries are added.
    ModelChange,
    /// The velocity of heavy-ball momentum.
    Velocity,
}

impl Part {
    /// Returns whether it is a change of the sum, whose body refers to the sum.
    pub const fn is_change_of_sum(self) -> bool {
        match self {
            Self::SumChange => true,
            Self::ModelChange | Self::Model | Self::Estimator | Self::Sum | Self::Velocity => false,
        }
    }

    /// Returns whether entries are added to those before.
    pub const fn is_change(self) -> bool {
        match self {
            Self::SumChange | Self::ModelChange => true,
            Self::Model | Self::Estimator | Self::Sum | Self::Velocity => false,
        }
    }
}

/// Reason for refusing a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Refusal {
    /// State and data do not fit in memory.
    Memory {
        /// Bytes required.
        need: u32,
        /// Bytes available.
        room: u32,
    },
    /// The worker does not compute this objective.
    Objective,
    /// The data are invalid: checksum, shape or indices.
    Data,
    /// The configuration is inconsistent.
    Configuration,
}

/// What host and worker know of the rounds before; the next one is coded as a difference from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Known {
    /// The worker's loss in the last round that it took part in; before round 0, in its last probe.
    pub loss: Loss,
    /// Shift of its last update with entries.
    pub shift: u8,
    /// Form of the last body of a downlink.
    pub downlink: Form,
}

impl Known {
    /// Returns whether rounds can have had these numbers.
    pub const fn is_valid(&self) -> bool {
        self.shift <= SHIFT_MAX && self.downlink.is_valid()
    }
}

/// A loss on the wire: a mantissa of 24 bits.
///
/// ```
/// use smidgen_protocol::message::Loss;
///
/// assert_eq!(Loss::new(-5).mantissa(), -5);
/// assert_eq!(Loss::new(i64::MAX).mantissa(), Loss::MAX);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Loss([u8; 3]);

impl Loss {
    /// Largest magnitude of a mantissa.
    pub const MAX: i32 = (1 << 23) - 1;

    /// Clamps a mantissa to the range.
    pub const fn new(mantissa: i64) -> Self {
        let max = Self::MAX as i64;
        let cut = if mantissa > max {
            max
        } else if mantissa < -max {
            -max
        } else {
            mantissa
        };
        let [low, middle, high, _] = (cut as i32).to_le_bytes();
        Self([low, middle, high])
    }

    /// The mantissa.
    pub const fn mantissa(self) -> i32 {
        let [low, middle, high] = self.0;
        i32::from_le_bytes([0, low, middle, high]) >> 8
    }

    /// The loss on another grid, cut to its range.
    #[must_use]
    pub fn rescaled(self, from: Exponent, to: Exponent) -> Self {
        Self::new(round_shift(self.mantissa().into(), i32::from(from) - i32::from(to)))
    }
}
