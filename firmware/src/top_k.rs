//! The compressor C: TopK with quantised values.

use smidgen_protocol::sparse::shift_for;
use smidgen_protocol::vector::{max_magnitude, round_shift, saturate};

/// `gradient -= g_i`, saturating.
pub fn difference(gradient: &mut [i32], g_i: &[i32], saturated: &mut u32) {
    for (gradient, g_i) in gradient.iter_mut().zip(g_i) {
        *gradient = saturate(i64::from(*gradient) - i64::from(*g_i), saturated);
    }
}

/// Keeps the `k` largest magnitudes, as mantissas of `value_bits` bits; the rest becomes 0. Returns their shift.
pub fn compress(difference: &mut [i32], k: usize, value_bits: u8) -> u8 {
    let shift = shift_for(max_magnitude(difference), value_bits);
    let above = |threshold: u32| difference.iter().filter(|v| v.unsigned_abs() > threshold).count();
    let mut threshold = 0;
    for bit in (0..31).rev() {
        let candidate = threshold | ((1 << bit) - 1);
        if above(candidate) > k {
            threshold |= 1 << bit;
        }
    }
    if above(threshold) > k {
        threshold += 1;
    }
    let mut ties = k.saturating_sub(above(threshold));
    for value in difference {
        let tied = value.unsigned_abs() == threshold && ties > 0;
        ties -= usize::from(tied);
        let kept = tied || value.unsigned_abs() > threshold;
        *value = if kept { round_shift(i64::from(*value), shift.into()) as i32 } else { 0 };
    }
    shift
}

#[cfg(test)]
mod tests {
    #[test]
    fn ties_go_to_the_lower_index() {
        let mut v = [3, -5, 5, 1, -5, 0];
        assert_eq!(super::compress(&mut v, 2, 32), 0);
        assert_eq!(v, [0, -5, 5, 0, 0, 0]);
        let mut v = [3, -5, 5, 1, -5, 0];
        super::compress(&mut v, 0, 32);
        assert_eq!(v, [0; 6]);
    }
}
