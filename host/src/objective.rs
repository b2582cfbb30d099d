//! The objective in f64, for telemetry: f and ∇f at the model that host and workers hold in fixed
//! point.
//!
//! ```text
//! f(x)   = (1/n) Σ_i f_i(x)
//! f_i(x) = (1/n_i) Σ_j log(1 + exp(−y_ij a_ijᵀx)) + λ Σ_k x_k² / (1 + x_k²)
//! ```

use crate::dataset::Dataset;
use std::ops::Range;

/// Logistic regression with the nonconvex regulariser, over rows dealt out to workers.
#[derive(Clone, Debug)]
pub struct Logistic {
    dimension: usize,
    lambda: f64,
    /// Rows of all workers, one worker after the other.
    workers: Vec<Range<usize>>,
    /// Entries of row r: `starts[r]..starts[r + 1]`.
    starts: Vec<usize>,
    columns: Vec<u16>,
    /// y a: with the label's sign multiplied in, a margin is a dot product.
    signed_values: Vec<f64>,
}

impl Logistic {
    /// The objective where worker i holds the rows `shares[i]`.
    pub fn new(dataset: &Dataset, shares: &[Vec<usize>], lambda: f64) -> Self {
        let mut objective = Self {
            dimension: dataset.dimension(),
            lambda,
            workers: Vec::new(),
            starts: vec![0],
            columns: Vec::new(),
            signed_values: Vec::new(),
        };
        for share in shares {
            let first = objective.starts.len() - 1;
            share.iter().for_each(|&row| objective.push(dataset, row));
            objective.workers.push(first..first + share.len());
        }
        objective
    }

    fn push(&mut self, dataset: &Dataset, row: usize) {
        let row = dataset.row(row);
        self.columns.extend(row.columns);
        self.signed_values.extend(row.values.iter().map(|value| row.sign() * value));
        self.starts.push(self.columns.len());
    }

    /// f(x); fills in ∇f(x), d entries.
    pub fn loss_and_gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.mean(&self.workers, x, gradient)
    }

    /// ‖∇f(x)‖²
    pub fn gradient_norm_squared(&self, x: &[f64]) -> f64 {
        let mut gradient = vec![0.0; x.len()];
        self.loss_and_gradient(x, &mut gradient);
        gradient.iter().map(|g| g * g).sum()
    }

    /// f_i(x) of worker i; fills in ∇f_i(x), d entries.
    pub fn worker_loss_and_gradient(&self, worker: usize, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.mean(&self.workers[worker..=worker], x, gradient)
    }

    fn mean(&self, workers: &[Range<usize>], x: &[f64], gradient: &mut [f64]) -> f64 {
        assert_eq!((x.len(), gradient.len()), (self.dimension, self.dimension));
        gradient.fill(0.0);
        let mut loss = 0.0;
        for rows in workers {
            let weight = 1.0 / (workers.len() * rows.len()) as f64;
            loss += weight * self.add_rows(rows.clone(), weight, x, gradient);
        }
        loss + self.add_regulariser(x, gradient)
    }

    /// Adds `weight` times the gradients of the rows' losses; returns the sum of the losses.
    fn add_rows(&self, rows: Range<usize>, weight: f64, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for row in rows {
            let entries = self.starts[row]..self.starts[row + 1];
            let (columns, values) = (&self.columns[entries.clone()], &self.signed_values[entries]);
            let entries = || columns.iter().map(|&column| usize::from(column)).zip(values);
            let margin: f64 = entries().map(|(column, value)| value * x[column]).sum();
            let (loss, slope) = softplus(-margin);
            sum += loss;
            let coefficient = -weight * slope;
            entries().for_each(|(column, value)| gradient[column] += coefficient * value);
        }
        sum
    }

    fn add_regulariser(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for (x, gradient) in x.iter().zip(gradient) {
            let inverse = 1.0 / (1.0 + x * x);
            sum += x * x * inverse;
            *gradient += self.lambda * 2.0 * x * inverse * inverse;
        }
        self.lambda * sum
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
    use crate::dataset::split::Split;

    fn digits() -> Logistic {
        let dataset = Dataset::load("digits").unwrap();
        Logistic::new(&dataset, &Split::Contiguous.deal(&dataset, 4).unwrap(), 0.1)
    }

    /// A model of some size in every coordinate.
    fn model() -> Vec<f64> {
        (0..64).map(|k| (k as f64 * 0.7).sin()).collect()
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (objective, mut x, step) = (digits(), model(), 1e-5);
        let (mut gradient, mut unused) = ([0.0; 64], [0.0; 64]);
        objective.loss_and_gradient(&x, &mut gradient);
        for k in 0..64 {
            let centre = x[k];
            x[k] = centre + step;
            let above = objective.loss_and_gradient(&x, &mut unused);
            x[k] = centre - step;
            let below = objective.loss_and_gradient(&x, &mut unused);
            x[k] = centre;
            let slope = (above - below) / (2.0 * step);
            assert!((slope - gradient[k]).abs() < 1e-9, "{k}: {slope} {}", gradient[k]);
        }
    }

    #[test]
    fn the_objective_is_the_mean_of_the_workers() {
        let (objective, x) = (digits(), model());
        let (mut whole, mut mean, mut gradient) = ([0.0; 64], [0.0; 64], [0.0; 64]);
        let loss = objective.loss_and_gradient(&x, &mut whole);
        let mut losses = 0.0;
        for worker in 0..4 {
            losses += objective.worker_loss_and_gradient(worker, &x, &mut gradient) / 4.0;
            mean.iter_mut().zip(gradient).for_each(|(mean, slope)| *mean += slope / 4.0);
        }
        assert!((loss - losses).abs() < 1e-14);
        assert!(whole.iter().zip(mean).all(|(whole, mean)| (whole - mean).abs() < 1e-15));
    }

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
