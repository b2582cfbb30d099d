//! Digests of vectors and transcripts: 64 bits, integer arithmetic, identical on all machines.
//!
//! The digest of a vector is the wrapping sum of `coordinate(j, m_j)` over its non-zero mantissas, so one changed
//! coordinate updates it in constant time and order does not matter. Digests detect accidents, not attacks.

use serde::{Deserialize, Serialize};

/// Finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection in which every input bit affects all output bits.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Contribution of one coordinate to the digest of its vector; 0 for a zero mantissa.
#[inline]
#[must_use]
pub const fn coordinate(index: u32, mantissa: i32) -> u64 {
    if mantissa == 0 { 0 } else { mix(((index as u64) << 32 | mantissa as u32 as u64) + 1) }
}

/// Digest of a vector.
#[must_use]
pub fn vector(mantissas: &[i32]) -> u64 {
    let coordinates = (0u32..).zip(mantissas);
    coordinates
        .fold(0, |digest, (index, &mantissa)| digest.wrapping_add(coordinate(index, mantissa)))
}

/// Pseudo-random numbers that host and worker draw alike from the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Creates the generator with the state `start`.
    pub const fn new(start: u64) -> Self {
        Self(start)
    }

    /// A number below `bound`, uniform up to 2^-32.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // Multiplying instead of taking the remainder needs no division.
        (((mix(self.0) >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// A running, order-dependent digest: the transcript of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript(u64);

impl Transcript {
    /// Absorbs one word.
    #[inline]
    pub fn absorb(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(23) ^ word.wrapping_add(0x9e37_79b9_7f4a_7c15));
    }

    /// Absorbs the length of `bytes`, then the bytes.
    pub fn absorb_bytes(&mut self, bytes: &[u8]) {
        // The length first, so that padding the last word with zeros is unambiguous.
        self.absorb(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.absorb(u64::from_le_bytes(word));
        }
    }

    /// Digest of everything absorbed so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn incremental_update_matches_full_digest(
            mut mantissas in prop::collection::vec(any::<i32>(), 1..40), pick: prop::sample::Index, new: i32,
        ) {
            let index = pick.index(mantissas.len());
            let updated = vector(&mantissas)
                .wrapping_sub(coordinate(index as u32, mantissas[index]))
                .wrapping_add(coordinate(index as u32, new));
            mantissas[index] = new;
            prop_assert_eq!(updated, vector(&mantissas));
        }

        #[test]
        fn transcript_depends_on_order(a: u64, b: u64) {
            prop_assume!(a != b);
            let digest = |words: [u64; 2]| {
                let mut transcript = Transcript::default();
                words.iter().for_each(|&word| transcript.absorb(word));
                transcript.value()
            };
            prop_assert_ne!(digest([a, b]), digest([b, a]));
        }
    }

    #[test]
    fn swapping_coordinates_changes_digest() {
        assert_ne!(vector(&[1, 2]), vector(&[2, 1]));
        assert_eq!(vector(&[0, 0, 0]), 0);
    }
}
