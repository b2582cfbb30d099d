//! Methods, compressors, update budgets and partial participation.

use crate::digest::Transcript;
use crate::sparse::{Form, Terms};
use crate::vector::Ratio;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// What a worker computes from ∇ = ∇f_i(x^{t+1}); C is the compressor.
///
/// Each variant defines the change of g_i, the estimator that host and worker both hold. The host needs nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Method {
    /// `g_i += C(∇ − g_i)` (EF21).
    Ef21,
    /// `g_i = C(∇)` or `g_i += C(∇ − g_i)`, whichever is closer to ∇ (EF21+).
    Ef21Plus,
    /// `p = e_i + ∇, g_i = C(p), e_i = p − C(p)` (EF14, Seide 2014, with γ outside, equivalent for constant γ).
    Ef14,
    /// `g_i = C(∇)`, without error feedback (DCGD).
    Dcgd,
    /// `v_i += η (∇ − v_i), g_i += C(v_i − g_i)` (EF21-SGDM); v_i⁰ = ∇.
    Sgdm {
        /// η
        eta: Ratio,
    },
    /// `Δ = C(η e_i + ∇ − g_i), e_i += ∇ − g_i − Δ, g_i += Δ` (EControl).
    EControl {
        /// η
        eta: Ratio,
    },
}

impl Method {
    /// Every method, with this η where it has one.
    pub const fn all(eta: Ratio) -> [Self; 6] {
        [
            Self::Ef21,
            Self::Ef21Plus,
            Self::Ef14,
            Self::Dcgd,
            Self::Sgdm { eta },
            Self::EControl { eta },
        ]
    }

    /// Returns whether the worker keeps a vector that the host does not know and cannot restore after a reboot.
    pub const fn has_local_state(self) -> bool {
        match self {
            Self::Ef21 | Self::Ef21Plus | Self::Dcgd => false,
            Self::Ef14 | Self::Sgdm { .. } | Self::EControl { .. } => true,
        }
    }

    /// Returns whether the worker needs a spare vector to compare two candidates for an update.
    pub const fn needs_spare_vector(self) -> bool {
        match self {
            Self::Ef21Plus => true,
            Self::Ef21 | Self::Ef14 | Self::Dcgd | Self::Sgdm { .. } | Self::EControl { .. } => {
                false
            }
        }
    }

    /// Returns whether g_i tends to ∇f_i, so that the host knows gradients by its mirrors.
    pub const fn estimates_gradient(self) -> bool {
        match self {
            Self::Ef21 | Self::Ef21Plus | Self::Sgdm { .. } => true,
            Self::Dcgd | Self::Ef14 | Self::EControl { .. } => false,
        }
    }

    /// Returns whether g_i is the update of the round alone, so that the step lacks an absent worker.
    pub const fn forgets_updates(self) -> bool {
        match self {
            Self::Dcgd | Self::Ef14 => true,
            Self::Ef21 | Self::Ef21Plus | Self::Sgdm { .. } | Self::EControl { .. } => false,
        }
    }

    /// Returns whether the worker averages its gradients over the rounds in which it takes part.
    pub const fn averages_gradients(self) -> bool {
        match self {
            Self::Sgdm { .. } => true,
            Self::Ef21 | Self::Ef21Plus | Self::Dcgd | Self::Ef14 | Self::EControl { .. } => false,
        }
    }
}

/// The compressor C of the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Compressor {
    /// The K largest magnitudes, α = K/d.
    TopK,
    /// K coordinates drawn from a seed, unscaled; α = K/d in expectation.
    RandK {
        /// Seed of the draws.
        seed: u32,
    },
    /// The K largest magnitudes, rounded to powers of two, α = (8/9) K/d.
    Natural,
    /// The signs of all coordinates times a power of two near ‖v‖₁/d, α ≥ 8/(9 d).
    Sign,
}

impl Compressor {
    /// Every compressor, with this seed where it has one.
    pub const fn all(seed: u32) -> [Self; 4] {
        [Self::TopK, Self::RandK { seed }, Self::Natural, Self::Sign]
    }

    /// Returns whether it draws its coordinates, so that it contracts in expectation only.
    pub const fn is_random(self) -> bool {
        match self {
            Self::RandK { .. } => true,
            Self::TopK | Self::Natural | Self::Sign => false,
        }
    }

    /// Returns whether an update holds all coordinates, whatever K is.
    pub const fn sends_all_coordinates(self) -> bool {
        match self {
            Self::Sign => true,
            Self::TopK | Self::RandK { .. } | Self::Natural => false,
        }
    }

