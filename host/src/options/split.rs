//! Distribution of rows to workers.

use super::choice::choices;

choices! {
    /// A rule that distributes the rows of a data set to workers.
    pub enum Split {
        /// Equal blocks in file order; the last worker also takes the remainder
        Contiguous = "contiguous",
        /// Rows stably sorted by their norm, then equal blocks; the remainder is dropped
        SortedNorm = "sorted-norm",
        /// One row per worker, as many workers as rows
        OneEach = "one-each",
    }
}
