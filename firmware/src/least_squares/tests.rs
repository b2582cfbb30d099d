//! The evaluation against a naive one in f64, on shards of every kind.

use super::*;
use crate::naive::{
    Labels, Naive, Point, Rows, check, dimensions, evaluate, minibatch, real, rows, tame, wild,
};
use proptest::prelude::*;
use smidgen_protocol::shard::Width;

fn naive(rows: &Rows, at: &Point) -> Naive {
    let (x, n) = (at.reals(), rows.labels.len() as f64);
    let (mut naive, top) = (Naive::new(at), rows.top(&x));
    // Targets are rounded to the grid of products, also those of rows without entries.
    let one = if rows.width == Width::I32 { 65536.0 } else { 1.0 };
    // One residual is rounded to the bits of the largest.
    let largest = |row: &crate::naive::Row| (row.values + one) * top + row.label.abs();
    let rows = rows.reals();
    let peak = rows.iter().map(largest).fold(0.0, f64::max);
    for row in rows {
        let residual = row.dot(&x) - row.label;
        naive.add_loss(residual * residual / n, peak * peak);
        for &(k, a) in &row.entries {
            naive.add_slope(k, 2.0 * residual * a / n, 2.0 * a.abs() * peak);
        }
    }
    naive
}

fn regression() -> impl Strategy<Value = Rows> {
    rows(dimensions(), Labels::Targets, 6)
}

fn weights(rows: &Rows) -> usize {
    rows.dimension
}

proptest! {
    #[test]
    fn gradient_and_loss_are_those_of_f64((rows, at) in tame(regression(), weights)) {
        naive(&rows, &at).assert_close(&evaluate::<LeastSquares>(&rows, &at), &at)?;
    }

    #[test]
    fn no_input_panics_and_the_order_of_the_rows_does_not_matter(
        (rows, at) in wild(regression(), weights)
    ) {
        let outcome = evaluate::<LeastSquares>(&rows, &at);
        prop_assert_eq!(evaluate::<LeastSquares>(&rows.reversed(), &at), outcome);
    }

    #[test]
    fn a_minibatch_is_a_shard_of_its_rows((rows, at) in wild(regression(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<LeastSquares>(&rows, &at, size);
        prop_assert_eq!(minibatch, alone);
    }
}

#[test]
fn an_exact_fit_has_no_loss_and_no_slope() {
    let one = Ratio { mantissa: 1 << 30, exponent: 30 };
    let rows = Rows {
        dimension: 2,
        width: Width::I8,
        sparse: false,
        scales: vec![one; 2],
        classes: 0,
        label_width: Width::I16,
        label_scale: Ratio { exponent: 31, ..one },
        labels: vec![300, -1],
        entries: vec![vec![(0, 100), (1, 25)], vec![(0, -1), (1, 0)]],
    };
    let at = Point {
        x: vec![1 << 19, 4 << 20],
        x_exponent: 20,
        gradient_exponent: 4,
        loss_exponent: 10,
        regulariser: smidgen_protocol::message::Regulariser::L2,
        lambda: Ratio::default(),
    };
    assert!(check::<LeastSquares>(&rows, 2) && !check::<LeastSquares>(&rows, 3));
    let fit = evaluate::<LeastSquares>(&rows, &at);
    assert_eq!((fit.loss, &fit.gradient[..]), (0, &[0, 0][..]));
    let origin = evaluate::<LeastSquares>(&rows, &Point { x: vec![0, 0], ..at });
    assert_eq!(origin.loss, ((150.0f64.powi(2) + 0.25) / 2.0 * 2f64.powi(10)) as i64);
    assert_eq!(origin.gradient, [-(150 * 100 * 16 + 8), -150 * 25 * 16]);
}

/// The target of a row without entries is as exact as the products of other columns are.
#[test]
fn a_row_without_entries_rounds_its_target() -> Result<(), TestCaseError> {
    let rows = Rows {
        dimension: 1,
        width: Width::Unit,
        sparse: true,
        scales: vec![Ratio { mantissa: 1 << 30, exponent: 24 }],
        classes: 0,
        label_width: Width::I32,
        label_scale: Ratio { mantissa: 1_594_473_509, exponent: 57 },
        labels: vec![-699_182_069],
        entries: vec![vec![]],
    };
    let at = Point {
        x: vec![100 << 24],
        x_exponent: 24,
        gradient_exponent: 13,
        loss_exponent: 24,
        regulariser: smidgen_protocol::message::Regulariser::L2,
        lambda: Ratio::default(),
    };
    let outcome = evaluate::<LeastSquares>(&rows, &at);
    let target = real(rows.label_scale) * f64::from(rows.labels[0]);
    let error = real(Ratio { mantissa: outcome.loss as i32, exponent: 24 }) - target * target;
    // The product of 100 and 64 leaves a grid of 2^-17: the target is off by up to half a unit of it.
    assert!(error.abs() <= 2.0 * target.abs() * 2f64.powi(-18) && error.abs() > 1e-6, "{error}");
    naive(&rows, &at).assert_close(&outcome, &at)
}
