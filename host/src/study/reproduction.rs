//! Runs the experiments of the papers. Each is described by a TOML file, a [`Study`].
//!
//! ```text
//!  experiments/*.toml ── study ──> Study { panels: data sets, curves: options of `smidgen simulate` }
//!                                    │
//!                       measure: every curve on every panel, in simulation (or in f64: float)
//!                                    │
//!                        page ──> reproduction.md, reproduction/*.svg
//! ```
//!
//! The page is reproducible: it depends only on the studies and the data, bit for bit.

mod figures;
mod float;
mod measure;
mod page;
mod study;

pub use measure::{Measured, measure};
pub use page::write;
pub use study::{Curve, Panel, Study, StudyError};
