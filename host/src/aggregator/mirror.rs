//! The host's copy of a worker's estimator g_i.

use smidgen_protocol::digest;
use smidgen_protocol::sparse::{self, Decoder};
use smidgen_protocol::vector::{self, Exponent};

/// g_i as the worker holds it, bit for bit, and its digest.
#[derive(Clone, Debug)]
pub struct Mirror {
    mantissas: Vec<i32>,
    digest: u64,
}

impl Mirror {
    /// g_i = 0.
    pub fn new(dimension: usize) -> Self {
        Self { mantissas: vec![0; dimension], digest: 0 }
    }

    /// Mantissas.
    pub fn mantissas(&self) -> &[i32] {
        &self.mantissas
    }

    /// Digest of the mantissas.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes a checked body, and what changes goes to `sum` as well.
    pub fn apply(&mut self, body: Decoder, sum: &mut [i64], saturated: &mut u32) {
        let Self { mantissas, digest } = self;
        let shift = body.shift();
        sparse::apply(mantissas, body.entries(), shift, saturated, |index, before, after| {
            sum[index as usize] += i64::from(after) - i64::from(before);
            *digest = digest
                .wrapping_sub(digest::coordinate(index, before))
                .wrapping_add(digest::coordinate(index, after));
        });
    }

    /// Moves to another exponent.
    pub fn rescale(&mut self, from: Exponent, to: Exponent, saturated: &mut u32) {
        vector::rescale(&mut self.mantissas, from, to, saturated);
        self.digest = digest::vector(&self.mantissas);
    }
}
