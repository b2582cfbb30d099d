//! The target of a plan, and the first round that reaches it.

use crate::record::RoundRecord;
use crate::run::experiment::Experiment;
use crate::run::training::Course;
use serde::Serialize;

/// Default target as a fraction of ‖∇f(x⁰)‖².
const TARGET: f64 = 0.01;

/// Target of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    /// ‖∇f(x)‖² is at most this.
    pub gradient_norm_squared: f64,
    /// ‖∇f(x⁰)‖².
    pub start_gradient_norm_squared: f64,
    /// True if it was given; otherwise it is a hundredth of the first value.
    pub is_given: bool,
}

impl Target {
    pub(super) fn new(experiment: &Experiment, course: &Course) -> Self {
        let given = experiment.options().target;
        let start = course.rounds.first().map_or(f64::NAN, norm);
        Self {
            gradient_norm_squared: given.unwrap_or(TARGET * start),
            start_gradient_norm_squared: start,
            is_given: given.is_some(),
        }
    }

    /// Returns the first round at the target.
    pub(super) fn round(&self, course: &Course) -> Option<u32> {
        let there = |round: &&RoundRecord| norm(round) <= self.gradient_norm_squared;
        course.rounds.iter().find(there).map(|round| round.round)
    }
}

/// Returns ‖∇f‖² of a round, which is always known in simulation.
pub(super) fn norm(round: &RoundRecord) -> f64 {
    round.gradient_norm_squared.unwrap_or(f64::NAN)
}
