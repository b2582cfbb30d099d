//! Compares evaluations with f64, on generated data sets.

use super::*;
use crate::reference::{
    Dataset, Labels, Point, Reference, check, datasets, dimensions, evaluate, extreme, minibatch,
    moderate, real,
};
use proptest::prelude::*;
use smidgen_protocol::shard::Width;
use smidgen_protocol::vector::Ratio;

fn reference(rows: &Dataset, point: &Point) -> Reference {
    let (x, n) = (point.reals(), rows.labels.len() as f64);
    let (mut reference, top) = (Reference::new(point), rows.top(&x));
    // Targets are rounded to the exponent of products, also in rows without entries.
    let one = if rows.width == Width::I32 { 65536.0 } else { 1.0 };
    // Residuals are rounded to the bits of the largest.
    let largest = |row: &crate::reference::Row| (row.values + one) * top + row.label.abs();
    let rows = rows.reals();
    let peak = rows.iter().map(largest).fold(0.0, f64::max);
    for row in rows {
        let residual = row.dot(&x) - row.label;
        reference.add_loss(residual * residual / n, peak * peak);
        for &(k, a) in &row.entries {
            reference.add_slope(k, 2.0 * residual * a / n, 2.0 * a.abs() * peak);
        }
    }
    reference
}

fn regression() -> impl Strategy<Value = Dataset> {
    datasets(dimensions(), Labels::Targets, 6)
}

fn weights(rows: &Dataset) -> usize {
    rows.dimension
}

proptest! {
    #[test]
    fn gradient_and_loss_match_f64((rows, point) in moderate(regression(), weights)) {
        reference(&rows, &point).assert_close(&evaluate::<LeastSquares>(&rows, &point), &point)?;
    }

    #[test]
    fn extreme_input_never_panics_and_row_order_does_not_matter(
        (rows, point) in extreme(regression(), weights)
    ) {
        let outcome = evaluate::<LeastSquares>(&rows, &point);
        prop_assert_eq!(evaluate::<LeastSquares>(&rows.reversed(), &point), outcome);
    }

    #[test]
    fn minibatch_matches_shard_of_its_rows((rows, point) in extreme(regression(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<LeastSquares>(&rows, &point, size);
        prop_assert_eq!(minibatch, alone);
    }
}

#[test]
fn exact_fit_has_zero_loss_and_gradient() {
    let one = Ratio { mantissa: 1 << 30, exponent: 30 };
    let rows = Dataset {
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
    let point = Point {
        x: vec![1 << 19, 4 << 20],
        x_exponent: 20,
        gradient_exponent: 4,
        loss_exponent: 10,
        regulariser: smidgen_protocol::message::Regulariser::L2,
        lambda: Ratio::default(),
    };
    assert!(check::<LeastSquares>(&rows, 2) && !check::<LeastSquares>(&rows, 3));
    let fit = evaluate::<LeastSquares>(&rows, &point);
    assert_eq!((fit.loss, &fit.gradient[..]), (0, &[0, 0][..]));
    let origin = evaluate::<LeastSquares>(&rows, &Point { x: vec![0, 0], ..point });
    assert_eq!(origin.loss, ((150.0f64.powi(2) + 0.25) / 2.0 * 2f64.powi(10)) as i64);
    assert_eq!(origin.gradient, [-(150 * 100 * 16 + 8), -150 * 25 * 16]);
}

/// The target of a row without entries is rounded to the exponent of the products of other columns.
#[test]
fn empty_row_rounds_its_target() -> Result<(), TestCaseError> {
    let rows = Dataset {
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
    let point = Point {
        x: vec![100 << 24],
        x_exponent: 24,
        gradient_exponent: 13,
        loss_exponent: 24,
        regulariser: smidgen_protocol::message::Regulariser::L2,
        lambda: Ratio::default(),
    };
    let outcome = evaluate::<LeastSquares>(&rows, &point);
    let target = real(rows.label_scale) * f64::from(rows.labels[0]);
    let error = real(Ratio { mantissa: outcome.loss as i32, exponent: 24 }) - target * target;
    // The product of 100 and 64 has a unit of 2^-17, so the target is off by up to 2^-18.
    assert!(error.abs() <= 2.0 * target.abs() * 2f64.powi(-18) && error.abs() > 1e-6, "{error}");
    reference(&rows, &point).assert_close(&outcome, &point)
}
