//! The report of a run: one self-contained HTML page.
//!
//! ```text
//!  Run ── curve ── axis ── chart ──> render ──> report.html
//!           └ comparison with dense gradient descent
//!  curves ── chart ── figure ──> one SVG for one chart of several curves
//! ```
//!
//! Charts are inline SVG. The page has no script, makes no request, adapts to the reader's theme and width, and can be
//! printed. All text from the run is escaped.

pub mod against;
mod axis;
pub mod bars;
pub mod chart;
mod content;
pub mod curve;
pub mod figure;
mod headline;
pub mod mark;
mod page;
pub mod sentence;
mod tables;

use std::path::{Path, PathBuf};

use crate::record::{REPORT, RecordError, Run, replace_file};
use crate::units::shown::lines;

/// Returns the report of `run` as HTML.
pub fn render(run: &Run) -> String {
    // Escaping for HTML leaves control characters, which could reorder or hide text.
    lines(&page::page(run).into_string()).into_owned()
}

/// Writes the report of `run` into the run's `directory` and returns its path.
///
/// # Errors
/// If the file cannot be written.
pub fn write(run: &Run, directory: &Path) -> Result<PathBuf, RecordError> {
    let file = directory.join(REPORT);
    replace_file(&file, render(run).as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests;
