//! Scaling before and after the pass, several coordinates at a time.

use super::loops::{Loops, sum, vectorised};
use crate::columns::coordinate::{GUARD_BITS, coordinate, scaled};
use crate::objective::Evaluation;
use crate::regulariser::{Penalty, Term};
use core::ops::RangeInclusive;
use smidgen_protocol::vector::{Exponent, Ratio};

/// Coordinates at a time.
const LANES: usize = 16;
/// A value per coordinate.
type Lanes<T> = [T; LANES];

/// The shifts for which [`round`] is [`round_shift`](smidgen_protocol::vector::round_shift).
const SHIFTS: RangeInclusive<i32> = 2..=62;

/// `value / 2^shift` for a usual shift, rounded as everywhere.
#[inline(always)]
fn round(value: i64, shift: i32) -> i64 {
    let rounded = (((value.unsigned_abs() >> ((shift - 1) & 63)) + 1) >> 1) as i64;
    let sign = value >> 63;
    (rounded ^ sign) - sign
}

#[inline(always)]
fn are_usual(shifts: &Lanes<i32>) -> bool {
    shifts.iter().fold(true, |all, shift| all & SHIFTS.contains(shift))
}

/// Length of a magnitude in bits.
#[inline(always)]
fn bits(value: i32) -> i32 {
    (u32::BITS - value.unsigned_abs().leading_zeros()) as i32
}

/// [`columns::scale`](crate::columns::scale)
pub(crate) fn scale(
    x: &[i32],
    x_exponent: Exponent,
    scales: impl Fn(usize) -> Ratio,
    exponent_max: i32,
    mantissas: &mut [i32],
) -> i32 {
    vectorised(Scale { x, x_exponent: x_exponent.into(), scales, exponent_max, mantissas })
}

struct Scale<'a, S> {
    x: &'a [i32],
    x_exponent: i32,
    scales: S,
    exponent_max: i32,
    mantissas: &'a mut [i32],
}

impl<S: Fn(usize) -> Ratio> Loops for Scale<'_, S> {
    type Output = i32;
    #[inline(always)]
    fn run(self) -> i32 {
        let Self { x, x_exponent, scales, exponent_max, mantissas } = self;
        let mut top = None;
        for (first, x) in (0..).step_by(LANES).zip(x.chunks(LANES)) {
            top = top.max(Scales::of(first, x.len(), &scales).longest(x));
        }
        let exponent = (x_exponent + 31 - top.unwrap_or(0)).min(exponent_max);
        let chunks = x.chunks(LANES).zip(mantissas.chunks_mut(LANES));
        for (first, (x, mantissas)) in (0..).step_by(LANES).zip(chunks) {
            Scales::of(first, x.len(), &scales).multiply(x, x_exponent - exponent, mantissas);
        }
        exponent
    }
}

/// Scales of columns.
struct Scales {
    mantissas: Lanes<i32>,
    exponents: Lanes<i32>,
}

impl Scales {
    /// The scales of `len` columns from `first` on.
    #[inline(always)]
    fn of(first: usize, len: usize, scales: impl Fn(usize) -> Ratio) -> Self {
        let (mut mantissas, mut exponents) = ([0; LANES], [0; LANES]);
        let places = mantissas.iter_mut().zip(&mut exponents).take(len);
        for (k, (mantissa, exponent)) in (first..).zip(places) {
            let scale = scales(k);
            (*mantissa, *exponent) = (scale.mantissa, scale.exponent.into());
        }
        Self { mantissas, exponents }
    }

    /// The largest length of a product, without the exponent of the coordinates; `None` if all are 0.
    #[inline(always)]
    fn longest(&self, x: &[i32]) -> Option<i32> {
        let mut top = i32::MIN;
        for ((&x, &mantissa), &exponent) in x.iter().zip(&self.mantissas).zip(&self.exponents) {
            let length = bits(x) + bits(mantissa) - exponent;
            top = top.max(if (x == 0) | (mantissa == 0) { i32::MIN } else { length });
        }
        (top > i32::MIN).then_some(top)
    }

