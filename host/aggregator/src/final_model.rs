//! The model of a run: the best one that the host knows.
//!
//! The smaller its objective is (f, with the l1 term), the better is a model. The host knows the objective of a round
//! in which every worker evaluated all of its rows. If it knows that of the last round, the model of the run is the
//! best of all rounds whose objective it knows, the latest of equal ones. If not (minibatches, partial participation,
//! silent workers), it is the last one: nothing tells which is better.
//!
//! Only the reports of workers count, so simulated, emulated and real boards agree on the round.

use crate::model::{Model, values};
use serde::{Deserialize, Serialize};
use smidgen_protocol::vector::Exponent;

/// The model of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its round.
    pub round: u32,
    /// Digest of the run up to that round.
    pub transcript: u64,
    /// Exponent of its mantissas.
    pub exponent: Exponent,
    /// Its mantissas, as workers held them.
    pub mantissas: Vec<i32>,
    /// f(x), if it is the best of the models of which the host knows that; absent if it is the last one.
    pub loss: Option<f64>,
}

impl Outcome {
    /// The model that workers hold in a round.
    fn of(model: &Model, round: u32, transcript: u64, loss: Option<f64>) -> Self {
        let (exponent, mantissas) = (model.exponents().x, model.w().to_vec());
        Self { round, transcript, exponent, mantissas, loss }
    }

    /// The model in f64.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        values(&self.mantissas, self.exponent)
    }
}

/// A closed round.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Point {
    pub round: u32,
    pub transcript: u64,
    /// The mean of the workers' latest reports.
    pub loss: f64,
    /// The same with the l1 term; infinite if a loss was out of range.
    pub objective: f64,
    /// All workers evaluated all of their rows.
    pub is_known: bool,
}

/// The objectives of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Course {
    first: Option<f64>,
    last: Point,
    /// The best model, and its objective.
    best: Option<(f64, Outcome)>,
}

impl Course {
    /// Adds a round, in which workers hold `model`.
    pub(crate) fn add(&mut self, point: Point, model: &Model) {
        let Point { round, transcript, loss, objective, is_known } = point;
        self.first.get_or_insert(objective);
        self.last = point;
        if is_known && self.best.as_ref().is_none_or(|(least, _)| objective <= *least) {
            self.best = Some((objective, Outcome::of(model, round, transcript, Some(loss))));
        }
    }

    /// The model of the run, if it is the best one.
    fn best(&self) -> Option<&(f64, Outcome)> {
        self.best.as_ref().filter(|_| self.last.is_known)
    }

    /// The model of the run, if it is not that of the last round.
    pub(crate) fn earlier(&self) -> Option<&Outcome> {
        let (_, best) = self.best()?;
        (best.round != self.last.round).then_some(best)
    }

    /// The model of the run; `model` is that of the last round.
    pub(crate) fn outcome(&self, model: &Model) -> Outcome {
        let Point { round, transcript, .. } = self.last;
        let best = self.best().map(|(_, best)| best.clone());
        best.unwrap_or_else(|| Outcome::of(model, round, transcript, None))
    }

    /// The model of the run is better than the initial one.
    pub(crate) fn has_improved(&self) -> bool {
        let reached = self.best().map_or(self.last.objective, |(least, _)| *least);
        self.first.is_some_and(|first| reached < first)
    }

    /// It is that of a model with `dimension` coordinates.
    pub(crate) fn fits(&self, dimension: usize) -> bool {
        self.best.as_ref().is_none_or(|(_, best)| best.mantissas.len() == dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smidgen_protocol::message::Downlink;

    /// The round of the model after these rounds, and whether it is better than the initial one. An objective is known
    /// if it is positive.
    fn course(objectives: &[f64]) -> (u32, bool) {
        let model = Model::new(2, vec![], 1.0, Default::default(), Downlink::Dense, None);
        let mut course = Course::default();
        for (round, &signed) in (0..).zip(objectives) {
            let objective = signed.abs();
            let (loss, is_known) = (objective + 1.0, signed > 0.0);
            course.add(Point { round, transcript: 9, loss, objective, is_known }, &model);
            let outcome = course.outcome(&model);
            let is_best = outcome.loss.is_some();
            assert_eq!(is_best, is_known, "{objectives:?}");
            assert_eq!(course.earlier().is_some(), is_best && outcome.round != round);
            let least = objectives[outcome.round as usize].abs() + 1.0;
            assert!(outcome.loss.is_none_or(|loss| loss == least), "{objectives:?}");
        }
        (course.outcome(&model).round, course.has_improved())
    }

    #[test]
    fn model_is_the_latest_of_the_best_known_ones_if_the_last_objective_is_known() {
        for (objectives, round, has_improved) in [
            (&[3.0][..], 0, false),
            (&[3.0, 2.0, 1.0], 2, true),
            (&[3.0, 1.0, 2.0], 1, true),
            (&[3.0, 1.0, 2.0, 1.0, 5.0], 3, true),
            (&[3.0, 4.0, 5.0], 0, false),
            (&[f64::INFINITY, f64::INFINITY, 5.0, f64::INFINITY], 2, true),
            (&[3.0, 2.0, -1.0], 2, true),
            (&[3.0, 2.0, -1.0, 2.5], 1, true),
            (&[3.0, 2.0, -4.0], 2, false),
            (&[-3.0, -2.0, 4.0], 2, false),
        ] {
            assert_eq!(course(objectives), (round, has_improved), "{objectives:?}");
        }
    }
}
