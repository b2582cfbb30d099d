//! The objective f, which is minimised.

use super::choice::choices;
use smidgen_firmware::least_squares::LeastSquares;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::Objective as _;
use smidgen_firmware::perceptron::Perceptron;
use smidgen_firmware::softmax::Softmax;
use smidgen_protocol::message;

choices! {
    /// The loss of a row.
    pub enum Objective {
        /// Logistic regression: two classes
        Logistic = "logistic",
        /// Least squares: real targets
        LeastSquares = "least-squares",
        /// Softmax regression: up to 64 classes
        Softmax = "softmax",
        /// Perceptron with 32 hidden units: up to 64 classes, random start, --step auto or a number (no theory)
        Perceptron = "perceptron",
    }
}

impl Objective {
    /// Returns its name in the messages of workers.
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
    /// A regulariser, over all coordinates of the model.
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
