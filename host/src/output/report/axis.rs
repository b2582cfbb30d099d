//! Axes: scale, range, and ticks at round numbers.
//!
//! The ticks are our own. plotters 0.3.7 puts none on a logarithmic axis from 2.1·10⁻³ to 2.6·10⁻³, one on an axis from
//! 1.5·10⁻³ to 0.03, none on one of 300 decades, and none below 10⁻¹⁵; reports contain all of these.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::units::quantity;

/// Maximum number of labelled ticks.
const TICK_COUNT_MAX: usize = 6;
/// Minimum number of labelled ticks for an axis to be readable.
const TICK_COUNT_MIN: usize = 3;

/// Mapping from values to lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal differences are equal lengths.
    Linear,
    /// Equal ratios are equal lengths; only positive values can be drawn.
    Logarithmic,
}

/// Quantity of an axis, which decides the format of its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Whole numbers, such as rounds.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A number without a unit.
    Number,
}

/// An axis. Coordinates are values on a linear scale, their decimal logarithms on a logarithmic one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    /// Coordinates of both ends.
    pub range: Range<f64>,
    /// Coordinates and labels of the ticks, ascending.
    pub ticks: Vec<(f64, String)>,
    /// Coordinates of the lines between ticks.
    pub minor: Vec<f64>,
}

impl Axis {
    /// Creates an axis over all `values` that its scale can show, with `margin` (as a fraction of its length) at both
    /// ends. Without such values it ranges from 0 to 1, or from 1 to 10 on a logarithmic scale.
    pub(super) fn new(
        scale: Scale,
        unit: Unit,
        values: impl Iterator<Item = f64>,
        margin: f64,
    ) -> Self {
        let places = values.filter_map(|value| place(scale, value));
        let range = places
            .fold(None, |range: Option<Range<f64>>, x| {
                Some(range.map_or(x..x, |range| range.start.min(x)..range.end.max(x)))
            })
            .unwrap_or(0.0..1.0);
        let range = widened(range, margin);
        let (values, minor) = match scale {
            Scale::Linear => (linear_ticks(&range, unit), Vec::new()),
            Scale::Logarithmic => logarithmic_ticks(&range),
        };
        let step = values.windows(2).map(|pair| pair[1] - pair[0]).reduce(f64::min).unwrap_or(1.0);
        let ticks = values
            .iter()
            .filter_map(|&value| place(scale, value).map(|x| (x, label(scale, unit, value, step))));
        Self { scale, ticks: ticks.collect(), minor, range }
    }

    /// Returns the coordinate of `value`, or `None` if the scale cannot show it.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        place(self.scale, value)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, coordinate: &f64, (start, end): (i32, i32)) -> i32 {
        let part = (coordinate - self.range.start) / (self.range.end - self.range.start);
        start + (part * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            self.minor.clone()
        } else {
            self.ticks.iter().map(|(coordinate, _)| *coordinate).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, coordinate: &f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| at == coordinate);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

fn place(scale: Scale, value: f64) -> Option<f64> {
    let place = match scale {
        Scale::Linear => value,
        Scale::Logarithmic if value > 0.0 => value.log10(),
        Scale::Logarithmic => f64::NAN,
    };
    place.is_finite().then_some(place)
}

/// Widens a range by `margin` at both ends, or a single value by an interval around it.
fn widened(range: Range<f64>, margin: f64) -> Range<f64> {
    let length = range.end - range.start;
    let room = if length > range.start.abs() * 1e-9 {
        length * margin
    } else if range.start == 0.0 {
        0.5
    } else {
        range.start.abs() / 2.0
    };
    range.start - room..range.end + room
}

/// Returns ticks at multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(range: &Range<f64>, unit: Unit) -> Vec<f64> {
    let least = (range.end - range.start) / TICK_COUNT_MAX as f64;
    let decade = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|factor| factor * decade).into_iter().find(|s| *s >= least);
    let mut step = step.unwrap_or(10.0 * decade);
    match unit {
        Unit::Count => step = step.max(1.0),
        Unit::Bytes | Unit::Seconds | Unit::Number => {}
    }
    let first = (range.start / step - 1e-9).ceil() as i64;
    let last = (range.end / step + 1e-9).floor() as i64;
    (first..=last).map(|n| n as f64 * step).collect()
}

