//! Plans: step sizes by theory, memory, bytes and seconds of a run, before it is run.
//!
//! Costs are measured, not estimated: the first rounds are run in simulation, and their bytes are counted. They are
//! not extrapolated to a target, because convergence is not linear. If the trial reaches the target, the plan has its
//! cost, next to the bound of the theorem.

mod bounds;
mod forecast;
#[cfg(test)]
mod golden;
mod steps;
mod table;
mod target;
mod traffic;

pub use forecast::{Plan, Trial, Update};
pub use steps::Admissible;
pub use target::Target;
pub use traffic::{OnLines, Traffic};
