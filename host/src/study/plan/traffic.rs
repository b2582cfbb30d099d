//! Traffic of a run, to its last round and to a target.

use super::steps::Admissible;
use super::target::Target;
use crate::record::Cost;
use crate::run::experiment::Experiment;
use crate::run::training::Course;
use serde::Serialize;

/// Traffic of a run and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Identification, configuration and data.
    pub setup: OnLines,
    /// Mean of a round.
    pub round: OnLines,
    /// All rounds of the run.
    pub run: OnLines,
    /// A run to the target, if the trial reached it.
    pub to_target_in_trial: Option<OnLines>,
    /// A run of EF21 to the bound for the target by the theorem of the step `am`; `None` for other methods.
    pub to_target_by_theory: Option<OnLines>,
}

/// Traffic on the lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OnLines {
    /// Rounds after round 0.
    pub rounds: f64,
    /// From a board to the host, mean over boards.
    pub uplink_bytes_per_board: f64,
    /// From the host to a board, mean over boards.
    pub downlink_bytes_per_board: f64,
    /// On all lines, both directions.
    pub total_bytes: f64,
    /// On the busiest line at its rate, both directions.
    pub modelled_seconds: f64,
}

impl OnLines {
    fn new(cost: Cost, rounds: usize, boards: usize) -> Self {
        let per_board = |wire_bytes: u64| wire_bytes as f64 / boards as f64;
        Self {
            rounds: rounds as f64,
            uplink_bytes_per_board: per_board(cost.uplink.wire_bytes),
            downlink_bytes_per_board: per_board(cost.downlink.wire_bytes),
            total_bytes: cost.wire_bytes() as f64,
            modelled_seconds: cost.modelled_seconds,
        }
    }

    /// Multiplies all figures by a factor.
    fn times(self, factor: f64) -> Self {
        Self {
            rounds: factor * self.rounds,
            uplink_bytes_per_board: factor * self.uplink_bytes_per_board,
            downlink_bytes_per_board: factor * self.downlink_bytes_per_board,
            total_bytes: factor * self.total_bytes,
            modelled_seconds: factor * self.modelled_seconds,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            rounds: self.rounds + other.rounds,
            uplink_bytes_per_board: self.uplink_bytes_per_board + other.uplink_bytes_per_board,
            downlink_bytes_per_board: self.downlink_bytes_per_board
                + other.downlink_bytes_per_board,
            total_bytes: self.total_bytes + other.total_bytes,
            modelled_seconds: self.modelled_seconds + other.modelled_seconds,
        }
    }
}

impl Traffic {
    /// Computes it from the rounds of a trial, at least one beyond round 0.
    pub(super) fn new(
        experiment: &Experiment,
        course: &Course,
        target: Target,
        steps: &[Admissible],
    ) -> Self {
        let boards = experiment.workers.len();
        let until = |round: usize| {
            let rounds = course.rounds.iter().take(round + 1).map(|round| round.cost);
            OnLines::new(course.setup + rounds.sum() + course.closing, round, boards)
        };
        let tried = course.rounds.len() - 1;
        let rounds: Cost = course.rounds[1..].iter().map(|round| round.cost).sum();
        let round = OnLines::new(rounds, tried, boards).times(1.0 / tried as f64);
        let lasting = |rounds: f64| until(0).plus(round.times(rounds));
        let options = experiment.options();
        let is_ef21 = options.method.info().proof.has_refinements()
            && experiment.setup.method.downlink_budget.is_none();
        let am = steps.iter().find(|step| is_ef21 && step.name == "am");
        Self {
            setup: OnLines::new(course.setup, 0, boards),
            round,
            run: until(tried).plus(round.times(f64::from(options.rounds) - tried as f64)),
            to_target_in_trial: target.round(course).map(|round| until(round as usize)),
            to_target_by_theory: am.and_then(|step| step.rounds_to_target).map(lasting),
        }
    }
}
