//! Least squares with given smoothness constants: `quadratics:l-am=50,l-var=4.4e6,workers=2000,dimension=10`.
//!
//! ```text
//! f_i(x) = ½ Σ_k h_ik (x_k − c_ik)²          Hessian (L_i − b) e_j e_jᵀ + b I,  j = i mod d
//! ```
//!
//! The L_i take two values that give the requested mean and variance: `heavy` of n workers have the large one, half of
//! the maximum possible number. The heavy directions alternate between the coordinates, which keeps L of f small. b is
//! half of the smaller L_i.
//!
//! Each worker has d consecutive rows with one feature each: row k has `sqrt(h_ik d/2)` in column k, and that times
//! c_ik as its target. With `--objective least-squares`, the mean of (aᵀx − b)² over a worker's rows, `--split
//! contiguous` and the same number of workers, these rows give the functions above.

use super::data::Dataset;
use super::error::{DatasetError, QuadraticsError, ROWS_MAX};
use super::labels::Labels;
use super::rows::Rows;
use super::table::Table;
use super::texts::Texts;
use crate::options::number;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::str::FromStr;

/// Prefix of the name of such data.
pub(super) const PREFIX: &str = "quadratics:";

/// The centres c_ik lie between 0 and this.
const CENTRE_MAX: f64 = 10.0;

/// Least squares of `workers` workers with these constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quadratics {
    workers: u16,
    dimension: u16,
    l_am: f64,
    l_var: f64,
}

impl FromStr for Quadratics {
    type Err = QuadraticsError;

    /// Parses the name after the prefix.
    fn from_str(text: &str) -> Result<Self, QuadraticsError> {
        let mut it = Self { workers: 100, dimension: 10, l_am: 50.0, l_var: 5e3 };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let wrong = || QuadraticsError::Part(part.into());
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let count = || value.parse().ok().filter(|&count: &u16| count > 0).ok_or_else(wrong);
            let number = || number::positive(value).map_err(|_| wrong());
            match key {
                "workers" => it.workers = count()?,
                "dimension" => it.dimension = count()?,
                "l-am" => it.l_am = number()?,
                "l-var" => it.l_var = number()?,
                _ => return Err(wrong()),
            }
        }
        let Self { workers, dimension, l_am, .. } = it;
        if workers == 1 {
            return Err(QuadraticsError::Alone);
        }
        if u32::from(workers) * u32::from(dimension) > ROWS_MAX {
            return Err(QuadraticsError::Rows { workers, dimension });
        }
        let limit = l_am * l_am * (f64::from(workers) - 1.0);
        if it.l_var >= limit {
            return Err(QuadraticsError::Variance { workers, l_am, limit });
        }
        Ok(it)
    }
}

impl Quadratics {
    /// Returns the rows of all workers.
    pub(super) fn dataset(self, name: &str, labels: Labels) -> Result<Dataset, DatasetError> {
        let d = f64::from(self.dimension);
        let constants = self.constants();
        let base = constants.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let (mut rows, mut targets) = (Rows::new(), Texts::default());
        for (i, l_i) in (0..).zip(constants) {
            for k in 0..self.dimension {
                let h = if k == i % self.dimension { l_i } else { base };
                let feature = (h * d / 2.0).sqrt();
                rows.push(k, feature);
                rows.end_row();
                let target: f64 = feature * random.random_range(0.0..CENTRE_MAX);
                // The shortest text that reads as the same number.
                targets.push(&target.to_string(), rows.starts.len() - 1);
            }
        }
        let dataset =
            Dataset::of(name, Table { rows, labels: targets, ..Table::default() }, labels)?;
        Ok(Dataset { is_synthetic: true, ..dataset })
    }

    /// Returns the L_i, those of the heavy workers first.
    fn constants(self) -> Vec<f64> {
        let Self { l_am, l_var, .. } = self;
        let n = f64::from(self.workers);
        let heavy = (n * l_am * l_am / (l_var + l_am * l_am) / 2.0).floor().max(1.0);
        let light = n - heavy;
        let large = l_am + (l_var * light / heavy).sqrt();
        let small = l_am - (l_var * heavy / light).sqrt();
        (0..self.workers).map(|i| if f64::from(i) < heavy { large } else { small }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Objective, Regulariser, Split};
    use crate::problem::objective::Penalty;
    use crate::problem::theory::Smoothness;

    fn load(text: &str) -> Result<Dataset, DatasetError> {
        Dataset::load_with(text, Labels::Real)
    }

    /// The range of Reloaded's Figure 3.
    #[test]
    fn constants_are_as_requested() {
        for l_var in [4.4e6, 1.9e6, 1e5, 5.4e3, 1.0] {
            let dataset = load(&format!("quadratics:workers=2000,l-am=50,l-var={l_var}")).unwrap();
            let shares = dataset.deal(&Split::Contiguous, 2000).unwrap();
            let none = Penalty { regulariser: Regulariser::L2, lambda: 0.0 };
            let found = Smoothness::of(Objective::LeastSquares, none, &dataset, &shares).unwrap();
            assert!((found.l_am / 50.0 - 1.0).abs() < 1e-6, "{}", found.l_am);
            assert!((found.l_var / l_var - 1.0).abs() < 1e-6, "{}", found.l_var);
            assert!(found.l <= 50.0 * (1.0 + 1e-6) && found.l >= 5.0, "{}", found.l);
        }
    }

    #[test]
    fn worker_has_one_row_per_coordinate() {
        let dataset = load("quadratics:workers=3,dimension=2,l-am=4,l-var=2").unwrap();
        assert_eq!((dataset.row_count(), dataset.dimension()), (6, 2));
        // The large L_i is 6, the small one 3, b = 1.5.
        let features: Vec<_> = (0..6).flat_map(|row| dataset.row(row).entries()).collect();
        let root = f64::sqrt;
        let expected = [6.0, 1.5, 1.5, 3.0, 3.0, 1.5].map(root);
        for ((row, (column, value)), expected) in (0..).zip(features).zip(expected) {
            assert_eq!(column, row % 2);
            assert!((value - expected).abs() < 1e-12, "row {row}: {value}");
        }
    }

    #[test]
    fn impossible_constants_are_refused() {
        for (text, part) in [("quadratics:l-max=3", "l-max=3"), ("quadratics:workers=0", "=0")] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("not one of workers=N"), "{error}");
        }
        let error = load("quadratics:workers=10,l-am=1,l-var=9").unwrap_err().to_string();
        assert!(error.contains("variance below 9.00: give a smaller l-var"), "{error}");
    }
}
