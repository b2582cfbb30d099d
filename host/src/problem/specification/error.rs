//! Errors of method specifications.

use crate::options::{Choice, KError, Method, Objective, PerWorkerError};
use crate::problem::objective::{Curvature, RowNoise};
use thiserror::Error;

/// Reasons why options give no method specification.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecificationError {
    /// An absent worker does not send zero: without memory of its last gradient the method is undefined.
    #[error(
        "--participation needs a method with estimators, such as ef21; {0} sends new gradients in each round"
    )]
    Participation(&'static str),
    /// An excluded worker must be restorable.
    #[error(
        "--absent skip needs a method whose workers the host can restore, such as ef21; it cannot restore those of {0}"
    )]
    Absent(&'static str),
    /// With minibatches it is not gradient descent.
    #[error(
        "--method {0} uses all rows, so it has no --batch; omit one of the two, or give ef21 with --k as large as the \
         model"
    )]
    Batch(&'static str),
    /// The step belongs to another theory.
    #[error(
        "--step {step} applies to {} with --downlink dense or sparse, and rare only to objectives with one weight per \
         feature; give qm, am or a number", Method::listed("and", |method| method.info().proof.has_refinements())
    )]
    Step {
        /// The requested step.
        step: String,
    },
    /// The average of an absent worker does not change, which the theorem of EF21-SGDM does not cover.
    #[error(
        "--step {0} does not apply to ef21-sgdm with --participation below 1, whose absent workers do not average \
         their gradients; give auto or a number, or choose ef21"
    )]
    AbsentAverage(String),
    /// An average that ignores new gradients.
    #[error(
        "with --eta 0, ef21-sgdm ignores all gradients except the first; give a number above 0, such as 0.1"
    )]
    NoAverage,
    /// A regulariser acts on all coordinates.
    #[error(
        "--step rare counts the features of each worker, but with a regulariser every worker has a gradient on all \
         coordinates; add --lambda 0, or choose am"
    )]
    RareRegularised,
    /// Its theorem assumes convex functions.
    #[error(
        "--step tight needs convex functions, which the nonconvex regulariser does not give; add --regulariser l2 or \
         --lambda 0, or choose am"
    )]
    TightNonconvex,
    /// Theory has no step.
    #[error(
        "theory has no step size for --objective {0}; give --step a number such as 0.5, or auto with a method with \
         estimators such as ef21"
    )]
    NoStep(&'static str),
    /// Theory has no constants.
    #[error(
        "--method {method} needs smoothness constants, which --objective {objective} does not have; choose ef21"
    )]
    NoConstants {
        /// The method.
        method: &'static str,
        /// The objective.
        objective: &'static str,
    },
    /// The step size needs other numbers, or workers are weighted before they report constants.
    #[error(
        "--constants boards computes the step size from reports of the boards: it needs --step auto, am, qm, exact or \
         tight, and a method without weights or clones; it excludes --objective {}, and minibatches of {}; omit it",
        without_constants(),
        with_growing_noise()
    )]
    Reports,
    /// `--downlink-k` exceeds the dimension.
    #[error(
        "--downlink-k {k} exceeds the dimension of the model, {dimension}; give 1 to {dimension}"
    )]
    DownlinkK {
        /// The given K.
        k: u32,
        /// The dimension d.
        dimension: u32,
    },
    /// K does not fit the problem.
    #[error(transparent)]
    K(#[from] KError),
    /// A list has another number of workers.
    #[error(transparent)]
    PerWorker(#[from] PerWorkerError),
}

/// Lists the objectives whose smoothness constants are unknown.
fn without_constants() -> String {
    Objective::listed("or", |objective| match objective.info().curvature {
        Curvature::Unbounded { .. } => true,
        Curvature::AtMost(_) => false,
    })
}

/// Lists the objectives whose noise grows with the loss, so that its bound needs more than the constants.
fn with_growing_noise() -> String {
    Objective::listed("or", |objective| match objective.info().row_noise {
        RowNoise::GrowsWithLoss => true,
        RowNoise::Bounded(_) | RowNoise::Unknown => false,
    })
}
