//! Minibatches: the rows that a worker evaluates in a round, drawn from a seed.
//!
//! The selection depends on seed, worker and round alone, so a repeated or restored round selects the same rows.
//! Rows are drawn in ascending order without memory (Knuth, Algorithm S): each row is taken with probability
//! (still wanted) / (still left). All sets of the given size are equally likely, so the mean over a minibatch is an
//! unbiased estimate of the mean over all rows.

use crate::digest::{Draws, Transcript};
use core::ops::Range;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Separates these draws from those of participation and RandK, which may have the same seed.
const PURPOSE: u64 = 1 << 32;

/// Minibatch size and seed.
///
/// ```
/// use smidgen_protocol::batch::Batch;
///
/// let batch = Batch { size: 3, seed: 1 };
/// let rows: Vec<u32> = batch.selection(1, 7).runs(10).flatten().collect();
/// assert_eq!(rows, [6, 8, 9]);
/// assert_eq!(Batch::FULL.selection(1, 7).runs(10).next(), Some(0..10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Batch {
    /// Number of rows; 0, or at least the worker's row count, selects all rows.
    pub size: u32,
    /// Seed of the draws.
    pub seed: u32,
}

impl Batch {
    /// All rows in every round.
    pub const FULL: Self = Self { size: 0, seed: 0 };

    /// Returns whether every worker uses all its rows, however many it has.
    pub const fn is_full(self) -> bool {
        self.size == 0
    }

    /// The rows of `worker` in `round`.
    #[must_use]
    pub fn selection(self, worker: u16, round: u32) -> Selection {
        let mut start = Transcript::default();
        start.absorb(u64::from(self.seed) << 32 | u64::from(round));
        start.absorb(PURPOSE | u64::from(worker));
        Selection { size: self.size, start: start.value() }
    }
}

/// A selection of rows, independent of their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    size: u32,
    start: u64,
}

impl Selection {
    /// All rows.
    pub const ALL: Self = Self { size: 0, start: 0 };

    /// Number of rows selected out of `rows`.
    pub const fn count(self, rows: u32) -> u32 {
        if self.size == 0 || self.size > rows { rows } else { self.size }
    }

    /// The selected rows out of `rows`, as ascending runs; a single run if all are selected.
    pub const fn runs(self, rows: u32) -> Runs {
        Runs { draws: Draws::new(self.start), row: 0, rows, wanted: self.count(rows) }
    }
}

/// The runs of a [`Selection`].
#[derive(Clone, Debug)]
pub struct Runs {
    draws: Draws,
    /// The next row to decide on.
    row: u32,
    rows: u32,
    /// Rows still to be selected.
    wanted: u32,
}

impl Iterator for Runs {
    type Item = Range<u32>;

    // Not inlined: the pass over rows is compiled once per kind of row and would repeat it.
    #[inline(never)]
    fn next(&mut self) -> Option<Range<u32>> {
        while self.wanted > 0 {
            // The rest is selected in one run, so a full selection costs no draws.
            let (first, left) = (self.row, self.rows - self.row);
            if self.wanted == left {
                (self.row, self.wanted) = (self.rows, 0);
                return Some(first..self.rows);
            }
            self.row += 1;
            if self.draws.below(left) < self.wanted {
                self.wanted -= 1;
                return Some(first..self.row);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(batch: Batch, worker: u16, round: u32, rows: u32) -> Vec<u32> {
        batch.selection(worker, round).runs(rows).flatten().collect()
    }

    proptest! {
        #[test]
        fn selection_is_sorted_distinct_and_has_batch_size(
            size in 0u32..60, seed: u32, worker: u16, round: u32, row_count in 0u32..50,
        ) {
            let batch = Batch { size, seed };
            let taken = rows(batch, worker, round, row_count);
            let expected = if size == 0 { row_count } else { size.min(row_count) };
            prop_assert_eq!(taken.len(), expected as usize);
            prop_assert_eq!(batch.selection(worker, round).count(row_count), expected);
            prop_assert!(taken.is_sorted_by(|a, b| a < b) && taken.iter().all(|&r| r < row_count));
            prop_assert_eq!(&taken, &rows(batch, worker, round, row_count));
            if expected == row_count {
                prop_assert!(batch.selection(worker, round).runs(row_count).count() <= 1);
            }
        }
    }

    /// Frequencies of single rows and of pairs, over rounds.
    #[test]
    fn rows_and_pairs_are_drawn_uniformly() {
        const ROWS: usize = 12;
        const ROUNDS: u32 = 20_000;
        for (size, worker) in [(1, 1), (5, 2), (11, 3)] {
            let batch = Batch { size, seed: 4 };
            let mut pairs = [[0u32; ROWS]; ROWS];
            for round in 0..ROUNDS {
                let taken = rows(batch, worker, round, ROWS as u32);
                for &a in &taken {
                    taken.iter().for_each(|&b| pairs[a as usize][b as usize] += 1);
                }
            }
            let b = f64::from(size);
            let one = b / ROWS as f64;
            let both = one * (b - 1.0) / (ROWS - 1) as f64;
            for (a, row) in pairs.iter().enumerate() {
                for (b, &found) in row.iter().enumerate() {
                    let p = if a == b { one } else { both };
                    let (mean, deviation) = binomial(ROUNDS, p);
                    let off = (f64::from(found) - mean).abs();
                    assert!(off <= 5.0 * deviation, "{size} rows, {a} with {b}: {found}");
                }
            }
        }
    }

    fn binomial(n: u32, p: f64) -> (f64, f64) {
        let n = f64::from(n);
        (n * p, (n * p * (1.0 - p)).sqrt())
    }

    /// Two independent sets of 10 of 100 rows overlap in one row on average.
    #[test]
    fn draws_are_independent_across_workers_rounds_and_seeds() {
        let of = |seed, worker, round| rows(Batch { size: 10, seed }, worker, round, 100);
        let overlap = |a: Vec<u32>, b: Vec<u32>| a.iter().filter(|row| b.contains(row)).count();
        let mut overlaps = [0; 3];
        for round in 0..2000 {
            let base = of(0, 1, round);
            overlaps[0] += overlap(base.clone(), of(0, 2, round));
            overlaps[1] += overlap(base.clone(), of(0, 1, round + 1));
            overlaps[2] += overlap(base, of(1, 1, round));
        }
        assert!(overlaps.iter().all(|count| (1800..2200).contains(count)), "{overlaps:?}");
    }
}
