//! The server's compressor C_M: TopK with quantised values, on wide mantissas.

use serde::{Deserialize, Serialize};
use smidgen_protocol::vector::round_shift;

/// Sparsity budget of a change of the model on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownlinkBudget {
    /// K.
    pub k: u32,
    /// Bits of a mantissa.
    pub value_bits: u8,
}

/// C(v): the K coordinates of largest magnitude, the first of equal ones, rounded to mantissas with one shift; without
/// a budget v itself.
pub(crate) fn compress(mut v: Vec<i64>, budget: Option<DownlinkBudget>) -> Vec<i64> {
    let Some(DownlinkBudget { k, value_bits }) = budget else { return v };
    // Only the set of the K largest matters: selecting them is linear, sorting is not.
    let mut order: Vec<usize> = (0..v.len()).collect();
    let k = (k as usize).min(v.len());
    let by_magnitude =
        |&a: &usize, &b: &usize| v[b].unsigned_abs().cmp(&v[a].unsigned_abs()).then(a.cmp(&b));
    if k < order.len() {
        order.select_nth_unstable_by(k, by_magnitude);
    }
    let (kept, dropped) = order.split_at(k);
    let largest = kept.iter().map(|&j| v[j].unsigned_abs()).max().unwrap_or(0);
    let shift = shift_for(largest, value_bits);
    dropped.iter().for_each(|&j| v[j] = 0);
    // Back on the grid of v, where the rest of the server computes.
    kept.iter().for_each(|&j| v[j] = round_shift(v[j], shift) << shift);
    v
}

/// The smallest shift with which mantissas of `value_bits` bits hold magnitudes up to `largest`.
fn shift_for(largest: u64, value_bits: u8) -> i32 {
    let limit = 1i64 << (value_bits - 1);
    (0..).find(|&shift| round_shift(largest as i64, shift) <= limit).expect("it falls to zero")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_are_kept_and_rounded_to_a_common_grid() {
        let budget = Some(DownlinkBudget { k: 2, value_bits: 3 });
        assert_eq!(compress(vec![100, -7, 90, 100], budget), [96, 0, 0, 96]);
        assert_eq!(compress(vec![1, 2, 3], None), [1, 2, 3]);
        assert_eq!(compress(vec![0, 0], budget), [0, 0]);
    }

    proptest! {
        /// ‖C(v) − v‖² ≤ (1 − K/d) ‖v‖², for mantissas wide enough to be exact.
        #[test]
        fn it_contracts(v in prop::collection::vec(-(1i64 << 30)..(1 << 30), 1..20), k in 1u32..20) {
            let (d, norm) = (v.len() as u32, |v: &[i64]| v.iter().map(|&v| i128::from(v).pow(2)).sum::<i128>());
            let error: Vec<i64> = compress(v.clone(), Some(DownlinkBudget { k, value_bits: 32 }))
                .iter().zip(&v).map(|(c, v)| c - v).collect();
            prop_assert!(norm(&error) * i128::from(d) <= norm(&v) * i128::from(d.saturating_sub(k)));
        }
    }
}
