//! The trait of an f64 twin, its facts, and an objective as a value.

use std::fmt::{self, Debug, Formatter};
use std::iter;

/// The f64 twin of an objective of boards, and what the host knows of it.
///
/// For a loss of a margin aᵀx use [`MarginTwin`](super::MarginTwin), which needs three facts. Implement the trait for
/// objectives of several margins.
pub trait Twin: Sync {
    /// Returns its name on the command line and in records, which is that of the boards' objective.
    fn name(&self) -> &'static str;

    /// Returns its description in `--help`, without a full stop.
    fn about(&self) -> &'static str;

    /// Returns its properties.
    fn info(&self) -> ObjectiveInfo;

    /// Returns the loss of a row, and adds `weight` times its gradient to `gradient`.
    fn add(&self, row: Row<'_>, label: f64, weight: f64, x: &[f64], gradient: &mut [f64]) -> f64;

    /// Returns the scores of a row: one per class, or only one.
    fn scores(&self, row: Row<'_>, x: &[f64]) -> Vec<f64>;

    /// Returns a bound on the cancellation error of the loss of a row in f64; NaN if theory has no constants.
    fn cancellation(&self, _row: Row<'_>, _label: f64, _x: &[f64]) -> f64 {
        f64::NAN
    }

    /// Returns a bound on the rounding error of a row's residuals on a board, as a norm over its margins; NaN if theory
    /// has no constants. `rows` are the rows and labels of the worker, `unit` is that of the grid of products.
    fn residual_error(&self, _rows: &[(Row<'_>, f64)], _x: &[f64], _unit: f64) -> f64 {
        f64::NAN
    }
}

/// The features of a row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Number of features p, including those that are 0.
    pub features: usize,
    /// Columns of the listed features.
    pub columns: &'a [u16],
    /// Their values.
    pub values: &'a [f64],
}

impl Row<'_> {
    /// Returns the listed features with their columns.
    pub fn entries(&self) -> impl Iterator<Item = (usize, f64)> {
        iter::zip(self.columns, self.values).map(|(&column, &value)| (usize::from(column), value))
    }

    /// Returns aᵀx.
    pub fn dot(&self, x: &[f64]) -> f64 {
        self.entries().map(|(column, value)| value * x[column]).sum()
    }

    /// Computes `vector += factor * a`.
    pub fn add_to(&self, vector: &mut [f64], factor: f64) {
        self.entries().for_each(|(column, value)| vector[column] += factor * value);
    }
}

/// An objective, known by its twin.
#[derive(Clone, Copy)]
pub struct Objective(&'static dyn Twin);

impl Objective {
    /// Creates the objective of a twin.
    pub const fn of(twin: &'static dyn Twin) -> Self {
        Self(twin)
    }

    /// Returns its twin.
    pub const fn twin(self) -> &'static dyn Twin {
        self.0
    }

    /// Returns its properties.
    pub fn info(self) -> ObjectiveInfo {
        self.0.info()
    }
}

/// Objectives of one name are equal: a program has one of each name.
impl PartialEq for Objective {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Objective {}

impl Debug for Objective {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name())
    }
}

/// Interpretation of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Two classes, with 1 for the positive one, which has the larger label. Digits are odd or even.
    Binary,
    /// Classes, numbered from 0 in the order of their labels.
    Classes,
    /// Real targets, as in the file.
    Real,
}

impl Labels {
    /// Returns whether they are classes, of which boards know names.
    pub const fn are_classes(self) -> bool {
        match self {
            Self::Binary | Self::Classes => true,
            Self::Real => false,
        }
    }
}

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
        starts_like: Objective,
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
