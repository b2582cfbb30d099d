//! The objectives of this crate, combined into one set.

use crate::least_squares::LeastSquares;
use crate::logistic::Logistic;
use crate::objective::{Evaluation, Objective, ObjectiveInfo, ObjectiveSet};
use crate::perceptron::Perceptron;
use crate::softmax::Softmax;

/// All objectives of this crate; the host chooses one by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objectives;

impl ObjectiveSet for Objectives {
    const NAMES: &'static str = "logistic least-squares softmax perceptron";
    const ALL: &'static [ObjectiveInfo] = &[
        ObjectiveInfo::of::<Logistic>(),
        ObjectiveInfo::of::<LeastSquares>(),
        ObjectiveInfo::of::<Softmax>(),
        ObjectiveInfo::of::<Perceptron>(),
    ];

    fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64 {
        match request.objective {
            Logistic::NAME => Logistic.evaluate(request),
            LeastSquares::NAME => LeastSquares.evaluate(request),
            Softmax::NAME => Softmax.evaluate(request),
            Perceptron::NAME => Perceptron.evaluate(request),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_objectives() {
        let names: Vec<_> = Objectives::ALL.iter().map(|objective| objective.name).collect();
        assert_eq!(Objectives::NAMES, names.join(" "));
        assert!(names.iter().all(|name| Objectives::find(name).is_some()));
        assert!(Objectives::find("logist").is_none());
    }
}
