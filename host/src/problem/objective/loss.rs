//! The objectives: properties that theory needs, the loss of a row in f64, and its gradient.
//!
//! An objective is a variant of [`options::Objective`], which `--help` lists, and its arms here. Boards use the
//! implementation in `smidgen_firmware`.

use crate::options;
use crate::problem::dataset::{Dataset, Labels};
use std::iter;

/// Number of hidden units of a perceptron.
pub const HIDDEN: usize = 32;

/// Bits of the largest residual of least squares.
const RESIDUAL_BITS: i32 = 30;
/// Bits of a sum of residuals without those of a feature of 16 bits; see `Precision` of the firmware.
const SUM_BITS: i32 = 62 - 15;
/// Bits of the accuracy of a residual of logistic regression.
const LOGISTIC_BITS: i32 = 28;
/// Bits of the accuracy of a residual of one class of softmax regression.
const SOFTMAX_BITS: i32 = 26;

/// The properties of an objective.
#[derive(Clone, Copy, Debug)]
pub struct ObjectiveInfo {
    /// Interpretation of the labels of a data set.
    pub labels: Labels,
    /// The margins of a row.
    pub margins: Margins,
    /// Bound on the curvature of the loss of a row.
    pub curvature: Curvature,
    /// True if the loss of a row is convex.
    pub is_convex: bool,
    /// Bound on the gradient of a row, and so on the noise of minibatches.
    pub row_noise: RowNoise,
    /// The targets of margins.
    pub targets: Targets,
    /// Probabilities of the classes, by the scores of a row.
    pub probabilities: Probabilities,
    /// True if models start at random, because x = 0 is a stationary point.
    pub starts_at_random: bool,
}

/// Probabilities of the classes, by the scores of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probabilities {
    /// There are none: scores are distances or targets.
    None,
    /// That of the second class is σ of the only score.
    Sigmoid,
    /// The softmax of the scores.
    Softmax,
}

/// The margins of a row, of which its loss is a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margins {
    /// aᵀx
    One,
    /// w_cᵀa + b_c of each class; x holds the w_c, each before its b_c.
    PerClass,
    /// Scores of hidden units tanh(v_uᵀa + e_u); x holds the v_u and e_u, then weights and biases of the scores.
    Hidden,
}

impl Margins {
    /// Returns whether a margin has a bias, the weight of a constant input 1.
    pub const fn have_bias(self) -> bool {
        match self {
            Self::One => false,
            Self::PerClass | Self::Hidden => true,
        }
    }

    /// Returns whether they are functions of hidden units.
    pub const fn have_units(self) -> bool {
        match self {
            Self::One | Self::PerClass => false,
            Self::Hidden => true,
        }
    }
}

/// Bound on the Hessian of the loss of a row in its margins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curvature {
    /// The Hessian is at most this.
    AtMost(f64),
    /// There is no bound, so theory has no constants. A tuned step size starts from that of another objective.
    Unbounded {
        /// The other objective, which has a bound.
        starts_like: options::Objective,
    },
}

/// The targets of margins: a residual is the difference of a margin and its target, which has the grid of margins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// There are none.
    None,
    /// The labels.
    Labels,
    /// ±1, by the class.
    Signs,
}

/// Bound on the gradient of the loss of a row.
#[derive(Clone, Copy, Debug)]
pub enum RowNoise {
    /// Its square is at most this function of the sum of the squared features.
    Bounded(fn(f64) -> f64),
    /// Its square is at most 2 L_ij times the loss of the row, L_ij = 2 ‖a_j‖².
    GrowsWithLoss,
    /// No known bound.
    Unknown,
}