    /// Multiplies coordinates; products lose `dropped` bits besides the exponents of scales.
    #[inline(always)]
    fn multiply(&self, x: &[i32], dropped: i32, mantissas: &mut [i32]) {
        let mut shifts = [0; LANES];
        for (place, shift) in shifts.iter_mut().enumerate() {
            // Columns without entries have a scale of zero, of any exponent.
            let is_zero = self.mantissas[place] == 0;
            *shift = if is_zero { *SHIFTS.start() } else { self.exponents[place] + dropped };
        }
        let scales = self.mantissas.iter().zip(&self.exponents);
        if are_usual(&shifts) {
            let (mut all, mut products) = ([0; LANES], [0; LANES]);
            all[..x.len()].copy_from_slice(x);
            for place in 0..LANES {
                let product = i64::from(all[place]) * i64::from(self.mantissas[place]);
                let scaled = round(product, shifts[place]);
                products[place] = scaled.clamp(-i64::from(i32::MAX), i64::from(i32::MAX)) as i32;
            }
            mantissas.copy_from_slice(&products[..x.len()]);
            return;
        }
        for ((mantissa, &x), (&scale, &exponent)) in mantissas.iter_mut().zip(x).zip(scales) {
            *mantissa = scaled(x, scale, exponent + dropped);
        }
    }
}

/// Writes the gradient; returns the sum of the terms of the regulariser.
#[inline(always)]
pub(crate) fn fill(
    request: &mut Evaluation<'_>,
    penalty: &impl Penalty,
    sums: &[i64],
    slope: impl Fn(usize, i64) -> (i64, i32),
    grid: i32,
) -> u128 {
    let Evaluation { x, gradient, saturated, .. } = request;
    vectorised(Fill { x, gradient, saturated, penalty, sums, slope, grid })
}

struct Fill<'a, P, S> {
    x: &'a [i32],
    gradient: &'a mut [i32],
    saturated: &'a mut u32,
    penalty: &'a P,
    sums: &'a [i64],
    slope: S,
    grid: i32,
}

impl<P: Penalty, S: Fn(usize, i64) -> (i64, i32)> Loops for Fill<'_, P, S> {
    type Output = u128;
    #[inline(always)]
    fn run(self) -> u128 {
        let (x, sums) = (self.x.chunks(LANES), self.sums.chunks(LANES));
        let chunks = self.gradient.chunks_mut(LANES).zip(x).zip(sums);
        let mut loss = 0;
        for (first, ((gradient, x), sums)) in (0..).step_by(LANES).zip(chunks) {
            let len = gradient.len();
            let usual = self.grid + SHIFTS.start();
            let (mut slopes, mut exponents) = ([0; LANES], [usual; LANES]);
            for (place, &sum) in sums.iter().enumerate() {
                let (slope, exponent) = (self.slope)(first + place, sum);
                // Columns without entries have a scale of zero, of any exponent.
                let exponent = if slope == 0 { usual } else { exponent };
                (slopes[place], exponents[place]) = (slope, exponent);
            }
            let (mut all, mut filled) = ([0; LANES], [0; LANES]);
            all[..len].copy_from_slice(x);
            let lanes = (&all, &slopes, &exponents);
            let terms = fill_lanes(self.penalty, lanes, self.grid, &mut filled, self.saturated);
            if let Some(terms) = terms {
                loss += terms;
                gradient.copy_from_slice(&filled[..len]);
                continue;
            }
            for (place, (gradient, &x)) in gradient.iter_mut().zip(x).enumerate() {
                let (term, slope) = (self.penalty.term(x), (slopes[place], exponents[place]));
                loss += u128::from(term.loss);
                *gradient = coordinate(slope, &term, self.grid, self.saturated);
            }
        }
        loss
    }
}

