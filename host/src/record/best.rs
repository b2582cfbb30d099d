//! The best model of a run so far. It need not be the last one: a run with a tuned step size may end on a spike.

use super::round::RoundRecord;
use super::summary::{BestRecord, Criterion};
use serde::{Deserialize, Serialize};
use smidgen_aggregator::{Aggregator, value};

/// The best model so far, in fixed point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its round and the criterion by which it is the best.
    pub record: BestRecord,
    /// Value of the criterion; smaller is better.
    value: f64,
    exponent: i8,
    mantissas: Vec<i32>,
}

impl Best {
    /// Replaces `best` by the model of the round just closed if that is better. `l1` is the weight of the l1 norm.
    pub fn update(best: &mut Option<Self>, round: &RoundRecord, l1: f64, aggregator: &Aggregator) {
        let (criterion, value) = evaluate(round, l1, aggregator);
        let is_better = best.as_ref().is_none_or(|best| value < best.value);
        if value.is_finite() && round.loss.is_finite() && is_better {
            let RoundRecord { round, loss, gradient_norm_squared, .. } = *round;
            *best = Some(Self {
                record: BestRecord { round, criterion, loss, gradient_norm_squared },
                value,
                exponent: aggregator.exponents().x,
                mantissas: aggregator.x().to_vec(),
            });
        }
    }

    /// Returns the model in f64.
    pub fn model(&self) -> Vec<f64> {
        self.mantissas.iter().map(|&m| value(f64::from(m), self.exponent)).collect()
    }
}

/// Returns the best available criterion and its value for the model of a round.
///
/// The norm of the estimator is not used: it is 0 in round 0 if estimators start at 0.
fn evaluate(round: &RoundRecord, l1: f64, aggregator: &Aggregator) -> (Criterion, f64) {
    if l1 > 0.0 {
        let norm: f64 = aggregator.model().iter().map(|x| x.abs()).sum();
        return (Criterion::Loss, round.loss + l1 * norm);
    }
    match round.gradient_norm_squared {
        Some(norm_squared) => (Criterion::Gradient, norm_squared),
        None => (Criterion::Loss, round.loss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::experiment::Experiment;
    use crate::run::training::{Goal, Observer, TrainingError, train};

    /// Records the best round and the values of all rounds.
    #[derive(Default)]
    struct Watch {
        best: Option<Best>,
        l1: f64,
        known: bool,
        values: Vec<f64>,
        models: Vec<Vec<f64>>,
    }

    impl Observer for Watch {
        fn round(
            &mut self,
            record: &RoundRecord,
            _: bool,
            aggregator: &Aggregator,
        ) -> Result<(), crate::record::RecordError> {
            let gradient_norm_squared = record.gradient_norm_squared.filter(|_| self.known);
            let record = RoundRecord { gradient_norm_squared, ..record.clone() };
            Best::update(&mut self.best, &record, self.l1, aggregator);
            self.values.push(evaluate(&record, self.l1, aggregator).1);
            self.models.push(aggregator.model());
            Ok(())
        }
    }

    #[test]
    fn round_with_the_least_value_is_kept() {
        for (options, l1, known, criterion) in [
            ("--step 3 --k 2", 0.0, true, Criterion::Gradient),
            ("--step 3 --k 2 --init zero", 0.0, false, Criterion::Loss),
            ("--step 3 --method ef21-prox --l1 0.01", 0.01, true, Criterion::Loss),
        ] {
            let experiment = Experiment::of(&format!("--rows 100 {options}"));
            let mut watch = Watch { l1, known, ..Watch::default() };
            let goal = Goal { rounds: 60, target: None };
            let run: Result<(), TrainingError> =
                train(&mut experiment.simulation(), goal, 115_200, &mut watch);
            run.unwrap();
            let best = watch.best.unwrap();
            let round = best.record.round as usize;
            let least = watch.values.iter().copied().fold(f64::INFINITY, f64::min);
            assert_eq!(
                (watch.values[round], best.record.criterion),
                (least, criterion),
                "{options}"
            );
            assert_eq!(best.model(), watch.models[round], "{options}");
            assert!(round > 0, "{options}: the first round is not the best");
        }
    }
}
