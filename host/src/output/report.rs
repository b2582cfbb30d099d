//! The report of a run: one page of HTML that needs nothing but itself.
//!
//! ```text
//!  Run ── curve ── axis ── chart ──> render ──> report.html
//!           └ comparison with dense gradient descent
//!  curves ── chart ── figure ──> one SVG for one chart of several curves
//! ```
//!
//! Drawings are SVG inside the page; there is no script and no request, and the page follows the
//! reader's light or dark theme and width, and prints. All text of the run is escaped.

mod axis;
pub mod bars;
pub mod chart;
pub mod curve;
pub mod figure;
mod headline;
mod page;
pub mod sentence;
mod tables;

use std::path::{Path, PathBuf};

use crate::record::{REPORT, RecordError, Run, write_whole};
use crate::units::shown::lines;

/// The report of `run` as one self-contained page.
pub fn render(run: &Run) -> String {
    // Escaped for HTML, it may still hold what reorders or hides text.
    lines(&page::page(run).into_string()).into_owned()
}

/// Writes the report of `run` into the run's `directory` and returns its path.
///
/// # Errors
/// If the file cannot be written.
pub fn write(run: &Run, directory: &Path) -> Result<PathBuf, RecordError> {
    let file = directory.join(REPORT);
    write_whole(&file, render(run).as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests;
