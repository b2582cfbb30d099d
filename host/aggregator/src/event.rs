//! The events of a run.

use crate::failure::Failure;
use crate::traffic::Carried;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker identified itself.
    Greeted(usize),
    /// A worker confirmed a part of its data.
    Loaded {
        /// Index of the worker.
        worker: usize,
        /// Bytes it holds.
        held: u32,
        /// Bytes of all its data.
        len: u32,
    },
    /// A worker was found restarted, and is restored.
    Rebooted(usize),
    /// The board of a worker answers on another link than before.
    Moved(usize),
    /// Rounds close without a worker from now on; or they did before, and the reason has changed.
    Excluded {
        /// Index of the worker.
        worker: usize,
        /// The reason; `None` if it is silent.
        failure: Option<Failure>,
    },
    /// An excluded worker answers again, and rounds wait for it.
    Readmitted(usize),
    /// All workers hold their data, and the exponents are found; with the traffic until then.
    Prepared(Carried),
    /// A round is closed. Look at the state, then call [`Aggregator::proceed`](crate::Aggregator::proceed) or
    /// [`Aggregator::finish`](crate::Aggregator::finish).
    Closed(Closed),
    /// All workers confirmed that their state is that of the host; with the traffic since the last round.
    Finished(Carried),
    /// The run cannot continue.
    Failed(Failure),
}

/// A closed round.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Closed {
    /// Its number t; everything else belongs to x^t.
    pub round: u32,
    /// Mean of the workers' losses: f(x^t), if all of them evaluated all of their rows.
    pub loss: f64,
    /// ‖g^t‖².
    pub estimator_norm_squared: f64,
    /// Digest of all x, g_i and bodies up to here.
    pub transcript: u64,
    /// Number of workers that it was closed without.
    pub excluded: u32,
    /// Fewest bits in which its updates can be coded: the choice of their entries, and a mantissa for each.
    pub information_bits: f64,
    /// Its traffic and time.
    pub carried: Carried,
}
