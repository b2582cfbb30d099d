//! Compares evaluations with f64, on generated data sets.

use super::*;
use crate::reference::{
    Dataset, Labels, Point, Reference, check, datasets, dimensions, evaluate, extreme, minibatch,
    moderate,
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
    let largest = |row: &crate::reference::Row| (row.values + one) * top + 1.0;
    let rows = rows.reals();
    let peak = rows.iter().map(largest).fold(0.0, f64::max);
    for row in rows {
        let y = if row.label > 0.0 { 1.0 } else { -1.0 };
        let residual = -y * (1.0 - y * row.dot(&x)).max(0.0);
        reference.add_loss(residual * residual / n, peak * peak);
        for &(k, a) in &row.entries {
            reference.add_slope(k, 2.0 * residual * a / n, 2.0 * a.abs() * peak);
        }
    }
    reference
}

fn binary() -> impl Strategy<Value = Dataset> {
    datasets(dimensions(), Labels::Classes(2), 6)
}

fn weights(rows: &Dataset) -> usize {
    rows.dimension
}

proptest! {
    #[test]
    fn gradient_and_loss_match_f64((rows, point) in moderate(binary(), weights)) {
        reference(&rows, &point).assert_close(&evaluate::<SquaredHinge>(&rows, &point), &point)?;
    }

    #[test]
    fn extreme_input_never_panics_and_row_order_does_not_matter(
        (rows, point) in extreme(binary(), weights)
    ) {
        let outcome = evaluate::<SquaredHinge>(&rows, &point);
        prop_assert_eq!(evaluate::<SquaredHinge>(&rows.reversed(), &point), outcome);
    }

    #[test]
    fn minibatch_matches_shard_of_its_rows((rows, point) in extreme(binary(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<SquaredHinge>(&rows, &point, size);
        prop_assert_eq!(minibatch, alone);
    }
}

#[test]
fn rows_beyond_their_targets_have_neither_loss_nor_gradient() {
    let one = Ratio { mantissa: 1 << 30, exponent: 30 };
    let rows = Dataset {
        dimension: 1,
        width: Width::I8,
        sparse: false,
        scales: vec![one],
        classes: 2,
        label_width: Width::I8,
        label_scale: Ratio::default(),
        labels: vec![1, 0],
        entries: vec![vec![(0, 2)], vec![(0, -3)]],
    };
    let point = |x: i32| Point {
        x: vec![x],
        x_exponent: 20,
        gradient_exponent: 4,
        loss_exponent: 10,
        regulariser: smidgen_protocol::message::Regulariser::L2,
        lambda: Ratio::default(),
    };
    assert!(check::<SquaredHinge>(&rows, 1) && !check::<SquaredHinge>(&rows, 2));
    assert!(!check::<SquaredHinge>(&Dataset { classes: 0, ..rows.clone() }, 1));
    let outcome = |x| {
        let outcome = evaluate::<SquaredHinge>(&rows, &point(x));
        (outcome.loss, outcome.gradient[0])
    };
    // Margins 2 and −3, both beyond 1 and −1.
    assert_eq!(outcome(1 << 20), (0, 0));
    // At 0 both fall short by 1: the gradient is −(2/2)(2 + 3).
    assert_eq!(outcome(0), (1 << 10, -5 << 4));
    // Margins −2 and 3: they fall short by 3 and 4.
    assert_eq!(outcome(-1 << 20), (25 << 9, -(3 * 2 + 4 * 3) << 4));
}
