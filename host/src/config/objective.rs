//! The function f that is minimised.

use crate::dataset::Labels;
use clap::ValueEnum;
use serde::Serialize;
use smidgen_firmware::least_squares::LeastSquares;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::Objective as _;
use smidgen_protocol::message;

/// What is made of a row: its loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Logistic regression: two classes
    Logistic,
    /// Least squares: labels are real targets
    LeastSquares,
}

impl Objective {
    /// The name by which a worker knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logistic => Logistic::NAME,
            Self::LeastSquares => LeastSquares::NAME,
        }
    }

    /// What it takes labels for.
    pub const fn labels(self) -> Labels {
        match self {
            Self::Logistic => Labels::Binary,
            Self::LeastSquares => Labels::Real,
        }
    }

    /// The dimension d of its model, for so many features and classes.
    pub const fn dimension(self, features: usize, _classes: u8) -> usize {
        match self {
            Self::Logistic | Self::LeastSquares => features,
        }
    }
}

/// What is added to the loss of the data, over all coordinates of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regulariser {
    /// λ·Σ x²/(1+x²)
    Nonconvex,
    /// (λ/2)·Σ x²
    L2,
}

impl From<Regulariser> for message::Regulariser {
    fn from(regulariser: Regulariser) -> Self {
        match regulariser {
            Regulariser::Nonconvex => Self::Nonconvex,
            Regulariser::L2 => Self::L2,
        }
    }
}
