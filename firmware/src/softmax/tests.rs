//! The evaluation against a naive one in f64, on shards of every kind.

use super::*;
use crate::naive::{Labels, Naive, Point, Rows, check, evaluate, minibatch, rows, tame, wild};
use proptest::prelude::*;

fn naive(rows: &Rows, at: &Point) -> Naive {
    let (x, n, pieces) = (at.reals(), rows.labels.len() as f64, rows.dimension + 1);
    let mut naive = Naive::new(at);
    for row in rows.reals() {
        let scores: Vec<_> = x.chunks(pieces).map(|x| row.dot(x) + x[rows.dimension]).collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
        let doubt = rows.doubt(&row, &x);
        naive.add_loss((sum.ln() + max - scores[row.label as usize]) / n, 1.0 + doubt);
        for (class, score) in scores.into_iter().enumerate() {
            let hit = f64::from(u8::from(class as f64 == row.label));
            let slope = (score - max).exp() / sum - hit;
            for &(k, a) in row.entries.iter().chain([&(rows.dimension, 1.0)]) {
                // Slopes are within 2^-26, all other quantities within 2^-28.
                let largest = a.abs() * (4.0 + 2.0 * doubt);
                naive.add_slope(class * pieces + k, slope * a / n, largest);
            }
        }
    }
    naive
}

fn classes() -> impl Strategy<Value = Rows> {
    let dimension = prop_oneof![1usize..20, 255usize..260];
    prop_oneof![Just(2), 3u8..6]
        .prop_flat_map(move |classes| rows(dimension.clone(), Labels::Classes(classes), 6))
}

fn weights(rows: &Rows) -> usize {
    usize::from(rows.classes) * (rows.dimension + 1)
}

proptest! {
    #[test]
    fn gradient_and_loss_are_those_of_f64((rows, at) in tame(classes(), weights)) {
        naive(&rows, &at).assert_close(&evaluate::<Softmax>(&rows, &at), &at)?;
    }

    #[test]
    fn no_input_panics_and_the_order_of_the_rows_does_not_matter(
        (rows, at) in wild(classes(), weights)
    ) {
        let outcome = evaluate::<Softmax>(&rows, &at);
        prop_assert_eq!(evaluate::<Softmax>(&rows.reversed(), &at), outcome);
    }

    #[test]
    fn a_minibatch_is_a_shard_of_its_rows((rows, at) in wild(classes(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<Softmax>(&rows, &at, size);
        prop_assert_eq!(minibatch, alone);
    }

    #[test]
    fn a_model_of_another_shape_is_refused(rows in classes()) {
        let dimension = weights(&rows);
        prop_assert!(check::<Softmax>(&rows, dimension));
        prop_assert!(!check::<Softmax>(&rows, dimension + 1));
        prop_assert!(!check::<Softmax>(&rows, dimension - rows.dimension - 1));
    }
}
