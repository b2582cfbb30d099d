//! The loss of one row in f64, and its gradient.

use crate::options::{self, HIDDEN};
use crate::problem::dataset::Dataset;
use std::iter;

/// What is made of a row.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// log(1 + exp(−y aᵀx)), y = ±1
    Logistic,
    /// (aᵀx − b)²
    LeastSquares,
    /// The cross-entropy of scores w_cᵀa + b_c; x holds the w_c, each before its b_c.
    Softmax { features: usize },
    /// The same of scores of hidden units tanh(v_uᵀa + e_u); x holds the v_u and e_u, then weights and biases of the
    /// scores.
    Perceptron { features: usize },
}

/// The features of a row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub columns: &'a [u16],
    pub values: &'a [f64],
}

impl Row<'_> {
    fn entries(&self) -> impl Iterator<Item = (usize, f64)> {
        iter::zip(self.columns, self.values).map(|(&column, &value)| (usize::from(column), value))
    }

    pub fn dot(&self, x: &[f64]) -> f64 {
        self.entries().map(|(column, value)| value * x[column]).sum()
    }

    /// `vector += factor * a`
    fn add_to(&self, vector: &mut [f64], factor: f64) {
        self.entries().for_each(|(column, value)| vector[column] += factor * value);
    }
}

impl Loss {
    /// The loss of rows like those of a data set.
    pub fn new(kind: options::Objective, dataset: &Dataset) -> Self {
        let features = dataset.dimension();
        match kind {
            options::Objective::Logistic => Self::Logistic,
            options::Objective::LeastSquares => Self::LeastSquares,
            options::Objective::Softmax => Self::Softmax { features },
            options::Objective::Perceptron => Self::Perceptron { features },
        }
    }

    /// The loss of a row; adds `weight` times its gradient to `gradient`.
    pub fn add(
        self,
        row: Row<'_>,
        label: f64,
        weight: f64,
        x: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        match self {
            Self::Logistic => {
                let y = if label > 0.0 { 1.0 } else { -1.0 };
                let (loss, slope) = softplus(-y * row.dot(x));
                row.add_to(gradient, -y * weight * slope);
                loss
            }
            Self::LeastSquares => {
                let residual = row.dot(x) - label;
                row.add_to(gradient, 2.0 * weight * residual);
                residual * residual
            }
            Self::Softmax { features } => {
                let (loss, slopes) = cross_entropy(&affine(row, x, features), label);
                let pieces = gradient.chunks_exact_mut(features + 1);
                for (slope, gradient) in iter::zip(slopes, pieces) {
                    row.add_to(gradient, weight * slope);
                    gradient[features] += weight * slope;
                }
                loss
            }
            Self::Perceptron { features } => {
                let (first, second) = x.split_at(HIDDEN * (features + 1));
                let units = hidden_units(row, first, features);
                let (loss, slopes) = cross_entropy(&scores(&units, second), label);
                let (below, above) = gradient.split_at_mut(first.len());
                for (slope, gradient) in iter::zip(&slopes, above.chunks_exact_mut(HIDDEN + 1)) {
                    iter::zip(gradient, &units).for_each(|(g, unit)| *g += weight * slope * unit);
                }
                for (u, gradient) in below.chunks_exact_mut(features + 1).enumerate() {
                    let weights = second.chunks_exact(HIDDEN + 1).map(|piece| piece[u]);
                    let back: f64 = iter::zip(&slopes, weights).map(|(slope, w)| slope * w).sum();
                    let slope = weight * back * (1.0 - units[u] * units[u]);
                    row.add_to(gradient, slope);
                    gradient[features] += slope;
                }
                loss
            }
        }
    }

    /// What f64 may lose of the loss of a row by cancellation.
    pub fn cancellation(self, row: Row<'_>, label: f64, x: &[f64]) -> f64 {
        match self {
            Self::LeastSquares => {
                let terms = row.entries().map(|(column, value)| (value * x[column]).abs());
                let size = terms.sum::<f64>() + label.abs();
                let error = (row.values.len() + 2) as f64 * f64::EPSILON * size;
                error * (2.0 * (row.dot(x) - label).abs() + error)
            }
            // An error of a margin counts times the probability of the wrong class, which is less than the loss.
            Self::Logistic => 0.0,
            // The logarithm of the sum is beside the score of the class.
            Self::Softmax { features } => {
                let scores = affine(row, x, features);
                let size = scores.iter().map(|score| score.abs()).fold(0.0, f64::max);
                (2.0 * size + scores.len() as f64) * f64::EPSILON
            }
            // Theory has no constants of it, so nothing is watched.
            Self::Perceptron { .. } => f64::NAN,
        }
    }

    /// The class that x predicts for a row, if there are classes.
    pub fn class(self, row: Row<'_>, x: &[f64]) -> Option<f64> {
        match self {
            Self::Logistic => Some(f64::from(row.dot(x) > 0.0)),
            Self::LeastSquares => None,
            Self::Softmax { features } => Some(largest(&affine(row, x, features))),
            Self::Perceptron { features } => {
                let (first, second) = x.split_at(HIDDEN * (features + 1));
                Some(largest(&scores(&hidden_units(row, first, features), second)))
            }
        }
    }
}

/// w_cᵀa + b_c for every piece (w_c, b_c) of x.
fn affine(row: Row<'_>, x: &[f64], features: usize) -> Vec<f64> {
    x.chunks_exact(features + 1).map(|piece| row.dot(piece) + piece[features]).collect()
}

/// The hidden units, and a last one that is always 1.
fn hidden_units(row: Row<'_>, first: &[f64], features: usize) -> Vec<f64> {
    affine(row, first, features).into_iter().map(f64::tanh).chain([1.0]).collect()
}

fn scores(units: &[f64], second: &[f64]) -> Vec<f64> {
    let score = |piece: &[f64]| iter::zip(piece, units).map(|(w, unit)| w * unit).sum();
    second.chunks_exact(units.len()).map(score).collect()
}

/// −log of the share of the label's class in softmax, and its slope for each score.
fn cross_entropy(scores: &[f64], label: f64) -> (f64, Vec<f64>) {
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let label = label as usize;
    let mut slopes: Vec<f64> = powers.iter().map(|power| power / sum).collect();
    slopes[label] -= 1.0;
    (sum.ln() + max - scores[label], slopes)
}

/// The first class with the largest score.
fn largest(scores: &[f64]) -> f64 {
    let (class, _) = scores.iter().enumerate().fold((0, f64::MIN), |best, (class, &score)| {
        if score > best.1 { (class, score) } else { best }
    });
    class as f64
}

/// log(1 + e^z) and its derivative, without overflow and without cancellation for any z.
#[inline]
fn softplus(z: f64) -> (f64, f64) {
    let small = (-z.abs()).exp();
    let slope = if z > 0.0 { 1.0 } else { small } / (1.0 + small);
    (z.max(0.0) + small.ln_1p(), slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_is_good_at_both_ends() {
        assert_eq!(softplus(1000.0), (1000.0, 1.0));
        assert_eq!(softplus(0.0), (2f64.ln(), 0.5));
        assert_eq!(softplus(-f64::INFINITY), (0.0, 0.0));
        let (value, slope) = softplus(-100.0);
        let tiny = (-100f64).exp();
        assert!((value / tiny - 1.0).abs() < 1e-15 && (slope / tiny - 1.0).abs() < 1e-15);
    }
}
