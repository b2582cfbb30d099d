//! Compressors, in place: from a vector to the mantissas of its compression.

use crate::top_k;
use smidgen_protocol::digest::Draws;
use smidgen_protocol::method::{Budget, Compressor};
use smidgen_protocol::sparse::shift_for;
use smidgen_protocol::vector::{max_magnitude, round_shift};

/// Replaces `v` by the mantissas of C(v), with zeros for omitted coordinates; returns their shift.
///
/// The value of a mantissa m is `compressor.expand(m) * 2^shift`. `draw` is the seed of random choices.
pub fn compress(v: &mut [i32], budget: &Budget, draw: u64) -> u8 {
    let k = budget.k as usize;
    match budget.compressor {
        Compressor::TopK => top_k::compress(v, k, budget.value_bits),
        Compressor::RandK { .. } => {
            keep_random(v, budget.k, draw);
            quantise(v, budget.value_bits)
        }
        Compressor::Natural => {
            // With 32 bits TopK does not round, so each value is rounded once, to a power of two.
            top_k::compress(v, k, 32);
            v.iter_mut().for_each(|v| *v = nearest_power(*v));
            0
        }
        Compressor::Sign => signs(v, k),
    }
}

/// Replaces `gradient` by the mantissas of C(gradient − g_i), as [`top_k::difference`] and [`compress`] do.
pub fn compress_difference(
    gradient: &mut [i32],
    g_i: &[i32],
    budget: &Budget,
    draw: u64,
    saturated: &mut u32,
) -> u8 {
    if budget.compressor.is_top_k() {
        let k = budget.k as usize;
        return top_k::compress_difference(gradient, g_i, k, budget.value_bits, saturated);
    }
    top_k::difference(gradient, g_i, saturated);
    compress(gradient, budget, draw)
}

/// Keeps `k` coordinates and sets the others to zero; all sets are equally likely (Knuth, Algorithm S).
fn keep_random(v: &mut [i32], k: u32, draw: u64) {
    let (mut draws, mut wanted) = (Draws::new(draw), k);
    let dimension = v.len() as u32;
    for (j, v) in (0..dimension).zip(v) {
        if draws.below(dimension - j) < wanted {
            wanted -= 1;
        } else {
            *v = 0;
        }
    }
}

fn quantise(v: &mut [i32], value_bits: u8) -> u8 {
    let shift = shift_for(max_magnitude(v), value_bits);
    v.iter_mut().for_each(|v| *v = round_shift(i64::from(*v), shift.into()) as i32);
    shift
}

/// 1 + exponent of the power of two nearest to |v|, with the sign of v; 0 for 0. Ties round up.
fn nearest_power(v: i32) -> i32 {
    let Some(floor) = v.unsigned_abs().checked_ilog2() else { return 0 };
    // From 1.5 * 2^floor on, the next power is nearer. Mantissas are below 2^31, so it is capped at 2^30.
    let up = floor > 0 && v.unsigned_abs() >> (floor - 1) == 3;
    v.signum() * (floor + u32::from(up)).min(30).saturating_add(1) as i32
}

/// Signs of all coordinates, scaled by the power of two nearest to their mean magnitude; zeros if `k` is 0.
fn signs(v: &mut [i32], k: usize) -> u8 {
    // At most 2^32 magnitudes of 31 bits: the sum fits.
    let sum: u64 = v.iter().map(|v| u64::from(v.unsigned_abs())).sum();
    let mean = sum.checked_div(v.len() as u64).unwrap_or(0) as i32;
    let power = nearest_power(mean);
    if k == 0 || power == 0 {
        v.fill(0);
        return 0;
    }
    v.iter_mut().for_each(|v| *v = v.signum());
    power as u8 - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn energy(v: impl Iterator<Item = i64>) -> f64 {
        v.map(|v| (v as f64).powi(2)).sum()
    }

    /// ‖C(v) − v‖², ‖v‖² and the number of entries.
    fn compressed(v: &[i32], budget: &Budget, draw: u64) -> (f64, f64, usize) {
        let mut mantissas = v.to_vec();
        let shift = compress(&mut mantissas, budget, draw);
        let value = |m: i32| match m {
            0 => 0,
            m => round_shift(budget.compressor.expand(m.into()), -i32::from(shift)),
        };
        let bits = budget.compressor.wire_bits(budget.value_bits);
        assert!(mantissas.iter().all(|m| m.unsigned_abs() as u64 <= 1 << (bits - 1)));
        let errors = v.iter().zip(&mantissas).map(|(&v, &m)| i64::from(v) - value(m));
        let entries = mantissas.iter().filter(|&&m| m != 0).count();
        (energy(errors), energy(v.iter().map(|&v| v.into())), entries)
    }

    fn vectors() -> impl Strategy<Value = Vec<i32>> {
        prop::collection::vec(-(1i32 << 29)..(1 << 29), 1..30)
    }

    proptest! {
        #[test]
        fn natural_contracts_by_eight_ninths(v in vectors(), k in 1u32..30) {
            let budget = Budget { k, value_bits: 8, compressor: Compressor::Natural };
            let (error, whole, entries) = compressed(&v, &budget, 0);
            let alpha = 8.0 / 9.0 * (f64::from(k) / v.len() as f64).min(1.0);
            prop_assert!(error <= (1.0 - alpha) * whole + 1.0);
            prop_assert!(entries <= k as usize);
        }

        #[test]
        fn sign_contracts(v in vectors()) {
            let budget = Budget { k: v.len() as u32, value_bits: 8, compressor: Compressor::Sign };
            let (error, whole, _) = compressed(&v, &budget, 0);
            // The mean magnitude is rounded down to an integer before it is rounded to a power of two.
            let slack = 4.0 * whole.sqrt() * (v.len() as f64).sqrt() + 4.0;
            prop_assert!(error <= (1.0 - 8.0 / (9.0 * v.len() as f64)) * whole + slack);
        }

        #[test]
        fn rand_k_keeps_k_and_is_deterministic(v in prop::collection::vec(1i32..1000, 1..30), k in 0u32..30, draw: u64) {
            let budget = Budget { k, value_bits: 32, compressor: Compressor::RandK { seed: 0 } };
            let (_, _, entries) = compressed(&v, &budget, draw);
            prop_assert_eq!(entries, v.len().min(k as usize));
            let (mut once, mut again) = (v.clone(), v);
            compress(&mut once, &budget, draw);
            compress(&mut again, &budget, draw);
            prop_assert_eq!(once, again);
        }
    }

    #[test]
    fn rand_k_contracts_by_k_over_d_in_the_mean() {
        let v: Vec<i32> = (1..=20).map(|j| j * 1000).collect();
        let budget = Budget { k: 5, value_bits: 32, compressor: Compressor::RandK { seed: 0 } };
        let errors: f64 = (0..2000u64).map(|draw| compressed(&v, &budget, draw << 17).0).sum();
        let (_, whole, _) = compressed(&v, &budget, 0);
        assert!((errors / 2000.0 / whole - 0.75).abs() < 0.02, "{}", errors / 2000.0 / whole);
    }

    #[test]
    fn nearest_power_rounds_correctly() {
        assert_eq!([0, 1, 2, 3, -5, 6, 7, 11, 12].map(nearest_power), [0, 1, 2, 3, -3, 4, 4, 4, 5]);
        assert_eq!([i32::MAX, -i32::MAX].map(nearest_power), [31, -31]);
    }
}
