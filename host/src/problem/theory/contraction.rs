//! Contraction of the compressors, including the rounding of values to a few bits.
//!
//! ```text
//! E‖C(v) − v‖² ≤ (1 − α) ‖v‖²
//! α = (K/d)(1 − q) for TopK and RandK, q = K/(4^(b−1) + K − 1) for values of b bits
//! ```
//!
//! At least K/d of the energy is kept, of which rounding loses at most the fraction q. A power of two is off by at
//! most a third of the value, 1/9 of its energy. Powers of two and signs do not depend on b.

use smidgen_protocol::method::{Budget, Compressor};

/// Fraction of the energy of a value that rounding to the nearest power of two keeps.
const POWER: f64 = 8.0 / 9.0;

/// Returns θ(α) = 1 − sqrt(1 − α), for 0 < α ≤ 1: the decrease of the estimators' error per round.
pub fn theta(alpha: f64) -> f64 {
    // Equal to the formula, but without cancellation for small α.
    alpha / (1.0 + (1.0 - alpha).sqrt())
}

/// Returns β(α) = (1 − α) / θ(α): the increase of the estimators' error by the movement of the model.
pub fn beta(alpha: f64) -> f64 {
    (1.0 - alpha) / theta(alpha)
}

/// Returns ξ(α) = sqrt(β/θ) = sqrt(1 − α) / θ(α): the effect of compression on the step size, 0 without compression.
pub fn xi(alpha: f64) -> f64 {
    (1.0 - alpha).sqrt() / theta(alpha)
}

/// Returns the contraction α = K/d of TopK with exact values.
pub fn top_k_alpha(k: usize, dimension: usize) -> f64 {
    k as f64 / dimension as f64
}

/// Returns q, the largest fraction of energy lost by rounding K values to b = `value_bits` bits with a common shift.
///
/// In units of the last bit no value is off by more than 1/2, nor by more than itself, and the largest is at least
/// 2^(b−2). Hence q ≤ (K/4) / (4^(b−2) + (K−1)/4). With 32 bits nothing is rounded.
pub fn rounding_loss(k: u32, value_bits: u8) -> f64 {
    if value_bits >= 32 {
        return 0.0;
    }
    let k = f64::from(k);
    k / (4f64.powi(i32::from(value_bits) - 1) + k - 1.0)
}

/// Returns the contraction α of a compressor on vectors of `dimension` coordinates of which all but `owned` are zero.
pub fn contraction(budget: &Budget, dimension: usize, owned: usize) -> f64 {
    let Budget { k, compressor, .. } = *budget;
    let kept = |coordinates: usize| top_k_alpha(k as usize, coordinates).min(1.0);
    match compressor {
        Compressor::TopK => kept(owned) * (1.0 - loss(budget, owned)),
        // Its random choice does not depend on which coordinates are owned.
        Compressor::RandK { .. } => kept(dimension) * (1.0 - loss(budget, owned)),
        Compressor::Natural => POWER * kept(owned),
        Compressor::Sign => POWER / dimension as f64,
    }
}

/// Returns the bound on ‖C(v)‖²/‖v‖², which may exceed 1 because values may be rounded up.
pub fn growth(budget: &Budget) -> f64 {
    match budget.compressor {
        Compressor::TopK | Compressor::RandK { .. } => {
            (1.0 + rounding_loss(budget.k, budget.value_bits).sqrt()).powi(2)
        }
        Compressor::Natural | Compressor::Sign => 16.0 / 9.0,
    }
}

