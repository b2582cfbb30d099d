//! Records of one round.

use super::cost::Cost;
use super::nan::null_is_nan;
use super::theory::TheoryCheck;
use super::times::BoardTimes;
use serde::{Deserialize, Serialize};

/// Record of one round. Traffic and seconds are those of this round, not totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The round t.
    pub round: u32,
    /// f(x^t): the mean of the workers' losses, or computed in f64 from the data if not every worker evaluated all of
    /// its rows.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// ‖∇f(x^t)‖², if the host has the data, computed from them in f64. A simulation whose workers compute full
    /// gradients in every round takes the mean of these fixed-point gradients instead: it is free, and agrees to about
    /// six digits.
    pub gradient_norm_squared: Option<f64>,
    /// ‖g^t‖², the squared norm of the gradient estimator, which the host always knows.
    #[serde(deserialize_with = "null_is_nan")]
    pub estimator_norm_squared: f64,
    /// Number of workers excluded from the round because they were silent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub absent: u32,
    /// Bits that the updates would take under an ideal code: log2 C(d, K) + K · b for an update with K entries.
    #[serde(default)]
    pub information_bits: f64,
    /// Cost of the round.
    #[serde(flatten)]
    pub cost: Cost,
    /// Measured times of the workers whose updates are in the round; see [`BoardTimes::of_round`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boards: Vec<BoardTimes>,
    /// The inequalities of the theorem, if they are checked (`--check-theory`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory: Option<TheoryCheck>,
    /// Digest of the run up to and including this round, 16 hexadecimal digits.
    pub transcript: String,
}

/// The squared norm that measures progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// ‖∇f(x)‖².
    Gradient(f64),
    /// ‖g‖², if the gradient is not known.
    Estimator(f64),
}

impl RoundRecord {
    /// Returns the squared norm of the gradient if it is known, otherwise that of its estimator.
    pub fn norm(&self) -> Norm {
        let estimator = Norm::Estimator(self.estimator_norm_squared);
        self.gradient_norm_squared.map_or(estimator, Norm::Gradient)
    }
}

/// Record of one round of dense gradient descent on the same problem, over simulated lines of the same rate without
/// faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineRecord {
    /// The round t.
    pub round: u32,
    /// f(x^t).
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// ‖∇f(x^t)‖².
    pub gradient_norm_squared: Option<f64>,
    /// Cost of the round with one dense vector from and one to each worker.
    #[serde(flatten)]
    pub cost: Cost,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}
