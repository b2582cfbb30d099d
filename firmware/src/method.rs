//! The worker's step of every method: from ∇f_i(x) to an update, in place.
//!
//! On entry `gradient` is ∇f_i(x). On return it contains the mantissas of the update, and g_i equals the host's mirror
//! after that update. Beyond the mantissas, the host needs their shift and whether g_i was reset to zero.

use crate::compressor::{compress, compress_difference};
use crate::top_k;
use smidgen_protocol::method::{Budget, Method};
use smidgen_protocol::sparse::apply;
use smidgen_protocol::vector::{Ratio, round_shift, saturate};

/// Vectors of a worker, d mantissas each.
pub(crate) struct Vectors<'a> {
    /// ∇f_i(x) on entry, the update on return.
    pub gradient: &'a mut [i32],
    /// The estimator g_i.
    pub g_i: &'a mut [i32],
    /// Local state, e_i or v_i; empty if the method has none.
    pub local: &'a mut [i32],
    /// Working memory of d mantissas for EF21+; otherwise empty.
    pub spare: &'a mut [i32],
}

/// The compressor of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundCompressor {
    /// Limits of the update.
    pub budget: Budget,
    /// Seed of random choices.
    pub draw: u64,
}

impl RoundCompressor {
    /// Replaces `v` by the mantissas of C(v); returns their shift.
    fn compress(&self, v: &mut [i32]) -> u8 {
        compress(v, &self.budget, self.draw)
    }

    /// Value of a mantissa.
    fn value(&self, mantissa: i32, shift: u8) -> i64 {
        match mantissa {
            0 => 0,
            m => round_shift(self.budget.compressor.expand(m.into()), -i32::from(shift)),
        }
    }

    /// `g_i += C(v)`, given the mantissas of C(v).
    fn apply(&self, g_i: &mut [i32], mantissas: &[i32], shift: u8, saturated: &mut u32) {
        let expanded = entries(mantissas, 0).map(|(j, m)| (j, self.budget.compressor.expand(m)));
        apply(g_i, expanded, shift, saturated, |_, _, _| {});
    }
}

/// Format of an update's mantissas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpdateFormat {
    /// Binary exponent of the factor of all mantissas.
    pub shift: u8,
    /// g_i is reset to zero before the update is applied.
    pub resets_estimator: bool,
}

/// Computes the update of a round; `first` is true in round 0.
pub(crate) fn update(
    method: Method,
    vectors: &mut Vectors,
    compressor: RoundCompressor,
    first: bool,
    saturated: &mut u32,
) -> UpdateFormat {
    match method {
        Method::Ef21 => ef21(vectors, compressor, saturated),
        Method::Ef21Plus => ef21_plus(vectors, compressor, saturated),
        Method::Dcgd => from_zero(vectors, compressor, saturated),
        Method::Ef14 => ef14(vectors, compressor, saturated),
        Method::Sgdm { eta } => {
            momentum(vectors, if first { None } else { Some(eta) }, saturated);
            ef21(vectors, compressor, saturated)
        }
        Method::EControl { eta } => econtrol(vectors, eta, compressor, saturated),
    }
}

/// EF21: `g_i += C(∇ − g_i)`.
fn ef21(vectors: &mut Vectors, compressor: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    let RoundCompressor { budget, draw } = compressor;
    // What is applied is what is sent, so the mirror cannot diverge from g_i.
    let shift = compress_difference(vectors.gradient, vectors.g_i, &budget, draw, saturated);
    compressor.apply(vectors.g_i, vectors.gradient, shift, saturated);
    UpdateFormat { shift, resets_estimator: false }
}

/// DCGD: `g_i = C(∇)`.
fn from_zero(
    vectors: &mut Vectors,
    compressor: RoundCompressor,
    saturated: &mut u32,
) -> UpdateFormat {
    let shift = compressor.compress(vectors.gradient);
    // The host does the same when it receives `Up::Anew`.
    vectors.g_i.fill(0);
    compressor.apply(vectors.g_i, vectors.gradient, shift, saturated);
    UpdateFormat { shift, resets_estimator: true }
}

