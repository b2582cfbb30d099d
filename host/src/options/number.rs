//! Numbers as options take them.

use std::ops::RangeInclusive;

/// The magnitudes that an option may have, apart from 0. With them no product of two options and no number that is made of them
/// leaves f64, so what does is a matter of the data.
const MAGNITUDES: RangeInclusive<f64> = 1e-100..=1e100;
/// The least probability that the 32 bits on the wire tell from 0.
const PROBABILITY_MIN: f64 = 1.0 / (1u64 << 32) as f64;

fn number(text: &str, is_legal: impl Fn(f64) -> bool, legal: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A zero has no sign from here on.
        Ok(number) if is_legal(number) => Ok(number + 0.0),
        _ => Err(format!("give a number {legal}")),
    }
}

fn is_zero_or_moderate(number: f64) -> bool {
    number == 0.0 || MAGNITUDES.contains(&number)
}

/// 0, or a number greater than 0.
pub fn non_negative(text: &str) -> Result<f64, String> {
    number(text, is_zero_or_moderate, "of at least 0: 0, or one from 1e-100 to 1e100")
}

/// A probability that is not 0.
pub fn probability(text: &str) -> Result<f64, String> {
    number(text, |number| (PROBABILITY_MIN..=1.0).contains(&number), "from 2.4e-10 (2^-32) to 1")
}

/// A number of at least 0 and less than 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    let is_legal = |number| number < 1.0 && is_zero_or_moderate(number);
    number(text, is_legal, "of at least 0 and less than 1: 0, or one from 1e-100 on")
}

/// A number greater than 0.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text, |number| MAGNITUDES.contains(&number), "greater than 0: one from 1e-100 to 1e100")
}
