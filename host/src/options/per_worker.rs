//! Options with one value for all workers, or one per worker: `--k 4`, `--k 1,4,4`.

use crate::units::quantity::counted;
use serde::{Serialize, Serializer};

/// The length of a list is not the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{option} lists {} for {}; give one for all, or one per worker",
    counted(*given as u64, "value", "values"),
    counted(*workers as u64, "worker", "workers")
)]
pub struct PerWorkerError {
    /// The option.
    pub option: &'static str,
    /// The length of its list.
    pub given: usize,
    /// The number of workers n.
    pub workers: usize,
}

/// Returns the value of each worker. A single value is for all.
pub(super) fn of<T: Copy>(
    option: &'static str,
    given: &[T],
    workers: usize,
) -> Result<Vec<T>, PerWorkerError> {
    match *given {
        [value] => Ok(vec![value; workers]),
        _ if given.len() == workers => Ok(given.to_vec()),
        _ => Err(PerWorkerError { option, given: given.len(), workers }),
    }
}

/// Serializes a single value as itself, several as a list.
pub(super) fn serialize<T: Serialize, S: Serializer>(
    given: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match given {
        [value] => value.serialize(serializer),
        _ => given.serialize(serializer),
    }
}
