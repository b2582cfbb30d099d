//! Rare features: the number of workers that share a feature, and the number of features of a worker.
//!
//! A feature of worker i is a coordinate on which ∇f_i may differ from 0. Without a regulariser these are the features
//! in its rows; with one they are all coordinates.

use crate::problem::dataset::Dataset;
use serde::Serialize;

/// The counts in the theory of rare features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RareFeatures {
    /// c_w: the largest total weight of the workers that have one feature, with weights L_i / Σ L_j.
    pub c_w: f64,
    /// r: the largest number of features of a worker.
    pub r: usize,
}

impl RareFeatures {
    /// Counts features if worker i has the rows `shares[i]` and the constant `l_i[i]`.
    pub fn of(dataset: &Dataset, shares: &[Vec<usize>], l_i: &[f64]) -> Self {
        let total: f64 = l_i.iter().sum();
        let mut weights = vec![0.0; dataset.dimension()];
        let mut r = 0;
        for (share, l_i) in shares.iter().zip(l_i) {
            let mut owned = vec![false; weights.len()];
            for &row in share {
                dataset.row(row).entries().for_each(|(column, _)| owned[column] = true);
            }
            r = r.max(owned.iter().filter(|&&owned| owned).count());
            let owners = weights.iter_mut().zip(owned).filter(|(_, owned)| *owned);
            owners.for_each(|(weight, _)| *weight += l_i / total);
        }
        Self { c_w: weights.into_iter().fold(0.0, f64::max), r }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_of_a_feature_is_that_of_its_workers() {
        let dataset = Dataset::parse("three", "1 1:1 2:1\n0 2:1 4:1\n1 3:1\n").unwrap();
        let shares = [vec![0, 1], vec![2], vec![1]];
        let RareFeatures { c_w, r } = RareFeatures::of(&dataset, &shares, &[1.0, 2.0, 5.0]);
        assert_eq!((c_w, r), (0.75, 3), "features 2 and 4 belong to the first and the last");
    }
}
