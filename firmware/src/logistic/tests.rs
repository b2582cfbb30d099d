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
    for row in rows.reals() {
        let y = if row.label > 0.0 { 1.0 } else { -1.0 };
        let u = y * row.dot(&x);
        reference.add_loss(((-u.abs()).exp().ln_1p() + (-u).max(0.0)) / n, row.values * top);
        let slope = -y / (1.0 + u.exp());
        for &(k, a) in &row.entries {
            reference.add_slope(k, slope * a / n, a.abs() * (1.0 + row.values * top));
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
        reference(&rows, &point).assert_close(&evaluate::<Logistic>(&rows, &point), &point)?;
    }

    #[test]
    fn extreme_input_never_panics_and_row_order_does_not_matter(
        (rows, point) in extreme(binary(), weights)
    ) {
        let outcome = evaluate::<Logistic>(&rows, &point);
        prop_assert_eq!(evaluate::<Logistic>(&rows.reversed(), &point), outcome);
    }

    #[test]
    fn minibatch_matches_shard_of_its_rows((rows, point) in extreme(binary(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<Logistic>(&rows, &point, size);
        prop_assert_eq!(minibatch, alone);
    }

    /// Covers both kinds of lookup: on a PC, one-byte indices use tables, two-byte indices do not.
    #[test]
    fn unused_columns_do_not_change_result((rows, point) in extreme(binary(), weights)) {
        prop_assume!(rows.sparse);
        let (wide, mut wide_point) = (rows.widened(), point.clone());
        wide_point.x.resize(wide.dimension, 0);
        let outcome = evaluate::<Logistic>(&rows, &point);
        let wide = evaluate::<Logistic>(&wide, &wide_point);
        prop_assert_eq!(&outcome.gradient[..], &wide.gradient[..rows.dimension]);
        prop_assert_eq!(outcome.loss, wide.loss);
    }
}

#[test]
fn check_rejects_invalid_shards() {
    let rows = Dataset {
        dimension: 3,
        width: Width::I8,
        sparse: true,
        scales: vec![Ratio { mantissa: 1 << 30, exponent: 30 }; 3],
        classes: 2,
        label_width: Width::I8,
        label_scale: Ratio::default(),
        labels: vec![1],
        entries: vec![vec![(0, 1), (2, 1)]],
    };
    assert!(check::<Logistic>(&rows, 3) && !check::<Logistic>(&rows, 2));
    let twice = Dataset { entries: vec![vec![(2, 1), (2, 1)]], ..rows.clone() };
    assert!(!check::<Logistic>(&twice, 3), "a column listed twice");
    for (classes, label) in [(3, 1), (0, 1), (2, 2), (2, -1)] {
        let other = Dataset { classes, labels: vec![label], ..rows.clone() };
        assert!(!check::<Logistic>(&other, 3), "{label} of {classes}");
    }
}

proptest! {
    #[test]
    fn lanes_are_those_of_each_row(
        rows in prop::collection::vec((any::<i64>(), 2u32..64, any::<bool>()), LANES), exponent in 0i32..60, dropped in 0i32..4,
    ) {
        let (loss, mut lanes) = (Logistic::new(exponent), MarginLanes::default());
        for (place, &(margin, shift, is_positive)) in rows.iter().enumerate() {
            (lanes.margins[place], lanes.sides[place]) = (margin >> shift, if is_positive { 1 } else { -1 });
        }
        let rounding = Rounding { dropped, limit: i32::MAX.into() };
        let found = loss.lanes(&lanes, rounding);
        for place in 0..LANES {
            let at = Margin { margin: lanes.margins[place], target: 0, side: lanes.sides[place] };
            let residual = limited(loss.rounded_slope(at, dropped), rounding.limit);
            prop_assert_eq!(found.residuals[place], residual);
            prop_assert_eq!(found.losses[place], loss.loss(at, residual));
            prop_assert_eq!(found.linear[place], loss.linear_loss(at));
        }
    }
}
