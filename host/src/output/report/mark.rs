//! Points of a curve.

use crate::record::Cost;

/// Progress of a method in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// The round t.
    pub round: u32,
    /// f(x^t).
    pub loss: f64,
    /// ‖∇f(x^t)‖², if it is known.
    pub gradient_norm_squared: Option<f64>,
    /// ‖g^t‖²; for dense gradient descent, whose estimator is the gradient, the same as above.
    pub estimator_norm_squared: Option<f64>,
    /// Cost of all rounds up to and including this one.
    pub total: Cost,
}
