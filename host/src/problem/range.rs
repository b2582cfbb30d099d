//! Range check before a run: its fixed-point grids must represent the losses, gradients and moves at the start.
//!
//! Values that leave the grids later do so because of the step size. Values out of range at x⁰ are due to the data,
//! and are reported before anything is sent.

use super::method::Eta;
use crate::options::Options;
use crate::problem::dataset::Dataset;
use crate::problem::objective::{Objective, Targets};
use crate::problem::specification::{Specification, Worker};
use crate::units::quantity::number;
use smidgen_aggregator::{InitialModel, grids, value};
use std::ops::RangeInclusive;
use thiserror::Error;

/// Largest ratio of the first move of a model to the largest target, with which a target has 14 bits on the first grid.
const TARGET_GROWTH_MAX: f64 = (1u64 << 40) as f64;

/// Rounding error of a sum that is 0, relative to its terms.
const ROUNDING: f64 = 1e-14;

/// A quantity out of the range of its grid.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RangeError {
    /// Losses at x⁰.
    #[error(
        "the labels of {dataset}, up to {}, give a loss of {} at the start, out of the range from {} to {}; scale the \
         labels, for instance to -1 to 1",
        number(*.label), number(*.loss), number(*.legal.start()), number(*.legal.end())
    )]
    Loss {
        /// Name of the data set.
        dataset: String,
        /// The largest magnitude of a label.
        label: f64,
        /// The largest loss of a worker.
        loss: f64,
        /// The valid range.
        legal: RangeInclusive<f64>,
    },
    /// Gradients at x⁰.
    #[error(
        "a gradient has a coordinate of {} at the start, out of the range from {} to {}, because of {cause}",
        number(*.gradient), number(*.legal.start()), number(*.legal.end())
    )]
    Gradient {
        /// The largest magnitude of a coordinate.
        gradient: f64,
        /// The valid range.
        legal: RangeInclusive<f64>,
        /// The reason, and what to do.
        cause: String,
    },
    /// The first move with a step size by theory.
    #[error(
        "the step size that theory allows, {}, first moves the model by {}, out of the range from {} to {}, because of \
         {cause}",
        number(*.gamma), number(*.moved), number(*.legal.start()), number(*.legal.end())
    )]
    Move {
        /// γ
        gamma: f64,
        /// The largest magnitude of a coordinate.
        moved: f64,
        /// The valid range.
        legal: RangeInclusive<f64>,
        /// The reason, and what to do.
        cause: String,
    },
    /// The first move with a given step size.
    #[error(
        "--step {gamma:e} is too small: it first moves the model by {}, but the smallest move is {}; give a larger one",
        number(*.moved), number(*.finest)
    )]
    Step {
        /// γ
        gamma: f64,
        /// The largest magnitude of a coordinate.
        moved: f64,
        /// The smallest valid move.
        finest: f64,
    },
}

/// The largest loss and the largest coordinate of a gradient at x⁰, as they are sent.
struct Start {
    loss: f64,
    gradient: f64,
}

impl Start {
    fn new(
        objective: &Objective,
        workers: &[Worker],
        dimension: usize,
        initial_model: &InitialModel,
    ) -> Self {
        let mut mantissas = vec![0; dimension];
        let exponent = initial_model.fill(&mut mantissas);
        let x: Vec<f64> = mantissas.iter().map(|&m| value(f64::from(m), exponent)).collect();
        let mut gradient = vec![0.0; dimension];
        let mut start = Self { loss: 0.0, gradient: 0.0 };
        for worker in workers {
            let loss = objective.worker_loss_and_gradient(worker.share, &x, &mut gradient);
            start.loss = start.loss.max(loss);
            let largest = gradient.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
            start.gradient = start.gradient.max(worker.spec.scale * largest);
        }
        start
    }
}

