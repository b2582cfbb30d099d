//! Layers of weights with tanh between them and softmax after the last, trained by gradient descent in f64: the float
//! program that classifiers on boards are compared with. One layer is softmax regression, two are a perceptron.
//!
//! It shares the reader of data sets with the system, and nothing else.

use smidgen::problem::dataset::Dataset;

/// Weights by layer and unit, the bias last.
pub struct Classifier(Vec<Vec<Vec<f64>>>);

/// Features and class of a row.
type Row = (Vec<f64>, usize);

/// The rows of a data set.
pub fn rows(dataset: &Dataset) -> Vec<Row> {
    let row = |row| {
        let (row, mut features) = (dataset.row(row), vec![0.0; dataset.dimension()]);
        row.entries().for_each(|(k, value)| features[k] = value);
        (features, row.label as usize)
    };
    (0..dataset.row_count()).map(row).collect()
}

impl Classifier {
    /// A classifier with these numbers of inputs and of units per layer; weights are spread over ±1/8.
    pub fn new(sizes: &[usize]) -> Self {
        let mut state = 88172645463325252u64;
        let mut weight = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / 2f64.powi(55) - 0.125
        };
        let mut layer = |size: &[usize]| {
            (0..size[1]).map(|_| (0..=size[0]).map(|_| weight()).collect()).collect()
        };
        Self(sizes.windows(2).map(&mut layer).collect())
    }

    /// The inputs of every layer, each with a 1 appended, and the scores.
    fn forward(&self, features: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let (mut inputs, mut units) = (Vec::new(), features.to_vec());
        for (depth, layer) in self.0.iter().enumerate() {
            if depth > 0 {
                units.iter_mut().for_each(|unit| *unit = unit.tanh());
            }
            units.push(1.0);
            let next = layer.iter().map(|weights| dot(weights, &units)).collect();
            inputs.push(std::mem::replace(&mut units, next));
        }
        (inputs, units)
    }

    /// One step of gradient descent on the mean cross-entropy.
    pub fn step(&mut self, rows: &[Row], gamma: f64) {
        let mut change: Vec<_> = self.0.clone();
        change.iter_mut().flatten().flatten().for_each(|change| *change = 0.0);
        for (features, class) in rows {
            let (inputs, scores) = self.forward(features);
            let max = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
            let mut slopes: Vec<_> = scores.iter().map(|s| (s - max).exp() / sum).collect();
            slopes[*class] -= 1.0;
            for (depth, input) in inputs.iter().enumerate().rev() {
                for (slope, change) in slopes.iter().zip(&mut change[depth]) {
                    change.iter_mut().zip(input).for_each(|(change, x)| *change += slope * x);
                }
                let back = |(u, x): (usize, &f64)| {
                    let sum: f64 = self.0[depth].iter().zip(&slopes).map(|(w, s)| w[u] * s).sum();
                    sum * (1.0 - x * x)
                };
                slopes = input[..input.len() - 1].iter().enumerate().map(back).collect();
            }
        }
        let scale = gamma / rows.len() as f64;
        let weights = self.0.iter_mut().flatten().flatten();
        weights.zip(change.iter().flatten().flatten()).for_each(|(w, change)| *w -= scale * change);
    }

    /// The share of rows with a correct prediction.
    pub fn accuracy(&self, rows: &[Row]) -> f64 {
        let right = |(features, class): &&Row| {
            let (_, scores) = self.forward(features);
            scores
                .iter()
                .enumerate()
                .all(|(other, score)| other == *class || *score < scores[*class])
        };
        rows.iter().filter(right).count() as f64 / rows.len() as f64
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
