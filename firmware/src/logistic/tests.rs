//! The evaluation against a naive one in f64, on shards of every kind.

use super::*;
use crate::naive::{
    Labels, Naive, Point, Rows, check, dimensions, evaluate, minibatch, rows, tame, wild,
};
use proptest::prelude::*;
use smidgen_protocol::shard::Width;

fn naive(rows: &Rows, at: &Point) -> Naive {
    let (x, n) = (at.reals(), rows.labels.len() as f64);
    let (mut naive, top) = (Naive::new(at), rows.top(&x));
    for row in rows.reals() {
        let y = if row.label > 0.0 { 1.0 } else { -1.0 };
        let u = y * row.dot(&x);
        naive.add_loss(((-u.abs()).exp().ln_1p() + (-u).max(0.0)) / n, row.values * top);
        let slope = -y / (1.0 + u.exp());
        for &(k, a) in &row.entries {
            naive.add_slope(k, slope * a / n, a.abs() * (1.0 + row.values * top));
        }
    }
    naive
}

fn binary() -> impl Strategy<Value = Rows> {
    rows(dimensions(), Labels::Classes(2), 6)
}

fn weights(rows: &Rows) -> usize {
    rows.dimension
}

proptest! {
    #[test]
    fn gradient_and_loss_are_those_of_f64((rows, at) in tame(binary(), weights)) {
        naive(&rows, &at).assert_close(&evaluate::<Logistic>(&rows, &at), &at)?;
    }

    #[test]
    fn no_input_panics_and_the_order_of_the_rows_does_not_matter(
        (rows, at) in wild(binary(), weights)
    ) {
        let outcome = evaluate::<Logistic>(&rows, &at);
        prop_assert_eq!(evaluate::<Logistic>(&rows.reversed(), &at), outcome);
    }

    #[test]
    fn a_minibatch_is_a_shard_of_its_rows((rows, at) in wild(binary(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<Logistic>(&rows, &at, size);
        prop_assert_eq!(minibatch, alone);
    }

    /// On a PC, indices of one byte go through tables and those of two bytes do not.
    #[test]
    fn columns_that_no_row_lists_change_nothing((rows, at) in wild(binary(), weights)) {
        prop_assume!(rows.sparse);
        let (wide, mut wide_at) = (rows.widened(), at.clone());
        wide_at.x.resize(wide.dimension, 0);
        let outcome = evaluate::<Logistic>(&rows, &at);
        let wide = evaluate::<Logistic>(&wide, &wide_at);
        prop_assert_eq!(&outcome.gradient[..], &wide.gradient[..rows.dimension]);
        prop_assert_eq!(outcome.loss, wide.loss);
    }
}

#[test]
fn what_a_pass_would_not_survive_is_refused() {
    let rows = Rows {
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
    let twice = Rows { entries: vec![vec![(2, 1), (2, 1)]], ..rows.clone() };
    assert!(!check::<Logistic>(&twice, 3), "a column that a row lists twice");
    for (classes, label) in [(3, 1), (0, 1), (2, 2), (2, -1)] {
        let other = Rows { classes, labels: vec![label], ..rows.clone() };
        assert!(!check::<Logistic>(&other, 3), "{label} of {classes}");
    }
}
