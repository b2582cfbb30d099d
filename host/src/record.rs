//! Records: what a run leaves in its directory, and how it is read back.
//!
//! ```text
//! DIR/rounds.jsonl     one RoundRecord a line, written whole as soon as the round is closed
//! DIR/baseline.jsonl   one BaselineRecord a line: dense gradient descent on the same problem
//! DIR/summary.json     one Summary: what is known before the first round, then everything
//! DIR/report.html      see `report`
//! DIR/.lock            held by the process that writes the others
//! ```
//!
//! JSON has no word for numbers that are not finite: they are written as `null`, and read as NaN or,
//! where a value may be absent, as absent.

pub mod best;
pub mod checkpoint;
mod directory;
mod lock;
pub mod theory;
mod times;

pub use directory::{Claim, REPORT, RecordError, Records, Run, RunDirectory};
pub(crate) use directory::{write_error, write_whole};
pub use lock::Locks;
pub use times::{BoardTimes, Times, WorkerTimes};

use crate::problem::recipe::Longest;
use crate::problem::theory::Basis;
use crate::world::Clock;
pub use smidgen_aggregator::Traffic;
use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use theory::{Violation, Watched};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use smidgen_protocol::counters::Reject;

/// What a round, or many, cost on the links.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// From the workers to the host.
    pub uplink: Traffic,
    /// From the host to the workers.
    pub downlink: Traffic,
    /// Modelled: the seconds that the bytes of the busiest link take, both ways together, at the rate of the line.
    #[serde(alias = "link_seconds")]
    pub modelled_seconds: f64,
    /// Measured: the seconds from the first frame of each round to its last, by the [`Clock`] of the run. Absent in records that are older than it.
    #[serde(default)]
    pub elapsed_seconds: Option<f64>,
}

impl Default for Cost {
    /// Nothing, which took no time.
    fn default() -> Self {
        let (uplink, downlink) = Default::default();
        Self { uplink, downlink, modelled_seconds: 0.0, elapsed_seconds: Some(0.0) }
    }
}

impl Cost {
    /// Bytes on the wire, up and down.
    pub const fn wire_bytes(&self) -> u64 {
        self.uplink.wire_bytes + self.downlink.wire_bytes
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.uplink += other.uplink;
        self.downlink += other.downlink;
        self.modelled_seconds += other.modelled_seconds;
        let parts = self.elapsed_seconds.zip(other.elapsed_seconds);
        self.elapsed_seconds = parts.map(|(one, other)| one + other);
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// Running totals: the n-th item is what the first n + 1 `costs` make together.
pub fn running_totals(costs: impl IntoIterator<Item = Cost>) -> impl Iterator<Item = Cost> {
    costs.into_iter().scan(Cost::default(), |total, cost| {
        *total += cost;
        Some(*total)
    })
}

/// One round. Traffic and seconds are those of this round alone, not totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The round t.
    pub round: u32,
    /// f(x^t), the mean of the workers' losses; where not all of them looked at all of their rows, in f64 from the data.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// ‖∇f(x^t)‖², where the data are at hand: in f64 from the data, but in simulation, where every worker computes its whole
    /// gradient in every round, the mean of these fixed-point gradients, which costs nothing and agrees to about six digits.
    pub gradient_norm_squared: Option<f64>,
    /// ‖g^t‖², the squared norm of the estimator, which the host always knows.
    #[serde(deserialize_with = "null_is_nan")]
    pub estimator_norm_squared: f64,
    /// Workers that were left out of the round since they were silent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub absent: u32,
    /// Bits that the updates would take if they were coded perfectly: log2 C(d, K) + K · b for each that holds K entries.
    #[serde(default)]
    pub information_bits: f64,
    /// From the workers to the host.
    pub uplink: Traffic,
    /// From the host to the workers.
    pub downlink: Traffic,
    /// See [`Cost::modelled_seconds`].
    #[serde(alias = "link_seconds")]
    pub modelled_seconds: f64,
    /// See [`Cost::elapsed_seconds`].
    #[serde(default)]
    pub elapsed_seconds: Option<f64>,
    /// Where the time of each worker's round went, if its update is in the round; see [`BoardTimes::of_round`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boards: Vec<BoardTimes>,
    /// The inequalities of the theorem, where they are watched (`--check-theory`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory: Option<Watched>,
    /// Digest of the run up to and with this round, 16 hexadecimal digits.
    pub transcript: String,
}

/// The norm that tells how far a method has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// ‖∇f(x)‖².
    Gradient(f64),
    /// ‖g‖², where the gradient is not known.
    Estimator(f64),
}

