//! The worker's lines of every method: from ∇f_i(x) to an update, in place.
//!
//! On entry `gradient` is ∇f_i(x); on return it holds the mantissas of the update and g_i is what the host's mirror
//! will be. What the host must know besides is one bit: whether g_i starts from zero.

use crate::compressor::compress;
use crate::top_k;
use smidgen_protocol::method::{Budget, Method};
use smidgen_protocol::sparse::apply;
use smidgen_protocol::vector::{Ratio, round_shift, saturate};

/// The vectors of a worker, d mantissas each.
pub(crate) struct Vectors<'a> {
    /// ∇f_i(x), then the update.
    pub gradient: &'a mut [i32],
    /// The estimator g_i.
    pub g_i: &'a mut [i32],
    /// What the worker alone keeps: e_i or v_i; empty where the method needs none.
    pub local: &'a mut [i32],
    /// Working memory, d mantissas, for methods that weigh two updates; empty elsewhere.
    pub spare: &'a mut [i32],
}

/// The compressor of a round: what it may keep, and where its random choices start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundCompressor {
    /// What it may keep.
    pub budget: Budget,
    /// Where its random choices start.
    pub draw: u64,
}

impl RoundCompressor {
    /// Leaves the mantissas of C(v) in its place; returns their shift.
    fn compress(&self, v: &mut [i32]) -> u8 {
        compress(v, &self.budget, self.draw)
    }

    /// What a mantissa stands for.
    fn value(&self, mantissa: i32, shift: u8) -> i64 {
        match mantissa {
            0 => 0,
            m => round_shift(self.budget.compressor.expand(m.into()), -i32::from(shift)),
        }
    }

    /// `g_i += C(v)`, from its mantissas.
    fn apply(&self, g_i: &mut [i32], mantissas: &[i32], shift: u8, saturated: &mut u32) {
        let expanded = entries(mantissas, 0).map(|(j, m)| (j, self.budget.compressor.expand(m)));
        apply(g_i, expanded, shift, saturated, |_, _, _| {});
    }
}

/// How the mantissas of an update are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpdateFormat {
    /// Their value is `mantissa * 2^shift`.
    pub shift: u8,
    /// g_i is zero before they are added.
    pub resets_estimator: bool,
}

/// Makes the update of a round; `first` in round 0.
pub(crate) fn update(
    method: Method,
    at: &mut Vectors,
    c: RoundCompressor,
    first: bool,
    saturated: &mut u32,
) -> UpdateFormat {
    match method {
        Method::Ef21 => ef21(at, c, saturated),
        Method::Ef21Plus => ef21_plus(at, c, saturated),
        Method::Dcgd => from_zero(at, c, saturated),
        Method::Ef14 => ef14(at, c, saturated),
        Method::Sgdm { eta } => {
            momentum(at, if first { None } else { Some(eta) }, saturated);
            ef21(at, c, saturated)
        }
        Method::EControl { eta } => econtrol(at, eta, c, saturated),
    }
}

/// `g_i += C(∇ − g_i)`
fn ef21(at: &mut Vectors, c: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    top_k::difference(at.gradient, at.g_i, saturated);
    let shift = c.compress(at.gradient);
    c.apply(at.g_i, at.gradient, shift, saturated);
    UpdateFormat { shift, resets_estimator: false }
}

/// `g_i = C(∇)`
fn from_zero(at: &mut Vectors, c: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    let shift = c.compress(at.gradient);
    at.g_i.fill(0);
    c.apply(at.g_i, at.gradient, shift, saturated);
    UpdateFormat { shift, resets_estimator: true }
}

/// Whichever of the two is closer to ∇; of equals the one that keeps g_i.
fn ef21_plus(at: &mut Vectors, c: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    copy(at.gradient, at.spare);
    let shift = c.compress(at.spare);
    let distance_from_zero =
        distance_squared(at.gradient.iter().map(|&g| i64::from(g)), at.spare, c, shift);
    copy(at.gradient, at.spare);
    top_k::difference(at.spare, at.g_i, saturated);
    let shift = c.compress(at.spare);
    let differences =
        at.gradient.iter().zip(&*at.g_i).map(|(&g, &g_i)| i64::from(g) - i64::from(g_i));
    let distance_from_g_i = distance_squared(differences, at.spare, c, shift);
    if distance_from_zero < distance_from_g_i {
        from_zero(at, c, saturated)
    } else {
        ef21(at, c, saturated)
    }
}