/// Writes coordinates of the gradient; returns the sum of the regulariser's terms. Returns `None` and writes nothing if
/// a shift is unusual.
#[inline(always)]
fn fill_lanes(
    penalty: &impl Penalty,
    (x, slopes, exponents): (&Lanes<i32>, &Lanes<i64>, &Lanes<i32>),
    grid: i32,
    gradient: &mut Lanes<i32>,
    saturated: &mut u32,
) -> Option<u128> {
    let (mut losses, mut terms, mut shifts) = ([0; LANES], [0; LANES], [0; LANES]);
    for place in 0..LANES {
        let Term { loss, slope, slope_exponent } = penalty.term(x[place]);
        (losses[place], terms[place], shifts[place]) = (loss, slope, slope_exponent - grid);
    }
    let exponents = exponents.map(|exponent| exponent - grid);
    if !(are_usual(&exponents) && are_usual(&shifts)) {
        return None;
    }
    let mut cuts = 0;
    for place in 0..LANES {
        // Both are at most 2^61 after a shift, so their sum does not overflow.
        let sum = round(slopes[place], exponents[place]) + round(terms[place], shifts[place]);
        let rounded = round(sum, GUARD_BITS);
        let cut = rounded.clamp(-i64::from(i32::MAX), i64::from(i32::MAX));
        cuts += u32::from(cut != rounded);
        gradient[place] = cut as i32;
    }
    *saturated = saturated.saturating_add(cuts);
    Some(sum(&losses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Data;
    use crate::regulariser::Nonconvex;
    use proptest::prelude::*;
    use smidgen_protocol::batch::Selection;
    use smidgen_protocol::message::Regulariser;
    use smidgen_protocol::vector::round_shift;

    fn words() -> impl Strategy<Value = i32> {
        (-i32::MAX..=i32::MAX, 0u32..32).prop_map(|(word, shift)| word >> shift)
    }

    /// Exponents around the usual ones, few of them unusual.
    fn ratios(exponents: core::ops::Range<i16>) -> impl Strategy<Value = Ratio> {
        (words(), prop_oneof![9 => exponents, 1 => -90i16..150])
            .prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent })
    }

    proptest! {
        #[test]
        fn usual_shifts_round_as_all_do(value: i64, shift in SHIFTS) {
            prop_assert_eq!(round(value, shift), round_shift(value, shift));
        }

        #[test]
        fn scaled_coordinates_are_those_of_each(
            columns in prop::collection::vec((words(), ratios(28..34)), 1..70), x_exponent: i8, exponent_max in 0i32..100,
        ) {
            let (x, scales): (Vec<i32>, Vec<Ratio>) = columns.into_iter().unzip();
            let mut mantissas = vec![0; x.len()];
            let exponent = scale(&x, x_exponent, |k| scales[k], exponent_max, &mut mantissas);
            let x_exponent = i32::from(x_exponent);
            let lengths = x.iter().zip(&scales).filter(|(x, scale)| **x != 0 && scale.mantissa != 0);
            let longest = lengths.map(|(&x, scale)| bits(x) + bits(scale.mantissa) - i32::from(scale.exponent)).max();
            prop_assert_eq!(exponent, (x_exponent + 31 - longest.unwrap_or(0)).min(exponent_max));
            for ((&x, &scale), mantissa) in x.iter().zip(&scales).zip(mantissas) {
                let shift = i32::from(scale.exponent) + x_exponent - exponent;
                prop_assert_eq!(mantissa, scaled(x, scale.mantissa, shift));
            }
        }

        #[test]
        fn gradient_is_that_of_each_coordinate(
            columns in prop::collection::vec((words(), any::<i64>(), prop_oneof![9 => 40i32..70, 1 => -70i32..200]), 1..70),
            x_exponent in 0i8..40, gradient_exponent in 0i8..40,
        ) {
            let x: Vec<i32> = columns.iter().map(|column| column.0).collect();
            let sums: Vec<i64> = columns.iter().map(|column| column.1 >> 3).collect();
            let (mut gradient, mut saturated) = (vec![0; x.len()], 0);
            let mut request = Evaluation {
                objective: "", x: &x, x_exponent, gradient: &mut gradient, gradient_exponent, loss_exponent: 0,
                regulariser: Regulariser::Nonconvex, lambda: Ratio::ONE, data: Data::Sent(&[]), rows: Selection::ALL,
                scratch: &mut [], saturated: &mut saturated,
            };
            let penalty = Nonconvex::new(Ratio { mantissa: 1 << 30, exponent: 33 }, x_exponent);
            let slope = |k: usize, sum| (sum, columns[k].2);
            let grid = i32::from(gradient_exponent) + GUARD_BITS;
            let loss = fill(&mut request, &penalty, &sums, slope, grid);
            let (mut plain_loss, mut plain_saturated) = (0, 0);
            for (k, &x) in x.iter().enumerate() {
                let term = penalty.term(x);
                plain_loss += u128::from(term.loss);
                prop_assert_eq!(gradient[k], coordinate(slope(k, sums[k]), &term, grid, &mut plain_saturated));
            }
            prop_assert_eq!((loss, saturated), (plain_loss, plain_saturated));
        }
    }
}
