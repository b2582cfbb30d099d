//! Types of fields that several messages share.

use crate::vector::Exponent;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Number of a request; the host counts them up in a session.
pub type Ticket = u16;

/// The exponents of a session; the host may announce others between rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Exponents {
    /// Of the model, e_x.
    pub x: Exponent,
    /// Of gradients, estimators and their sum, e_g.
    pub gradient: Exponent,
    /// Of the loss.
    pub loss: Exponent,
}

/// A vector of a worker's state that a [`Down::Part`](super::Down::Part) writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Part {
    /// The model x.
    Model,
    /// The estimator g_i.
    Estimator,
    /// The sum Σ g_i.
    Sum,
    /// What changed in the sum: the entries are added.
    SumChange,
    /// What changed in the model: the entries are added.
    ModelChange,
    /// The velocity of the heavy ball.
    Velocity,
}

/// Why a worker does not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Refusal {
    /// State and data do not fit.
    Memory {
        /// Bytes it would need.
        need: u32,
        /// Bytes it has.
        room: u32,
    },
    /// It does not compute this objective.
    Objective,
    /// The data are not what they should be: their checksum, shape or indices are wrong.
    Data,
    /// The numbers of the configuration contradict each other.
    Configuration,
}

/// A loss as it travels: a mantissa of 24 bits.
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
    /// The largest magnitude of a mantissa.
    pub const MAX: i32 = (1 << 23) - 1;

    /// From a mantissa, cut to the range.
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