/// Returns the fraction of the kept energy that rounding loses, for a vector with `owned` coordinates.
fn loss(budget: &Budget, owned: usize) -> f64 {
    rounding_loss(budget.k.min(u32::try_from(owned).unwrap_or(u32::MAX)), budget.value_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smidgen_firmware::compressor::compress;
    use smidgen_protocol::vector::round_shift;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a / b - 1.0).abs() <= tolerance
    }

    #[test]
    fn xi_of_known_contractions() {
        for (inverse, expected) in
            [(2.0, 2.41421356), (10.0, 18.48683298), (112.0, 222.49887892), (300.0, 598.49958264)]
        {
            assert!(close(xi(1.0 / inverse), expected, 1e-8));
        }
        assert_eq!((theta(1.0), beta(1.0), xi(1.0)), (1.0, 0.0, 0.0));
        let tiny = 1e-12;
        assert!(close(theta(tiny), tiny / 2.0, 1e-11), "1 − sqrt(1 − α) would cancel here");
    }

    #[test]
    fn rounding_loss_of_the_worst_vector() {
        // In units of the last of four bits, the largest value is at least 4, with an error of at most 1/2.
        assert_eq!(rounding_loss(3, 4), (3.0 * 0.25) / (16.0 + 2.0 * 0.25));
        assert_eq!(rounding_loss(64, 32), 0.0);
    }

    fn energy(values: impl Iterator<Item = i64>) -> f64 {
        values.map(|v| (v as f64).powi(2)).sum()
    }

    fn compressors() -> impl Strategy<Value = Compressor> {
        let all = Compressor::all(0).into_iter();
        prop::sample::select(all.filter(|compressor| !compressor.is_random()).collect::<Vec<_>>())
    }

    proptest! {
        /// Every deterministic compressor, on vectors of which some coordinates are always zero.
        #[test]
        fn no_compressor_loses_or_grows_more_than_its_bound(
            owned in prop::collection::vec((-(1i32 << 29)..(1 << 29), 0u32..26).prop_map(|(v, cut)| v >> cut), 1..20),
            zeros in 0usize..10,
            k in 1u32..20,
            value_bits in 2u8..=32,
            compressor in compressors(),
        ) {
            let dimension = owned.len() + zeros;
            let v: Vec<i32> = owned.iter().copied().chain(std::iter::repeat_n(0, zeros)).collect();
            let k = if compressor.sends_all_coordinates() { dimension as u32 } else { k.min(dimension as u32) };
            let budget = Budget { k, value_bits, compressor };
            let mut mantissas = v.clone();
            let shift = compress(&mut mantissas, &budget, 0);
            let value = |m: i32| match m {
                0 => 0,
                m => round_shift(compressor.expand(m.into()), -i32::from(shift)),
            };
            let sent: Vec<i64> = mantissas.into_iter().map(value).collect();
            let whole = energy(v.iter().map(|&v| v.into()));
            let lost = energy(v.iter().zip(&sent).map(|(&v, sent)| i64::from(v) - sent));
            let alpha = contraction(&budget, dimension, owned.len());
            // The mean magnitude of signs is rounded down to an integer first.
            let grid = if compressor.sends_all_coordinates() { 4.0 * (whole * dimension as f64).sqrt() + 4.0 } else { 0.0 };
            prop_assert!(lost <= (1.0 - alpha) * whole * (1.0 + 1e-12) + 1e-12 * whole + grid);
            prop_assert!(energy(sent.into_iter()) <= growth(&budget) * whole * (1.0 + 1e-12) + grid);
        }
    }

    proptest! {
        #[test]
        fn identities_hold(alpha in 1e-6..1.0f64) {
            prop_assert!(close(1.0 + xi(alpha), 1.0 / theta(alpha), 1e-12));
            prop_assert!(close(xi(alpha).powi(2), beta(alpha) / theta(alpha), 1e-12));
        }
    }

    #[test]
    fn fewer_bits_reduce_contraction_except_of_powers_of_two() {
        let of =
            |compressor, value_bits| contraction(&Budget { k: 16, value_bits, compressor }, 64, 64);
        assert_eq!(of(Compressor::TopK, 32), 0.25);
        assert_eq!(of(Compressor::TopK, 2), 0.25 * (1.0 - 16.0 / 19.0));
        assert_eq!(of(Compressor::RandK { seed: 0 }, 3), 0.25 * (1.0 - 16.0 / 31.0));
        assert_eq!([2, 32].map(|bits| of(Compressor::Natural, bits)), [2.0 / 9.0; 2]);
        assert_eq!([2, 32].map(|bits| of(Compressor::Sign, bits)), [1.0 / 72.0; 2]);
    }

    #[test]
    fn randk_does_not_gain_from_unowned_coordinates() {
        let of = |compressor| contraction(&Budget { k: 4, value_bits: 32, compressor }, 64, 8);
        assert_eq!(of(Compressor::TopK), 0.5);
        assert_eq!(of(Compressor::RandK { seed: 0 }), 1.0 / 16.0);
    }
}
