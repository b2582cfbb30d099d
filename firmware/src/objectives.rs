//! The objectives of this crate, combined into one set.

use crate::least_squares::LeastSquares;
use crate::logistic::Logistic;
use crate::objective::{Evaluation, Objective, ObjectiveInfo, ObjectiveSet};
use crate::perceptron::Perceptron;
use crate::softmax::Softmax;
use crate::squared_hinge::SquaredHinge;

/// All objectives of this crate; the host chooses one by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objectives;

/// Implements [`ObjectiveSet`] from one list, so that no objective is known by name and missing in the evaluation.
macro_rules! objective_set {
    ($set:ident, $names:literal, [$($objective:ident),+]) => {
        impl ObjectiveSet for $set {
            const NAMES: &'static str = $names;
            const ALL: &'static [ObjectiveInfo] = &[$(ObjectiveInfo::of::<$objective>()),+];

            // Inlined, an evaluation shares its caller's stack frame with buffers that are not in use meanwhile: on a
            // Cortex-M0 the deepest stack is 400 bytes lower.
            #[inline(always)]
            fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64 {
                match request.objective {
                    $($objective::NAME => $objective.evaluate(request),)+
                    _ => 0,
                }
            }
        }
    };
}

objective_set!(
    Objectives,
    "logistic least-squares softmax perceptron svm",
    [Logistic, LeastSquares, Softmax, Perceptron, SquaredHinge]
);

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
