//! How rows are dealt out to workers.

use serde::{Deserialize, Serialize};

/// A rule that deals the rows of a data set out to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Equal blocks in file order; the last worker also takes the remainder.
    Contiguous,
    /// Rows stably sorted by their norm, then equal blocks; the remainder is dropped.
    SortedNorm,
    /// One row per worker, as many workers as rows.
    OneEach,
}
