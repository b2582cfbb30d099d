//! The scaling of `--scale-columns auto`: columns of about equal weight, by powers of two.
//!
//! EF21 compares coordinates by the magnitude of their gradients, and one step size serves all: a column in large units
//! takes all updates and makes the step short. With z_k = s_k x_k and columns divided by s_k the margins aᵀx are the
//! same, so f is the same function of other coordinates, and all theorems hold with the L_i of the scaled rows (Safaryan,
//! Hanzely, Richtárik 2021 for diagonal smoothness matrices). Without a regulariser nothing else changes; the
//! regulariser is that of z.
//!
//! ```text
//! s = the power of two next to  root mean square / density^(1/4)
//! ```
//!
//! Dense columns get root mean squares near 1. A column that is rarely not 0 is enlarged by the root of what would
//! bring its root mean square to 1: its gradient comes from few rows, and updates at each of them would cost bytes.
//!
//! If the model has a bias, a column that is mostly not 0 and whose mean is large beside its deviation is also shifted,
//! as by [`standard`](super::prepare), and its deviation takes the place of the root mean square: the mean moves into
//! the bias. The shift is a multiple of the column's unit, so that boards still store exact integers. Columns that are
//! mostly 0 are not shifted, so they stay sparse.
//!
//! The powers are found by arithmetic that is alike on every machine, not by logarithms.

use super::data::Dataset;
use super::preparation::Scaling;
use super::quantise::unit;

/// The least ratio of mean and standard deviation of a column that is shifted.
const SHIFT_MIN: f64 = 0.5;

/// The largest magnitude of an exponent of a scale; values beyond are none that are measured.
const EXPONENT_MAX: i32 = 1000;

/// The entries of a column, without those that are 0 in the file.
struct Column {
    values: Vec<f64>,
    /// Number of rows.
    rows: usize,
}

impl Column {
    /// Returns the mean of a function of the values.
    fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        let zeros = (self.rows - self.values.len()) as f64;
        let listed: f64 = self.values.iter().map(|&value| of(value)).sum();
        (listed + if zeros > 0.0 { zeros * of(0.0) } else { 0.0 }) / self.rows as f64
    }

    /// Returns the scaling of the column. It is that of the values as they are if all are 0.
    fn scaling(&self, shifts: bool) -> Scaling {
        let max = self.values.iter().fold(0.0, |max: f64, value| max.max(value.abs()));
        if max == 0.0 {
            return Scaling { centre: 0.0, scale: 1.0 };
        }
        // Relative to the largest value, squares can neither overflow nor vanish.
        let mean = self.mean(|value| value / max);
        let variance = self.mean(|value| (value / max - mean).powi(2));
        let is_dense = 2 * self.values.len() > self.rows;
        let has_room = (2.0 * max).is_finite();
        let is_shifted = shifts && is_dense && has_room && mean.abs() > SHIFT_MIN * variance.sqrt();
        let centre = if is_shifted { self.centre(mean * max, max) } else { 0.0 };
        let square = self.mean(|value| ((value - centre) / max).powi(2));
        let density = self.mean(|value| f64::from(value != centre));
        // The bias takes what the rounded shift leaves of the mean.
        let spread = if is_shifted { variance } else { square };
        let scale = match square > 0.0 && spread > 0.0 {
            true => power_of_two(spread * spread / density, max),
            false => 1.0,
        };
        Scaling { centre, scale }
    }

    /// Returns the multiple of the column's unit next to its mean, or the mean if it has no unit.
    fn centre(&self, mean: f64, max: f64) -> f64 {
        unit(&self.values, max).map_or(mean, |unit| (mean / unit).round() * unit)
    }
}

/// Returns the power of two next to `fourth^(1/4) · factor`.
fn power_of_two(fourth: f64, factor: f64) -> f64 {
    let exponent = exponent(factor);
    let mantissa = factor / f64::from(exponent).exp2();
    let quarters = self::exponent(fourth * mantissa.powi(4));
    let nearest = exponent + (quarters + 2).div_euclid(4);
    f64::from(nearest.clamp(-EXPONENT_MAX, EXPONENT_MAX)).exp2()
}