impl RoundRecord {
    /// The squared norm of the gradient, or else of its estimator.
    pub fn norm(&self) -> Norm {
        let estimator = Norm::Estimator(self.estimator_norm_squared);
        self.gradient_norm_squared.map_or(estimator, Norm::Gradient)
    }

    /// What the round cost.
    pub const fn cost(&self) -> Cost {
        let Self { uplink, downlink, modelled_seconds, elapsed_seconds, .. } = *self;
        Cost { uplink, downlink, modelled_seconds, elapsed_seconds }
    }
}

/// One round of dense gradient descent on the same problem, over simulated lines of the same speed without faults. Per
/// round, as above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineRecord {
    /// The round t.
    pub round: u32,
    /// f(x^t).
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// ‖∇f(x^t)‖².
    pub gradient_norm_squared: Option<f64>,
    /// What the round would cost with one dense vector up from and one down to each worker.
    #[serde(flatten)]
    pub cost: Cost,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

pub(crate) fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Whether the run came to its end: its goal, and the word of every worker that its state is that of the host.
    pub finished: bool,
    /// Every option of the run by its name on the command line, defaults included.
    pub configuration: Map<String, Value>,
    /// Line rate for which modelled seconds hold, in baud.
    pub baud: Option<u32>,
    /// The clock that measured seconds are of; absent in records that are older than those.
    pub clock: Option<Clock>,
    /// Smoothness constant L of f.
    pub l: Option<f64>,
    /// L_AM, the arithmetic mean of the L_i.
    pub l_am: Option<f64>,
    /// L_QM, the quadratic mean of the L_i.
    pub l_qm: Option<f64>,
    /// Step size γ, as the workers apply it; the first, where it is tuned.
    pub gamma: Option<f64>,
    /// Whether γ tuned itself from round to round (`--step auto`).
    #[serde(default)]
    pub gamma_tuned: bool,
    /// What theory says of γ.
    #[serde(flatten)]
    pub theory: StepTheory,
    /// The largest relative error of a feature as the workers hold it.
    pub quantisation_error: Option<f64>,
    /// Step size of the dense gradient descent in `baseline.jsonl`.
    pub baseline_gamma: Option<f64>,
    /// The last round T that was closed: x^0 … x^T are recorded.
    pub rounds: u32,
    /// f(x^0).
    pub initial_loss: Option<f64>,
    /// f(x) at the last round.
    pub loss: Option<f64>,
    /// ‖∇f(x)‖² at the last round, where the data are at hand.
    pub gradient_norm_squared: Option<f64>,
    /// Whether the last round was down to `target`; absent where none was given.
    pub target_reached: Option<bool>,
    /// The best model of all rounds; absent if no round is known to be one.
    #[serde(default)]
    pub best: Option<BestRecord>,
    /// The best model on rows that were held out.
    #[serde(default)]
    pub test: Option<TestRecord>,
    /// What came before the first round: greetings, configuration, shards.
    pub setup: Cost,
    /// What came after the last round: the workers' word that their state is that of the host.
    pub closing: Cost,
    /// Total over all rounds, from the workers to the host.
    pub uplink: Traffic,
    /// Total over all rounds, from the host to the workers.
    pub downlink: Traffic,
    /// Total over all rounds, see [`Cost::modelled_seconds`].
    #[serde(alias = "link_seconds")]
    pub modelled_seconds: f64,
    /// Total over all rounds, see [`Cost::elapsed_seconds`].
    #[serde(default)]
    pub elapsed_seconds: Option<f64>,
    /// The first round in which an inequality that was watched did not hold.
    pub violation: Option<Violation>,
    /// What the updates would take if they were coded perfectly, and what they took.
    pub information_limit: Option<InformationLimit>,
    /// Mantissas of models and estimators that were cut to their range, by the host or by a worker; 0 in a sound run.
    pub saturated: u64,
    /// Digest of the whole run, 16 hexadecimal digits.
    pub transcript: String,
    /// Seconds on the host's clock, from start to end; of a run that was resumed, those of its parts, without what went on
    /// behind their last checkpoints.
    pub wall_seconds: f64,
    /// One entry a worker, in the order of their numbers.
    pub workers: Vec<WorkerRecord>,
}

