//! What the aggregator tells of a run.

use crate::failure::Failure;
use crate::traffic::Carried;

/// What a body gets to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker said who it is.
    Greeted(usize),
    /// A worker holds so many of so many bytes of its data.
    Loaded {
        /// Index of the worker.
        worker: usize,
        /// Bytes it holds.
        held: u32,
        /// Bytes in all.
        len: u32,
    },
    /// A worker was restarted and is being restored.
    Rebooted(usize),
    /// The board of a worker answers on another link than before.
    Moved(usize),
    /// Rounds close without a worker from now on, since it is silent, or for the reason given, which may be another than before.
    Excluded {
        /// Index of the worker.
        worker: usize,
        /// Why, if it is not just silent.
        failure: Option<Failure>,
    },
    /// A worker that was left out answers again, and is waited for.
    Readmitted(usize),
    /// All workers hold their data and the exponents are found: what that cost.
    Prepared(Carried),
    /// A round is complete: look at the state, then call [`Aggregator::proceed`] or [`Aggregator::finish`].
    Closed(Closed),
    /// All workers confirmed that their state is that of the host: what that cost.
    Finished(Carried),
    /// The run cannot go on.
    Failed(Failure),
}

/// A round that is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// Round t: what follows belongs to x^t.
    pub round: u32,
    /// The mean of the workers' losses: f(x^t), where all of them looked at all of their rows.
    pub loss: f64,
    /// ‖g^t‖².
    pub estimator_norm_squared: f64,
    /// Digest of all x, g_i and bodies up to here.
    pub transcript: u64,
    /// Workers that were left out of it.
    pub excluded: u32,
    /// Bits that its updates would take at least, which name their entries and give each a mantissa.
    pub information_bits: f64,
    /// What it took.
    pub carried: Carried,
}
