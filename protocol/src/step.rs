//! The model step x^{t+1} = prox(x^t − γ v^t), the line "server" of all methods; g is the mean of the workers'
//! estimators.

use crate::vector::{Exponent, LONG_PRODUCTS, Ratio, round_shift, saturate};
use serde::{Deserialize, Serialize};

/// Number of paces that double the step size.
pub const OCTAVE: i16 = 8;
/// 2^(j/8) with 30 fraction bits.
pub const EIGHTHS: [u32; OCTAVE as usize] = [
    1_073_741_824,
    1_170_923_762,
    1_276_901_417,
    1_392_470_869,
    1_518_500_250,
    1_655_936_265,
    1_805_811_301,
    1_969_251_188,
];

/// Constants of a run's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Step size over the number of workers, γ/n. Applied to the sum, it spares the rounding of the mean.
    pub gamma_n: Ratio,
    /// η of `v = η v + g` (EF21-HB); 0 for v = g.
    pub momentum: Ratio,
    /// Weight of the l1 norm times the number of workers, n λ₁ (EF21-Prox); 0 for none.
    pub l1_n: Ratio,
}

/// Exponents of x and of Σ g_i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grids {
    /// Exponent of x.
    pub x: Exponent,
    /// Exponent of Σ g_i and of the velocity.
    pub sum: Exponent,
}

/// Moves the model: `v = η v + Σ g_i`, `x -= round(γ/n v)`, then shrinks x by `γ λ₁`, each rounded to its exponent.
///
/// `velocity` is empty without momentum. Host and worker call this function with the same integers, so they hold
/// the same x afterwards.
pub fn step(
    x: &mut [i32],
    sum: &[i64],
    velocity: &mut [i64],
    rule: Rule,
    grids: Grids,
    saturated: &mut u32,
) {
    for (velocity, sum) in velocity.iter_mut().zip(sum) {
        *velocity = rule.momentum.scale(*velocity, 0).saturating_add(*sum);
    }
    // Without momentum the sum is the velocity, and no second vector is stored.
    let direction = if velocity.is_empty() { sum } else { velocity };
    let shift = i32::from(grids.sum) - i32::from(grids.x);
    let threshold = rule.threshold(grids.x);
    // Shrinking by zero changes nothing.
    let narrow = Narrow::new(rule.gamma_n, shift).filter(|_| threshold == 0);
    for (x, &direction) in x.iter_mut().zip(direction) {
        *x = match narrow.and_then(|narrow| narrow.moved(*x, direction)) {
            Some(moved) => moved,
            None => {
                let moved = i64::from(*x).saturating_sub(rule.gamma_n.scale(direction, shift));
                saturate(shrink(moved, threshold), saturated)
            }
        };
    }
}

/// The step in words of 32 bits, for shifts that drop the lower word of a product of two of them: those of nearly all
/// runs, since mantissas of x, sum and γ/n have about 30 bits each.
#[derive(Clone, Copy)]
struct Narrow {
    /// |γ/n|
    magnitude: u32,
    /// −1 if γ/n is negative, else 0.
    sign: i32,
    /// Bits to drop of the upper word of a product, but for the one that decides about rounding.
    shift: u32,
}

impl Narrow {
    fn new(gamma_n: Ratio, shift: i32) -> Option<Self> {
        let shift = u32::try_from(shift + i32::from(gamma_n.exponent) - 33).ok()?;
        let (magnitude, sign) = (gamma_n.mantissa.unsigned_abs(), gamma_n.mantissa >> 31);
        (shift < u32::BITS).then_some(Self { magnitude, sign, shift })
    }

    /// `x − round(γ/n v)`, as [`round_shift`] rounds; `None` if v is wider than 32 bits or the result saturates.
    #[inline]
    fn moved(self, x: i32, direction: i64) -> Option<i32> {
        let direction = i32::try_from(direction).ok()?;
        let upper = upper_word(direction.unsigned_abs(), self.magnitude);
        // At most 2^30, so nothing overflows.
        let rounded = ((upper >> self.shift) + 1) >> 1;
        let sign = (direction >> 31) ^ self.sign;
        x.checked_sub((rounded as i32 ^ sign) - sign).filter(|&moved| moved != i32::MIN)
    }
}

/// The upper word of a product of two words of at most 2^31.
#[inline]
fn upper_word(a: u32, b: u32) -> u32 {
    if LONG_PRODUCTS {
        ((u64::from(a) * u64::from(b)) >> 32) as u32
    } else {
        upper_word_by_halves(a, b)
    }
}

/// The same from products of 16 bits. A Cortex-M0 has no wider ones, and a multiplication of 64 bits takes it 40
/// instructions.
#[inline]
fn upper_word_by_halves(a: u32, b: u32) -> u32 {
    let ((a1, a0), (b1, b0)) = ((a >> 16, a & 0xffff), (b >> 16, b & 0xffff));
    // An upper half is below 2^15, or 2^15 with a lower half of 0, so this sum fits a word.
    let middle = a1 * b0 + a0 * b1 + ((a0 * b0) >> 16);
    a1 * b1 + (middle >> 16)
}

impl Rule {
    /// The rule with step size γ · 2^(pace/8), whose mantissa is rounded once.
    #[must_use]
    pub fn paced(self, pace: u8) -> Self {
        let Ratio { mantissa, exponent } = self.gamma_n;
        let (octaves, eighth) = (i16::from(pace) / OCTAVE, i16::from(pace) % OCTAVE);
        let product = i64::from(mantissa) * i64::from(EIGHTHS[eighth as usize]);
        // A product beyond 31 bits is halved, and the exponent makes up for it.
        let halved = i16::from(i32::try_from(round_shift(product, 30)).is_err());
        let mantissa = round_shift(product, 30 + i32::from(halved)) as i32;
        let exponent = exponent.saturating_sub(octaves + halved);
        Self { gamma_n: Ratio { mantissa, exponent }, ..self }
    }

