//! e^−z for z ≥ 0, and the logarithm of a sum of such powers, for softmax.
//!
//! e^−z = 2^−n · 2^−i/64 · e^−t, where n and i are the leading bits of z / log 2. The second factor comes from a table
//! and the third, t < 0.011, from four terms of its series. The compiler evaluates the table; no floats exist at run
//! time.
//!
//! ```
//! use smidgen_firmware::exponential::{EXPONENT, Exponential, log};
//!
//! // e^−1.5 and the logarithm of 3, where 1.5 has 10 fraction bits.
//! let power = Exponential::new(10).at(3 << 9);
//! let real = |value: u64| value as f64 / f64::from(EXPONENT).exp2();
//! assert!((real(power.into()) - (-1.5f64).exp()).abs() < 5.3e-9);
//! assert!((real(log(3 << EXPONENT)) - 3f64.ln()).abs() < 5.3e-9);
//! ```

use crate::sigmoid::exp;
use smidgen_protocol::vector::round_shift;

/// Fraction bits of powers and logarithms.
pub const EXPONENT: u32 = 31;
/// Error bound of powers, and of logarithms of a sum of 64 powers: 2^-27.5.
#[cfg(test)]
const ERROR_MAX: f64 = 5.3e-9;

/// Fraction bits of z and of quantities derived from it.
const Z_EXPONENT: u32 = 32;
/// For z ≥ 32 every power is 0.
const Z_MAX: i64 = 32 << Z_EXPONENT;
/// log2 of the number of table entries.
const INDEX_BITS: u32 = 6;
/// 1 / log 2 − 1, with 32 fraction bits.
const EXCESS: u64 = 1_901_360_723;
/// log 2, with 32 fraction bits.
const LOG_2: u64 = 2_977_044_472;
/// 1/6, with 32 fraction bits.
const SIXTH: u64 = 715_827_883;

/// 2^−i/64.
static TABLE: [u32; 1 << INDEX_BITS] = table();

const fn table() -> [u32; 1 << INDEX_BITS] {
    let mut table = [0; 1 << INDEX_BITS];
    let mut index = 0;
    while index < table.len() {
        let power = exp(-core::f64::consts::LN_2 * index as f64 / table.len() as f64);
        table[index] = (power * (1u64 << EXPONENT) as f64 + 0.5) as u32;
        index += 1;
    }
    table
}

/// Powers for arguments with a fixed exponent.
#[derive(Clone, Copy, Debug)]
pub struct Exponential {
    shift: i32,
}

impl Exponential {
    /// For arguments `magnitude * 2^-exponent`.
    pub const fn new(exponent: i32) -> Self {
        Self { shift: exponent - Z_EXPONENT as i32 }
    }

    /// e^−z for z ≥ 0, in 0..=2^31.
    pub fn at(self, magnitude: i64) -> u32 {
        power(round_shift(magnitude, self.shift).min(Z_MAX) as u64)
    }
}

/// e^−z for z up to [`Z_MAX`].
fn power(z: u64) -> u32 {
    // z / log 2 = z + z (1 / log 2 − 1). The second product drops bits so that it fits 64.
    let binary = z + (((z >> 5) * EXCESS) >> 27);
    let fraction = binary & u64::from(u32::MAX);
    // z / log 2 = n + i/64 + rest, where t = rest · log 2.
    let rest = fraction & ((1 << (Z_EXPONENT - INDEX_BITS)) - 1);
    let t = (rest * LOG_2) >> 32;
    let square = (t * t) >> 32;
    let cube = (square * t) >> 32;
    let series = (1 << 32) - t + square / 2 - ((cube * SIXTH) >> 32);
    let entry = TABLE[(fraction >> (Z_EXPONENT - INDEX_BITS)) as usize % TABLE.len()];
    let power = (u64::from(entry) * series) >> 32;
    (power >> (binary >> Z_EXPONENT)) as u32
}

/// log s for s from 1 to 64, both with [`EXPONENT`] fraction bits.
///
/// s = 2^k m, where log m solves e^y = m by Newton's method: three steps, each of which squares an error that starts
/// below 0.06.
pub fn log(s: u64) -> u64 {
    let k = s.checked_ilog2().unwrap_or(0).saturating_sub(EXPONENT);
    let m = s >> k;
    let mut y = (m.saturating_sub(1 << EXPONENT) * LOG_2) >> 32;
    for _ in 0..3 {
        let ratio = (m * u64::from(power(y << (Z_EXPONENT - EXPONENT)))) >> EXPONENT;
        // Newton's step y + m e^−y − 1; rounding may take it just below zero.
        y = (y + ratio).saturating_sub(1 << EXPONENT);
    }
    ((u64::from(k) * LOG_2) >> (32 - EXPONENT)) + y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> f64 {
        f64::from(EXPONENT).exp2()
    }

    #[test]
    fn power_error_is_bounded() {
        let grid = (0..33u64 << 14).map(|step| (step << 18) + step * 40503 % (1 << 18));
        let borders = (0..1 << 11).flat_map(|cell: u64| {
            let z = (cell as f64 / 64.0 * std::f64::consts::LN_2 * 4_294_967_296.0) as u64;
            (0..4).flat_map(move |n| [z + n, z.saturating_sub(n)])
        });
        for z in grid.chain(borders).filter(|&z| z <= Z_MAX as u64) {
            let exact = (-(z as f64) / 4_294_967_296.0).exp();
            let error = (f64::from(power(z)) / unit() - exact).abs();
            assert!(error <= ERROR_MAX, "{z}: {error:e}");
        }
        assert_eq!(power(0), 1 << EXPONENT);
    }

    #[test]
    fn every_argument_exponent_works() {
        for (exponent, bit) in
            (-400..400).flat_map(|exponent| (0..63).map(move |bit| (exponent, bit)))
        {
            let exact = (-f64::from(bit - exponent).exp2()).exp();
            let found = f64::from(Exponential::new(exponent).at(1 << bit)) / unit();
            assert!((found - exact).abs() <= ERROR_MAX, "{exponent} {bit}: {found} {exact}");
        }
    }

    #[test]
    fn log_error_is_bounded() {
        for step in 0..1u64 << 16 {
            let s = (1 << EXPONENT) + step * step * 32 + step * 7919;
            let exact = (s as f64 / unit()).ln();
            let error = (log(s) as f64 / unit() - exact).abs();
            assert!(error <= ERROR_MAX, "{s}: {error:e}");
        }
        assert!(log(1 << EXPONENT) <= 4, "log 1 is 0");
    }
}
