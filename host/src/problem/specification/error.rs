//! Why options make no method specification.

use crate::options::{EachError, KError};
use crate::problem::method::listed;
use thiserror::Error;

/// Options that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecificationError {
    /// An absent worker does not send zero: without memory of its last gradient the method is undefined.
    #[error(
        "--participation needs a method that keeps estimators, such as ef21; {0} sends gradients anew each round"
    )]
    Participation(&'static str),
    /// A worker that is left out is restored.
    #[error(
        "--absent skip needs a method whose state the host can restore, such as ef21; that of {0} it cannot"
    )]
    Absent(&'static str),
    /// With minibatches it is not gradient descent.
    #[error(
        "--method {0} looks at all rows, so it has no --batch; leave one of the two out, or give ef21 with --k as large as \
         the model"
    )]
    Batch(&'static str),
    /// The step belongs to another theory.
    #[error(
        "--step {step} is a theory of {} with the downlinks dense and sparse, and rare one of objectives with one weight for \
         each feature; give qm, am or a number", listed("and", |traits| traits.proof.has_refinements())
    )]
    Step {
        /// The step that was asked for.
        step: String,
    },
    /// Averages of a worker that is away stand still, which the theorem of EF21-SGDM does not know.
    #[error(
        "--step {0} is no theory of ef21-sgdm with --participation below 1, whose absent workers do not average their \
         gradients; give auto or a number, or choose ef21"
    )]
    AbsentAverage(String),
    /// Averages that take nothing in.
    #[error(
        "--eta 0 makes ef21-sgdm average nothing but the first gradients; give a number above 0, such as 0.1"
    )]
    NoAverage,
    /// A regulariser acts on all coordinates.
    #[error(
        "--step rare counts the features in the rows of each worker, and a regulariser gives every worker a gradient on \
         all coordinates; add --lambda 0, or choose am"
    )]
    RareRegularised,
    /// Theory has no step.
    #[error(
        "no theory has a step for --objective {0}; give --step a number such as 0.5, or auto to a method of estimators such \
         as ef21"
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
    /// The step is made of other numbers, or workers are weighed before they can tell.
    #[error(
        "--constants boards makes a step of what boards report, so it is for --step auto, am, qm or exact of methods without \
         weights or clones, and not for a perceptron or for minibatches whose noise grows with the loss, as that of least \
         squares does; leave it out"
    )]
    Reports,
    /// A server that compresses what it sends cannot send everything.
    #[error(
        "--downlink-k {k} exceeds the dimension of the model, {dimension}; give 1 to {dimension}"
    )]
    DownlinkK {
        /// The K asked for.
        k: u32,
        /// The dimension d.
        dimension: u32,
    },
    /// K does not suit the problem.
    #[error(transparent)]
    K(#[from] KError),
    /// A list has another number of workers.
    #[error(transparent)]
    Each(#[from] EachError),
}