/// What theory says of a step size; nothing where it has no constants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepTheory {
    /// The longest step size that a theorem allows the method on these data; absent where no theorem covers the run.
    pub theory_gamma: Option<f64>,
    /// That theorem.
    pub theorem: Option<String>,
    /// The step size that another method lends, where no theorem covers the run.
    pub borrowed_gamma: Option<f64>,
    /// Whose step that is.
    pub borrowed_from: Option<String>,
    /// What no theorem covers.
    pub gap: Option<String>,
}

impl StepTheory {
    /// The longest step size that is known, allowed or borrowed.
    pub fn longest(&self) -> Option<f64> {
        self.theory_gamma.or(self.borrowed_gamma)
    }
}

impl From<Longest> for StepTheory {
    fn from(Longest { gamma, basis: Basis { theorem, gap } }: Longest) -> Self {
        match gap {
            None => Self {
                theory_gamma: Some(gamma),
                theorem: Some(theorem.name().into()),
                ..Self::default()
            },
            Some(gap) => Self {
                borrowed_gamma: Some(gamma),
                borrowed_from: Some(theorem.step_name().into()),
                gap: Some(gap.to_string()),
                ..Self::default()
            },
        }
    }
}

/// A loss that is higher by this part of the first one than the first one is no accident of a nonconvex function.
const RISE_MAX: f64 = 0.1;

impl Summary {
    /// Takes a round in: as the last one, and in the totals.
    pub fn add(&mut self, round: &RoundRecord) {
        self.set_cost(self.cost() + round.cost());
        self.rounds = round.round;
        self.initial_loss.get_or_insert(round.loss);
        self.loss = Some(round.loss);
        self.gradient_norm_squared = round.gradient_norm_squared;
        self.transcript.clone_from(&round.transcript);
        let violated = round.theory.and_then(|watched| watched.violated());
        self.violation = self
            .violation
            .or(violated.map(|inequality| Violation { round: round.round, inequality }));
    }

    /// Replaces what it says of rounds by what `rounds` say.
    pub fn recount(&mut self, rounds: &[RoundRecord]) {
        self.set_cost(Cost::default());
        (self.initial_loss, self.violation) = (None, None);
        rounds.iter().for_each(|round| self.add(round));
    }

    /// The best model, where it is of an earlier round than the last one, and the run did not diverge.
    pub fn left_before_end(&self) -> Option<&BestRecord> {
        let earlier = self.best.as_ref().filter(|best| best.round != self.rounds);
        earlier.filter(|_| !self.has_diverged())
    }

    /// What all rounds cost.
    pub const fn cost(&self) -> Cost {
        let Self { uplink, downlink, modelled_seconds, elapsed_seconds, .. } = *self;
        Cost { uplink, downlink, modelled_seconds, elapsed_seconds }
    }

    const fn set_cost(&mut self, cost: Cost) {
        let Cost { uplink, downlink, modelled_seconds, elapsed_seconds } = cost;
        (self.uplink, self.downlink) = (uplink, downlink);
        (self.modelled_seconds, self.elapsed_seconds) = (modelled_seconds, elapsed_seconds);
    }

