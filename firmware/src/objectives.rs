//! All objectives that come with smidgen, in one image: the host says which by name.

use crate::least_squares::LeastSquares;
use crate::logistic::Logistic;
use crate::objective::{Evaluation, Objective, Repertoire, Traits};
use crate::perceptron::Perceptron;
use crate::softmax::Softmax;

/// The objectives of smidgen's own images.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objectives;

impl Repertoire for Objectives {
    const NAMES: &'static str = "logistic least-squares softmax perceptron";
    const ALL: &'static [Traits] = &[
        Traits::of::<Logistic>(),
        Traits::of::<LeastSquares>(),
        Traits::of::<Softmax>(),
        Traits::of::<Perceptron>(),
    ];

    fn perform(&mut self, at: Evaluation<'_>) -> i64 {
        match at.objective {
            Logistic::NAME => Logistic.evaluate(at),
            LeastSquares::NAME => LeastSquares.evaluate(at),
            Softmax::NAME => Softmax.evaluate(at),
            Perceptron::NAME => Perceptron.evaluate(at),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_is_that_of_the_objectives() {
        let names: Vec<_> = Objectives::ALL.iter().map(|objective| objective.name).collect();
        assert_eq!(Objectives::NAMES, names.join(" "));
        assert!(names.iter().all(|name| Objectives::find(name).is_some()));
        assert!(Objectives::find("logist").is_none());
    }
}
