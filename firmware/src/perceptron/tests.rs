//! Compares evaluations with f64, on generated data sets.

use super::*;
use crate::reference::{
    Dataset, Labels, Point, Reference, check, datasets, evaluate, extreme, minibatch, moderate,
};
use proptest::prelude::*;

const HIDDEN: usize = 3;

fn reference(rows: &Dataset, point: &Point) -> Reference {
    let (x, n, pieces) = (point.reals(), rows.labels.len() as f64, rows.dimension + 1);
    let (first, second) = x.split_at(HIDDEN * pieces);
    let heaviest = second.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
    let mut reference = Reference::new(point);
    for row in rows.reals() {
        let unit = |x: &[f64]| (row.dot(x) + x[rows.dimension]).tanh();
        let units: Vec<_> = first.chunks(pieces).map(unit).chain([1.0]).collect();
        let score = |w: &[f64]| units.iter().zip(w).map(|(u, w)| u * w).sum::<f64>();
        let scores: Vec<_> = second.chunks(HIDDEN + 1).map(score).collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
        let slope = |(class, score): (usize, &f64)| {
            (score - max).exp() / sum - f64::from(u8::from(class as f64 == row.label))
        };
        let slopes: Vec<_> = scores.iter().enumerate().map(slope).collect();
        // Errors of a unit, a score and a slope, in units of 2^-28.
        let unit_error = 2.0 + rows.margin_error(&row, first);
        let score_error = 4.0 + heaviest * unit_error * 4.0;
        reference.add_loss((sum.ln() + max - scores[row.label as usize]) / n, score_error * 2.0);
        for (class, slope) in slopes.iter().enumerate() {
            for (u, unit) in units.iter().enumerate() {
                let k = first.len() + class * (HIDDEN + 1) + u;
                reference.add_slope(k, slope * unit / n, score_error + unit_error);
            }
        }
        for (u, unit) in units[..HIDDEN].iter().enumerate() {
            let weights = second.chunks(HIDDEN + 1).map(|w| w[u]);
            let back: f64 = slopes.iter().zip(weights).map(|(slope, w)| slope * w).sum();
            let error = heaviest * (4.0 * score_error + 4.0 * unit_error);
            for &(k, a) in row.entries.iter().chain([&(rows.dimension, 1.0)]) {
                let slope = back * (1.0 - unit * unit) * a / n;
                reference.add_slope(u * pieces + k, slope, a.abs() * error);
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
    HIDDEN * (rows.dimension + 1) + usize::from(rows.classes) * (HIDDEN + 1)
}

proptest! {
    #[test]
    fn gradient_and_loss_match_f64((rows, point) in moderate(classes(), weights)) {
        reference(&rows, &point).assert_close(&evaluate::<Perceptron>(&rows, &point), &point)?;
    }

    #[test]
    fn extreme_input_never_panics_and_row_order_does_not_matter(
        (rows, point) in extreme(classes(), weights)
    ) {
        let outcome = evaluate::<Perceptron>(&rows, &point);
        prop_assert_eq!(evaluate::<Perceptron>(&rows.reversed(), &point), outcome);
    }

    #[test]
    fn minibatch_matches_shard_of_its_rows((rows, point) in extreme(classes(), weights), size in 1u32..30) {
        let [minibatch, alone] = minibatch::<Perceptron>(&rows, &point, size);
        prop_assert_eq!(minibatch, alone);
    }

    #[test]
    fn dimension_determines_hidden_units(rows in classes()) {
        let of_one = rows.dimension + 1 + usize::from(rows.classes);
        let least = usize::from(rows.classes) + of_one;
        prop_assert!(check::<Perceptron>(&rows, least));
        prop_assert!(check::<Perceptron>(&rows, least + 63 * of_one));
        prop_assert!(!check::<Perceptron>(&rows, least + 64 * of_one));
        prop_assert!(!check::<Perceptron>(&rows, least - of_one));
        prop_assert!(!check::<Perceptron>(&rows, least + 1));
        prop_assert!(!check::<Perceptron>(&rows, 0));
    }
}