impl options::Objective {
    /// Returns the properties of the objective. Each arm lists all of them, so that none can be forgotten.
    pub const fn info(self) -> ObjectiveInfo {
        match self {
            Self::Logistic => ObjectiveInfo {
                labels: Labels::Binary,
                margins: Margins::One,
                // σ(1 − σ)
                curvature: Curvature::AtMost(0.25),
                is_convex: true,
                row_noise: RowNoise::Bounded(|squares| squares),
                targets: Targets::None,
                probabilities: Probabilities::Sigmoid,
                starts_at_random: false,
            },
            Self::LeastSquares => ObjectiveInfo {
                labels: Labels::Real,
                margins: Margins::One,
                curvature: Curvature::AtMost(2.0),
                is_convex: true,
                row_noise: RowNoise::GrowsWithLoss,
                targets: Targets::Labels,
                probabilities: Probabilities::None,
                starts_at_random: false,
            },
            Self::Softmax => ObjectiveInfo {
                labels: Labels::Classes,
                margins: Margins::PerClass,
                // diag(p) − ppᵀ, by Böhning (1992).
                curvature: Curvature::AtMost(0.5),
                is_convex: true,
                row_noise: RowNoise::Bounded(|squares| 2.0 * (squares + 1.0)),
                targets: Targets::None,
                probabilities: Probabilities::Softmax,
                starts_at_random: false,
            },
            Self::Perceptron => ObjectiveInfo {
                labels: Labels::Classes,
                margins: Margins::Hidden,
                // At the start its units are almost linear, so it resembles softmax regression on them.
                curvature: Curvature::Unbounded { starts_like: Self::Softmax },
                is_convex: false,
                row_noise: RowNoise::Unknown,
                targets: Targets::None,
                probabilities: Probabilities::Softmax,
                starts_at_random: true,
            },
            Self::SquaredHinge => ObjectiveInfo {
                labels: Labels::Binary,
                margins: Margins::One,
                // 2 where a margin falls short of its target, else 0.
                curvature: Curvature::AtMost(2.0),
                is_convex: true,
                row_noise: RowNoise::GrowsWithLoss,
                targets: Targets::Signs,
                probabilities: Probabilities::None,
                starts_at_random: false,
            },
        }
    }

    /// Returns the dimension d of its model.
    pub const fn dimension(self, features: usize, classes: u8) -> usize {
        let classes = classes as usize;
        match self.info().margins {
            Margins::One => features,
            Margins::PerClass => classes * (features + 1),
            Margins::Hidden => HIDDEN * (features + 1) + classes * (HIDDEN + 1),
        }
    }

    /// Returns the seed of x⁰ for the seed of a run; 0 stands for x⁰ = 0.
    pub const fn start_seed(self, seed: u32) -> u32 {
        if self.info().starts_at_random { seed.saturating_add(1) } else { 0 }
    }

    /// Returns the bound on the gradient of a row.
    pub const fn row_noise(self) -> RowNoise {
        self.info().row_noise
    }
}

/// The loss of rows of a data set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    kind: options::Objective,
    features: usize,
}

/// The features of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub columns: &'a [u16],
    pub values: &'a [f64],
}

impl Row<'_> {
    fn entries(&self) -> impl Iterator<Item = (usize, f64)> {
        iter::zip(self.columns, self.values).map(|(&column, &value)| (usize::from(column), value))
    }

    pub(super) fn dot(&self, x: &[f64]) -> f64 {
        self.entries().map(|(column, value)| value * x[column]).sum()
    }

    /// Computes `vector += factor * a`.
    fn add_to(&self, vector: &mut [f64], factor: f64) {
        self.entries().for_each(|(column, value)| vector[column] += factor * value);
    }
}

impl Loss {
    /// Creates the loss for rows of a data set.
    pub(super) fn new(kind: options::Objective, dataset: &Dataset) -> Self {
        Self::of(kind, dataset.dimension())
    }

    /// Creates the loss for rows with this number of features.
    pub(super) const fn of(kind: options::Objective, features: usize) -> Self {
        Self { kind, features }
    }

    /// Returns whether margins have a bias.
    pub(super) const fn has_bias(self) -> bool {
        self.kind.info().margins.have_bias()
    }

