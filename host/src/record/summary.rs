//! The summary of a run.

use super::cost::Cost;
use super::nan::null_is_nan;
use super::round::RoundRecord;
use super::theory::Violation;
use super::times::WorkerTimes;
use crate::problem::specification::Longest;
use crate::problem::theory::Basis;
use crate::world::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smidgen_aggregator::{Score, Traffic};
use smidgen_protocol::counters::Reject;
use std::collections::BTreeMap;
/// Summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// True if the run finished: it reached its goal, and every worker confirmed that its state equals the host's.
    pub finished: bool,
    /// Every option of the run by its name on the command line, including defaults.
    pub configuration: Map<String, Value>,
    /// Line rate of the modelled seconds, in baud.
    pub baud: Option<u32>,
    /// Clock of the measured seconds; absent in records of older versions.
    pub clock: Option<Clock>,
    /// Smoothness constant L of f.
    pub l: Option<f64>,
    /// L_AM, the arithmetic mean of the L_i.
    pub l_am: Option<f64>,
    /// L_QM, the quadratic mean of the L_i.
    pub l_qm: Option<f64>,
    /// Step size γ as the workers apply it; if it is tuned, its first value.
    pub gamma: Option<f64>,
    /// True if γ is tuned from round to round (`--step auto`).
    #[serde(default)]
    pub gamma_tuned: bool,
    /// Bounds on γ by theory.
    #[serde(flatten)]
    pub theory: StepTheory,
    /// The largest relative quantisation error of a feature.
    pub quantisation_error: Option<f64>,
    /// Step size of dense gradient descent in `baseline.jsonl`.
    pub baseline_gamma: Option<f64>,
    /// The last round T that was closed: x^0 … x^T are recorded.
    pub rounds: u32,
    /// f(x^0).
    pub initial_loss: Option<f64>,
    /// f(x) at the last round.
    pub loss: Option<f64>,
    /// ‖∇f(x)‖² at the last round, if the host has the data.
    pub gradient_norm_squared: Option<f64>,
    /// True if the last round reached `target`; absent without one.
    pub target_reached: Option<bool>,
    /// The model of the run; absent before a round is closed.
    #[serde(default, alias = "best")]
    pub model: Option<ModelRecord>,
    /// The model of the run, evaluated on held-out rows.
    #[serde(default)]
    pub test: Option<TestRecord>,
    /// Rows that boards hold out; absent without such rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOutRecord>,
    /// Cost before the first round: identification, configuration, shards.
    pub setup: Cost,
    /// Cost after the last round: the workers confirm that their state equals the host's.
    pub closing: Cost,
    /// Total over all rounds.
    #[serde(flatten)]
    pub cost: Cost,
    /// The first round in which a checked inequality did not hold.
    pub violation: Option<Violation>,
    /// Size of the updates under an ideal code, and as sent.
    pub information_limit: Option<InformationLimit>,
    /// Number of mantissas of models and estimators that the host or a worker saturated; 0 in a sound run.
    pub saturated: u64,
    /// Digest of the whole run, 16 hexadecimal digits.
    pub transcript: String,
    /// Seconds on the host's clock, from start to end. For a resumed run, the sum over its parts, each up to the
    /// checkpoint from which the next part resumed.
    pub wall_seconds: f64,
    /// One entry per worker, in order of their numbers.
    pub workers: Vec<WorkerRecord>,
}

/// Bounds on the step size by theory; empty if the theory constants are unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepTheory {
    /// The largest step size that a theorem allows the method on these data; absent if no theorem covers the run.
    pub theory_gamma: Option<f64>,
    /// Name of that theorem.
    pub theorem: Option<String>,
    /// The step size borrowed from another method, if no theorem covers the run.
    pub borrowed_gamma: Option<f64>,
    /// Name of the step size that is borrowed.
    pub borrowed_from: Option<String>,
    /// The part of the run that no theorem covers.
    pub gap: Option<String>,
}

impl StepTheory {
    /// Returns the largest known step size, allowed or borrowed.
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

/// Relative rise of the loss over the first one beyond which a run has diverged. A nonconvex function may rise a
/// little.
const RISE_MAX: f64 = 0.1;

impl Summary {
    /// Adds a round to the totals and makes it the last one.
    pub fn add(&mut self, round: &RoundRecord) {
        self.cost += round.cost;
        self.rounds = round.round;
        self.initial_loss.get_or_insert(round.loss);
        self.loss = Some(round.loss);
        self.gradient_norm_squared = round.gradient_norm_squared;
        self.transcript.clone_from(&round.transcript);
        let violated = round.theory.and_then(|check| check.violated());
        self.violation = self
            .violation
            .or(violated.map(|inequality| Violation { round: round.round, inequality }));
    }

    /// Recomputes totals and last values from `rounds`.
    pub fn recount(&mut self, rounds: &[RoundRecord]) {
        self.cost = Cost::default();
        (self.initial_loss, self.violation) = (None, None);
        rounds.iter().for_each(|round| self.add(round));
    }

    /// Returns the model of the run if it is not that of the last round.
    pub fn earlier_model(&self) -> Option<ModelRecord> {
        self.model.filter(|model| model.round != self.rounds)
    }

