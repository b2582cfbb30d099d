//! The experiments of the papers, as data: each is a TOML file, a [`Study`], and this runs them.
//!
//! ```text
//!  experiments/*.toml ── study ──> Study { panels: data sets, curves: options of `smidgen simulate` }
//!                                    │
//!                       measure: every curve on every panel, in simulation (or in f64: float)
//!                                    │
//!                        page ──> reproduction.md, reproduction/*.svg
//! ```
//!
//! Results depend on the studies and the data alone: the same page comes out again, bit for bit.

mod figures;
mod float;
mod measure;
mod page;
mod study;

pub use measure::{Measured, measure};
pub use page::write;
pub use study::{Curve, Panel, Study, StudyError};
