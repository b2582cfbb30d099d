//! Twins of softmax regression and of the perceptron, whose rows have several margins.

use super::twin::{
    Curvature, Labels, Margins, Objective, ObjectiveInfo, Probabilities, Row, RowNoise, Targets,
    Twin,
};
use std::iter;

/// Number of hidden units of a perceptron.
pub const HIDDEN: usize = 32;

/// Bits of the accuracy of a residual of one class of softmax regression.
const SOFTMAX_BITS: i32 = 26;

/// The cross-entropy of the margins.
pub(super) struct Softmax;

/// The cross-entropy of the scores of hidden units.
pub(super) struct Perceptron;

impl Twin for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn about(&self) -> &'static str {
        "Softmax regression: up to 64 classes"
    }

    fn info(&self) -> ObjectiveInfo {
        ObjectiveInfo {
            labels: Labels::Classes,
            margins: Margins::PerClass,
            // diag(p) − ppᵀ, by Böhning (1992).
            curvature: Curvature::AtMost(0.5),
            is_convex: true,
            row_noise: RowNoise::Bounded(|squares| 2.0 * (squares + 1.0)),
            targets: Targets::None,
            probabilities: Probabilities::Softmax,
            starts_at_random: false,
        }
    }

    fn add(&self, row: Row<'_>, label: f64, weight: f64, x: &[f64], gradient: &mut [f64]) -> f64 {
        let features = row.features;
        let (loss, slopes) = cross_entropy(&affine(row, x), label);
        let pieces = gradient.chunks_exact_mut(features + 1);
        for (slope, gradient) in iter::zip(slopes, pieces) {
            row.add_to(gradient, weight * slope);
            gradient[features] += weight * slope;
        }
        loss
    }

    fn scores(&self, row: Row<'_>, x: &[f64]) -> Vec<f64> {
        affine(row, x)
    }

    /// The logarithm of the sum and the score of the class cancel.
    fn cancellation(&self, row: Row<'_>, _label: f64, x: &[f64]) -> f64 {
        let scores = affine(row, x);
        let size = scores.iter().map(|score| score.abs()).fold(0.0, f64::max);
        (2.0 * size + scores.len() as f64) * f64::EPSILON
    }

    fn residual_error(&self, rows: &[(Row<'_>, f64)], x: &[f64], _unit: f64) -> f64 {
        let features = rows.first().map_or(0, |(row, _)| row.features);
        ((x.len() / (features + 1)) as f64).sqrt() * f64::from(-SOFTMAX_BITS).exp2()
    }
}

impl Twin for Perceptron {
    fn name(&self) -> &'static str {
        "perceptron"
    }

    fn about(&self) -> &'static str {
        "Perceptron with 32 hidden units: up to 64 classes, random start, --step auto or a number (no theory)"
    }

    fn info(&self) -> ObjectiveInfo {
        ObjectiveInfo {
            labels: Labels::Classes,
            margins: Margins::Hidden,
            // At the start its units are almost linear, so it resembles softmax regression on them.
            curvature: Curvature::Unbounded { starts_like: Objective::of(&Softmax) },
            is_convex: false,
            row_noise: RowNoise::Unknown,
            targets: Targets::None,
            probabilities: Probabilities::Softmax,
            starts_at_random: true,
        }
    }

    fn add(&self, row: Row<'_>, label: f64, weight: f64, x: &[f64], gradient: &mut [f64]) -> f64 {
        let features = row.features;
        let (first, second) = x.split_at(HIDDEN * (features + 1));
        let units = hidden_units(row, first);
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

    fn scores(&self, row: Row<'_>, x: &[f64]) -> Vec<f64> {
        let (first, second) = x.split_at(HIDDEN * (row.features + 1));
        scores(&hidden_units(row, first), second)
    }
}

/// Returns w_cᵀa + b_c for every piece (w_c, b_c) of x.
fn affine(row: Row<'_>, x: &[f64]) -> Vec<f64> {
    let features = row.features;
    x.chunks_exact(features + 1).map(|piece| row.dot(piece) + piece[features]).collect()
}

/// Returns the hidden units, followed by a constant 1.
fn hidden_units(row: Row<'_>, first: &[f64]) -> Vec<f64> {
    affine(row, first).into_iter().map(f64::tanh).chain([1.0]).collect()
}

fn scores(units: &[f64], second: &[f64]) -> Vec<f64> {
    let score = |piece: &[f64]| iter::zip(piece, units).map(|(w, unit)| w * unit).sum();
    second.chunks_exact(units.len()).map(score).collect()
}

/// Returns −log of the softmax of the label's class, and its derivative for each score.
fn cross_entropy(scores: &[f64], label: f64) -> (f64, Vec<f64>) {
    let (mut slopes, log_sum) = softmax(scores);
    let label = label as usize;
    slopes[label] -= 1.0;
    (log_sum - scores[label], slopes)
}

/// Returns the softmax of scores, and the logarithm of the sum of their exponentials.
pub(super) fn softmax(scores: &[f64]) -> (Vec<f64>, f64) {
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    (powers.iter().map(|power| power / sum).collect(), sum.ln() + max)
}

/// Returns the first class with the largest score.
pub(super) fn largest(scores: &[f64]) -> usize {
    let (class, _) = scores.iter().enumerate().fold((0, f64::MIN), |best, (class, &score)| {
        if score > best.1 { (class, score) } else { best }
    });
    class
}
