//! TopK with quantised values, in place.
//!
//! TopK keeps the K coordinates of largest magnitude, ties by lower index, so ‖C(v) − v‖² ≤ (1 − K/d) ‖v‖² (EF21,
//! α = K/d). Rounding the kept values to `value_bits` bits loses the share q of their energy: α = (K/d)(1 − q).
//!
//! There are two algorithms, with equal results:
//!
//! 1. For K up to 16, one pass keeps the largest coordinates in a sorted array. Few coordinates exceed its
//!    minimum, so nearly all work is one comparison per coordinate.
//! 2. For larger K, the K-th magnitude is found digit by digit, most significant first: each pass counts one digit of
//!    six bits. The number of passes does not depend on K, and the counts take 256 bytes of stack.

use core::cmp::Ordering;
use core::ops::Range;
use smidgen_protocol::sparse::shift_for;
use smidgen_protocol::vector::{max_magnitude, round_shift, saturate};

/// Largest K for which the array is used.
const ARRAY_LEN: usize = 16;

/// Computes `gradient -= g_i`, the input of the compressor; saturates and counts.
pub fn difference(gradient: &mut [i32], g_i: &[i32], saturated: &mut u32) {
    for (gradient, &g_i) in gradient.iter_mut().zip(g_i) {
        *gradient = match gradient.checked_sub(g_i) {
            // i32::MIN is the one difference that fits an i32 and is not a mantissa.
            Some(difference) if difference != i32::MIN => difference,
            _ => saturated_difference(*gradient, g_i, saturated),
        };
    }
}

fn saturated_difference(gradient: i32, g_i: i32, saturated: &mut u32) -> i32 {
    saturate(i64::from(gradient) - i64::from(g_i), saturated)
}

/// [`difference`], then [`compress`], in one pass for small K.
pub fn compress_difference(
    gradient: &mut [i32],
    g_i: &[i32],
    k: usize,
    value_bits: u8,
    saturated: &mut u32,
) -> u8 {
    if (1..=ARRAY_LEN).contains(&k) {
        let largest = Largest::of_difference(gradient, g_i, k, saturated);
        return largest.write_mantissas(gradient, value_bits);
    }
    difference(gradient, g_i, saturated);
    compress(gradient, k, value_bits)
}

/// Keeps the K coordinates of largest magnitude as mantissas of `value_bits` bits and sets all others to zero; returns
/// the shift.
///
/// The value of a mantissa is `mantissa * 2^shift`. Of equal magnitudes the lower index is kept. A value may round to
/// zero.
pub fn compress(difference: &mut [i32], k: usize, value_bits: u8) -> u8 {
    // Both ways keep the same coordinates; see the module docs for their costs.
    if k <= ARRAY_LEN {
        return Largest::of(difference, k).write_mantissas(difference, value_bits);
    }
    // The largest magnitude is always kept, so it alone determines the shift.
    let max = max_magnitude(difference);
    let shift = shift_for(max, value_bits);
    let mut cut = Cut::find(difference, k, max);
    for value in difference {
        *value = if cut.keeps(value.unsigned_abs()) { mantissa(*value, shift) } else { 0 };
    }
    shift
}

/// Mantissa of a value.
fn mantissa(value: i32, shift: u8) -> i32 {
    round_shift(i64::from(value), i32::from(shift)) as i32
}

/// The largest coordinates so far, by falling magnitude.
struct Largest {
    entries: [Entry; ARRAY_LEN],
    len: usize,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    index: usize,
    value: i32,
}

impl Entry {
    fn magnitude(&self) -> u32 {
        self.value.unsigned_abs()
    }
}

impl Largest {
    /// The `k` largest coordinates; unused entries at the end are zero.
    fn of(values: &[i32], k: usize) -> Self {
        let mut largest = Self { entries: [Entry::default(); ARRAY_LEN], len: k };
        if k == 0 {
            return largest;
        }
        // The smallest kept magnitude, cached because most coordinates are compared with nothing else.
        let mut threshold = 0;
        for (index, &value) in values.iter().enumerate() {
            if value.unsigned_abs() > threshold {
                threshold = largest.insert(Entry { index, value });
            }
        }
        largest
    }

    /// The same of `gradient - g_i`, saturated and counted, for `k` above 0.
    fn of_difference(gradient: &[i32], g_i: &[i32], k: usize, saturated: &mut u32) -> Self {
        let mut largest = Self { entries: [Entry::default(); ARRAY_LEN], len: k };
        let mut threshold = 0;
        for (index, (&gradient, &g_i)) in gradient.iter().zip(g_i).enumerate() {
            match gradient.checked_sub(g_i) {
                Some(difference) if difference.unsigned_abs() <= threshold => {}
                // A difference that is no mantissa exceeds every threshold, so each is seen here.
                _ => {
                    let value = saturated_difference(gradient, g_i, saturated);
                    if value.unsigned_abs() > threshold {
                        threshold = largest.insert(Entry { index, value });
                    }
                }
            }
        }
        largest
    }

