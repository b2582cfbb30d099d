//! Parsers of numeric options.

use std::ops::RangeInclusive;

/// Valid magnitudes of an option other than 0. Within them, no product of two options overflows or underflows f64, so
/// that only the data can cause that.
const MAGNITUDES: RangeInclusive<f64> = 1e-100..=1e100;
/// The smallest nonzero probability in the 32 bits on the wire.
const PROBABILITY_MIN: f64 = 1.0 / (1u64 << 32) as f64;

fn number(text: &str, is_legal: impl Fn(f64) -> bool, legal: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // Adding 0 removes the sign of -0.
        Ok(number) if is_legal(number) => Ok(number + 0.0),
        _ => Err(format!("give a number {legal}")),
    }
}

fn is_zero_or_moderate(number: f64) -> bool {
    number == 0.0 || MAGNITUDES.contains(&number)
}

/// Parses a number of at least 0.
pub fn non_negative(text: &str) -> Result<f64, String> {
    number(text, is_zero_or_moderate, "of at least 0: 0, or one from 1e-100 to 1e100")
}

/// Parses a probability other than 0.
pub fn probability(text: &str) -> Result<f64, String> {
    number(text, |number| (PROBABILITY_MIN..=1.0).contains(&number), "from 2.4e-10 (2^-32) to 1")
}

/// Parses a number of at least 0 and less than 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    let is_legal = |number| number < 1.0 && is_zero_or_moderate(number);
    number(text, is_legal, "of at least 0 and less than 1: 0, or one from 1e-100")
}

/// Parses a number greater than 0.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text, |number| MAGNITUDES.contains(&number), "greater than 0: one from 1e-100 to 1e100")
}