    /// γ λ₁ at the exponent of x, at least 0.
    fn threshold(self, x_exponent: Exponent) -> i64 {
        let Ratio { mantissa, exponent } = self.gamma_n;
        // λ₁ n · γ/n: the two factors n cancel.
        let shift = i32::from(exponent) - i32::from(x_exponent);
        self.l1_n.scale(i64::from(mantissa), shift).max(0)
    }
}

/// Proximal operator of `threshold · |value|`: moves the value towards zero by `threshold`, stopping at zero.
fn shrink(value: i64, threshold: i64) -> i64 {
    if value > 0 { (value - threshold).max(0) } else { value.saturating_add(threshold).min(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mantissas and sums of any size, the extreme ones among them.
    fn words() -> impl Strategy<Value = i32> {
        prop_oneof![
            (any::<i32>(), 0u32..32).prop_map(|(word, shift)| word >> shift),
            prop::sample::select(vec![i32::MIN, -i32::MAX, -1, 0, 1, i32::MAX]),
        ]
    }

    proptest! {
        #[test]
        fn upper_word_by_halves_is_that_of_the_product(a in words(), b in words()) {
            let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
            prop_assert_eq!(upper_word_by_halves(a, b), ((u64::from(a) * u64::from(b)) >> 32) as u32);
        }

        #[test]
        fn narrow_step_is_the_wide_one(
            x in words(), direction in words(), wide in -1i64..2, mantissa in words(), exponent in 20i16..80,
        ) {
            let x = x.max(-i32::MAX);
            let gamma_n = Ratio { mantissa, exponent };
            let direction = i64::from(direction) + (wide << 32);
            let (mut moved, mut count) = ([x], 0);
            step(&mut moved, &[direction], &mut [], plain(gamma_n), Grids { x: 7, sum: 5 }, &mut count);
            let (wide, mut saturated) = (i64::from(x) - gamma_n.scale(direction, -2), 0);
            prop_assert_eq!(moved, [saturate(wide, &mut saturated)]);
            prop_assert_eq!(count, saturated);
        }
    }

    fn plain(gamma_n: Ratio) -> Rule {
        Rule { gamma_n, ..Rule::default() }
    }

    #[test]
    fn step_rounds_once() {
        // γ/n = 1/4, sum in units of 1/8, x in units of 1/16: 3/8 · 1/4 = 1.5/16, which rounds to 2/16.
        let rule = plain(Ratio { mantissa: 1 << 30, exponent: 32 });
        let (mut x, mut saturated) = ([100, 0], 0);
        step(&mut x, &[3, -3], &mut [], rule, Grids { x: 4, sum: 3 }, &mut saturated);
        assert_eq!((x, saturated), ([98, 2], 0));
    }

    #[test]
    fn out_of_range_step_saturates_and_is_counted() {
        let rule = plain(Ratio { mantissa: 1 << 30, exponent: 0 });
        let (mut x, mut saturated) = ([0], 0);
        step(&mut x, &[i64::MIN / 2], &mut [], rule, Grids { x: 0, sum: 0 }, &mut saturated);
        assert_eq!((x, saturated), ([i32::MAX], 1));
    }

    #[test]
    fn eight_paces_double_the_step_size() {
        let theory = Ratio { mantissa: 1_234_567_890, exponent: 33 };
        let paced = |gamma_n, pace| plain(gamma_n).paced(pace).gamma_n;
        assert_eq!(paced(theory, 0), theory);
        assert_eq!(paced(theory, 8), Ratio { exponent: 32, ..theory });
        // 2^(7/8) * 1234567890 has 32 bits, so its half is stored.
        assert_eq!(paced(theory, 7), Ratio { mantissa: 1_132_103_747, exponent: 32 });
        for pace in 0..=u8::MAX {
            let Ratio { mantissa, exponent } = paced(theory, pace);
            let found = f64::from(mantissa) / 1_234_567_890.0 * f64::from(33 - exponent).exp2();
            let wanted = (f64::from(pace) / 8.0).exp2();
            assert!((found / wanted - 1.0).abs() < 1e-9, "{pace}: {found}");
        }
        let least = Ratio { mantissa: i32::MIN, exponent: i16::MIN };
        assert_eq!(paced(least, 255).exponent, i16::MIN, "nothing overflows");
    }

    #[test]
    fn momentum_accumulates_and_prox_stops_at_zero() {
        let (one, half) =
            (Ratio { mantissa: 1 << 30, exponent: 30 }, Ratio { mantissa: 1 << 30, exponent: 31 });
        let (mut x, mut velocity) = ([0], [0]);
        let rule = Rule { momentum: half, ..plain(one) };
        for expected in [-8, -20, -34] {
            step(&mut x, &[8], &mut velocity, rule, Grids { x: 0, sum: 0 }, &mut 0);
            assert_eq!(x, [expected]);
        }
        // γ/n = 1, n λ₁ = 5, unit 1: every coordinate shrinks by five.
        let rule = Rule { l1_n: Ratio { mantissa: 5, exponent: 0 }, ..plain(one) };
        let mut x = [20, -20, 3, -3];
        step(&mut x, &[0; 4], &mut [], rule, Grids { x: 0, sum: 0 }, &mut 0);
        assert_eq!(x, [15, -15, 0, 0]);
    }
}
