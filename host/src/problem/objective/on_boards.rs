//! f as boards compute it, before they round a gradient to its grid.

use super::Objective;
use super::loss::Loss;
use crate::problem::dataset::quantise::Held;

/// Bits of the largest product of a coordinate of the model and the scale of its column.
const PRODUCT_BITS: i32 = 31;

/// The objective of the rows as shards hold them. Products of the model with the scales of the columns are rounded to one grid, and so are targets, as a
/// board does before a pass over its rows.
#[derive(Clone, Debug)]
pub struct OnBoards {
    objective: Objective,
    /// Scales of the columns of each worker.
    scales: Vec<Vec<f64>>,
}

impl OnBoards {
    /// That of an objective whose workers hold such rows.
    pub fn new(objective: Objective, held: impl Iterator<Item = Held>) -> Self {
        let (mut values, mut labels, mut scales) = (vec![], vec![], vec![]);
        for held in held {
            values.extend(held.values);
            labels.extend(held.labels);
            scales.push(held.scales);
        }
        assert_eq!((values.len(), labels.len()), (objective.values.len(), objective.labels.len()));
        Self { objective: Objective { values, labels, ..objective }, scales }
    }

    /// ∇f_i(x) of worker i.
    pub fn gradient(&self, worker: usize, x: &[f64]) -> Vec<f64> {
        let scales = &self.scales[worker];
        // A model with biases has one after the weights of all columns.
        let stride = scales.len() + 1;
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
        let is_target = match self.objective.loss {
            Loss::LeastSquares => unit > 0.0,
            Loss::Logistic | Loss::Softmax { .. } | Loss::Perceptron { .. } => false,
        };
        let target = |label: f64| if is_target { (label / unit).round() * unit } else { label };
        let mut gradient = vec![0.0; x.len()];
        let rows = &self.objective.workers[worker..=worker];
        self.objective.rows_mean(rows, &rounded, &mut gradient, target);
        // The regulariser is that of the model as it is.
        self.objective.penalty.add(x, &mut gradient);
        gradient
    }
}

/// The least power of two above a magnitude; 0 for 0.
fn next_power(real: f64) -> f64 {
    if real == 0.0 { 0.0 } else { (real.abs().log2().floor() + 1.0).exp2() }
}