/// EF21+: of the two above, the one closer to ∇; on a tie the one that keeps g_i.
fn ef21_plus(
    vectors: &mut Vectors,
    compressor: RoundCompressor,
    saturated: &mut u32,
) -> UpdateFormat {
    // The spare vector tries both candidates; the gradient stays intact for the chosen one.
    copy(vectors.gradient, vectors.spare);
    let shift = compressor.compress(vectors.spare);
    let distance_from_zero = distance_squared(
        vectors.gradient.iter().map(|&g| i64::from(g)),
        vectors.spare,
        compressor,
        shift,
    );
    copy(vectors.gradient, vectors.spare);
    top_k::difference(vectors.spare, vectors.g_i, saturated);
    let shift = compressor.compress(vectors.spare);
    let differences =
        vectors.gradient.iter().zip(&*vectors.g_i).map(|(&g, &g_i)| i64::from(g) - i64::from(g_i));
    let distance_from_g_i = distance_squared(differences, vectors.spare, compressor, shift);
    // The chosen candidate is computed again: a third vector would cost more memory than the time is worth.
    if distance_from_zero < distance_from_g_i {
        from_zero(vectors, compressor, saturated)
    } else {
        ef21(vectors, compressor, saturated)
    }
}

/// Copies between vectors of equal length.
fn copy(from: &[i32], to: &mut [i32]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// ‖v − m 2^shift‖²
fn distance_squared(
    v: impl Iterator<Item = i64>,
    mantissas: &[i32],
    compressor: RoundCompressor,
    shift: u8,
) -> u128 {
    let decoded = mantissas.iter().map(|&m| compressor.value(m, shift));
    // A square has up to 66 bits and the sum up to 82, which only u128 holds.
    v.zip(decoded).map(|(v, m)| u128::from(v.abs_diff(m)).pow(2)).sum()
}

/// EF14: `p = e_i + ∇, g_i = C(p), e_i = p − C(p)`.
fn ef14(vectors: &mut Vectors, compressor: RoundCompressor, saturated: &mut u32) -> UpdateFormat {
    for (e, gradient) in vectors.local.iter_mut().zip(&mut *vectors.gradient) {
        // p = e_i + ∇ is needed twice: here as e_i, from which C(p) is subtracted below, and compressed in place of ∇.
        *e = saturate(i64::from(*e) + i64::from(*gradient), saturated);
        *gradient = *e;
    }
    let format = from_zero(vectors, compressor, saturated);
    subtract_sent(vectors.local, vectors.gradient, compressor, format.shift, saturated);
    format
}

/// EControl: `Δ = C(η e_i + ∇ − g_i), e_i += ∇ − g_i − Δ, g_i += Δ`.
fn econtrol(
    vectors: &mut Vectors,
    eta: Ratio,
    compressor: RoundCompressor,
    saturated: &mut u32,
) -> UpdateFormat {
    top_k::difference(vectors.gradient, vectors.g_i, saturated);
    for (e, difference) in vectors.local.iter_mut().zip(&mut *vectors.gradient) {
        // The argument of C uses e_i before this round adds to it.
        let controlled = eta.scale(i64::from(*e), 0).saturating_add(i64::from(*difference));
        *e = saturate(i64::from(*e) + i64::from(*difference), saturated);
        *difference = saturate(controlled, saturated);
    }
    let shift = compressor.compress(vectors.gradient);
    compressor.apply(vectors.g_i, vectors.gradient, shift, saturated);
    subtract_sent(vectors.local, vectors.gradient, compressor, shift, saturated);
    UpdateFormat { shift, resets_estimator: false }
}

/// `v_i += η (∇ − v_i)`, and `gradient = v_i`; `v_i = ∇` if `eta` is `None`.
fn momentum(vectors: &mut Vectors, eta: Option<Ratio>, saturated: &mut u32) {
    for (v, gradient) in vectors.local.iter_mut().zip(&mut *vectors.gradient) {
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

/// Subtracts the update from the error: `e_i −= C(·)`.
fn subtract_sent(
    local: &mut [i32],
    mantissas: &[i32],
    compressor: RoundCompressor,
    shift: u8,
    saturated: &mut u32,
) {
    for (e, &m) in local.iter_mut().zip(mantissas) {
        *e = saturate(i64::from(*e).saturating_sub(compressor.value(m, shift)), saturated);
    }
}

/// Non-zero entries of an update, from coordinate `from` on.
pub(crate) fn entries(mantissas: &[i32], from: u32) -> Entries<'_> {
    Entries { rest: mantissas.get(from as usize..).unwrap_or_default(), next: from }
}

/// See [`entries`].
#[derive(Clone)]
pub(crate) struct Entries<'m> {
    rest: &'m [i32],
    /// Coordinate of the first of the rest.
    next: u32,
}

impl Entries<'_> {
    /// Skips zeros, of which most mantissas consist, in fours.
    fn skip_zeros(&mut self) {
        while let Some((&[a, b, c, d], rest)) = self.rest.split_first_chunk()
            && a | b | c | d == 0
        {
            (self.rest, self.next) = (rest, self.next + 4);
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = (u32, i64);

    fn next(&mut self) -> Option<(u32, i64)> {
        self.skip_zeros();
        // Either four are left, and one of them is not zero, or fewer are.
        while let Some((&mantissa, rest)) = self.rest.split_first() {
            let coordinate = self.next;
            (self.rest, self.next) = (rest, coordinate + 1);
            if mantissa != 0 {
                return Some((coordinate, mantissa.into()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smidgen_protocol::method::Compressor;

    const HALF: Ratio = Ratio { mantissa: 1 << 30, exponent: 31 };

    fn top(k: u32, value_bits: u8) -> Budget {
        Budget { k, value_bits, compressor: Compressor::TopK }
    }

    /// State of a worker, and its mirror, which is updated from transmitted data only.
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
            let compressor = RoundCompressor { budget, draw: 3 };
            let (mut gradient, mut spare) = (gradient.to_vec(), gradient.to_vec());
            let mut vectors = Vectors {
                gradient: &mut gradient,
                g_i: &mut self.g_i,
                local: &mut self.local,
                spare: &mut spare,
            };
            let format = update(method, &mut vectors, compressor, first, &mut 0);
            if format.resets_estimator {
                self.mirror.fill(0);
            }
            assert!(entries(&gradient, 0).count() <= budget.k as usize);
            compressor.apply(&mut self.mirror, &gradient, format.shift, &mut 0);
        }
    }

    proptest! {
        #[test]
        fn entries_are_all_that_are_not_zero(
            mantissas in prop::collection::vec(prop_oneof![9 => Just(0i32), 1 => any::<i32>()], 0..60), from in 0u32..70,
        ) {
            let all = (0..).zip(&mantissas).filter(|&(j, &m)| j >= from && m != 0);
            let all: Vec<(u32, i64)> = all.map(|(j, &m)| (j, m.into())).collect();
            prop_assert_eq!(entries(&mantissas, from).collect::<Vec<_>>(), all);
        }

        #[test]
        fn mirror_matches_estimator_for_every_method(
            rounds in prop::collection::vec(prop::collection::vec(any::<i32>(), 7), 1..12),
            k in 1u32..8, value_bits in 2u8..=32,
            compressor in prop::sample::select(Compressor::all(1).to_vec()),
        ) {
            let k = if compressor.sends_all_coordinates() { 7 } else { k };
            let budget = Budget { k, value_bits, compressor };
            for method in Method::all(HALF) {
                let mut pair = Pair::new(7);
                for (round, gradient) in rounds.iter().enumerate() {
                    pair.round(method, gradient, budget, round == 0);
                    prop_assert_eq!(&pair.g_i, &pair.mirror, "{:?}", method);
                }
            }
        }

        /// For a constant gradient, the estimator of every method whose g_i tends to ∇f_i becomes it.
        #[test]
        fn estimator_converges_to_constant_gradient(gradient in prop::collection::vec(-1_000_000i32..1_000_000, 5)) {
            for method in Method::all(HALF).into_iter().filter(|method| method.estimates_gradient()) {
                let mut pair = Pair::new(5);
                (0..60).for_each(|round| pair.round(method, &gradient, top(1, 32), round == 0));
                prop_assert_eq!(&pair.mirror, &gradient, "{:?}", method);
            }
        }

        /// The error of EF14 stays bounded, so the sum of the updates follows the sum of the gradients.
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
        for method in Method::all(eta) {
            let mut pair = Pair::new(1);
            for round in 0..3 {
                // Nothing is sent, so the error accumulates.
                pair.round(method, &[1 + round], top(0, 32), round == 0);
                assert_eq!(pair.g_i, pair.mirror);
            }
        }
    }
}
