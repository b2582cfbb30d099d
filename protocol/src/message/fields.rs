//! Field types shared by several messages.

use crate::vector::Exponent;
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
}
