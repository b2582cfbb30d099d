//! The objective f, which is minimised.

use super::choice::choices;
use smidgen_protocol::message;

choices! {
    /// The loss of a row. Workers know it by the same name.
    pub enum Objective {
        /// Logistic regression: two classes
        Logistic = "logistic",
        /// Least squares: real targets
        LeastSquares = "least-squares",
        /// Softmax regression: up to 64 classes
        Softmax = "softmax",
        /// Perceptron with 32 hidden units: up to 64 classes, random start, --step auto or a number (no theory)
        Perceptron = "perceptron",
        /// Linear support vector machine with the squared hinge: two classes
        SquaredHinge = "svm",
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
