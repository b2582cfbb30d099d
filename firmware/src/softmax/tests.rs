//! Compares evaluations with f64, on generated data sets.

use super::*;
use crate::reference::{
    Dataset, Labels, Point, Reference, check, datasets, evaluate, extreme, minibatch, moderate,
};
use proptest::prelude::*;

fn reference(rows: &Dataset, point: &Point) -> Reference {
    let (x, n, pieces) = (point.reals(), rows.labels.len() as f64, rows.dimension + 1);
    let mut reference = Reference::new(point);
    for row in rows.reals() {
        let scores: Vec<_> = x.chunks(pieces).map(|x| row.dot(x) + x[rows.dimension]).collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
        let error = rows.margin_error(&row, &x);
        reference.add_loss((sum.ln() + max - scores[row.label as usize]) / n, 1.0 + error);
        for (class, score) in scores.into_iter().enumerate() {
            let hit = f64::from(u8::from(class as f64 == row.label));
            let slope = (score - max).exp() / sum - hit;
            for &(k, a) in row.entries.iter().chain([&(rows.dimension, 1.0)]) {
                // Slopes are within 2^-26, other quantities within 2^-28.
                let largest = a.abs() * (4.0 + 2.0 * error);
                reference.add_slope(class * pieces + k, slope * a / n, largest);
            }
        }
    }
    reference
}

fn classes() -> impl Strategy<Value = Dataset> {
    let dimension = prop_oneof![1usize..20, 255usize..260];
    prop_oneof![Just(2), 3u8..6]
        .prop_flat_map(move |classes| datasets(dimension.clone(), Labels::Classes(classes), 6))
}

fn weights(rows: &Dataset) -> usize {
    usize::from(rows.classes) * (rows.dimension + 1)
}

proptest! {
    #[test]
    fn gradient_and_loss_match_f64((rows, point) in moderate(classes(), weights)) {
        reference(&rows, &point).assert_close(&evaluate::<Softmax>(&rows, &point), &point)?;
    }

    #[test]
    fn extreme_input_never_panics_and_row_order_does_not_matter(
        (rows, point) in extreme(classes(), weights)
    ) {
        let outcome = evaluate::<Softmax>(&rows, &point);
        prop_assert_eq!(evaluate::<Softmax>(&rows.reversed(), &point), outcome);
    }

    #[test]
    fn minibatch_matches_shard_of_its_rows((rows, point) in extreme(classes(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<Softmax>(&rows, &point, size);
        prop_assert_eq!(minibatch, alone);
    }

    #[test]
    fn check_rejects_wrong_dimension(rows in classes()) {
        let dimension = weights(&rows);
        prop_assert!(check::<Softmax>(&rows, dimension));
        prop_assert!(!check::<Softmax>(&rows, dimension + 1));
        prop_assert!(!check::<Softmax>(&rows, dimension - rows.dimension - 1));
    }
}
