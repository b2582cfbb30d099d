//! The objectives of smidgen, and functions of any objective: dimension, class, probabilities.

use super::classes::{self, HIDDEN};
use super::margin;
use super::twin::{Labels, Margins, Objective, ObjectiveInfo, Probabilities};

#[expect(non_upper_case_globals, reason = "they are values of the option, like those of an enum")]
impl Objective {
    /// Logistic regression.
    pub const Logistic: Self = Self::of(&margin::LOGISTIC);
    /// Least squares.
    pub const LeastSquares: Self = Self::of(&margin::LEAST_SQUARES);
    /// Softmax regression.
    pub const Softmax: Self = Self::of(&classes::Softmax);
    /// A perceptron with one hidden layer.
    pub const Perceptron: Self = Self::of(&classes::Perceptron);
    /// The squared hinge.
    pub const SquaredHinge: Self = Self::of(&margin::SQUARED_HINGE);
}

impl Objective {
    /// The objectives of smidgen, in the order of `--help`.
    pub const BUILT_IN: &'static [Self] =
        &[Self::Logistic, Self::LeastSquares, Self::Softmax, Self::Perceptron, Self::SquaredHinge];

    /// Returns the dimension d of its model.
    pub fn dimension(self, features: usize, classes: u8) -> usize {
        let classes = usize::from(classes);
        match self.info().margins {
            Margins::One => features,
            Margins::PerClass => classes * (features + 1),
            Margins::Hidden => HIDDEN * (features + 1) + classes * (HIDDEN + 1),
        }
    }

    /// Returns the seed of x⁰ for the seed of a run; 0 stands for x⁰ = 0.
    pub fn start_seed(self, seed: u32) -> u32 {
        if self.info().starts_at_random { seed.saturating_add(1) } else { 0 }
    }

    /// Returns the class that scores predict, if there are classes.
    pub fn class(self, scores: &[f64]) -> Option<usize> {
        let ObjectiveInfo { labels, margins, .. } = self.info();
        match (labels, margins) {
            (Labels::Real, _) => None,
            (Labels::Binary | Labels::Classes, Margins::One) => {
                Some(usize::from(scores.iter().any(|score| *score > 0.0)))
            }
            (Labels::Binary | Labels::Classes, Margins::PerClass | Margins::Hidden) => {
                Some(classes::largest(scores))
            }
        }
    }

    /// Returns the probabilities of the classes; none if the objective has none.
    pub fn probabilities(self, scores: &[f64]) -> Vec<f64> {
        match self.info().probabilities {
            Probabilities::None => Vec::new(),
            Probabilities::Sigmoid => {
                scores.iter().flat_map(|z| [margin::sigmoid(-z), margin::sigmoid(*z)]).collect()
            }
            Probabilities::Softmax => classes::softmax(scores).0,
        }
    }
}
