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
pub struct FinalModel {
    /// Its round.
    pub round: u32,
    /// Digest of the run up to that round.
    pub transcript: u64,
    /// Exponent of its mantissas.
    pub exponent: Exponent,
    /// Its mantissas, as workers held them.
    pub mantissas: Vec<i32>,
    /// Which of the models it is.
    pub selected: Selected,
}

/// Which of the models of a run is its final one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Selected {
    /// The best one of those whose objective the host knows.
    Best {
        /// Its f(x), as workers reported it.
        loss: f64,
    },
    /// That of the last round, whose objective the host does not know.
    Last,
}

impl FinalModel {
    /// The model that workers hold in a round.
    fn of(model: &Model, round: u32, transcript: u64, selected: Selected) -> Self {
        let (exponent, mantissas) = (model.exponents().x, model.w().to_vec());
        Self { round, transcript, exponent, mantissas, selected }
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
    /// The objective of the first round.
    first: Option<f64>,
    last: Point,
    best: Option<Best>,
}

/// The best of the models whose objective is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Best {
    objective: f64,
    /// The first objective that is known.
    first: f64,
    model: FinalModel,
}

impl Course {
    /// Adds a round, in which workers hold `model`.
    pub(crate) fn add(&mut self, point: Point, model: &Model) {
        let Point { round, transcript, loss, objective, is_known } = point;
        self.first.get_or_insert(objective);
        self.last = point;
        let is_better = self.best.as_ref().is_none_or(|best| objective <= best.objective);
        if is_known && is_better {
            let first = self.best.as_ref().map_or(objective, |best| best.first);
            let model = FinalModel::of(model, round, transcript, Selected::Best { loss });
            self.best = Some(Best { objective, first, model });
        }
    }

    /// The best model, if it is that of the run.
    fn best(&self) -> Option<&Best> {
        self.best.as_ref().filter(|_| self.last.is_known)
    }

    /// The model of the run, if it is not that of the last round.
    pub(crate) fn earlier(&self) -> Option<&FinalModel> {
        let best = &self.best()?.model;
        (best.round != self.last.round).then_some(best)
    }

    /// The model of the run; `model` is that of the last round.
    pub(crate) fn final_model(&self, model: &Model) -> FinalModel {
        let Point { round, transcript, .. } = self.last;
        let best = self.best().map(|best| best.model.clone());
        best.unwrap_or_else(|| FinalModel::of(model, round, transcript, Selected::Last))
    }

    /// The model of the run is better than the initial one, or than the first whose objective is known.
    pub(crate) fn has_improved(&self) -> bool {
        match self.best() {
            // The mean of a round that a worker missed lacks its loss, so it is no measure for a known one.
            Some(best) => best.objective < best.first,
            None => self.first.is_some_and(|first| self.last.objective < first),
        }
    }

    /// It is that of a model with `dimension` coordinates.
    pub(crate) fn fits(&self, dimension: usize) -> bool {
        self.best.as_ref().is_none_or(|best| best.model.mantissas.len() == dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smidgen_protocol::message::Downlink;

    /// The round of the model after these rounds, and whether it has improved. An objective is known if it is positive.
    fn course(objectives: &[f64]) -> (u32, bool) {
        let model = Model::new(2, vec![], 1.0, Default::default(), Downlink::Dense, None);
        let mut course = Course::default();
        for (round, &signed) in (0..).zip(objectives) {
            let objective = signed.abs();
            let (loss, is_known) = (objective + 1.0, signed > 0.0);
            course.add(Point { round, transcript: 9, loss, objective, is_known }, &model);
            let FinalModel { round: of, selected, .. } = course.final_model(&model);
            let loss = objectives[of as usize].abs() + 1.0;
            let expected = if is_known { Selected::Best { loss } } else { Selected::Last };
            assert_eq!(selected, expected, "{objectives:?}");
            assert_eq!(course.earlier().is_some(), of != round, "{objectives:?}");
        }
        (course.final_model(&model).round, course.has_improved())
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
            (&[-3.0, 5.0, 4.0], 2, true),
            (&[-3.0, 5.0, 4.0, 6.0], 2, true),
            (&[3.0, -5.0, -2.0], 2, true),
        ] {
            assert_eq!(course(objectives), (round, has_improved), "{objectives:?}");
        }
    }
}
