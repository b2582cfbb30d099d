//! The options of a run.

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
    /// Seed of x⁰: 0 for x⁰ = 0, another one for a [random model](smidgen_protocol::start).
    pub start_seed: u32,
    /// Dimension d.
    pub dimension: u32,
    /// Bits of a mantissa, 2..=32.
    pub value_bits: u8,
    /// Initial estimators.
    pub init: Init,
    /// The method by which workers turn gradients into updates.
    pub method: Method,
    /// Their compressor.
    pub compressor: Compressor,
    /// Rows that a worker evaluates in a round.
    pub batch: Batch,
    /// How the model travels to the workers.
    pub downlink: Downlink,
    /// Downlink sparsity budget (EF21-P, EF21-BC); `None` sends every change.
    pub downlink_budget: Option<DownlinkBudget>,
    /// Step size γ; where it is tuned, the first and least one; a guess where `theory` is given.
    pub gamma: f64,
    /// Derives γ from the constants that workers report before the first round; `None` does not ask for them.
    pub theory: Option<Theory>,
    /// The rule for γ between rounds.
    pub step_rule: StepRule,
    /// η of the heavy ball; 0 for none.
    pub momentum: f64,
    /// Weight λ₁ of the l1 norm, by a proximal step; 0 for none.
    pub l1: f64,
    /// The share of each worker; their number is n.
    pub shares: Vec<Share>,
    /// Time that the line takes for a byte: no answer is expected sooner.
    pub byte_time: Duration,
    /// Time for which a round waits for a silent worker; `None` waits for ever.
    pub round_timeout: Option<Duration>,
    /// Key and salts, where links are sealed.
    pub seal: Option<Sealing>,
}

/// The theoretical step size γ as a function of the constants L_i. Its result is rounded to a
/// [`Ratio`](smidgen_protocol::vector::Ratio), as a given γ is.
#[derive(Clone)]
pub struct Theory(Arc<Formula>);

/// From L_i to γ.
type Formula = dyn Fn(&[f64]) -> f64 + Send + Sync;

impl Theory {
    /// `gamma` computes γ from the L_i of all workers, in their order.
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

/// The rule for the step size γ between rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRule {
    /// It is constant.
    Constant,
    /// It follows the losses that workers report.
    Tuned,
}

/// A worker's share of the problem.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its data, in wire format.
    pub data: Vec<u8>,
    /// Factor of its gradient: 1/(n w_i) in EF21-W, else 1.
    pub scale: f64,
    /// Factor of its estimator in the sum: n w_i in EF21-W, else 1.
    pub weight: f64,
    /// Weight of its loss in f: 1/n where workers are equal.
    pub loss_weight: f64,
    /// Coordinates of its updates, K.
    pub k: u32,
    /// The rounds in which it takes part.
    pub participation: Participation,
}

impl Setup {
    /// The configuration of a worker.
    pub fn configuration(&self, worker: usize, ticket: Ticket, identity: u64) -> Configure<'_> {
        let Share { data, scale, k, participation, .. } = &self.shares[worker];
        // Workers step by γ/n times a sum, so λ₁ is multiplied by n.
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

    /// Some rounds leave out some rows: the losses that workers report are not f.
    pub fn is_stochastic(&self) -> bool {
        let is_full = |share: &Share| share.participation == Participation::FULL;
        !self.batch.is_full() || !self.shares.iter().all(is_full)
    }

    /// The mean of the losses of a round is f: all workers report it, over all of their rows.
    pub fn hears_all(&self) -> bool {
        !self.is_stochastic() && self.round_timeout.is_none()
    }

    /// Factor by which a gradient may exceed those that are known.
    pub(super) fn gradient_growth(&self) -> u32 {
        if self.batch.is_full() { 1 } else { 1 << NOISE_BITS }
    }

    /// Sparsity budget of a worker's update of `round`.
    pub(super) fn budget(&self, worker: usize, round: u32) -> method::Budget {
        // The first update may be larger, where estimators start as full gradients.
        let Share { k, .. } = self.shares[worker];
        let budget = method::Budget { k, value_bits: self.value_bits, compressor: self.compressor };
        self.init.budget(round, self.dimension, budget)
    }

    /// A worker takes part in a round.
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

    /// The constants of the server's steps.
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
