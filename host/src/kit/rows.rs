//! Generated rows: as boards get them, and in f64.

use crate::objective::{Labels, Objective, Row};
use crate::problem::dataset::Dataset;
use crate::problem::dataset::quantise::{dequantise, quantise};
use rand::{Rng, RngExt};
use smidgen_aggregator::ratio::real;
use smidgen_firmware::data::Data;
use smidgen_protocol::shard::{Shard, Width};
use std::fmt::Write;

/// Kinds of rows: width of the values, and whether they are listed with their columns.
pub(super) const KINDS: [(Width, bool); 6] = [
    (Width::Unit, true),
    (Width::I8, false),
    (Width::I16, false),
    (Width::I16, true),
    (Width::I32, false),
    (Width::I32, true),
];

/// Number of classes of rows with several.
const CLASSES: usize = 3;

/// Rows of a worker.
pub(super) struct Rows {
    words: Vec<u64>,
    len: usize,
    values: Vec<Vec<f64>>,
    pub labels: Vec<f64>,
    columns: Vec<u16>,
    pub classes: u8,
}

impl Rows {
    /// Draws rows for an objective.
    pub(super) fn draw(
        objective: Objective,
        kind: (Width, bool),
        row_count: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let (features, (_, is_sparse)) = (rng.random_range(3..8), kind);
        let rows = (0..row_count).map(|row| {
            let label = rng.random_range(-4.0..4.0);
            let values = (1..=features).map(|column| {
                // The last column of the first row sets the number of features.
                let is_listed =
                    !is_sparse || (row, column) == (0, features) || rng.random_bool(0.5);
                is_listed.then(|| rng.random_range(-1.5..1.5))
            });
            (label, values.collect())
        });
        let rows: Vec<_> = rows.collect();
        Self::new(objective, kind, &rows)
    }

    /// Returns rows with these multiples of the same features. They have this label, or their
    /// classes in turn.
    pub(super) fn multiples(
        objective: Objective,
        kind: (Width, bool),
        features: &[f64],
        factors: [f64; CLASSES],
        label: f64,
    ) -> Self {
        let row = |factor| (label, features.iter().map(|value| Some(factor * value)).collect());
        Self::new(objective, kind, &factors.map(row))
    }

    /// Rows of these labels and listed values, in the format that boards get.
    fn new(
        objective: Objective,
        (width, _): (Width, bool),
        rows: &[(f64, Vec<Option<f64>>)],
    ) -> Self {
        let (labels, mut text) = (objective.info().labels, String::new());
        for (row, (label, values)) in rows.iter().enumerate() {
            match labels {
                // Every class has a row.
                Labels::Binary => write!(text, "{}", row % 2),
                Labels::Classes => write!(text, "{}", row % CLASSES),
                Labels::Real => write!(text, "{label}"),
            }
            .expect("a string takes everything");
            for (column, value) in (1..).zip(values) {
                let Some(value) = value else { continue };
                let value = match width {
                    Width::Unit => 1.0,
                    Width::I8 | Width::I16 | Width::I32 => *value,
                };
                write!(text, " {column}:{value}").expect("a string takes everything");
            }
            text.push('\n');
        }
        let dataset = Dataset::parse_with("rows", &text, labels).expect("the text is valid");
        let features = rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        let all: Vec<_> = (0..rows.len()).collect();
        let bytes = quantise(&dataset, &all, width).bytes;
        let mut words = vec![0; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
        let quantised = Self {
            words,
            len: bytes.len(),
            values: vec![],
            labels: vec![],
            columns: (0..features as u16).collect(),
            classes: dataset.class_count(),
        };
        let shard = quantised.data().shard().expect("rows are a shard");
        let scale = if quantised.classes > 0 { 1.0 } else { real(shard.label_scale()) };
        let labels = (0..rows.len()).map(|row| f64::from(shard.label(row)) * scale).collect();
        let values = dequantise(&shard);
        Self { values, labels, ..quantised }
    }

    /// Returns them as boards get them.
    pub(super) fn data(&self) -> Data<'_> {
        Data::Sent(&bytemuck::cast_slice(&self.words)[..self.len])
    }

    /// Returns the shard.
    pub(super) fn shard(&self) -> Shard<'_> {
        self.data().shard().expect("rows are a shard")
    }

    /// Returns the dimension of the model.
    pub(super) fn dimension(&self, objective: Objective) -> usize {
        objective.dimension(self.columns.len(), self.classes)
    }

    /// Returns a row with all features listed, and its label.
    pub(super) fn row(&self, row: usize) -> (Row<'_>, f64) {
        let (columns, values) = (&self.columns[..], &self.values[row][..]);
        (Row { features: columns.len(), columns, values }, self.labels[row])
    }

    /// Returns loss and gradient of a row.
    pub(super) fn at(&self, objective: Objective, row: usize, x: &[f64]) -> (f64, Vec<f64>) {
        let ((row, label), mut gradient) = (self.row(row), vec![0.0; x.len()]);
        let loss = objective.twin().add(row, label, 1.0, x, &mut gradient);
        (loss, gradient)
    }

    /// Returns the largest error of the loss of a row in f64.
    pub(super) fn cancellation(&self, objective: Objective, x: &[f64]) -> f64 {
        let of_row = |row| {
            let (row, label) = self.row(row);
            objective.twin().cancellation(row, label, x)
        };
        // It is not a number if the twin has no bound.
        (0..self.labels.len()).map(of_row).fold(0.0, f64::max)
    }

    /// Returns the mean loss of rows, its gradient, and the largest entry of the gradient of a row.
    pub(super) fn mean(
        &self,
        objective: Objective,
        rows: &[usize],
        x: &[f64],
    ) -> (f64, Vec<f64>, f64) {
        let (mut loss, mut gradient, mut largest) = (0.0, vec![0.0; x.len()], 0f64);
        for &row in rows {
            let (of_row, slopes) = self.at(objective, row, x);
            loss += of_row / rows.len() as f64;
            for (sum, slope) in gradient.iter_mut().zip(slopes) {
                *sum += slope / rows.len() as f64;
                largest = largest.max(slope.abs());
            }
        }
        (loss, gradient, largest)
    }
}

/// Draws a model with entries of this size.
pub(super) fn model(dimension: usize, size: f64, rng: &mut impl Rng) -> Vec<f64> {
    (0..dimension).map(|_| size * rng.random_range(-1.0..1.0)).collect()
}
