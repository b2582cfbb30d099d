//! Dense gradient descent on the same data and links: what a run is compared with.
//!
//! It is not an estimate: the same machines run it, in simulation, and its bytes are counted as theirs are.

use crate::aggregator::{Aggregator, Setup};
use crate::record::{BaselineRecord, RecordError, RoundRecord};
use crate::simulation::{Line, Simulation};
use crate::training::{Goal, Observer, TrainingError, train};
use smidgen_firmware::logistic::Logistic;

/// Runs gradient descent until `goal` is reached. `on_round` hears of every round.
pub fn run(
    setup: Setup,
    line: Line,
    goal: Goal,
    on_round: impl FnMut(&BaselineRecord),
) -> Result<Vec<BaselineRecord>, TrainingError> {
    let mut world = Simulation::new(setup, Logistic, line);
    let mut rounds = Rounds { records: Vec::new(), on_round };
    train(&mut world, goal, line.baud, &mut rounds)?;
    Ok(rounds.records)
}

struct Rounds<F> {
    records: Vec<BaselineRecord>,
    on_round: F,
}

impl<F: FnMut(&BaselineRecord)> Observer for Rounds<F> {
    fn round(&mut self, record: &RoundRecord, _: &Aggregator) -> Result<(), RecordError> {
        let record = BaselineRecord {
            round: record.round,
            loss: record.loss,
            gradient_norm_squared: record.gradient_norm_squared,
            cost: record.cost(),
        };
        (self.on_round)(&record);
        self.records.push(record);
        Ok(())
    }
}
