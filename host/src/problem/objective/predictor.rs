//! Predictions of a model for single rows.

use crate::objective::Row;
use crate::options;

/// An objective that predicts rows with this number of features.
#[derive(Clone, Debug)]
pub struct Predictor {
    kind: options::Objective,
    /// Indices of the features, which are dense.
    columns: Vec<u16>,
}

impl Predictor {
    /// Creates the predictor of an objective for rows with `features` features, at most 65535.
    pub fn new(kind: options::Objective, features: usize) -> Self {
        Self { kind, columns: (0..features as u16).collect() }
    }

    /// Returns the scores of a row under the model x: one per class, or only one.
    ///
    /// # Panics
    /// If x has not the dimension of the objective, or the row other features.
    pub fn scores(&self, features: &[f64], x: &[f64]) -> Vec<f64> {
        assert_eq!(features.len(), self.columns.len());
        let row = Row { features: features.len(), columns: &self.columns, values: features };
        self.kind.twin().scores(row, x)
    }

    /// Returns the class that scores predict, if there are classes: with one score the second one if it is positive,
    /// else the first one with the largest score.
    pub fn class(&self, scores: &[f64]) -> Option<usize> {
        self.kind.class(scores)
    }

    /// Returns the probabilities of the classes; none if the objective has none.
    pub fn probabilities(&self, scores: &[f64]) -> Vec<f64> {
        self.kind.probabilities(scores)
    }
}