/// Returns labelled and minor ticks. The labelled ones are decades or every n-th of them; 1, 2 and 5 in each decade
/// if these are too few; and linear ticks if those are too few as well.
fn logarithmic_ticks(range: &Range<f64>) -> (Vec<f64>, Vec<f64>) {
    let steps = (1..).map(|step| in_decades(range, &[1.0], step));
    let decades = steps.take(400).find(|ticks| ticks.len() <= TICK_COUNT_MAX).unwrap_or_default();
    let halves = in_decades(range, &[1.0, 2.0, 5.0], 1);
    let ticks = if decades.len() >= TICK_COUNT_MIN {
        decades
    } else if (TICK_COUNT_MIN..=TICK_COUNT_MAX).contains(&halves.len()) {
        halves
    } else if halves.len() > TICK_COUNT_MAX {
        in_decades(range, &[1.0, 3.0], 1)
    } else {
        linear_ticks(&(10f64.powf(range.start)..10f64.powf(range.end)), Unit::Number)
    };
    let fine = [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let factors: &[f64] = if range.end - range.start > 5.0 { &[1.0] } else { &fine };
    let minor = in_decades(range, factors, 1).into_iter().map(f64::log10);
    (ticks, minor.collect())
}

/// Returns `factors` times every `step`-th power of ten, within a `range` of exponents.
fn in_decades(range: &Range<f64>, factors: &[f64], step: usize) -> Vec<f64> {
    let first = (range.start.floor() as i32).div_euclid(step as i32) * step as i32;
    let exponents = (first..=range.end.ceil() as i32).step_by(step);
    let values =
        exponents.flat_map(|exponent| factors.iter().map(move |f| f * 10f64.powi(exponent)));
    let inside = range.start - 1e-9..=range.end + 1e-9;
    values.filter(|value| inside.contains(&value.log10())).collect()
}

fn label(scale: Scale, unit: Unit, value: f64, step: f64) -> String {
    match (unit, scale) {
        (Unit::Bytes, _) => whole(quantity::bytes(value.round() as u64)),
        (Unit::Number, Scale::Logarithmic) => power_label(value),
        (Unit::Count, _) => quantity::count(value.max(0.0) as u64),
        (Unit::Seconds | Unit::Number, Scale::Linear) => plain_label(value, step),
        (Unit::Seconds, Scale::Logarithmic) => whole(plain_label(value, step.min(value))),
    }
}

/// Drops trailing zeros: `1.00 kB` becomes `1 kB`.
fn whole(quantity: String) -> String {
    let (digits, unit) = quantity.split_at(quantity.find('\u{a0}').unwrap_or(quantity.len()));
    match digits.contains('.') {
        true => format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.')),
        false => quantity,
    }
}

/// Formats a value as `10⁻³` or `2·10⁻³`.
fn power_label(value: f64) -> String {
    let exponent = (value.log10() + 1e-9).floor();
    let factor = value / 10f64.powf(exponent);
    let power = quantity::power_of_ten(exponent as i32);
    match (exponent as i32, (factor * 100.0).round() / 100.0) {
        (-1..=1, _) => format!("{}", (value * 1e4).round() / 1e4),
        (_, 1.0) => power,
        (_, factor) => format!("{factor}·{power}"),
    }
}

/// Formats a value with the decimals that a `step` between ticks needs.
fn plain_label(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    if value == 0.0 {
        "0".into()
    } else if decimals > 6 || value.abs() >= 1e6 {
        quantity::number(value)
    } else if value.abs() >= 1e4 {
        quantity::count(value as u64)
    } else {
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(scale: Scale, unit: Unit, ends: [f64; 2]) -> Vec<String> {
        Axis::new(scale, unit, ends.into_iter(), 0.0)
            .ticks
            .into_iter()
            .map(|(_, label)| label.replace('\u{a0}', " "))
            .collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        use Scale::Linear;
        assert_eq!(labels(Linear, Unit::Count, [0.0, 50.0]), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(Linear, Unit::Count, [0.0, 1.0]), ["0", "1"]);
        assert_eq!(labels(Linear, Unit::Number, [0.61, 0.69]), ["0.62", "0.64", "0.66", "0.68"]);
        let bytes = labels(Linear, Unit::Bytes, [0.0, 2100.0]);
        assert_eq!(bytes, ["0 B", "500 B", "1 kB", "1.5 kB", "2 kB"]);
    }

    #[test]
    fn logarithmic_ticks_are_decades_if_there_are_enough() {
        use Scale::Logarithmic;
        let decades = labels(Logarithmic, Unit::Number, [2e-5, 0.3]);
        assert_eq!(decades, ["10⁻⁴", "10⁻³", "10⁻²", "0.1"]);
        let bytes = labels(Logarithmic, Unit::Bytes, [100.0, 3e6]);
        assert_eq!(bytes, ["100 B", "1 kB", "10 kB", "100 kB", "1 MB"]);
        let few = labels(Logarithmic, Unit::Number, [0.0015, 0.03]);
        assert_eq!(few, ["2·10⁻³", "5·10⁻³", "10⁻²", "2·10⁻²"]);
        let narrow = labels(Logarithmic, Unit::Number, [2.1e-3, 2.6e-3]);
        assert!(narrow.len() >= TICK_COUNT_MIN && narrow[0] == "2.1·10⁻³", "{narrow:?}");
        assert_eq!(labels(Logarithmic, Unit::Seconds, [0.02, 20.0]), ["0.1", "1", "10"]);
    }

    #[test]
    fn values_that_the_scale_cannot_show_do_not_widen_the_axis() {
        let values = [0.0, -1.0, f64::NAN, f64::INFINITY, 10.0, 1000.0];
        let axis = Axis::new(Scale::Logarithmic, Unit::Number, values.into_iter(), 0.0);
        assert_eq!(axis.range, 1.0..3.0);
        assert_eq!(axis.place(0.0), None);
        assert_eq!(axis.place(100.0), Some(2.0));
        let empty = Axis::new(Scale::Logarithmic, Unit::Number, [0.0].into_iter(), 0.0);
        assert_eq!(empty.range, 0.0..1.0);
    }

    proptest! {
        #[test]
        fn ticks_are_few_distinct_and_inside(
            a in -1e9..1e9f64, length in 1e-3..1e9f64, margin in 0.0..0.1f64,
        ) {
            let powers = |x: f64| 10f64.powf(x / 1e8);
            for (scale, ends) in [
                (Scale::Linear, [a, a + length]),
                (Scale::Logarithmic, [powers(a), powers(a + length)]),
            ] {
                let axis = Axis::new(scale, Unit::Number, ends.into_iter(), margin);
                prop_assert!((1..=TICK_COUNT_MAX + 1).contains(&axis.ticks.len()), "{:?}", axis);
                prop_assert!(axis.ticks.windows(2).all(|pair| pair[0].0 < pair[1].0));
                let slack = (axis.range.end - axis.range.start) * 1e-6;
                prop_assert!(axis.ticks[0].0 >= axis.range.start - slack);
                prop_assert!(axis.ticks.last().unwrap().0 <= axis.range.end + slack);
            }
        }
    }
}
