//! Which coordinates have entries: one decision a coordinate, more likely true where |Σ g_i| is larger.
//!
//! Both ends know how many entries are left and weigh each coordinate by Σ g_i as the worker holds it, so the chance of
//! a coordinate is its share of the weights that are left, times the entries that are left.

use super::range::Coder;
use core::iter;

/// Bits of a magnitude that its weight depends on.
const LEVELS: u32 = 10;
/// Weights of magnitudes by their number of bits: 16 · 2^(2/5) for each bit. Measured on digits, w1a, mushrooms, a
/// softmax and a perceptron, slopes of 0.3 to 0.5 are about equally good.
const OF_LEVEL: [u16; LEVELS as usize + 1] = [16, 21, 28, 37, 48, 64, 84, 111, 147, 194, 256];
/// Weight of every coordinate where Σ g_i is not known.
const ALIKE: u32 = 16;
/// From this number of coordinates on all weigh the same: the sum of other weights could exceed 32 bits.
const WEIGHED_MAX: u32 = 1 << 24;
/// Above the largest density that a division gives.
const DENSITY_MAX: u32 = 1 << 17;

/// Weights of `m` for m below 32, and of `32 · m` in the second half.
static WEIGHTS: [u16; 64] = {
    let mut weights = [0; 64];
    let mut place = 0;
    while place < 64 {
        let magnitude = if place < 32 { place as u32 } else { (place as u32 - 32) << 5 };
        weights[place] = OF_LEVEL[(u32::BITS - magnitude.leading_zeros()) as usize];
        place += 1;
    }
    weights
};

/// Weights of coordinates.
#[derive(Clone, Copy, Debug)]
enum Weights {
    /// All weigh the same.
    Alike,
    /// By magnitudes of 31 bits at most, after a shift to the right by this number of bits.
    Narrow(u32),
    /// The same for any magnitudes.
    Wide(u32),
}

impl Weights {
    /// Weights of the coordinates from `from` on; `sum` is empty if it is not known.
    fn new(sum: &[i64], from: u32) -> Self {
        let weighed = sum.get(from as usize..).unwrap_or_default();
        let used = weighed.iter().fold(0, |used, &sum| used | magnitude(sum));
        let bits = u64::BITS - used.leading_zeros();
        let dropped = bits.saturating_sub(LEVELS);
        match bits {
            0 => Self::Alike,
            _ if sum.len() >= WEIGHED_MAX as usize => Self::Alike,
            1..32 => Self::Narrow(dropped),
            _ => Self::Wide(dropped),
        }
    }
}

/// Weight of a sum that fits a word, which a 32-bit machine shifts at once.
#[inline(always)]
fn narrow_weight(sum: i64, dropped: u32) -> u32 {
    let sum = sum as i32;
    weight_of((sum ^ (sum >> 31)).cast_unsigned() >> (dropped % u32::BITS))
}

/// Weight of any sum.
#[inline(always)]
fn wide_weight(sum: i64, dropped: u32) -> u32 {
    weight_of((magnitude(sum) >> (dropped % u64::BITS)) as u32)
}

/// Weight of the highest bits of a magnitude.
#[inline(always)]
fn weight_of(kept: u32) -> u32 {
    let place = if kept < 32 { kept } else { 32 + (kept >> 5) };
    // Ten bits are kept, so no place is beyond the table.
    WEIGHTS[place as usize % WEIGHTS.len()].into()
}

/// |sum|, less 1 if it is negative: the same number of bits but for powers of two, and one instruction less a word.
#[inline]
fn magnitude(sum: i64) -> u64 {
    (sum ^ (sum >> 63)).cast_unsigned()
}

/// The entries and coordinates that are left.
#[derive(Clone, Debug)]
pub(super) struct Places {
    weights: Weights,
    /// The next coordinate.
    next: u32,
    /// One past the last coordinate.
    until: u32,
    /// Weight of the coordinates from `next` on.
    weight: u32,
    /// Entries that are left.
    entries: u32,
    /// entries / weight, times 2^`fraction_bits`.
    density: u32,
    fraction_bits: u32,
    /// The density is renewed when less weight than this is left.
    renewed_below: u32,
}

