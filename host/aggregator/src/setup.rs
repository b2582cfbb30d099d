//! What a run is about.

use crate::compressor::DownlinkBudget;
use crate::ratio::ratio;
use crate::scaling::NOISE_BITS;
use crate::sealing::Sealing;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::message::{Configure, Downlink, Init, Regulariser, Ticket};
use smidgen_protocol::method::{self, Compressor, Method, Participation};
use smidgen_protocol::sparse::Decoder;
use smidgen_protocol::step::Rule;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The largest number of workers: sums of as many estimators have 47 bits, for which everything has room.
pub const WORKERS_MAX: usize = 1 << 15;

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The run, not 0; a worker leaves one run when it is configured for another.
    pub session: u32,
    /// Name of the objective.
    pub objective: &'static str,
    /// What is added to the loss of the data.
    pub regulariser: Regulariser,
    /// Weight λ of the regulariser.
    pub lambda: f64,
    /// Where the model starts: 0 is x⁰ = 0, another seed a [random model](smidgen_protocol::start).
    pub start_seed: u32,
    /// Dimension d.
    pub dimension: u32,
    /// Bits of a mantissa, 2..=32.
    pub value_bits: u8,
    /// The first estimators.
    pub init: Init,
    /// What workers send of their gradients.
    pub method: Method,
    /// How they compress it.
    pub compressor: Compressor,
    /// Which of its rows a worker looks at in a round.
    pub batch: Batch,
    /// How the model travels.
    pub downlink: Downlink,
    /// What a change may hold on its way down (EF21-P, EF21-BC); everything, where there is none.
    pub downlink_budget: Option<DownlinkBudget>,
    /// Step size γ; where it is tuned, the first and the least. Where there is a `theory`, no more than a guess.
    pub gamma: f64,
    /// What makes γ of the constants that workers report before the first round, where these are asked for.
    pub theory: Option<Theory>,
    /// What becomes of γ.
    pub step_rule: StepRule,
    /// η of the heavy ball; 0 for none.
    pub momentum: f64,
    /// Weight λ₁ of the l1 norm, by a proximal step; 0 for none.
    pub l1: f64,
    /// What each worker has; their number is n.
    pub shares: Vec<Share>,
    /// How long a byte takes on the line: answers are not expected sooner.
    pub byte_time: Duration,
    /// For how long a round waits for a worker that is silent; none for ever.
    pub round_timeout: Option<Duration>,
    /// What frames are sealed with, where there is a key.
    pub seal: Option<Sealing>,
}

/// The step size γ that theory allows for constants L_i: the one place where what workers report meets f64. What comes out
/// is rounded to a [`Ratio`](smidgen_protocol::vector::Ratio) as a given γ is, and travels as that.
#[derive(Clone)]
pub struct Theory(Arc<Formula>);

/// From L_i to γ.
type Formula = dyn Fn(&[f64]) -> f64 + Send + Sync;

impl Theory {
    /// `gamma` tells γ for the L_i of all workers, in their order.
    pub fn new(gamma: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(gamma))
    }

    pub(super) fn gamma(&self, l_i: &[f64]) -> f64 {
        (self.0)(l_i)
    }
}

impl fmt::Debug for Theory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Theory")
    }
}

/// What becomes of the step size γ between rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRule {
    /// It stays.
    Constant,
    /// It follows the losses that workers report.
    Tuned,
}

/// A worker's part of the problem.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its data, as they travel.
    pub data: Vec<u8>,
    /// What its gradient is multiplied with before it meets the grid: 1/(n w_i) in EF21-W, else 1.
    pub scale: f64,
    /// What its estimator is multiplied with in the sum: n w_i in EF21-W, else 1.
    pub weight: f64,
    /// Its part in f: 1/n where workers are equal.
    pub loss_weight: f64,
    /// Coordinates of its updates, K.
    pub k: u32,
    /// When it takes part in a round.
    pub participation: Participation,
}

impl Setup {
    /// What a worker is told of its part.
    pub fn configuration(&self, worker: usize, ticket: Ticket, identity: u64) -> Configure<'_> {
        let Share { data, scale, k, participation, .. } = &self.shares[worker];
        let n = self.shares.len() as f64;
        Configure {
            ticket,
            session: self.session,
            identity,
            worker: address(worker),
            dimension: self.dimension,
            k: *k,
            value_bits: self.value_bits,
            init: self.init,
            method: self.method,
            compressor: self.compressor,
            scale: ratio(*scale),
            participation: *participation,
            batch: self.batch,
            downlink: self.downlink,
            momentum: ratio(self.momentum),
            l1_n: ratio(self.l1 * n),
            objective: self.objective,
            regulariser: self.regulariser,
            lambda: ratio(self.lambda),
            start_seed: self.start_seed,
            data_len: data.len() as u32,
            data_checksum: checksum(data),
        }
    }

    /// Whether some rows have no part in some rounds: then the losses that workers report are not f.
    pub fn is_stochastic(&self) -> bool {
        let is_full = |share: &Share| share.participation == Participation::FULL;
        !self.batch.is_full() || !self.shares.iter().all(is_full)
    }

    /// Whether every loss that goes into the mean is one of the round, over all rows of its worker: then the mean is f.
    pub fn hears_all(&self) -> bool {
        !self.is_stochastic() && self.round_timeout.is_none()
    }

    /// How much larger a gradient may be than what is known of it.
    pub(super) fn gradient_growth(&self) -> u32 {
        if self.batch.is_full() { 1 } else { 1 << NOISE_BITS }
    }

    /// What a worker's update of `round` may hold.
    pub(super) fn budget(&self, worker: usize, round: u32) -> method::Budget {
        let Share { k, .. } = self.shares[worker];
        let budget = method::Budget { k, value_bits: self.value_bits, compressor: self.compressor };
        self.init.budget(round, self.dimension, budget)
    }

    /// Whether a worker takes part in a round.
    pub(super) fn includes(&self, worker: usize, round: u32) -> bool {
        self.shares[worker].participation.includes(address(worker), round)
    }

    pub(super) fn decoder<'b>(
        &self,
        worker: usize,
        round: u32,
        body: &'b [u8],
        from: u32,
    ) -> Result<Decoder<'b>, Reject> {
        let packing = self.budget(worker, round).packing(self.dimension);
        Decoder::new(body, packing, from).map_err(|_| Reject::Body)
    }

    /// What is constant in the server's steps.
    pub(super) fn rule(&self) -> Rule {
        let n = self.shares.len() as f64;
        Rule {
            gamma_n: ratio(self.gamma / n),
            momentum: ratio(self.momentum),
            l1_n: ratio(self.l1 * n),
        }
    }
}

/// The address of a worker: its number, from 1.
pub(crate) fn address(worker: usize) -> u16 {
    worker as u16 + 1
}
