//! Distribution of rows to workers.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A rule that distributes the rows of a data set to workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Equal blocks in file order; the last worker also takes the remainder.
    Contiguous,
    /// Rows stably sorted by their norm, then equal blocks; the remainder is dropped.
    SortedNorm,
    /// One row per worker, as many workers as rows.
    OneEach,
    /// One worker for each value of this column of the file, in the order of the values.
    By(String),
}

/// A text is not a [`Split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give contiguous, sorted-norm, one-each or by=COLUMN")]
pub struct SplitError;

impl Split {
    /// Returns whether it is the split without `--split`.
    pub const fn is_default(&self) -> bool {
        match self {
            Self::Contiguous => true,
            Self::SortedNorm | Self::OneEach | Self::By(_) => false,
        }
    }

    /// Returns the column that says which worker owns a row.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::By(column) => Some(column),
            Self::Contiguous | Self::SortedNorm | Self::OneEach => None,
        }
    }

    /// Returns what has a worker of its own, if the data give the number of workers.
    pub const fn worker_of_each(&self) -> Option<&'static str> {
        match self {
            Self::OneEach => Some("row"),
            Self::By(_) => Some("value of the column"),
            Self::Contiguous | Self::SortedNorm => None,
        }
    }
}

impl FromStr for Split {
    type Err = SplitError;

    fn from_str(text: &str) -> Result<Self, SplitError> {
        match text.split_once('=') {
            Some(("by", column)) if !column.trim().is_empty() => Ok(Self::By(column.trim().into())),
            Some(_) => Err(SplitError),
            None => match text {
                "contiguous" => Ok(Self::Contiguous),
                "sorted-norm" => Ok(Self::SortedNorm),
                "one-each" => Ok(Self::OneEach),
                _ => Err(SplitError),
            },
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contiguous => f.write_str("contiguous"),
            Self::SortedNorm => f.write_str("sorted-norm"),
            Self::OneEach => f.write_str("one-each"),
            Self::By(column) => write!(f, "by={column}"),
        }
    }
}

impl Serialize for Split {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_round_trips() {
        let by = Split::By("name = of subject".into());
        for split in [Split::Contiguous, Split::SortedNorm, Split::OneEach, by] {
            assert_eq!(split.to_string().parse(), Ok(split));
        }
    }

    #[test]
    fn invalid_split_is_refused() {
        for text in ["", "by", "by=", "by= ", "By=x", "contiguous=3", "one"] {
            assert_eq!(text.parse::<Split>(), Err(SplitError), "{text}");
        }
    }
}
