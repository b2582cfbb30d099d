//! The largest eigenvalue of Σ w a aᵀ over rows a with weights w.
//!
//! If one of the two Gram matrices is small, all its eigenvalues are computed. Otherwise Lanczos' method is used, and
//! its error bound is added to the result, so that no step size exceeds what theory allows.

use crate::problem::dataset::Dataset;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Maximum order of a matrix whose eigenvalues are all computed.
const DENSE_ORDER_MAX: usize = 512;
/// Maximum number of steps of Lanczos' method, a multiple of [`STEPS_PER_LOOK`]. The largest eigenvalue rarely needs a
/// hundred.
const STEPS_MAX: usize = 240;
/// Number of steps between two computations of the eigenvalue.
const STEPS_PER_LOOK: usize = 12;
/// Relative error at which it stops.
const TOLERANCE: f64 = 1e-9;

/// Returns λ_max( Σ w a aᵀ ) for pairs of a row and its weight.
pub(super) fn largest_eigenvalue(dataset: &Dataset, weighted: &[(usize, f64)]) -> f64 {
    let order = weighted.len().min(dataset.dimension());
    if order > DENSE_ORDER_MAX {
        lanczos(dataset, weighted)
    } else if order < dataset.dimension() {
        gram_of_rows(dataset, weighted).symmetric_eigenvalues().max()
    } else {
        gram_of_columns(dataset, weighted).symmetric_eigenvalues().max()
    }
}

/// Returns the lower triangle of Σ w a aᵀ, which the eigenvalue solver reads.
fn gram_of_columns(dataset: &Dataset, weighted: &[(usize, f64)]) -> DMatrix<f64> {
    let mut gram = DMatrix::zeros(dataset.dimension(), dataset.dimension());
    for &(row, weight) in weighted {
        let row = dataset.row(row);
        for (position, (column, value)) in row.entries().enumerate() {
            for (lower, other) in row.entries().skip(position) {
                gram[(lower, column)] += weight * value * other;
            }
        }
    }
    gram
}

/// Returns the lower triangle of sqrt(w_r w_s) a_rᵀa_s, which has the same eigenvalues except zeros.
fn gram_of_rows(dataset: &Dataset, weighted: &[(usize, f64)]) -> DMatrix<f64> {
    let mut gram = DMatrix::zeros(weighted.len(), weighted.len());
    let mut dense = vec![0.0; dataset.dimension()];
    for (column, &(row, weight)) in weighted.iter().enumerate() {
        dataset.row(row).entries().for_each(|(index, value)| dense[index] = value);
        for (lower, &(other, other_weight)) in weighted.iter().enumerate().skip(column) {
            gram[(lower, column)] = (weight * other_weight).sqrt() * dataset.row(other).dot(&dense);
        }
        dataset.row(row).entries().for_each(|(index, _)| dense[index] = 0.0);
    }
    gram
}

/// Lanczos' method with full orthogonalisation.
///
/// ```text
/// A V = V T + β v eᵀ,  V orthonormal, T tridiagonal
/// λ_max(T) ≤ λ_max(A) ≤ λ_max(T) + β |last entry of T's top eigenvector|
/// ```
///
/// The upper bound is returned: the eigenvalue of T alone would be a lower bound.
fn lanczos(dataset: &Dataset, weighted: &[(usize, f64)]) -> f64 {
    let dimension = dataset.dimension();
    // Any start vector will do that does not share symmetries of the data.
    let mut next = DVector::from_fn(dimension, |k, _| (1.0 + k as f64).sin()).normalize();
    let mut basis: Vec<DVector<f64>> = Vec::new();
    let mut tridiagonal = DMatrix::zeros(0, 0);
    let mut bound = 0.0;
    for step in 1..=STEPS_MAX.min(dimension) {
        let mut image = apply(dataset, weighted, &next);
        tridiagonal = tridiagonal.resize(step, step, 0.0);
        tridiagonal[(step - 1, step - 1)] = image.dot(&next);
        basis.push(next);
        // Two passes give orthogonality up to rounding.
        for v in basis.iter().chain(&basis) {
            image.axpy(-v.dot(&image), v, 1.0);
        }
        let beta = image.norm();
        let complete = step == dimension || beta <= TOLERANCE * tridiagonal.amax();
        if complete || step % STEPS_PER_LOOK == 0 {
            let (eigenvalue, last) = top_pair(&tridiagonal);
            let distance = beta * last.abs();
            bound = eigenvalue + distance;
            if complete || distance <= TOLERANCE * eigenvalue {
                break;
            }
        }
        tridiagonal = tridiagonal.resize(step + 1, step + 1, 0.0);
        tridiagonal[(step, step - 1)] = beta;
        next = image / beta;
    }
    bound
}

/// Returns Σ w a (aᵀv).
fn apply(dataset: &Dataset, weighted: &[(usize, f64)], v: &DVector<f64>) -> DVector<f64> {
    let mut image = DVector::zeros(v.len());
    for &(row, weight) in weighted {
        let row = dataset.row(row);
        let factor = weight * row.dot(v.as_slice());
        row.entries().for_each(|(column, value)| image[column] += factor * value);
    }
    image
}

/// Returns the largest eigenvalue and the last entry of its eigenvector.
fn top_pair(tridiagonal: &DMatrix<f64>) -> (f64, f64) {
    let eigen = SymmetricEigen::new(tridiagonal.clone());
    let (top, eigenvalue) = eigen.eigenvalues.argmax();
    (eigenvalue, eigen.eigenvectors[(tridiagonal.nrows() - 1, top)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_algorithms_give_the_same_eigenvalue() {
        let digits = Dataset::load("digits").unwrap();
        let weighted: Vec<_> = (0..100).map(|row| (row, 1.0 / (row + 1) as f64)).collect();
        let rows = gram_of_rows(&digits, &weighted).symmetric_eigenvalues().max();
        let columns = gram_of_columns(&digits, &weighted).symmetric_eigenvalues().max();
        let excess = lanczos(&digits, &weighted) / columns - 1.0;
        assert!((rows / columns - 1.0).abs() < 1e-12, "{rows} {columns}");
        assert!((-1e-12..1e-8).contains(&excess), "{excess:e}");
    }

    #[test]
    fn lanczos_ends_early_on_a_small_subspace() {
        let dataset = Dataset::parse("two", "1 1:3 2:4\n0 9:0\n").unwrap();
        assert!((lanczos(&dataset, &[(0, 2.0)]) - 50.0).abs() < 1e-6);
        assert_eq!(lanczos(&dataset, &[(1, 1.0)]), 0.0);
    }

    #[test]
    fn large_data_take_lanczos() {
        let line = |row: usize| format!("{} {}:2 {}:1\n", row % 2, row + 1, row + 2);
        let text: String = (0..2000).map(line).collect();
        let dataset = Dataset::parse("chain", &text).unwrap();
        let weighted: Vec<_> = (0..2000).map(|row| (row, 1.0)).collect();
        // A tridiagonal matrix with 5 on and 2 next to the diagonal: the eigenvalues are 5 + 4 cos(k π / 2001).
        let expected = 5.0 + 4.0 * (std::f64::consts::PI / 2001.0).cos();
        let found = largest_eigenvalue(&dataset, &weighted);
        assert!(found >= expected * (1.0 - 1e-12) && found < expected * 1.01, "{found}");
    }
}
