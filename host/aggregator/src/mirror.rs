//! The host's copy of a worker's estimator g_i.

use smidgen_protocol::digest::{self, Transcript};
use smidgen_protocol::method::Compressor;
use smidgen_protocol::sparse::{self, Decoder};
use smidgen_protocol::vector::{self, Exponent, Ratio};

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

    /// g_i with these mantissas.
    pub fn of(mantissas: Vec<i32>) -> Self {
        let digest = digest::vector(&mantissas);
        Self { mantissas, digest }
    }

    /// Mantissas.
    pub fn mantissas(&self) -> &[i32] {
        &self.mantissas
    }

    /// Digest of the mantissas.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Resets g_i to zero; adds the change to `sum` as well, times `weight`.
    pub fn clear(&mut self, sum: &mut [i64], weight: Ratio) {
        for (mantissa, sum) in self.mantissas.iter_mut().zip(sum) {
            *sum -= weighted(weight, std::mem::take(mantissa));
        }
        self.digest = 0;
    }

    /// Applies a checked body, whose terms have `held`; adds the change to `sum` as well, times `weight`,
    /// and the entries to the transcript `applied`.
    pub fn apply(
        &mut self,
        (body, held): (Decoder, &[i64]),
        compressor: Compressor,
        sum: &mut [i64],
        weight: Ratio,
        saturated: &mut u32,
        applied: &mut Transcript,
    ) {
        let Self { mantissas, digest } = self;
        let shift = body.shift();
        let absorb = |&(index, m): &(u32, i64)| {
            applied.absorb(u64::from(index) | u64::from(shift) << u32::BITS);
            applied.absorb(m.cast_unsigned());
        };
        let entries = body.entries(held).inspect(absorb);
        let entries = entries.map(|(index, m)| (index, compressor.expand(m)));
        sparse::apply(mantissas, entries, shift, saturated, |index, before, after| {
            sum[index as usize] += weighted(weight, after) - weighted(weight, before);
            // The digest is a sum over coordinates, so a sparse change costs K terms instead of d.
            *digest = digest
                .wrapping_sub(digest::coordinate(index, before))
                .wrapping_add(digest::coordinate(index, after));
        });
    }

    /// Adds g_i to `sum`, times `weight`.
    pub fn add_to(&self, sum: &mut [i64], weight: Ratio) {
        sum.iter_mut().zip(&self.mantissas).for_each(|(sum, &m)| *sum += weighted(weight, m));
    }

    /// Moves g_i to another exponent.
    pub fn rescale(&mut self, from: Exponent, to: Exponent, saturated: &mut u32) {
        vector::rescale(&mut self.mantissas, from, to, saturated);
        // Every coordinate has changed.
        self.digest = digest::vector(&self.mantissas);
    }
}

/// The weighted mantissa, rounded by itself, so that a sum does not depend on its history.
fn weighted(weight: Ratio, mantissa: i32) -> i64 {
    if weight == Ratio::ONE { mantissa.into() } else { weight.scale(mantissa.into(), 0) }
}
