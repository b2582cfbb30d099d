//! An objective under test, and what can be wrong with it.

use crate::objective::{Objective, Workers};
use smidgen_firmware::objective::ObjectiveInfo;
use thiserror::Error;

/// What is wrong with an objective.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Fault {
    /// The workers have no objective of the name of the twin.
    #[error("the workers have no objective `{0}`")]
    Unknown(&'static str),
    /// The gradient of the twin is not the derivative of its loss.
    #[error(
        "in f64, coordinate {coordinate} of the gradient is {gradient}, but differences of the loss give {slope}"
    )]
    Gradient {
        /// The coordinate.
        coordinate: usize,
        /// Its gradient.
        gradient: f64,
        /// The quotient of differences.
        slope: f64,
    },
    /// The curvature of the twin is too small.
    #[error(
        "the gradient of a row changes by {measured} times the distance, more than its bound {bound}"
    )]
    Curvature {
        /// The measured quotient.
        measured: f64,
        /// The bound of the twin for this row.
        bound: f64,
    },
    /// The bound of the boards is too small.
    #[error(
        "boards report the bound {bound} of the curvature, but the gradient changes by {measured} times the distance"
    )]
    BoardCurvature {
        /// The bound.
        bound: f64,
        /// The measured quotient.
        measured: f64,
    },
    /// Only one of both knows a bound of the curvature.
    #[error("only one of boards and twin has a bound of the curvature")]
    OneCurvature,
    /// The twin is declared convex and is not.
    #[error("the loss is not convex, but its twin says so: call `nonconvex`")]
    Convexity,
    /// Boards compute another gradient.
    #[error(
        "on boards, coordinate {coordinate} of the gradient is {found}, but in f64 it is {exact} ({case})"
    )]
    FixedGradient {
        /// The coordinate.
        coordinate: usize,
        /// The value of boards.
        found: f64,
        /// That of the twin.
        exact: f64,
        /// Rows and exponents.
        case: String,
    },
    /// Boards compute another loss.
    #[error("on boards the loss is {found}, but in f64 it is {exact} ({case})")]
    FixedLoss {
        /// The value of boards.
        found: f64,
        /// That of the twin.
        exact: f64,
        /// Rows and exponents.
        case: String,
    },
    /// An evaluation panicked.
    #[error("an evaluation panics ({0})")]
    Panic(String),
    /// A gradient out of range is not counted.
    #[error("a mantissa is at the end of its range, but `saturated` is not counted ({0})")]
    Uncounted(String),
    /// `check` accepts data that do not fit.
    #[error("`check` accepts {0}")]
    Accepts(&'static str),
    /// `check` refuses rows of the right dimension.
    #[error("`check` refuses valid rows ({0})")]
    Refuses(String),
    /// Masked rows change the result.
    #[error("masked rows change the gradient or the loss")]
    Masked,
    /// Boards give rows other classes.
    #[error("boards classify {found} rows right, but the twin classifies {exact}")]
    Classes {
        /// Of boards.
        found: u32,
        /// Of the twin.
        exact: u32,
    },
}

/// An objective under test.
pub(super) struct Subject {
    pub objective: Objective,
    pub workers: Workers,
    pub info: &'static ObjectiveInfo,
}
