//! The specification of a method: what workers compute and how the server steps, with all numbers.
//!
//! γ is given, or a [`Theory`] computes it from the upper bounds L̂_i that workers report before the first round.

use crate::compressor::DownlinkBudget;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::message::{Downlink, Init};
use smidgen_protocol::method::{Budget, Compressor, Method, Participation};
use std::fmt;
use std::sync::Arc;

/// A method with the numbers that all workers share.
#[derive(Clone, Debug)]
pub struct MethodSpec {
    /// The rule by which workers turn gradients into updates.
    pub rule: Method,
    /// Compressor of the updates.
    pub compressor: Compressor,
    /// Bits of a mantissa of an update, 2..=32.
    pub value_bits: u8,
    /// Initial estimators.
    pub init: Init,
    /// Rows that a worker evaluates in a round.
    pub batch: Batch,
    /// How the model is sent to the workers.
    pub downlink: Downlink,
    /// Downlink sparsity budget (EF21-P, EF21-BC); `None` sends every change.
    pub downlink_budget: Option<DownlinkBudget>,
    /// η of the heavy ball; 0 for none.
    pub momentum: f64,
    /// Weight λ₁ of the l1 norm, by a proximal step; 0 for none.
    pub l1: f64,
    /// Step size γ; if it is tuned, the first and least one; a guess if `theory` is given.
    pub gamma: f64,
    /// Derives γ from the constants that workers report before the first round; `None` does not ask for them.
    pub theory: Option<Theory>,
    /// The rule for γ between rounds.
    pub step_rule: StepRule,
}

/// The numbers of one worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerSpec {
    /// Factor of its gradient: 1/(n w_i) in EF21-W, else 1.
    pub scale: f64,
    /// Factor of its estimator in the sum: n w_i in EF21-W, else 1.
    pub weight: f64,
    /// Weight of its loss in f: 1/n where workers are equal.
    pub loss_weight: f64,
    /// Coordinates of its updates, K.
    pub k: u32,
    /// The rounds in which it participates.
    pub participation: Participation,
}

impl MethodSpec {
    /// Dense gradient descent with step size `gamma`.
    pub const fn gradient_descent(gamma: f64) -> Self {
        Self {
            rule: Method::Ef21,
            compressor: Compressor::TopK,
            value_bits: 32,
            init: Init::Full,
            batch: Batch::FULL,
            downlink: Downlink::Dense,
            downlink_budget: None,
            momentum: 0.0,
            l1: 0.0,
            gamma,
            theory: None,
            step_rule: StepRule::Constant,
        }
    }

    /// Sparsity budget of an update with K coordinates.
    pub const fn budget(&self, k: u32) -> Budget {
        Budget { k, value_bits: self.value_bits, compressor: self.compressor }
    }
}

/// The theoretical step size γ as a function of the constants L_i. Its result is rounded to a
/// [`Ratio`](smidgen_protocol::vector::Ratio), as a given γ is.
#[derive(Clone)]
pub struct Theory(Arc<Formula>);

/// From L_i to γ.
type Formula = dyn Fn(&[f64]) -> f64 + Send + Sync;

impl Theory {
    /// `gamma` computes γ from the L_i of all workers, in their order.
    pub fn new(gamma: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(gamma))
    }

    pub(crate) fn gamma(&self, l_i: &[f64]) -> f64 {
        (self.0)(l_i)
    }
}

impl fmt::Debug for Theory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Theory")
    }
}

/// The rule for the step size γ between rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRule {
    /// It is constant.
    Constant,
    /// It follows the losses that workers report, from a step of theory.
    Tuned,
    /// The same from a guess, where theory has no step: it grows more slowly at first.
    TunedFromGuess,
}

impl StepRule {
    /// γ may change between rounds.
    pub const fn is_tuned(self) -> bool {
        match self {
            Self::Constant => false,
            Self::Tuned | Self::TunedFromGuess => true,
        }
    }
}