    /// Returns the loss of a row, and adds `weight` times its gradient to `gradient`.
    pub(super) fn add(
        self,
        row: Row<'_>,
        label: f64,
        weight: f64,
        x: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let features = self.features;
        match self.kind {
            // log(1 + exp(−y aᵀx)), y = ±1
            options::Objective::Logistic => {
                let y = if label > 0.0 { 1.0 } else { -1.0 };
                let (loss, slope) = softplus(-y * row.dot(x));
                row.add_to(gradient, -y * weight * slope);
                loss
            }
            // (aᵀx − b)²
            options::Objective::LeastSquares => {
                let residual = row.dot(x) - label;
                row.add_to(gradient, 2.0 * weight * residual);
                residual * residual
            }
            // max(0, 1 − y aᵀx)², y = ±1
            options::Objective::SquaredHinge => {
                let (shortfall, y) = shortfall(row, label, x);
                row.add_to(gradient, -2.0 * weight * y * shortfall);
                shortfall * shortfall
            }
            // The cross-entropy of the margins.
            options::Objective::Softmax => {
                let (loss, slopes) = cross_entropy(&affine(row, x, features), label);
                let pieces = gradient.chunks_exact_mut(features + 1);
                for (slope, gradient) in iter::zip(slopes, pieces) {
                    row.add_to(gradient, weight * slope);
                    gradient[features] += weight * slope;
                }
                loss
            }
            // The cross-entropy of the scores.
            options::Objective::Perceptron => {
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

    /// Returns a bound on the cancellation error of the loss of a row in f64.
    pub(super) fn cancellation(self, row: Row<'_>, label: f64, x: &[f64]) -> f64 {
        match self.kind {
            options::Objective::LeastSquares => {
                let terms = row.entries().map(|(column, value)| (value * x[column]).abs());
                let error = distance_error(row, terms.sum::<f64>() + label.abs());
                error * (2.0 * (row.dot(x) - label).abs() + error)
            }
            options::Objective::SquaredHinge => {
                let terms = row.entries().map(|(column, value)| (value * x[column]).abs());
                let error = distance_error(row, terms.sum::<f64>() + 1.0);
                error * (2.0 * shortfall(row, label, x).0 + error)
            }
            // The error of a margin is multiplied by the probability of the wrong class, which is less than the loss.
            options::Objective::Logistic => 0.0,
            // The logarithm of the sum and the score of the class cancel.
            options::Objective::Softmax => {
                let scores = affine(row, x, self.features);
                let size = scores.iter().map(|score| score.abs()).fold(0.0, f64::max);
                (2.0 * size + scores.len() as f64) * f64::EPSILON
            }
            // Theory has no constants of it, so nothing is watched.
            options::Objective::Perceptron => f64::NAN,
        }
    }

    /// Returns the scores of a row: its margins, one per class or only one.
    pub(super) fn scores(self, row: Row<'_>, x: &[f64]) -> Vec<f64> {
        let features = self.features;
        match self.kind.info().margins {
            Margins::One => vec![row.dot(x)],
            Margins::PerClass => affine(row, x, features),
            Margins::Hidden => {
                let (first, second) = x.split_at(HIDDEN * (features + 1));
                scores(&hidden_units(row, first, features), second)
            }
        }
    }

    /// Returns the class that scores predict, if there are classes.
    pub(super) fn class(self, scores: &[f64]) -> Option<usize> {
        let ObjectiveInfo { labels, margins, .. } = self.kind.info();
        match (labels, margins) {
            (Labels::Real, _) => None,
            (Labels::Binary | Labels::Classes, Margins::One) => {
                Some(usize::from(scores.iter().any(|score| *score > 0.0)))
            }
            (Labels::Binary | Labels::Classes, Margins::PerClass | Margins::Hidden) => {
                Some(largest(scores))
            }
        }
    }

    /// Returns the probabilities of the classes; none if the objective has none.
    pub(super) fn probabilities(self, scores: &[f64]) -> Vec<f64> {
        match self.kind.info().probabilities {
            Probabilities::None => Vec::new(),
            Probabilities::Sigmoid => {
                scores.iter().flat_map(|z| [sigmoid(-z), sigmoid(*z)]).collect()
            }
            Probabilities::Softmax => softmax(scores).0,
        }
    }

    /// Returns the label with which a board computes if products of the model have a grid of this unit.
    pub(super) fn held_label(self, label: f64, unit: f64) -> f64 {
        match self.kind {
            options::Objective::LeastSquares if unit > 0.0 => (label / unit).round() * unit,
            options::Objective::LeastSquares
            | options::Objective::Logistic
            | options::Objective::Softmax
            | options::Objective::Perceptron
            | options::Objective::SquaredHinge => label,
        }
    }

    /// Returns a bound on the rounding error of a row's residuals on a board, as a norm over its margins. `rows` are
    /// the rows and labels of the worker, `unit` is that of the grid of products.
    pub(super) fn residual_error<'a>(
        self,
        rows: impl ExactSizeIterator<Item = (Row<'a>, f64)>,
        x: &[f64],
        unit: f64,
    ) -> f64 {
        let bits = |bits: i32| f64::from(-bits).exp2();
        // Sums over many rows leave fewer bits for each residual.
        let left = SUM_BITS - (rows.len() as f64).log2().ceil() as i32;
        let rounding = 2.0 * bits(RESIDUAL_BITS.min(left));
        match self.kind {
            options::Objective::LeastSquares => {
                let residuals = rows.map(|(row, label)| (row.dot(x) - label).abs());
                rounding * residuals.fold(0.0, f64::max)
            }
            options::Objective::SquaredHinge => {
                let shortfalls = rows.map(|(row, label)| shortfall(row, label, x).0);
                // On a grid coarser than 1 a target is off by less than its unit.
                let target = if unit > 1.0 { 2.0 * unit } else { 0.0 };
                rounding * shortfalls.fold(0.0, f64::max) + target
            }
            options::Objective::Logistic => bits(LOGISTIC_BITS),
            options::Objective::Softmax => {
                ((x.len() / (self.features + 1)) as f64).sqrt() * bits(SOFTMAX_BITS)
            }
            // Theory has no constants of it, so nothing is watched.
            options::Objective::Perceptron => f64::NAN,
        }
    }
}

/// Returns how far the margin of a row falls short of 1 on the side of its class, and that side, y = ±1.
fn shortfall(row: Row<'_>, label: f64, x: &[f64]) -> (f64, f64) {
    let y = if label > 0.0 { 1.0 } else { -1.0 };
    ((1.0 - y * row.dot(x)).max(0.0), y)
}

/// Returns a bound on the rounding error of the distance of a margin from a target; `size` is the sum of the magnitudes
/// of its terms.
fn distance_error(row: Row<'_>, size: f64) -> f64 {
    (row.values.len() + 2) as f64 * f64::EPSILON * size
}

/// Returns w_cᵀa + b_c for every piece (w_c, b_c) of x.
fn affine(row: Row<'_>, x: &[f64], features: usize) -> Vec<f64> {
    x.chunks_exact(features + 1).map(|piece| row.dot(piece) + piece[features]).collect()
}

/// Returns the hidden units, followed by a constant 1.
fn hidden_units(row: Row<'_>, first: &[f64], features: usize) -> Vec<f64> {
    affine(row, first, features).into_iter().map(f64::tanh).chain([1.0]).collect()
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
fn softmax(scores: &[f64]) -> (Vec<f64>, f64) {
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    (powers.iter().map(|power| power / sum).collect(), sum.ln() + max)
}

/// Returns the first class with the largest score.
fn largest(scores: &[f64]) -> usize {
    let (class, _) = scores.iter().enumerate().fold((0, f64::MIN), |best, (class, &score)| {
        if score > best.1 { (class, score) } else { best }
    });
    class
}

/// Returns 1/(1 + e^(−z)), without overflow.
fn sigmoid(z: f64) -> f64 {
    softplus(z).1
}

/// Returns log(1 + e^z) and its derivative, without overflow or cancellation for any z.
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
    fn softplus_is_accurate_for_large_magnitudes() {
        assert_eq!(softplus(1000.0), (1000.0, 1.0));
        assert_eq!(softplus(0.0), (2f64.ln(), 0.5));
        assert_eq!(softplus(-f64::INFINITY), (0.0, 0.0));
        let (value, slope) = softplus(-100.0);
        let tiny = (-100f64).exp();
        assert!((value / tiny - 1.0).abs() < 1e-15 && (slope / tiny - 1.0).abs() < 1e-15);
    }
}