    /// Inserts after all entries of at least the same magnitude, so that ties keep the lower index, and drops the last;
    /// returns the new smallest magnitude. The entry is larger than the last.
    fn insert(&mut self, entry: Entry) -> u32 {
        let magnitude = entry.magnitude();
        let kept = self.entries.get_mut(..self.len).unwrap_or_default();
        let mut upwards = kept.iter_mut().rev();
        let Some(mut place) = upwards.next() else { return 0 };
        for above in upwards {
            if above.magnitude() >= magnitude {
                break;
            }
            // Up to the place of the new entry, every entry moves down by one.
            *place = *above;
            place = above;
        }
        *place = entry;
        self.entries.get(self.len - 1).map_or(0, Entry::magnitude)
    }

    /// Writes the mantissas of the kept coordinates and zeros elsewhere; returns their shift.
    fn write_mantissas(&self, values: &mut [i32], value_bits: u8) -> u8 {
        let shift = shift_for(self.entries[0].value.unsigned_abs(), value_bits);
        values.fill(0);
        for entry in self.entries.iter().take(self.len).filter(|entry| entry.value != 0) {
            if let Some(value) = values.get_mut(entry.index) {
                *value = mantissa(entry.value, shift);
            }
        }
        shift
    }
}

/// The boundary of TopK: larger magnitudes are kept, and the first `ties` that equal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    magnitude: u32,
    ties: usize,
}

impl Cut {
    /// Bits per digit: 2^6 counts take 256 bytes of a board's stack.
    const DIGIT_BITS: u32 = 6;
    /// Keeps every non-zero coordinate.
    const NONE: Self = Self { magnitude: 0, ties: 0 };

    /// Finds the boundary digit by digit, most significant first.
    ///
    /// Each pass counts the next digit among the magnitudes that start with `prefix`. The search ends early if all of
    /// those are kept.
    fn find(values: &[i32], k: usize, max: u32) -> Self {
        // The search below needs a K-th magnitude; here there is none, and everything is kept.
        if k >= values.len() {
            return Self::NONE;
        }
        let (mut prefix, mut ties) = (0, k);
        // Digits above the largest magnitude are zero and need no pass.
        let mut high = u32::BITS - max.leading_zeros();
        while high > 0 {
            let low = high.saturating_sub(Self::DIGIT_BITS);
            let counts = count(values, prefix, low..high);
            let (mut digit, mut counted) = (0, 0);
            // Skip the largest digits, all of whose magnitudes are kept; stop at the digit that the boundary falls
            // into.
            for (place, &count) in counts.iter().enumerate().rev() {
                (digit, counted) = (place, count);
                if count >= ties {
                    break;
                }
                ties -= count;
            }
            prefix = prefix << (high - low) | digit as u32;
            if counted == ties {
                // All that share the prefix are kept, so the boundary lies just below the smallest of them and no ties
                // remain.
                let floor = prefix << low;
                return Self { magnitude: floor.saturating_sub(1), ties: 0 };
            }
            high = low;
        }
        Self { magnitude: prefix, ties }
    }

    /// Returns whether a coordinate is kept. Call it in ascending order of indices.
    fn keeps(&mut self, magnitude: u32) -> bool {
        match magnitude.cmp(&self.magnitude) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => {
                let kept = self.ties > 0;
                self.ties -= usize::from(kept);
                kept
            }
        }
    }
}

