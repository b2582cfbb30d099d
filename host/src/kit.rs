//! A test kit for objectives of your own: boards' integers against their f64 twin, and the twin against itself.
//!
//! ```
//! use smidgen::kit;
//! use smidgen::objective::Objective;
//! use smidgen_firmware::logistic::Logistic;
//!
//! kit::check::<Logistic>(Objective::Logistic.twin()).unwrap();
//! ```

mod curvature;
mod extremes;
mod fixed_point;
mod rows;
mod subject;
#[cfg(test)]
mod tests;
mod twin;

use crate::objective::{Objective, Twin, Workers};
use smidgen_firmware::objective::{Evaluator, ObjectiveSet};
pub use subject::Fault;
use subject::Subject;

/// Checks an objective of the set `S`, or the only objective `S`, against its twin.
///
/// Gradients are compared with differences of the loss, and integers with f64, on rows of all widths at several
/// exponents, in minibatches and with masked rows. Extreme numbers must neither panic nor wrap. Bounds of the curvature
/// must hold, and classes must be those of the twin. All draws are the same in every run.
///
/// # Errors
/// The first fault that is found.
pub fn check<S: ObjectiveSet + Default>(twin: &'static dyn Twin) -> Result<(), Fault> {
    let (workers, name) = (Workers::of::<S>(), twin.name());
    let info = workers.table().find(name).ok_or(Fault::Unknown(name))?;
    let subject = Subject { objective: Objective::of(twin), workers, info };
    self::twin::check(&subject)?;
    fixed_point::check(&subject)?;
    extremes::check(&subject)?;
    curvature::check(&subject)
}
