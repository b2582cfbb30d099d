//! The initial model x⁰, derived from a seed on host and worker alike.
//!
//! At x = 0 all hidden units of a perceptron are equal and stay equal, so it needs another start. A seed of four bytes
//! in the configuration replaces the transmission of a dense first model.

use crate::digest::mix;
use crate::vector::Exponent;

/// Exponent of a non-zero x⁰.
pub const EXPONENT: Exponent = 30;

/// Bits of a mantissa: coordinates lie in ±2^(27−30) = ±1/8, which suits layers of some dozens of inputs.
const BITS: u32 = 27;

/// Fills `x` with x⁰ and returns its exponent: zeros for seed 0, uniform draws from ±1/8 for other seeds.
pub fn fill(x: &mut [i32], seed: u32) -> Exponent {
    if seed == 0 {
        x.fill(0);
        return 0;
    }
    for (index, mantissa) in (0u32..).zip(x) {
        let word = mix(u64::from(seed) << 32 | u64::from(index));
        *mantissa = (word >> 32) as i32 >> (i32::BITS - 1 - BITS);
    }
    EXPONENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_uniform_and_depend_on_seed() {
        let (mut x, mut other) = ([0; 4096], [0; 4096]);
        assert_eq!((fill(&mut x, 1), fill(&mut other, 2)), (EXPONENT, EXPONENT));
        let mean = |power| {
            let terms = x.iter().map(|&x| (f64::from(x) / f64::from(1 << BITS)).powi(power));
            terms.sum::<f64>() / x.len() as f64
        };
        assert!(mean(1).abs() < 0.03 && (mean(2) - 1.0 / 3.0).abs() < 0.03);
        assert!(x.iter().all(|x| x.unsigned_abs() <= 1 << BITS));
        assert!(x.iter().zip(&other).all(|(x, other)| x != other));
    }

    #[test]
    fn seed_zero_gives_zero_vector() {
        let mut x = [7; 3];
        assert_eq!((fill(&mut x, 0), x), (0, [0; 3]));
    }
}
