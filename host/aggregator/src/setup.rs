//! The options of a run.

use crate::method_spec::{MethodSpec, WorkerSpec};
use crate::ratio::ratio;
use crate::scaling::NOISE_BITS;
use crate::sealing::Sealing;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::message::{Configure, Regulariser, Ticket};
use smidgen_protocol::method::{self, Participation};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::start;
use smidgen_protocol::step::Rule;
use smidgen_protocol::vector::{Exponent, MANTISSA_MAX};
use std::time::Duration;

/// The largest number of workers: a sum of that many estimators has 47 bits, for which everything has room.
pub const WORKERS_MAX: usize = 1 << 15;

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Number of the run, not 0. A worker leaves its session when it is configured for another.
    pub session: u32,
    /// Name of the objective.
    pub objective: &'static str,
    /// Regulariser, added to the loss of the data.
    pub regulariser: Regulariser,
    /// Weight λ of the regulariser.
    pub lambda: f64,
    /// x⁰.
    pub initial_model: InitialModel,
    /// Dimension d.
    pub dimension: u32,
    /// Rules of the workers and the server.
    pub method: MethodSpec,
    /// The share of each worker; their number is n.
    pub shares: Vec<Share>,
    /// Time that the line takes for a byte: no answer is expected sooner.
    pub byte_time: Duration,
    /// Time for which a round waits for a silent worker; `None` waits for ever.
    pub round_timeout: Option<Duration>,
    /// Key and salts, where links are sealed.
    pub seal: Option<Sealing>,
}

/// The initial model x⁰.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialModel {
    /// Host and workers derive it from a seed: 0 for x⁰ = 0, another one for a [random model](smidgen_protocol::start).
    Seed(u32),
    /// A given model, which is sent to every worker before the first probe.
    Given {
        /// Mantissas, d of them, each at most [`MANTISSA_MAX`] in magnitude.
        mantissas: Vec<i32>,
        /// Their exponent.
        exponent: Exponent,
    },
}

impl InitialModel {
    /// Fills `x` with x⁰ and returns its exponent.
    ///
    /// # Panics
    /// If a given model has another dimension.
    pub fn fill(&self, x: &mut [i32]) -> Exponent {
        match self {
            Self::Seed(seed) => start::fill(x, *seed),
            Self::Given { mantissas, exponent } => {
                x.copy_from_slice(mantissas);
                *exponent
            }
        }
    }

    /// The seed in a configuration. Workers start at 0 if a model follows: rescaling that cannot saturate.
    const fn seed(&self) -> u32 {
        match *self {
            Self::Seed(seed) => seed,
            Self::Given { .. } => 0,
        }
    }

    /// It is sent to workers.
    pub(super) const fn is_given(&self) -> bool {
        match self {
            Self::Seed(_) => false,
            Self::Given { .. } => true,
        }
    }

    /// It is one for `dimension` coordinates.
    pub(super) fn fits(&self, dimension: u32) -> bool {
        match self {
            Self::Seed(_) => true,
            Self::Given { mantissas, .. } => {
                mantissas.len() == dimension as usize
                    && mantissas.iter().all(|mantissa| *mantissa >= -MANTISSA_MAX)
            }
        }
    }
}

/// A worker's share of the problem.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its data, in wire format.
    pub data: Vec<u8>,
    /// Its numbers in the method.
    pub worker: WorkerSpec,
}

impl Setup {
    /// The configuration of a worker.
    pub fn configuration(&self, worker: usize, ticket: Ticket, identity: u64) -> Configure<'_> {
        let Share { data, worker: WorkerSpec { scale, k, participation, .. } } =
            &self.shares[worker];
        // Workers step by γ/n times a sum, so λ₁ is multiplied by n.
        let n = self.shares.len() as f64;
        let method = &self.method;
        Configure {
            ticket,
            session: self.session,
            identity,
            worker: address(worker),
            dimension: self.dimension,
            k: *k,
            value_bits: method.value_bits,
            init: method.init,
            method: method.rule,
            compressor: method.compressor,
            scale: ratio(*scale),
            participation: *participation,
            batch: method.batch,
            downlink: method.downlink,
            momentum: ratio(method.momentum),
            l1_n: ratio(method.l1 * n),
            objective: self.objective,
            regulariser: self.regulariser,
            lambda: ratio(self.lambda),
            start_seed: self.initial_model.seed(),
            data_len: data.len() as u32,
            data_checksum: checksum(data),
        }
    }

    /// The data of a worker are rows that its board has recorded.
    pub fn is_on_board(&self, worker: usize) -> bool {
        RecordedRows::is_kind_of(&self.shares[worker].data)
    }

    /// Some rounds leave out some rows: the losses that workers report are not f.
    pub fn is_stochastic(&self) -> bool {
        let is_full = |share: &Share| share.worker.participation == Participation::FULL;
        !self.method.batch.is_full() || !self.shares.iter().all(is_full)
    }

    /// All workers evaluate all of their rows in a round.
    pub(super) fn evaluates_all(&self, round: u32) -> bool {
        let mut workers = 0..self.shares.len();
        self.method.batch.is_full() && workers.all(|worker| self.includes(worker, round))
    }

    /// The mean of the losses of a round is f: all workers report it, over all of their rows.
    pub fn hears_all(&self) -> bool {
        !self.is_stochastic() && self.round_timeout.is_none()
    }

    /// Factor by which a gradient may exceed those that are known.
    pub(super) fn gradient_growth(&self) -> u32 {
        if self.method.batch.is_full() { 1 } else { 1 << NOISE_BITS }
    }

    /// Sparsity budget of a worker's update of `round`.
    pub fn budget(&self, worker: usize, round: u32) -> method::Budget {
        // The first update may be larger, where estimators start as full gradients.
        let budget = self.method.budget(self.shares[worker].worker.k);
        self.method.init.budget(round, self.dimension, budget)
    }

    /// A worker participates in a round.
    pub(super) fn includes(&self, worker: usize, round: u32) -> bool {
        self.shares[worker].worker.participation.includes(address(worker), round)
    }

    /// The constants of the server's steps.
    pub(super) fn rule(&self) -> Rule {
        let n = self.shares.len() as f64;
        Rule {
            gamma_n: ratio(self.method.gamma / n),
            momentum: ratio(self.method.momentum),
            l1_n: ratio(self.method.l1 * n),
        }
    }
}

/// The address of a worker: its number, from 1.
pub(crate) fn address(worker: usize) -> u16 {
    worker as u16 + 1
}
