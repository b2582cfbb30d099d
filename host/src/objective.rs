//! The objectives of a program: names, f64 twins, and what theory needs to know.
//!
//! ```text
//!  Objectives ── Objective ── Twin ── MarginTwin            a loss of aᵀx: value, slope, largest curvature
//!                              ├───── Softmax, Perceptron   several margins
//!                              └───── Row, ObjectiveInfo
//! ```
//!
//! Boards use the implementations of the same names in `smidgen_firmware`, or in a library of the user.

mod built_in;
mod classes;
mod margin;
mod set;
mod twin;

pub use classes::HIDDEN;
pub use margin::MarginTwin;
pub use set::{Objectives, Workers, known, set_known};
pub use twin::{
    Curvature, Labels, Margins, Objective, ObjectiveInfo, Probabilities, Row, RowNoise, Targets,
    Twin,
};