/// Returns ⌊log₂ value⌋ of a positive value.
fn exponent(value: f64) -> i32 {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    const BIAS: i32 = f64::MAX_EXP - 1;
    // Values below the least normal one have no exponent of their own.
    if value < f64::MIN_POSITIVE {
        return exponent(value * f64::from(FRACTION_BITS).exp2()) - FRACTION_BITS as i32;
    }
    (value.to_bits() >> FRACTION_BITS) as i32 - BIAS
}

/// Returns the scaling of each column of these raw rows, of which the preparation of the set is the first part.
/// `shifts` says whether columns may be shifted.
pub(super) fn scaling(dataset: &Dataset, shifts: bool) -> Vec<Scaling> {
    let rows = dataset.row_count();
    let mut columns: Vec<_> =
        (0..dataset.dimension()).map(|_| Column { values: vec![], rows }).collect();
    for (column, value) in (0..rows).flat_map(|row| dataset.row(row).entries()) {
        columns[column].values.push(value);
    }
    columns.iter().map(|column| column.scaling(shifts)).collect()
}

/// Returns a sentence on these scalings, unless they leave all values as they are.
pub(super) fn note(scaling: &[Scaling]) -> Option<String> {
    let shifted = scaling.iter().filter(|column| column.centre != 0.0).count();
    let exponents = || scaling.iter().map(|column| exponent(column.scale)).filter(|&it| it != 0);
    let scales = match (exponents().min(), exponents().max()) {
        (None, _) | (_, None) => None,
        (Some(least), Some(most)) if least == most => Some(format!("divided by 2^{least}")),
        (Some(least), Some(most)) => Some(format!("divided by 2^{least} to 2^{most}")),
    };
    let shifts = (shifted > 0).then(|| format!("shifted in {shifted} of them"));
    let done: Vec<_> = scales.into_iter().chain(shifts).collect();
    let of = scaling.len();
    (!done.is_empty())
        .then(|| format!("{of} columns are {}; --scale-columns off keeps them", done.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labels;
    use super::super::prepare::Scales;
    use super::super::quantise::quantise;
    use super::*;
    use proptest::prelude::*;
    use smidgen_protocol::shard::Width;

    fn dataset(rows: &[Vec<f64>]) -> Dataset {
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            text += if number % 2 == 0 { "1" } else { "0" };
            (1..).zip(row).for_each(|(column, value)| text += &format!(" {column}:{value}"));
            text.push('\n');
        }
        Dataset::parse_with("set", &text, Labels::Binary).unwrap()
    }

    /// Returns the scaling of a set with one column.
    fn of(column: &[f64], shifts: bool) -> (f64, f64) {
        let rows: Vec<_> = column.iter().map(|&value| vec![value]).collect();
        let Scaling { centre, scale } = scaling(&dataset(&rows), shifts)[0];
        (centre, scale)
    }

    #[test]
    fn dense_column_has_root_mean_square_near_one() {
        assert_eq!(of(&[300.0, -200.0, 250.0, -260.0], false), (0.0, 256.0));
        assert_eq!(of(&[3e-3, -2e-3, 2.5e-3, -2.6e-3], true), (0.0, 1.0 / 512.0));
        assert_eq!(of(&[1e-300, -1e-300], false).1, (-997.0f64).exp2());
        assert_eq!(of(&[1e300, -1e300], false).1, 997.0f64.exp2());
    }

    #[test]
    fn column_that_is_rarely_not_zero_is_enlarged_by_half_the_bits() {
        let mut column = [0.0; 256];
        column[7] = 1.0;
        // The root mean square is 2^-4.
        assert_eq!(of(&column, true), (0.0, 1.0 / 4.0));
        column[7] = -64.0;
        assert_eq!(of(&column, true), (0.0, 16.0));
    }

    #[test]
    fn column_is_shifted_by_a_multiple_of_its_unit_if_the_model_has_a_bias() {
        let column = [100.25, 101.5, 100.5, 100.75];
        assert_eq!(of(&column, true), (100.75, 0.5));
        assert_eq!(of(&column, false), (0.0, 128.0));
        // Mostly 0, whatever the other values are, or mostly 1: the latter becomes as sparse as the former.
        assert_eq!(of(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.7, 0.9, 0.8], true).0, 0.0);
        assert_eq!(of(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], true), (0.0, 0.5));
        // After the shift the deviation is not the root mean square.
        assert_eq!(of(&[0.0, 1.0, 1.0, 1.0, 0.0], true), (1.0, 0.5));
        assert_eq!(of(&[0.0, 1.0, 1.0, 1.0, 0.0], false), (0.0, 1.0));
        assert_eq!(of(&[1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0], true).0, 1.0);
        assert_eq!(of(&[7.0, 7.0], true), (7.0, 1.0));
        assert_eq!(of(&[0.1; 7], true), (0.1, 1.0));
        assert_eq!(of(&[1e300 / 3.0; 7], true), (1e300 / 3.0, 1.0));
        assert_eq!(of(&[0.0, 0.0], true), (0.0, 1.0));
    }

    #[test]
    fn powers_are_the_nearest_ones_by_ratio() {
        for (fourth, factor, power) in [
            (1.0, 1.0, 1.0),
            (1.0, 1.5, 2.0),
            (1.0, 1.4, 1.0),
            (4.0, 1.0, 2.0),
            (0.25, 1.0, 1.0),
            (0.24, 1.0, 0.5),
            (16.0, 1e-320, 2f64.powi(-1000)),
            (1.0, f64::MAX, 2f64.powi(1000)),
        ] {
            assert_eq!(power_of_two(fourth, factor), power, "{fourth}^(1/4) · {factor:e}");
        }
        for value in [f64::MIN_POSITIVE, 1e-300, 0.7, 1.0, 3.9, 1e300] {
            assert_eq!(exponent(value), value.log2().floor() as i32, "{value:e}");
        }
        assert_eq!([5e-324, f64::MIN_POSITIVE / 2.0, f64::MAX].map(exponent), [-1074, -1023, 1023]);
    }

    #[test]
    fn note_says_what_happens_to_columns() {
        let of = |centre: f64, scale: f64| Scaling { centre, scale };
        assert_eq!(note(&[]), None);
        assert_eq!(note(&[of(0.0, 1.0); 2]), None);
        for (scaling, done) in [
            (
                vec![of(0.0, 0.25), of(3.0, 8.0), of(0.0, 1.0)],
                "3 columns are divided by 2^-2 to 2^3 and shifted in 1 of them",
            ),
            (vec![of(0.0, 0.25); 2], "2 columns are divided by 2^-2"),
            (vec![of(1.0, 1.0); 2], "2 columns are shifted in 2 of them"),
        ] {
            assert_eq!(note(&scaling).unwrap(), format!("{done}; --scale-columns off keeps them"));
        }
    }

    #[test]
    fn sets_with_scales_of_their_own_keep_them() {
        let equal = Scales::Equal { shifts: true };
        for name in ["tight-quadratics", "quadratics:workers=3,dimension=2,l-am=4,l-var=2"] {
            let set = Dataset::load_with(name, Labels::Real).unwrap();
            assert_eq!(set.preparation_with(equal, false).unwrap(), *set.preparation());
        }
        let set = Dataset::load("breast-cancer-standardised").unwrap();
        assert_eq!(set.preparation_with(equal, false).unwrap(), *set.preparation());
        let set = Dataset::load("breast-cancer").unwrap();
        assert_ne!(set.preparation_with(equal, false).unwrap(), *set.preparation());
    }

    proptest! {
        /// Powers of two before do not matter, and boards store columns with a unit exactly, as before.
        #[test]
        fn scaled_rows_do_not_depend_on_the_units_of_columns(
            rows in prop::collection::vec(prop::collection::vec(-60i32..60, 3), 4..20),
            exponents in prop::collection::vec(-40i32..40, 3),
            shifts: bool,
        ) {
            let in_units = |exponents: &[i32]| {
                let value = |(&q, &e): (&i32, &i32)| f64::from(q) * f64::from(e).exp2();
                let row = |row: &Vec<i32>| row.iter().zip(exponents).map(value).collect();
                let set = dataset(&rows.iter().map(row).collect::<Vec<_>>());
                let preparation = set.preparation_with(Scales::Equal { shifts }, false).unwrap();
                let order: Vec<usize> = (0..rows.len()).collect();
                quantise(&set.prepared(&preparation), &order, Width::I16)
            };
            let plain = in_units(&[0; 3]);
            prop_assert_eq!(plain.error_max, 0.0);
            prop_assert!(matches!(plain.header.width, Width::Unit | Width::I8));
            prop_assert_eq!(plain, in_units(&exponents));
        }
    }
}
