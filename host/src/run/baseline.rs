//! The baseline of a run: dense gradient descent on the same data, simulated on lines of the same rate without faults.
//!
//! It is not an estimate: the same state machines run it, and its bytes are counted in the same way. Its lines have no
//! faults even if those of the run have, so that the comparison never favours the run.

use crate::options::Faults;
use crate::record::{BaselineRecord, Cost, RoundRecord};
use crate::run::experiment::Experiment;
use crate::run::training::{Goal, TrainingError, collect};
use crate::world::simulation::{Line, Simulation};
use smidgen_aggregator::{MethodSpec, Setup, Share, WorkerSpec};
use smidgen_protocol::method::Participation;

impl Experiment {
    /// Returns the setup of dense gradient descent: K = d, 32 bits per value, and a dense downlink. It minimises the
    /// same function, so it has the proximal step of the run.
    ///
    /// Its step size is 1/L, or that of the run if it is larger, and it is tuned if that of the run is, so that a
    /// large step size does not favour the run.
    pub fn baseline(&self) -> Setup {
        let k = self.setup.dimension;
        let share = |share: &Share| {
            let worker = WorkerSpec { k, participation: Participation::FULL, ..share.worker };
            Share { worker, ..share.clone() }
        };
        let run = &self.setup.method;
        let gamma = self.smoothness.as_ref().map_or(0.0, |s| 1.0 / s.l).max(run.gamma);
        Setup {
            shares: self.setup.shares.iter().map(share).collect(),
            method: MethodSpec {
                step_rule: run.step_rule,
                l1: run.l1,
                ..MethodSpec::gradient_descent(gamma)
            },
            ..self.setup.clone()
        }
    }

    /// Returns whether the run is compared with a baseline: not if it is dense gradient descent itself, or if only
    /// boards have the rows.
    pub fn has_baseline(&self) -> bool {
        self.data.is_some() && !self.options().method.info().is_baseline
    }
}

/// Runs gradient descent for an experiment, by its [`Experiment::baseline`], until `goal` is reached. Calls `on_round`
/// with every round and the total cost.
pub fn run(
    experiment: &Experiment,
    setup: Setup,
    goal: Goal,
    mut on_round: impl FnMut(&RoundRecord, Cost),
) -> Result<Vec<BaselineRecord>, TrainingError> {
    let baud = experiment.options().baud;
    let line = Line { baud, faults: Faults::default(), seed: 0 };
    let boards = experiment.boards(&setup, line);
    let mut world = Simulation::with_boards(setup, boards);
    let mut total = Cost::default();
    let course = collect(&mut world, goal, baud, |round| {
        total += round.cost;
        on_round(round, total);
    })?;
    Ok(course.rounds.iter().map(BaselineRecord::from).collect())
}

impl From<&RoundRecord> for BaselineRecord {
    fn from(round: &RoundRecord) -> Self {
        let RoundRecord { round: number, loss, gradient_norm_squared, .. } = *round;
        Self { round: number, loss, gradient_norm_squared, cost: round.cost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baseline_minimises_the_function_of_the_run() {
        let experiment = Experiment::of("--rows 100 --workers 4 --method ef21-prox --l1 0.01");
        assert_eq!(experiment.setup.method.l1, 0.01);
        assert_eq!(experiment.baseline().method.l1, 0.01);
        let momentum = Experiment::of("--rows 100 --workers 4 --method ef21-hb --eta 0.5");
        assert_eq!(momentum.baseline().method.momentum, 0.0);
    }
}
