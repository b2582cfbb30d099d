//! Distribution of rows to workers.

use super::data::Dataset;
use super::owners::Owners;
use crate::options::Split;
use crate::units::quantity::counted;

/// Reasons why rows cannot be distributed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// There are no workers.
    #[error("there are no workers: give at least one")]
    NoWorkers,
    /// No column says who owns a row.
    #[error("{0} does not say who owns its rows: give --split the name of a column")]
    NoOwners(String),
    /// A worker would get no rows.
    #[error(
        "{name} has {}, too few for {worker_count} workers: give at most {row_count} workers",
        counted(*.row_count as u64, "row", "rows")
    )]
    TooManyWorkers {
        /// The data set.
        name: String,
        /// Its rows.
        row_count: usize,
        /// Number of workers.
        worker_count: usize,
    },
}

impl Dataset {
    /// Returns the rows of each worker, at least one, as indices into the data set.
    ///
    /// [`Split::OneEach`] and [`Split::By`] ignore `worker_count`: the rows give the number of workers.
    pub fn deal(&self, split: &Split, worker_count: usize) -> Result<Vec<Vec<usize>>, SplitError> {
        let mut rows: Vec<usize> = (0..self.row_count()).collect();
        match split {
            Split::Contiguous => {
                let (mut blocks, remainder) = self.blocks(&rows, worker_count)?;
                blocks.last_mut().into_iter().for_each(|last| last.extend(remainder));
                Ok(blocks)
            }
            Split::SortedNorm => {
                let norms: Vec<f64> =
                    rows.iter().map(|&row| self.row(row).norm_squared()).collect();
                rows.sort_by(|&a, &b| norms[a].total_cmp(&norms[b]));
                Ok(self.blocks(&rows, worker_count)?.0)
            }
            Split::OneEach => Ok(self.blocks(&rows, rows.len())?.0),
            Split::By(_) => {
                let shares = self.owners.as_ref().map(Owners::shares);
                shares.ok_or_else(|| SplitError::NoOwners(self.name().into()))
            }
        }
    }

    /// Returns a block of `rows` for each worker, all of the same length, and the remainder.
    fn blocks<'r>(
        &self,
        rows: &'r [usize],
        worker_count: usize,
    ) -> Result<(Vec<Vec<usize>>, &'r [usize]), SplitError> {
        let Some(block_len @ 1..) = rows.len().checked_div(worker_count) else {
            return Err(refusal(self, worker_count));
        };
        let (blocks, remainder) = rows.split_at(block_len * worker_count);
        Ok((blocks.chunks(block_len).map(<[_]>::to_vec).collect(), remainder))
    }
}

fn refusal(dataset: &Dataset, worker_count: usize) -> SplitError {
    if worker_count == 0 {
        return SplitError::NoWorkers;
    }
    let (name, row_count) = (dataset.name().into(), dataset.row_count());
    SplitError::TooManyWorkers { name, row_count, worker_count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset() -> Dataset {
        Dataset::parse("five", "1 1:3\n0 1:1\n1 2:-3\n0 1:2\n1 1:0\n").unwrap()
    }

    #[test]
    fn rows_are_distributed_by_the_rule() {
        let dataset = dataset();
        assert_eq!(dataset.deal(&Split::Contiguous, 2).unwrap(), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(dataset.deal(&Split::SortedNorm, 2).unwrap(), [[4, 1], [3, 0]]);
        assert_eq!(dataset.deal(&Split::SortedNorm, 1).unwrap(), [[4, 1, 3, 0, 2]]);
        assert_eq!(dataset.deal(&Split::OneEach, 0).unwrap(), [[0], [1], [2], [3], [4]]);
    }

    #[test]
    fn worker_without_rows_is_refused() {
        let dataset = dataset();
        assert_eq!(dataset.deal(&Split::Contiguous, 5).unwrap().len(), 5);
        let error = dataset.deal(&Split::Contiguous, 6).unwrap_err().to_string();
        assert_eq!(error, "five has 5 rows, too few for 6 workers: give at most 5 workers");
        assert_eq!(dataset.deal(&Split::SortedNorm, 0), Err(SplitError::NoWorkers));
    }
}
