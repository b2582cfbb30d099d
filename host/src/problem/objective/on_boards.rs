//! f as boards compute it, before they round a gradient to its grid.

use super::function::Objective;
use crate::objective::Targets;
use crate::problem::dataset::quantise::Held;
use std::ops::Range;

/// Bits of the largest product of a coordinate of the model and the scale of its column.
const PRODUCT_BITS: i32 = 31;

/// The objective of the quantised rows of the shards.
///
/// Products of the model with the scales of the columns and of biases are rounded to one grid, and so are targets, as a
/// board does before a pass over its rows.
#[derive(Clone, Debug)]
pub struct OnBoards {
    objective: Objective,
    /// Scales of the columns of each worker, and of a bias after them.
    scales: Vec<Vec<f64>>,
    /// The mean norm of a worker's rows, including the input of a bias if there is one.
    norms: Vec<f64>,
}

/// ∇f_i(x) of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// The gradient with exact residuals.
    pub gradient: Vec<f64>,
    /// Bound on the error by rounding of residuals, as a norm.
    pub error: f64,
}

impl OnBoards {
    /// Creates the objective of workers with these rows.
    pub fn new(objective: Objective, held: impl Iterator<Item = Held>) -> Self {
        let (mut values, mut labels, mut scales) = (vec![], vec![], vec![]);
        for held in held {
            values.extend(held.values);
            labels.extend(held.labels);
            scales.push([held.scales, vec![held.bias_scale]].concat());
        }
        assert_eq!((values.len(), labels.len()), (objective.values.len(), objective.labels.len()));
        let objective = Objective { values, labels, ..objective };
        let norms = objective.workers.iter().map(|rows| mean_norm(&objective, rows.clone()));
        let norms = norms.collect();
        Self { objective, scales, norms }
    }

    /// Computes ∇f_i(x) of worker i.
    pub fn compute(&self, worker: usize, x: &[f64]) -> Computed {
        let (rounded, unit) = self.rounded(worker, x);
        let target = |label: f64| self.held_label(label, unit);
        let mut gradient = vec![0.0; x.len()];
        let rows = &self.objective.workers[worker..=worker];
        self.objective.rows_mean(rows, &rounded, &mut gradient, target);
        // The regulariser uses the unrounded model.
        self.objective.penalty.add(x, &mut gradient);
        Computed { gradient, error: self.residual_error(worker, x, unit) * self.norms[worker] }
    }

    /// Returns the model on the grid of its products with the scales of a worker, and the unit of that grid.
    fn rounded(&self, worker: usize, x: &[f64]) -> (Vec<f64>, f64) {
        let scales = &self.scales[worker];
        // Each piece of a model has the weights of all columns, then a bias if the objective has biases.
        let stride = scales.len();
        let products = x.chunks(stride).flat_map(|x| x.iter().zip(scales));
        let largest = products.map(|(x, scale)| next_power(*x) * next_power(*scale));
        let unit = largest.fold(0.0, f64::max) * f64::from(-PRODUCT_BITS).exp2();
        let mut rounded = x.to_vec();
        for (x, scale) in rounded.chunks_mut(stride).flat_map(|x| x.iter_mut().zip(scales)) {
            // A column without entries has no scale, and a model of zeros no unit.
            if unit > 0.0 && *scale > 0.0 {
                *x = (*x * scale / unit).round() * unit / scale;
            }
        }
        (rounded, unit)
    }

    /// Returns a bound on the rounding error of a row's residuals, as a norm over its margins.
    fn residual_error(&self, worker: usize, x: &[f64], unit: f64) -> f64 {
        let rows = self.objective.workers[worker].clone();
        let rows = rows.map(|row| (self.objective.row(row), self.objective.labels[row]));
        self.objective.kind.twin().residual_error(&rows.collect::<Vec<_>>(), x, unit)
    }

    /// Returns the label with which a board computes if products of the model have a grid of this unit.
    fn held_label(&self, label: f64, unit: f64) -> f64 {
        match self.objective.kind.info().targets {
            Targets::Labels if unit > 0.0 => (label / unit).round() * unit,
            Targets::Labels | Targets::None | Targets::Signs => label,
        }
    }
}

/// Returns the mean norm of rows, including the input of a bias if there is one.
fn mean_norm(objective: &Objective, rows: Range<usize>) -> f64 {
    let bias = f64::from(objective.kind.info().margins.have_bias());
    let (row_count, norm) = (rows.len() as f64, |row| {
        let squares = objective.row(row).values.iter().map(|value| value * value);
        (squares.sum::<f64>() + bias).sqrt()
    });
    rows.map(norm).sum::<f64>() / row_count
}

/// Returns the least power of two above a magnitude, or 0 for 0.
fn next_power(real: f64) -> f64 {
    if real == 0.0 { 0.0 } else { (real.abs().log2().floor() + 1.0).exp2() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;
    use crate::problem::dataset::Dataset;
    use crate::problem::dataset::quantise::held;
    use crate::problem::objective::Penalty;
    use smidgen_protocol::shard::Width;

    /// Three classes and two columns of bytes, whose unit is 1 and whose bias has 2^-6.
    fn softmax() -> OnBoards {
        let kind = options::Objective::Softmax;
        let text = "0 1:1 2:100\n1 1:-3 2:5\n2 1:2 2:-7\n";
        let dataset = Dataset::parse_with("rows", text, kind.info().labels).unwrap();
        let share = vec![0, 1, 2];
        let held = held(&dataset, &share, Width::I16);
        assert_eq!((&held.scales[..], held.bias_scale), (&[1.0, 1.0][..], 1.0 / 64.0));
        let objective = Objective::new(kind, Penalty::nonconvex(0.0), &dataset, &[share]);
        OnBoards::new(objective, [held].into_iter())
    }

    #[test]
    fn bias_is_rounded_to_the_grid_of_the_products() {
        let mut x = vec![0.0; 9];
        // The weight gives a unit of 2^-29, and the product of the bias and 2^-6 is 5/4 of that.
        (x[0], x[2]) = (1.0, 1.25 * 2f64.powi(-23));
        let (rounded, unit) = softmax().rounded(0, &x);
        assert_eq!((rounded[0], rounded[2], unit), (1.0, 2f64.powi(-23), 2f64.powi(-29)));
    }

    #[test]
    fn large_bias_coarsens_the_grid_of_the_weights() {
        let weight = 2f64.powi(-20) + 2f64.powi(-29);
        let of = |bias: f64| {
            let mut x = vec![0.0; 9];
            (x[0], x[8]) = (weight, bias);
            let (rounded, unit) = softmax().rounded(0, &x);
            (rounded[0], rounded[8], unit)
        };
        assert_eq!(of(64.0), (weight, 64.0, 2f64.powi(-29)));
        assert_eq!(of(256.0), (2f64.powi(-20), 256.0, 2f64.powi(-27)));
    }
}