/// Counts the digit at `bits` of all magnitudes whose higher digits are `prefix`.
fn count(values: &[i32], prefix: u32, bits: Range<u32>) -> [usize; 1 << Cut::DIGIT_BITS] {
    let mut counts = [0; 1 << Cut::DIGIT_BITS];
    // Those with the prefix are neighbours. In the first pass the prefix may have no bits: every magnitude matches.
    let (first, span) = (prefix.unbounded_shl(bits.end), !u32::MAX.unbounded_shl(bits.end));
    for value in values {
        let magnitude = value.unsigned_abs();
        if magnitude.wrapping_sub(first) <= span {
            let digit = (magnitude >> bits.start) as usize % (1 << (bits.end - bits.start));
            // No digit exceeds the number of counts; the remainder shows that to the compiler, which drops the panic.
            counts[digit % (1 << Cut::DIGIT_BITS)] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// TopK by a stable sort.
    fn sorted(values: &[i32], k: usize, value_bits: u8) -> (Vec<i32>, u8) {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|&index| core::cmp::Reverse(values[index].unsigned_abs()));
        order.truncate(k);
        let max = order.first().map_or(0, |&index| values[index].unsigned_abs());
        let shift = shift_for(max, value_bits);
        let mut kept = vec![0; values.len()];
        for index in order {
            kept[index] = round_shift(i64::from(values[index]), i32::from(shift)) as i32;
        }
        (kept, shift)
    }

    /// Vectors with many ties, with a wide range, and arbitrary ones.
    fn vectors() -> impl Strategy<Value = Vec<i32>> {
        prop_oneof![
            prop::collection::vec(-3i32..4, 0..120),
            prop::collection::vec((any::<i32>(), 0u32..32).prop_map(|(v, s)| v >> s), 0..120),
            prop::collection::vec(any::<i32>(), 0..120),
        ]
    }

    /// Mantissas of which many differ by more than one can hold.
    fn mantissas() -> impl Strategy<Value = i32> {
        prop_oneof![
            -3i32..4,
            -i32::MAX..=i32::MAX,
            prop::sample::select(vec![-i32::MAX, -i32::MAX / 2 - 1, i32::MAX / 2, i32::MAX]),
        ]
    }

    fn energy(values: impl Iterator<Item = f64>) -> f64 {
        values.map(|value| value * value).sum()
    }

    proptest! {
        #[test]
        fn matches_stable_sort(values in vectors(), k in 0usize..130, bits in 2u8..=32) {
            let mut kept = values.clone();
            let shift = compress(&mut kept, k, bits);
            prop_assert_eq!((kept, shift), sorted(&values, k, bits));
        }

        #[test]
        fn compressed_difference_is_that_of_both_steps(
            pairs in prop::collection::vec((mantissas(), mantissas()), 0..120), k in 0usize..130, bits in 2u8..=32,
        ) {
            let (gradient, g_i): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
            let (mut at_once, mut in_steps, mut counts) = (gradient.clone(), gradient, [0; 2]);
            let shift = compress_difference(&mut at_once, &g_i, k, bits, &mut counts[0]);
            difference(&mut in_steps, &g_i, &mut counts[1]);
            prop_assert_eq!((shift, counts[0]), (compress(&mut in_steps, k, bits), counts[1]));
            prop_assert_eq!(at_once, in_steps);
        }

        #[test]
        fn array_and_digit_selection_agree(values in vectors(), k in 0usize..=ARRAY_LEN) {
            let mut kept = values.clone();
            compress(&mut kept, k, 32);
            let mut cut = Cut::find(&values, k.max(1), max_magnitude(&values));
            for (value, kept) in values.iter().zip(kept).filter(|_| k > 0) {
                prop_assert_eq!(if cut.keeps(value.unsigned_abs()) { *value } else { 0 }, kept);
            }
        }

        /// ‖C(v) − v‖² ≤ (1 − α) ‖v‖² with α = (K/d)(1 − q), and q = 0 if nothing is rounded.
        #[test]
        fn contracts_by_alpha(values in vectors(), k in 1usize..130, bits in 2u8..=32) {
            let d = values.len().max(1) as f64;
            let mut kept = values.clone();
            let shift = compress(&mut kept, k, bits);
            let unit = f64::from(shift).exp2();
            let error = energy(values.iter().zip(&kept).map(|(&v, &m)| f64::from(v) - f64::from(m) * unit));
            let total = energy(values.iter().map(|&v| f64::from(v)));
            // With a shift, the largest value is at least 2^(b−2) units and each of the others loses at most half a
            // unit, so the loss is at most the share q of the kept energy.
            let others = (k.min(values.len()) as f64 - 1.0) / 4.0;
            let least = f64::from(bits - 2).exp2().powi(2);
            let q = if shift == 0 { 0.0 } else { (others + 0.25) / (least + others) };
            // 1 − α, arranged to avoid cancellation.
            let share = (k as f64 / d).min(1.0);
            let bound = ((1.0 - share) + share * q) * total;
            prop_assert!(error <= bound * (1.0 + 1e-12), "{} {}", error, bound);
        }

        #[test]
        fn mantissas_fit_value_bits(values in vectors(), k in 1usize..130, bits in 2u8..=32) {
            let mut kept = values;
            let shift = compress(&mut kept, k, bits);
            prop_assert!(max_magnitude(&kept) <= 1 << (bits - 1));
            prop_assert!(shift <= 31);
        }
    }

    #[test]
    fn difference_saturates_and_is_counted() {
        let (mut gradient, mut saturated) = ([i32::MAX, -7, 5], 0);
        difference(&mut gradient, &[-1, 3, 5], &mut saturated);
        assert_eq!((gradient, saturated), ([i32::MAX, -10, 0], 1));
    }
}