    /// Workers whose lines take more than twice the time of their bytes, the slowest first; none in simulation, where lines are as they were wanted.
    pub fn slow_lines(&self) -> Vec<&WorkerRecord> {
        let is_slow = |worker: &&WorkerRecord| worker.times.total.is_line_slow();
        let is_real = self.clock == Some(Clock::Host);
        let mut slow: Vec<_> = self.workers.iter().filter(|_| is_real).filter(is_slow).collect();
        let excess = |worker: &WorkerRecord| worker.times.total.line_excess_seconds();
        slow.sort_by(|one, other| excess(other).total_cmp(&excess(one)));
        slow
    }

    /// Whether the run went up instead of down: its loss is no number or well above the first one, or it did not fall while
    /// models or estimators left the range of their integers. A run that left it and came back did not diverge.
    pub fn has_diverged(&self) -> bool {
        let (Some(first), Some(last)) = (self.initial_loss, self.loss) else { return false };
        let rise = last - first;
        let lost = self.saturated > 0 && rise >= 0.0;
        lost || rise.is_nan() || rise > RISE_MAX * first.abs()
    }
}

/// The model of a run: that of its best round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestRecord {
    /// Its round.
    pub round: u32,
    /// By what it is the best.
    pub criterion: Criterion,
    /// f(x) there.
    pub loss: f64,
    /// ‖∇f(x)‖² there, where the data are at hand.
    pub gradient_norm_squared: Option<f64>,
}

/// What makes a model the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// The least ‖∇f(x)‖².
    Gradient,
    /// The least f(x), with the l1 norm where there is one: where no gradient is known, or where it is no measure.
    Loss,
}

/// The model on held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRecord {
    /// Number of rows.
    pub rows: u64,
    /// Their mean loss, without the regulariser.
    pub loss: f64,
    /// The share of rows whose class is predicted, where there are classes.
    pub accuracy: Option<f64>,
}

/// The limit that information theory sets for updates, beside what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InformationLimit {
    /// Bits of one update in the mean, by the entries that it holds.
    pub bits_per_update: f64,
    /// Updates that were applied.
    pub updates: u64,
    /// Bytes of the bodies of these updates, each counted once.
    pub sent_bytes: u64,
}

impl InformationLimit {
    /// Bytes that all updates would take if they were coded perfectly.
    pub fn bytes(&self) -> f64 {
        self.bits_per_update * self.updates as f64 / 8.0
    }
}

/// One worker over the whole run, setup included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// What it is, for people: a board and its number, or a simulated worker.
    pub name: String,
    /// What it says it is, by which it is found again.
    pub identity: String,
    /// Rows of its shard.
    pub rows: u64,
    /// L_i, its smoothness constant, or the upper bound that it reported; absent where theory is silent.
    #[serde(default)]
    pub l_i: Option<f64>,
    /// From the worker to the host.
    pub uplink: Traffic,
    /// From the host to the worker.
    pub downlink: Traffic,
    /// Frames from the worker that the host dropped, by [`Reject::name`].
    pub rejected_by_host: BTreeMap<String, u64>,
    /// Frames from the host that the worker dropped, by [`Reject::name`].
    pub rejected_by_worker: BTreeMap<String, u64>,
    /// Mantissas that the worker cut to their range.
    pub saturated: u64,
    /// Where the time of its rounds went.
    #[serde(default)]
    pub times: WorkerTimes,
    /// Times that it was found restarted.
    pub reboots: u32,
    /// Times that rounds began to close without it.
    #[serde(default)]
    pub left_out: u32,
    /// Why it was left out last, if it was not just silent.
    #[serde(default)]
    pub reason: Option<String>,
}

impl WorkerRecord {
    /// Dropped frames by name, those reasons that occurred.
    pub fn by_reason(frames: &[u32; Reject::COUNT]) -> BTreeMap<String, u64> {
        let named = Reject::ALL.iter().zip(frames).filter(|(_, frames)| **frames > 0);
        named.map(|(reason, frames)| (reason.name().to_owned(), u64::from(*frames))).collect()
    }
}

#[cfg(test)]
mod tests;