/// For vectors of equal length.
fn copy(from: &[i32], to: &mut [i32]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// ‖v − m 2^shift‖²
fn distance_squared(
    v: impl Iterator<Item = i64>,
    mantissas: &[i32],
    c: RoundCompressor,
    shift: u8,
) -> u128 {
    let decoded = mantissas.iter().map(|&m| c.value(m, shift));
    v.zip(decoded).map(|(v, m)| u128::from(v.abs_diff(m)).pow(2)).sum()
}

/// `p = e_i + ∇, g_i = C(p), e_i = p − C(p)`
fn ef14(at: &mut Vectors, c: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    for (e, gradient) in at.local.iter_mut().zip(&mut *at.gradient) {
        *e = saturate(i64::from(*e) + i64::from(*gradient), saturated);
        *gradient = *e;
    }
    let format = from_zero(at, c, saturated);
    subtract_sent(at.local, at.gradient, c, format.shift, saturated);
    format
}

/// `Δ = C(η e_i + ∇ − g_i), e_i += ∇ − g_i − Δ, g_i += Δ`
fn econtrol(at: &mut Vectors, eta: Ratio, c: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    top_k::difference(at.gradient, at.g_i, saturated);
    for (e, difference) in at.local.iter_mut().zip(&mut *at.gradient) {
        let controlled = eta.scale(i64::from(*e), 0).saturating_add(i64::from(*difference));
        *e = saturate(i64::from(*e) + i64::from(*difference), saturated);
        *difference = saturate(controlled, saturated);
    }
    let shift = c.compress(at.gradient);
    c.apply(at.g_i, at.gradient, shift, saturated);
    subtract_sent(at.local, at.gradient, c, shift, saturated);
    UpdateFormat { shift, resets_estimator: false }
}

/// `v_i += η (∇ − v_i)`, and v_i takes the place of ∇; without η `v_i = ∇`.
fn momentum(at: &mut Vectors, eta: Option<Ratio>, saturated: &mut u32) {
    for (v, gradient) in at.local.iter_mut().zip(&mut *at.gradient) {
        *v = match eta {
            None => *gradient,
            Some(eta) => {
                let distance = i64::from(*gradient) - i64::from(*v);
                saturate(eta.scale(distance, 0).saturating_add(i64::from(*v)), saturated)
            }
        };
        *gradient = *v;
    }
}

/// What was sent leaves the error.
fn subtract_sent(
    local: &mut [i32],
    mantissas: &[i32],
    c: RoundCompressor,
    shift: u8,
    saturated: &mut u32,
) {
    for (e, &m) in local.iter_mut().zip(mantissas) {
        *e = saturate(i64::from(*e).saturating_sub(c.value(m, shift)), saturated);
    }
}

/// The entries of an update, from coordinate `from` on.
pub(crate) fn entries(mantissas: &[i32], from: u32) -> impl Iterator<Item = (u32, i64)> {
    let rest = mantissas.get(from as usize..).unwrap_or_default();
    (from..).zip(rest).filter(|&(_, &m)| m != 0).map(|(j, &m)| (j, i64::from(m)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smidgen_protocol::method::Compressor;

    const HALF: Ratio = Ratio { mantissa: 1 << 30, exponent: 31 };
    const METHODS: [Method; 6] = [
        Method::Ef21,
        Method::Ef21Plus,
        Method::Ef14,
        Method::Dcgd,
        Method::Sgdm { eta: HALF },
        Method::EControl { eta: HALF },
    ];

    fn top(k: u32, value_bits: u8) -> Budget {
        Budget { k, value_bits, compressor: Compressor::TopK }
    }

    /// The state of a worker, and its mirror, which sees only what travels.
    struct Pair {
        g_i: Vec<i32>,
        local: Vec<i32>,
        mirror: Vec<i32>,
    }

    impl Pair {
        fn new(dimension: usize) -> Self {
            let zero = vec![0; dimension];
            Self { g_i: zero.clone(), local: zero.clone(), mirror: zero }
        }

        fn round(&mut self, method: Method, gradient: &[i32], budget: Budget, first: bool) {
            let c = RoundCompressor { budget, draw: 3 };
            let (mut gradient, mut spare) = (gradient.to_vec(), gradient.to_vec());
            let mut at = Vectors {
                gradient: &mut gradient,
                g_i: &mut self.g_i,
                local: &mut self.local,
                spare: &mut spare,
            };
            let format = update(method, &mut at, c, first, &mut 0);
            if format.resets_estimator {
                self.mirror.fill(0);
            }
            assert!(entries(&gradient, 0).count() <= budget.k as usize);
            c.apply(&mut self.mirror, &gradient, format.shift, &mut 0);
        }
    }

    proptest! {
        #[test]
        fn mirror_matches_estimator_for_every_method(
            rounds in prop::collection::vec(prop::collection::vec(any::<i32>(), 7), 1..12),
            k in 1u32..8, value_bits in 2u8..=32,
            compressor in prop::sample::select(vec![Compressor::TopK, Compressor::RandK { seed: 1 }, Compressor::Natural, Compressor::Sign]),
        ) {
            let k = if compressor == Compressor::Sign { 7 } else { k };
            let budget = Budget { k, value_bits, compressor };
            for method in METHODS {
                let mut pair = Pair::new(7);
                for (round, gradient) in rounds.iter().enumerate() {
                    pair.round(method, gradient, budget, round == 0);
                    prop_assert_eq!(&pair.g_i, &pair.mirror, "{:?}", method);
                }
            }
        }

        /// For a gradient that stays, whatever is not sent is not lost: all but DCGD find it in the end.
        #[test]
        fn estimator_converges_to_constant_gradient(gradient in prop::collection::vec(-1_000_000i32..1_000_000, 5)) {
            for method in [Method::Ef21, Method::Ef21Plus, Method::Sgdm { eta: HALF }] {
                let mut pair = Pair::new(5);
                (0..60).for_each(|round| pair.round(method, &gradient, top(1, 32), round == 0));
                prop_assert_eq!(&pair.mirror, &gradient, "{:?}", method);
            }
        }

        /// EF14 sends in the mean what it was given: the error stays bounded, so the sum of what was sent follows.
        #[test]
        fn ef14_sends_gradient_in_the_mean(gradient in prop::collection::vec(-1000i32..1000, 5)) {
            let (mut pair, mut sent) = (Pair::new(5), [0i64; 5]);
            for round in 0..200 {
                pair.round(Method::Ef14, &gradient, top(1, 32), round == 0);
                sent.iter_mut().zip(&pair.mirror).for_each(|(sent, &m)| *sent += i64::from(m));
            }
            for ((sent, g), e) in sent.iter().zip(&gradient).zip(&pair.local) {
                prop_assert_eq!(sent + i64::from(*e), 200 * i64::from(*g));
            }
        }
    }

    #[test]
    fn ef21_plus_resets_misleading_estimator() {
        let mut pair = Pair::new(3);
        let budget = top(1, 32);
        pair.round(Method::Ef21Plus, &[1000, 0, 0], budget, true);
        pair.round(Method::Ef21Plus, &[0, 0, 1000], budget, false);
        assert_eq!(pair.mirror, [0, 0, 1000]);
        pair.round(Method::Ef21Plus, &[0, 10, 1000], budget, false);
        assert_eq!(pair.mirror, [0, 10, 1000]);
    }

    #[test]
    fn extreme_eta_saturates() {
        let eta = Ratio { mantissa: i32::MAX, exponent: -64 };
        for method in [Method::Sgdm { eta }, Method::EControl { eta }] {
            let mut pair = Pair::new(1);
            for round in 0..3 {
                // Nothing is sent, so errors add up.
                pair.round(method, &[1 + round], top(0, 32), round == 0);
                assert_eq!(pair.g_i, pair.mirror);
            }
        }
    }
}
