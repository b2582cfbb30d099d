//! Frozen layers: what turns columns into hidden units that another model has learnt.

use serde::{Deserialize, Serialize};
use smidgen_aggregator::value;
use smidgen_protocol::vector::{Exponent, MANTISSA_MAX};

/// A layer of units tanh(vᵀa + e) that is not trained, in mantissas as boards held them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenLayer {
    /// A mantissa m is m · 2^(−exponent).
    pub exponent: Exponent,
    /// For each unit a weight for every input, then a bias.
    pub mantissas: Vec<i32>,
}

impl FrozenLayer {
    /// Returns the number of units, for this number of inputs.
    pub fn units(&self, inputs: usize) -> usize {
        self.mantissas.len() / (inputs + 1)
    }

    /// Returns whether the mantissas are those of whole units with this number of inputs.
    pub fn is_valid(&self, inputs: usize) -> bool {
        self.units(inputs) > 0
            && self.mantissas.len().is_multiple_of(inputs + 1)
            && self.mantissas.iter().all(|mantissa| *mantissa >= -MANTISSA_MAX)
    }

    /// Returns the values of the units.
    pub fn apply(&self, input: &[f64]) -> Vec<f64> {
        let real = |mantissa: i32| value(f64::from(mantissa), self.exponent);
        let unit = |piece: &[i32]| {
            let (weights, bias) = piece.split_at(input.len());
            let sum: f64 = weights.iter().zip(input).map(|(&weight, a)| real(weight) * a).sum();
            (sum + bias.iter().map(|&bias| real(bias)).sum::<f64>()).tanh()
        };
        self.mantissas.chunks_exact(input.len() + 1).map(unit).collect()
    }
}