    /// Returns whether each value of an update is rounded on a grid of `value_bits` bits.
    pub const fn has_value_bits(self) -> bool {
        match self {
            Self::TopK | Self::RandK { .. } => true,
            Self::Natural | Self::Sign => false,
        }
    }

    /// Returns whether it keeps the largest coordinates as they are, but for rounding to `value_bits` bits.
    pub const fn is_top_k(self) -> bool {
        match self {
            Self::TopK => true,
            Self::RandK { .. } | Self::Natural | Self::Sign => false,
        }
    }

    /// Bits of a mantissa on the wire, for an update with mantissas of `value_bits` bits.
    pub const fn wire_bits(self, value_bits: u8) -> u8 {
        match self {
            Self::TopK | Self::RandK { .. } => value_bits,
            Self::Natural => 6,
            Self::Sign => 1,
        }
    }

    /// The mantissa that a mantissa on the wire stands for: a power of two with exponent |m| − 1 for
    /// [`Natural`](Self::Natural), else m itself.
    #[must_use]
    pub const fn expand(self, mantissa: i64) -> i64 {
        match self {
            Self::Natural => {
                let power = 1i64 << ((mantissa.unsigned_abs() - 1) & 31);
                if mantissa < 0 { -power } else { power }
            }
            Self::TopK | Self::RandK { .. } | Self::Sign => mantissa,
        }
    }
}

/// Limits of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Maximum number of coordinates, K.
    pub k: u32,
    /// Bits of a mantissa, 2..=32; ignored by compressors with a fixed width.
    pub value_bits: u8,
    /// Compressor that produces the update.
    pub compressor: Compressor,
}

impl Budget {
    /// All coordinates in full precision.
    pub const fn all(dimension: u32) -> Self {
        Self { k: dimension, value_bits: 32, compressor: Compressor::TopK }
    }

    /// Terms of a body of an update with this budget; `last_shift` is that of the worker's last update.
    pub fn terms<'s>(
        &self,
        dimension: u32,
        from: u32,
        sum: &'s [i64],
        last_shift: u8,
    ) -> Terms<'s> {
        let value_bits = self.compressor.wire_bits(self.value_bits);
        let last = Form { shift: last_shift, value_bits, count_bits: 0 };
        Terms { dimension, from, sum, last, budget: Some(self.k) }
    }
}

/// Partial participation: each worker takes part in a round independently and with the same probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Participation {
    /// Seed of the draws.
    pub seed: u32,
    /// Probability p in units of 2^-32; `u32::MAX` means 1.
    pub probability: u32,
}

impl Participation {
    /// Every worker in every round.
    pub const FULL: Self = Self { seed: 0, probability: u32::MAX };

    /// Returns whether a worker takes part in a round. All take part in round 0.
    #[must_use]
    pub fn includes(self, worker: u16, round: u32) -> bool {
        let drawn = || draw(self.seed, worker, round) >> 32;
        round == 0 || self.probability == u32::MAX || drawn() < u64::from(self.probability)
    }
}

/// A pseudo-random word for a worker and a round, equal on all machines.
#[must_use]
pub fn draw(seed: u32, worker: u16, round: u32) -> u64 {
    let mut draw = Transcript::default();
    draw.absorb(u64::from(seed) << 32 | u64::from(round));
    draw.absorb(u64::from(worker));
    draw.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each match is exhaustive, so the compiler leads from a new variant to its list.
    #[test]
    fn every_variant_is_listed() {
        let method = |method| match method {
            Method::Ef21 => 0,
            Method::Ef21Plus => 1,
            Method::Ef14 => 2,
            Method::Dcgd => 3,
            Method::Sgdm { .. } => 4,
            Method::EControl { .. } => 5,
        };
        assert!(Method::all(Ratio::ONE).into_iter().map(method).eq(0..6));
        let compressor = |compressor| match compressor {
            Compressor::TopK => 0,
            Compressor::RandK { .. } => 1,
            Compressor::Natural => 2,
            Compressor::Sign => 3,
        };
        assert!(Compressor::all(1).into_iter().map(compressor).eq(0..4));
    }

    #[test]
    fn participation_rate_matches_probability() {
        let half = Participation { seed: 5, probability: 1 << 31 };
        let sets: Vec<Vec<bool>> = (1..=40)
            .map(|round| (1..=50).map(|worker| half.includes(worker, round)).collect())
            .collect();
        let included = sets.iter().flatten().filter(|&&included| included).count();
        assert!((900..1100).contains(&included), "{included} of 2000");
        assert!(sets.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(
            (1..=50)
                .all(|worker| half.includes(worker, 0) && Participation::FULL.includes(worker, 9))
        );
    }
}