    /// Returns the round of the model of the run.
    pub fn model_round(&self) -> u32 {
        self.model.map_or(self.rounds, |model| model.round)
    }

    /// Returns whether the model of the run is of use: the run did not diverge, or an earlier model is better than the
    /// first one.
    pub fn has_model(&self) -> bool {
        !self.has_diverged() || self.earlier_model().is_some_and(|model| model.round > 0)
    }

    /// Returns the workers whose lines take more than twice the time of their bytes, the slowest first. Empty in
    /// simulation, where the user chooses how slow lines are.
    pub fn slow_lines(&self) -> Vec<&WorkerRecord> {
        let is_slow = |worker: &&WorkerRecord| worker.times.total.is_line_slow();
        let is_real = self.clock == Some(Clock::Host);
        let mut slow: Vec<_> = self.workers.iter().filter(|_| is_real).filter(is_slow).collect();
        let excess = |worker: &WorkerRecord| worker.times.total.line_excess_seconds();
        slow.sort_by(|one, other| excess(other).total_cmp(&excess(one)));
        slow
    }

    /// Returns true if the run diverged: its loss is NaN or well above the first one, or did not fall although models
    /// or estimators saturated. A run that saturated and recovered did not diverge.
    pub fn has_diverged(&self) -> bool {
        let (Some(first), Some(last)) = (self.initial_loss, self.loss) else { return false };
        let rise = last - first;
        let lost = self.saturated > 0 && rise >= 0.0;
        lost || rise.is_nan() || rise > RISE_MAX * first.abs()
    }
}

/// The model of a run, in `model.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its round.
    pub round: u32,
    /// f(x) in that round.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
}

/// Evaluation of the model of a run on held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRecord {
    /// Number of rows.
    pub rows: u64,
    /// Their mean loss, without the regulariser.
    pub loss: f64,
    /// Fraction of rows whose class is predicted correctly; absent for regression.
    pub accuracy: Option<f64>,
}

/// Rows that boards hold out, scored with the model of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOutRecord {
    /// The sum over the boards.
    #[serde(flatten)]
    pub score: ScoreRecord,
    /// Number of boards whose rows are not counted, because they no longer had the model.
    pub missing: u32,
}

/// A score of rows that boards hold out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRecord {
    /// Number of rows.
    pub rows: u64,
    /// Number of rows whose class is predicted correctly.
    pub right: u64,
}

impl ScoreRecord {
    /// Returns the fraction of rows whose class is predicted correctly.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.rows as f64
    }
}

impl HeldOutRecord {
    /// Returns the sum of the scores of all boards, if some hold rows out.
    pub fn sum(scores: &[Option<ScoreRecord>]) -> Option<Self> {
        let known = scores.iter().flatten();
        let rows = known.clone().map(|score| score.rows).sum();
        let right = known.map(|score| score.right).sum();
        let missing = scores.iter().filter(|score| score.is_none()).count() as u32;
        (rows > 0).then_some(Self { score: ScoreRecord { rows, right }, missing })
    }
}

impl From<Score> for ScoreRecord {
    fn from(Score { rows, right }: Score) -> Self {
        Self { rows: rows.into(), right: right.into() }
    }
}

/// Size of the updates under an ideal code, next to the bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InformationLimit {
    /// Mean bits per update under an ideal code, given its number of entries.
    pub bits_per_update: f64,
    /// Number of updates that were applied.
    pub updates: u64,
    /// Bytes of the bodies of these updates, not counting repetitions.
    pub sent_bytes: u64,
}

impl InformationLimit {
    /// Returns the bytes that all updates would take under an ideal code.
    pub fn bytes(&self) -> f64 {
        self.bits_per_update * self.updates as f64 / 8.0
    }
}

/// Record of one worker over the whole run, including setup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Display name: a board and its number, or a simulated worker.
    pub name: String,
    /// Identity that it reports, by which the host recognises it.
    pub identity: String,
    /// Value of the column that says who owns its rows; absent without `--split by=COLUMN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Number of rows of its shard.
    pub rows: u64,
    /// Score of the rows that its board holds out; absent if rows are not on boards, or it no longer had the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<ScoreRecord>,
    /// Its board keeps the model of the run, also after a power cut if true; absent as `held_out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_model: Option<bool>,
    /// Smoothness constant L_i, or the upper bound that the worker reported; absent without theory.
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
    /// Number of mantissas that the worker saturated.
    pub saturated: u64,
    /// Measured times of its rounds.
    #[serde(default)]
    pub times: WorkerTimes,
    /// Number of reboots detected.
    pub reboots: u32,
    /// Number of times it was excluded from rounds.
    #[serde(default)]
    pub left_out: u32,
    /// Reason for its last exclusion, if it was other than silence.
    #[serde(default)]
    pub reason: Option<String>,
}

impl WorkerRecord {
    /// Returns the number of dropped frames by reason, without reasons that did not occur.
    pub fn by_reason(frames: &[u32; Reject::COUNT]) -> BTreeMap<String, u64> {
        let named = Reject::ALL.iter().zip(frames).filter(|(_, frames)| **frames > 0);
        named.map(|(reason, frames)| (reason.name().to_owned(), u64::from(*frames))).collect()
    }
}
