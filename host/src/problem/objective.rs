//! The objective in f64, for telemetry: f and ∇f at the fixed-point model of host and workers.
//!
//! ```text
//! f(x)   = (1/n) Σ_i f_i(x)
//! f_i(x) = (1/n_i) Σ_j loss of row j of worker i + λ Σ_k penalty(x_k)
//! ```

mod function;
mod on_boards;
mod penalty;
mod predictor;

pub use crate::objective::{
    Curvature, HIDDEN, Margins, ObjectiveInfo, Probabilities, RowNoise, Targets,
};
pub use function::Objective;
pub use on_boards::{Computed, OnBoards};
pub use penalty::Penalty;
pub use predictor::Predictor;

#[cfg(test)]
mod tests;
