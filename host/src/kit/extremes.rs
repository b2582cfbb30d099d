//! Checks of the integers of boards at the ends of their ranges.

use super::fixed_point::{Point, compare};
use super::rows::{KINDS, Rows};
use super::subject::{Fault, Subject};
use crate::objective::Margins;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::Width;
use smidgen_protocol::vector::MANTISSA_MAX;

/// Size of features, just below a power of 2, so that the mantissas of their products with a model are the largest.
const FEATURE: f64 = 1.99;
/// Factors of rows. They have no common divisor, so that a column uses its whole range of integers.
const FACTORS: [f64; 3] = [1.0, 0.871_237, 0.654_321];
/// Number of features of wide rows: almost the largest. Their margins are almost as large as margins get, 2^62.
const WIDE: usize = 65_000;
/// Exponent of the largest models. Margins of much larger ones have no fraction bits, and a loss whose slopes have the
/// exponent of margins, which is allowed, has none either.
const X_EXPONENT_MIN: i8 = 24;
/// Size of labels.
const LABEL: f64 = 4.0;

pub(super) fn check(subject: &Subject) -> Result<(), Fault> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for kind in KINDS {
        check_random(subject, &Rows::draw(subject.objective, kind, 21, &mut rng), &mut rng)?;
        check_aligned(subject, kind)?;
    }
    check_largest(subject)
}

/// Evaluates extreme models at extreme exponents. Results are not compared, since terms may cancel.
fn check_random(subject: &Subject, rows: &Rows, rng: &mut impl Rng) -> Result<(), Fault> {
    let dimension = rows.dimension(subject.objective);
    for _ in 0..120 {
        let ends = [i32::MIN, -MANTISSA_MAX, -1, 0, 1, MANTISSA_MAX];
        let x = (0..dimension).map(|_| ends[rng.random_range(0..ends.len())]).collect();
        let [x_exponent, gradient_exponent, loss_exponent] =
            [rng.random(), rng.random(), rng.random()];
        let extreme =
            Point { x, x_exponent, gradient_exponent, loss_exponent, rows: Selection::ALL };
        let outcome = subject.evaluate(rows, &extreme)?;
        let at_end = outcome.gradient.iter().filter(|g| g.unsigned_abs() >= MANTISSA_MAX as u32);
        if at_end.count() > 1 && outcome.saturated == 0 {
            return Err(Fault::Uncounted(extreme.case(rows)));
        }
    }
    Ok(())
}

/// Compares boards with the twin where all terms of a margin have one sign, so that none cancels, for models up to 128.
fn check_aligned(subject: &Subject, kind: (Width, bool)) -> Result<(), Fault> {
    let smallest = match subject.objective.info().margins {
        Margins::One | Margins::PerClass => X_EXPONENT_MIN,
        // Its errors grow with the weights of its outputs.
        Margins::Hidden => 28,
    };
    compare_aligned(subject, kind, 8, smallest..=i8::MAX)
}

/// As [`check_aligned`], with the largest margins.
fn check_largest(subject: &Subject) -> Result<(), Fault> {
    match subject.objective.info().margins {
        Margins::One => {
            compare_aligned(subject, (Width::I16, false), WIDE, [X_EXPONENT_MIN, 40, 60])
        }
        // Their models would be several times as large as any that a board holds.
        Margins::PerClass | Margins::Hidden => Ok(()),
    }
}

fn compare_aligned(
    subject: &Subject,
    kind: (Width, bool),
    features: usize,
    x_exponents: impl IntoIterator<Item = i8> + Clone,
) -> Result<(), Fault> {
    for label in [LABEL, -LABEL] {
        let features = vec![FEATURE; features];
        let rows = Rows::multiples(subject.objective, kind, &features, FACTORS, label);
        let all: Vec<_> = (0..rows.labels.len()).collect();
        let signs = [MANTISSA_MAX, -MANTISSA_MAX];
        let points =
            x_exponents.clone().into_iter().flat_map(|exponent| signs.map(|x| (exponent, x)));
        for (x_exponent, x) in points {
            let x = vec![x; rows.dimension(subject.objective)];
            let whole = Selection::ALL;
            let point =
                Point { x, x_exponent, gradient_exponent: 0, loss_exponent: 0, rows: whole };
            // Grids that just represent the result show the loss of any bit.
            let (loss, _, largest) = rows.mean(subject.objective, &all, &point.reals());
            // A loss that grows faster than any power has no value in f64 there.
            if !loss.is_finite() || !largest.is_finite() {
                continue;
            }
            let (gradient_exponent, loss_exponent) = (exponent(largest, 30), exponent(loss, 61));
            compare(subject, &rows, &Point { gradient_exponent, loss_exponent, ..point })?;
        }
    }
    Ok(())
}

/// Number of fraction bits with which a value has at most this number of bits, as far as there are such exponents.
fn exponent(value: f64, bits: i32) -> i8 {
    let value_bits = if value > 0.0 { value.log2().floor() + 1.0 } else { 0.0 };
    (f64::from(bits) - value_bits).clamp(f64::from(i8::MIN), f64::from(i8::MAX)) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponent_leaves_the_value_its_bits() {
        assert_eq!([exponent(1.0, 30), exponent(0.9, 30), exponent(0.0, 30)], [29, 30, 30]);
        assert_eq!([exponent(1e300, 30), exponent(f64::INFINITY, 30)], [i8::MIN; 2]);
    }
}
