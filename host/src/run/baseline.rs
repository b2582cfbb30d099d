//! Dense gradient descent on the same data, on lines of the same speed without faults: what a run is compared with.
//!
//! It is not an estimate: the same machines run it, in simulation, and its bytes are counted as theirs are. Its lines have no
//! faults, even where those of the run have some: the comparison never makes the run look better than it is.

use crate::options::Faults;
use crate::record::{BaselineRecord, Cost, RoundRecord};
use crate::run::experiment::Experiment;
use crate::run::training::{Goal, TrainingError, collect};
use crate::world::simulation::{Line, Simulation};
use smidgen_aggregator::{MethodSpec, Setup, Share, WorkerSpec};
use smidgen_firmware::objectives::Objectives;
use smidgen_protocol::method::Participation;

impl Experiment {
    /// Dense gradient descent on the same data: K = d, 32 bits a value, x itself down. Its step is 1/L, or the run's own
    /// where that is longer, and it tunes itself where the run's does, so that a bold step does not favour the run.
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
            method: MethodSpec { step_rule: run.step_rule, ..MethodSpec::gradient_descent(gamma) },
            ..self.setup.clone()
        }
    }

    /// Whether a run of dense gradient descent beside this one would tell anything: not if it is one itself.
    pub fn has_baseline(&self) -> bool {
        !self.options().method.traits().is_baseline
    }
}

/// Runs gradient descent on lines of `baud` until `goal` is reached. `on_round` hears of every round, and what all cost by
/// then.
pub fn run(
    setup: Setup,
    baud: u32,
    goal: Goal,
    mut on_round: impl FnMut(&RoundRecord, Cost),
) -> Result<Vec<BaselineRecord>, TrainingError> {
    let line = Line { baud, faults: Faults::default(), seed: 0 };
    let mut world = Simulation::new(setup, Objectives, line);
    let mut total = Cost::default();
    let course = collect(&mut world, goal, baud, |round| {
        total += round.cost();
        on_round(round, total);
    })?;
    Ok(course.rounds.iter().map(BaselineRecord::from).collect())
}

impl From<&RoundRecord> for BaselineRecord {
    fn from(round: &RoundRecord) -> Self {
        let RoundRecord { round: number, loss, gradient_norm_squared, .. } = *round;
        Self { round: number, loss, gradient_norm_squared, cost: round.cost() }
    }
}
