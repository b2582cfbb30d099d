//! The function f that is minimised.

use super::choice::choices;
use smidgen_firmware::least_squares::LeastSquares;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::Objective as _;
use smidgen_firmware::perceptron::Perceptron;
use smidgen_firmware::softmax::Softmax;
use smidgen_protocol::message;

choices! {
    /// What is made of a row: its loss.
    pub enum Objective {
        /// Logistic regression: two classes
        Logistic = "logistic",
        /// Least squares: labels are real targets
        LeastSquares = "least-squares",
        /// Softmax regression: up to 64 classes
        Softmax = "softmax",
        /// Perceptron with 32 hidden units: up to 64 classes; it starts at random (--seed), and its step is auto or a number: no theory has one
        Perceptron = "perceptron",
    }
}

impl Objective {
    /// The name by which a worker knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logistic => Logistic::NAME,
            Self::LeastSquares => LeastSquares::NAME,
            Self::Softmax => Softmax::NAME,
            Self::Perceptron => Perceptron::NAME,
        }
    }
}

choices! {
    /// What is added to the loss of the data, over all coordinates of the model.
    pub enum Regulariser {
        /// λ·Σ x²/(1+x²)
        Nonconvex = "nonconvex",
        /// (λ/2)·Σ x²
        L2 = "l2",
    }
}

impl From<Regulariser> for message::Regulariser {
    fn from(regulariser: Regulariser) -> Self {
        match regulariser {
            Regulariser::Nonconvex => Self::Nonconvex,
            Regulariser::L2 => Self::L2,
        }
    }
}
