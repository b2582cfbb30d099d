//! The loss of one row in f64, and its gradient.

use crate::config;
use crate::dataset::Dataset;
use std::iter;

/// What is made of a row.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// log(1 + exp(−y aᵀx)), y = ±1
    Logistic,
    /// (aᵀx − b)²
    LeastSquares,
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

    fn dot(&self, x: &[f64]) -> f64 {
        self.entries().map(|(column, value)| value * x[column]).sum()
    }

    /// `vector += factor * a`
    fn add_to(&self, vector: &mut [f64], factor: f64) {
        self.entries().for_each(|(column, value)| vector[column] += factor * value);
    }
}

impl Loss {
    /// The loss of rows like those of a data set.
    pub fn new(kind: config::Objective, _dataset: &Dataset) -> Self {
        match kind {
            config::Objective::Logistic => Self::Logistic,
            config::Objective::LeastSquares => Self::LeastSquares,
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
        }
    }

    /// The class that x predicts for a row, if there are classes.
    pub fn class(self, row: Row<'_>, x: &[f64]) -> Option<f64> {
        match self {
            Self::Logistic => Some(f64::from(row.dot(x) > 0.0)),
            Self::LeastSquares => None,
        }
    }
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