impl Places {
    /// `entries` of the coordinates `from..until`, at most as many as there are; see [`Weights::new`].
    pub(super) fn new(sum: &[i64], from: u32, until: u32, entries: u32) -> Self {
        let weights = Weights::new(sum, from);
        let weighed = sum.get(from as usize..until as usize).unwrap_or_default().iter();
        let weight = match weights {
            Weights::Alike => until.saturating_sub(from).saturating_mul(ALIKE),
            Weights::Narrow(dropped) => weighed.map(|&sum| narrow_weight(sum, dropped)).sum(),
            Weights::Wide(dropped) => weighed.map(|&sum| wide_weight(sum, dropped)).sum(),
        };
        let mut places = Self {
            weights,
            next: from,
            until,
            weight,
            entries,
            density: 0,
            fraction_bits: 0,
            renewed_below: 0,
        };
        places.renew();
        places
    }

    /// Codes the coordinate of the next entry; there is one. `sum` is as before from `next` on.
    pub(super) fn code(&mut self, coder: &mut impl Coder, sum: &[i64], coordinate: u32) -> u32 {
        // As many coordinates as entries that are left have one each.
        let free = self.until.saturating_sub(self.next).saturating_sub(self.entries) as usize;
        let rest = sum.get(self.next as usize..).and_then(|rest| rest.get(..free));
        let rest = rest.unwrap_or_default().iter();
        let wanted = coordinate.wrapping_sub(self.next) as usize;
        match self.weights {
            // The usual kind has a loop of its own, which takes a third fewer instructions.
            Weights::Narrow(dropped) => {
                self.pass(coder, rest.map(|&sum| narrow_weight(sum, dropped)), wanted);
            }
            Weights::Alike => self.pass_any(coder, &mut iter::repeat_n(ALIKE, free), wanted),
            Weights::Wide(dropped) => {
                self.pass_any(coder, &mut rest.map(|&sum| wide_weight(sum, dropped)), wanted);
            }
        }
        self.entries = self.entries.saturating_sub(1);
        self.next = self.next.saturating_add(1);
        self.renew();
        self.next - 1
    }

    /// As [`Self::pass`], in the same code for all kinds of weights.
    #[inline(never)]
    fn pass_any(
        &mut self,
        coder: &mut impl Coder,
        weights: &mut dyn Iterator<Item = u32>,
        wanted: usize,
    ) {
        self.pass(coder, weights, wanted);
    }

    /// Passes over coordinates without an entry.
    #[inline]
    fn pass(
        &mut self,
        coder: &mut impl Coder,
        weights: impl Iterator<Item = u32>,
        mut wanted: usize,
    ) {
        let (mut left, mut passed) = (self.weight, 0);
        let (mut density, mut fraction_bits) = (self.density, self.fraction_bits);
        for weight in weights {
            left = left.wrapping_sub(weight);
            // Not 0, and below 1.
            let chance = ((weight * density) >> (fraction_bits % u32::BITS)) | 1;
            if coder.decide(chance.min(u16::MAX.into()) as u16, wanted == 0) {
                break;
            }
            (passed, wanted) = (passed + 1, wanted.wrapping_sub(1));
            if left < self.renewed_below {
                self.weight = left;
                self.renew();
                (density, fraction_bits) = (self.density, self.fraction_bits);
            }
        }
        (self.weight, self.next) = (left, self.next + passed);
    }

    /// Computes the density anew. Between two times the weight decreases by about an eighth at most.
    fn renew(&mut self) {
        self.renewed_below = self.weight - self.weight / 8;
        // Both factors have all the bits that a division of 32 bits has room for, so the density has 17 at most, and
        // its product with a weight fits a word.
        let (up, weight_up) = (self.entries.leading_zeros(), self.weight.leading_zeros());
        let weight = self.weight.checked_shl(weight_up).unwrap_or(0) >> 16;
        let density = self.entries.checked_shl(up).unwrap_or(0).checked_div(weight).unwrap_or(0);
        // entries / weight = density · 2^(weight_up − up − 16), and a chance of 1 is 2^16.
        (self.density, self.fraction_bits) = match up.checked_sub(weight_up) {
            Some(bits) => (density, bits.min(31)),
            // Less weight than entries: every chance is cut.
            None => (DENSITY_MAX, 0),
        };
    }
}