/// Checks that the grids represent the quantities at the start of a run.
///
/// # Errors
/// The first quantity out of range.
pub fn check(
    options: &Options,
    dataset: &Dataset,
    objective: &Objective,
    specification: &Specification,
    initial_model: &InitialModel,
) -> Result<(), RangeError> {
    let dimension = options.objective.dimension(dataset.dimension(), dataset.class_count());
    let workers = &specification.workers;
    let Start { loss, gradient } = Start::new(objective, workers, dimension, initial_model);
    let (gamma, moved) = (specification.method.gamma, specification.method.gamma * gradient);
    let (losses, gradients) = (grids::losses(), grids::gradients());
    let models = models(options.objective.info().targets, dataset.largest_label());
    if loss != 0.0 && !losses.contains(&loss) {
        let (label, dataset) = (dataset.largest_label(), dataset.name().into());
        return Err(RangeError::Loss { dataset, label, loss, legal: losses });
    }
    // A sum that cancels leaves rounding errors.
    let rounding = ROUNDING * dataset.largest_feature().1.abs() * dataset.largest_label().max(1.0);
    if gradient <= rounding {
        return Ok(());
    }
    if !gradients.contains(&gradient) {
        return Err(RangeError::Gradient { gradient, legal: gradients, cause: data(dataset) });
    }
    let (finest, is_short) = (*models.start(), moved < *models.start());
    if options.step.given().is_some() {
        // With a step size that is too large the run diverges, and reports that.
        return if is_short { Err(RangeError::Step { gamma, moved, finest }) } else { Ok(()) };
    }
    if models.contains(&moved) {
        return Ok(());
    }
    let cause = cause(options, specification.eta, dataset, is_short);
    Err(RangeError::Move { gamma, moved, legal: models, cause })
}

/// Returns the valid range of the first move of the model.
fn models(targets: Targets, largest_label: f64) -> RangeInclusive<f64> {
    let models = grids::models();
    let target = match targets {
        Targets::None => return models,
        Targets::Labels => largest_label,
        Targets::Signs => 1.0,
    };
    // While x is 0, targets are rounded to the future grid of margins; 0 is on all of them.
    let end = if target > 0.0 { TARGET_GROWTH_MAX * target } else { f64::INFINITY };
    *models.start()..=models.end().min(end)
}

/// Returns the reason for a small or large step size of theory: the factor that is farthest from 1.
fn cause(options: &Options, eta: f64, dataset: &Dataset, is_short: bool) -> String {
    let (feature, data) = (dataset.largest_feature().1, data(dataset));
    if !is_short {
        return data;
    }
    let Options { lambda, method, .. } = *options;
    let least = options.participation.iter().copied().fold(1.0, f64::min);
    let (averaging, momentum) = match method.info().eta {
        Eta::Averaging => (1.0 / eta, 0.0),
        Eta::Momentum => (0.0, (1.0 - eta).powi(-2)),
        Eta::Unused | Eta::Gain => (0.0, 0.0),
    };
    let causes = [
        (lambda, format!("--lambda {lambda:e}; give a smaller one")),
        (1.0 / least, format!("--participation {least:e}; give a larger one")),
        (averaging, format!("--eta {eta:e}; give a larger one")),
        (momentum, format!("--eta {eta}; give a smaller one")),
        (feature * feature, data),
    ];
    let largest = causes.into_iter().max_by(|one, other| one.0.total_cmp(&other.0));
    largest.map(|(_, cause)| cause).unwrap_or_default()
}

/// Returns the data as a reason.
fn data(dataset: &Dataset) -> String {
    format!(
        "features up to {} and labels up to {} in {}; scale the data, for instance to -1 to 1, by --scale-columns auto or by --standardise",
        number(dataset.largest_feature().1.abs()),
        number(dataset.largest_label()),
        dataset.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_move_is_limited_by_the_grid_and_by_targets_other_than_0() {
        let end = |targets, label| *models(targets, label).end();
        let grid = *grids::models().end();
        assert_eq!(end(Targets::None, 0.0), grid);
        assert_eq!(end(Targets::Signs, 0.0), grid.min(TARGET_GROWTH_MAX));
        assert_eq!(end(Targets::Labels, 1e-9), TARGET_GROWTH_MAX * 1e-9);
        // A loss whose slope at a margin of 0 is not 0 moves the model also if all labels are 0.
        assert_eq!(end(Targets::Labels, 0.0), grid);
    }
}
