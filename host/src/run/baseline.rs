//! Dense gradient descent on the same data, on lines of the same speed without faults: what a run is compared with.
//!
//! It is not an estimate: the same machines run it, in simulation, and its bytes are counted as theirs are. Its lines have no
//! faults, even where those of the run have some: the comparison never makes the run look better than it is.

use crate::options::Faults;
use crate::record::{BaselineRecord, Cost, RoundRecord};
use crate::run::training::{Goal, TrainingError, collect};
use crate::world::simulation::{Line, Simulation};
use smidgen_aggregator::Setup;
use smidgen_firmware::objectives::Objectives;

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
