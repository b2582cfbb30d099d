//! Compares vectors with the sums of each value.

use super::*;
use proptest::prelude::*;

/// Factors of any size, the extreme ones among them.
fn factors() -> impl Strategy<Value = i32> {
    prop_oneof![
        (any::<i32>(), 0u32..32).prop_map(|(factor, shift)| factor >> shift),
        prop::sample::select(vec![i32::MIN, -i32::MAX, 0x7fff_7fff, 0x7fff_8000, i32::MAX]),
    ]
}

fn product<V: Narrow>(row: &[V], x: &[i32]) -> i64 {
    iter::zip(row, x).map(|(value, &factor)| value.times(factor)).sum()
}

/// Asserts that margins and sums of rows are those of each value.
fn assert_plain<V: Narrow + Copy, const D: usize>(rows: &[&[V]], x: &[i32], residuals: &[i64]) {
    let Some(with) = Instructions::new() else { return };
    let mut margins = vec![0; rows.len()];
    if let Some(model) = Model::<D>::new::<V>(with, x) {
        model.margins(with, rows, &mut margins);
        assert!(iter::zip(rows, margins).all(|(row, margin)| margin == product(row, x)));
    } else {
        assert!(D == 2 && x.iter().any(|&x| x > 0x7fff_7fff));
    }
    let (mut sums, mut plain_sums) = (vec![1; x.len()], vec![1; x.len()]);
    let plain = |row: &[V], residual, sums: &mut [i64]| {
        iter::zip(sums, row).for_each(|(sum, value)| *sum += value.times(residual));
    };
    add::<V, D>(with, rows, residuals, &mut sums, plain);
    for (row, &residual) in iter::zip(rows, residuals) {
        plain(row, residual as i32, &mut plain_sums);
    }
    assert_eq!(sums, plain_sums);
}

proptest! {
    #[test]
    fn joined_digits_are_the_factor(factor in factors()) {
        let (two, fit) = digits::<i8, 2>(factor);
        prop_assert_eq!(fit, factor <= 0x7fff_7fff);
        if fit {
            prop_assert_eq!(joined::<i8, 2>(two.map(i64::from)), i64::from(factor));
        }
        let (three, fit) = digits::<i16, 3>(factor);
        prop_assert_eq!((joined::<i16, 3>(three.map(i64::from)), fit), (i64::from(factor), true));
    }

    #[test]
    fn vectors_compute_the_plain_sums(
        columns in 1usize..700,
        residuals in prop::collection::vec(prop_oneof![Just(0), factors()], 1..=BLOCK),
        x in prop::collection::vec(factors(), 700),
        values in prop::collection::vec(any::<i16>(), 2000),
    ) {
        let residuals: Vec<i64> = residuals.into_iter().map(i64::from).collect();
        let bytes: Vec<i8> = values.iter().map(|&value| value as i8).collect();
        let starts = || residuals.iter().enumerate().map(|(row, _)| row * 37);
        let words: Vec<_> = starts().map(|first| &values[first..first + columns]).collect();
        let rows: Vec<_> = starts().map(|first| &bytes[first..first + columns]).collect();
        assert_plain::<i8, 2>(&rows, &x[..columns], &residuals);
        assert_plain::<i16, 3>(&words, &x[..columns], &residuals);
    }
}

#[test]
fn extreme_rows_do_not_overflow() {
    let (bytes, words) = ([i8::MIN; 5000], [i16::MIN; 5000]);
    for factor in [i32::MIN, -i32::MAX, i32::MAX, 0x7fff_7fff, 0x3ff_fbff] {
        let (x, residuals) = ([factor; 5000], [i64::from(factor); BLOCK]);
        assert_plain::<i8, 2>(&[&bytes[..]; BLOCK], &x, &residuals);
        assert_plain::<i16, 3>(&[&words[..]; BLOCK], &x, &residuals);
    }
}
