//! f in f64: the mean of the losses of the rows, and the regulariser.

use super::penalty::Penalty;
use crate::objective::Row;
use crate::options;
use crate::problem::dataset::Dataset;
use std::ops::Range;

/// An objective over rows that are distributed to workers.
#[derive(Clone, Debug)]
pub struct Objective {
    pub(super) dimension: usize,
    pub(super) kind: options::Objective,
    /// Number of features of a row.
    pub(super) features: usize,
    pub(super) penalty: Penalty,
    /// Rows of all workers, one worker after the other.
    pub(super) workers: Vec<Range<usize>>,
    /// Entries of row r: `starts[r]..starts[r + 1]`.
    pub(super) starts: Vec<usize>,
    pub(super) columns: Vec<u16>,
    pub(super) values: Vec<f64>,
    pub(super) labels: Vec<f64>,
}

impl Objective {
    /// Creates the objective whose worker i has the rows `shares[i]`.
    pub fn new(
        kind: options::Objective,
        penalty: Penalty,
        dataset: &Dataset,
        shares: &[Vec<usize>],
    ) -> Self {
        let mut objective = Self {
            dimension: kind.dimension(dataset.dimension(), dataset.class_count()),
            kind,
            features: dataset.dimension(),
            penalty,
            workers: Vec::new(),
            starts: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
        };
        for share in shares {
            let first = objective.labels.len();
            share.iter().for_each(|&row| objective.push(dataset, row));
            objective.workers.push(first..first + share.len());
        }
        objective
    }

    fn push(&mut self, dataset: &Dataset, row: usize) {
        let row = dataset.row(row);
        self.columns.extend(row.columns);
        self.values.extend(row.values);
        self.labels.push(row.label);
        self.starts.push(self.columns.len());
    }

    /// Returns the dimension d of the model.
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns f(x) and writes ∇f(x), d entries, to `gradient`.
    pub fn loss_and_gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.mean(&self.workers, x, gradient)
    }

    /// Returns f(x) and ‖∇f(x)‖².
    pub fn loss_and_norm_squared(&self, x: &[f64]) -> (f64, f64) {
        let mut gradient = vec![0.0; x.len()];
        let loss = self.loss_and_gradient(x, &mut gradient);
        (loss, gradient.iter().map(|g| g * g).sum())
    }

    /// Returns f_i(x) of worker i and writes ∇f_i(x), d entries, to `gradient`.
    pub fn worker_loss_and_gradient(&self, worker: usize, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.mean(&self.workers[worker..=worker], x, gradient)
    }

    /// Returns the fraction of a worker's rows whose class x predicts, or `None` without classes.
    pub fn accuracy(&self, worker: usize, x: &[f64]) -> Option<f64> {
        let rows = self.workers[worker].clone();
        let row_count = rows.len() as f64;
        let mut right = 0.0;
        for row in rows {
            let class = self.kind.class(&self.kind.twin().scores(self.row(row), x))?;
            right += f64::from(class as f64 == self.labels[row]);
        }
        Some(right / row_count)
    }

    /// Returns a bound on the cancellation error of f(x) in f64, without the rounding of the mean of the losses.
    pub fn cancellation(&self, x: &[f64]) -> f64 {
        let of_worker = |rows: &Range<usize>| {
            let of_row = |row| self.kind.twin().cancellation(self.row(row), self.labels[row], x);
            rows.clone().map(of_row).sum::<f64>() / rows.len() as f64
        };
        self.workers.iter().map(of_worker).sum::<f64>() / self.workers.len() as f64
    }

    fn mean(&self, workers: &[Range<usize>], x: &[f64], gradient: &mut [f64]) -> f64 {
        self.rows_mean(workers, x, gradient, |label| label) + self.penalty.add(x, gradient)
    }

    /// Like the above without the regulariser, with a mapping of the labels.
    pub(super) fn rows_mean(
        &self,
        workers: &[Range<usize>],
        x: &[f64],
        gradient: &mut [f64],
        target: impl Fn(f64) -> f64,
    ) -> f64 {
        assert_eq!((x.len(), gradient.len()), (self.dimension, self.dimension));
        gradient.fill(0.0);
        let mut loss = 0.0;
        for rows in workers {
            let weight = 1.0 / (workers.len() * rows.len()) as f64;
            for row in rows.clone() {
                let label = target(self.labels[row]);
                loss += weight * self.kind.twin().add(self.row(row), label, weight, x, gradient);
            }
        }
        loss
    }

    pub(super) fn row(&self, row: usize) -> Row<'_> {
        let entries = self.starts[row]..self.starts[row + 1];
        let (columns, values) = (&self.columns[entries.clone()], &self.values[entries]);
        Row { features: self.features, columns, values }
    }
}
