//! An upper bound of the largest eigenvalue of AᵀA, where A are the rows: how much the gradient of the data can change.
//!
//! For every v > 0 (Collatz, Wielandt; |A| has the magnitudes of A)
//!
//! ```text
//! λ_max(AᵀA) ≤ λ_max(|A|ᵀ|A|) ≤ max_k (|A|ᵀ|A| v)_k / v_k
//! ```
//!
//! This holds for any v, so only |A|ᵀ|A| v must be rounded up. Iterating v ← |A|ᵀ|A| v approaches λ_max(|A|ᵀ|A|) in a
//! few passes, which is the eigenvalue itself if no feature is negative. If some are, ‖AᵀA‖_F is a second bound,
//! computed column by column. A power iteration would approach the eigenvalue from below, which is not a safe bound.
//!
//! Features are integers times scales, `q_jk s_k`. With u_k = s_k v_k a pass uses integers only:
//!
//! ```text
//! w = |Q|ᵀ(|Q| u)        bound = max_k s_k² w_k / u_k        u_k ← s_k² w_k
//! ```

use crate::bound::{Bound, ceil_shift};
use crate::data::Data;
use crate::fixed_point::ceil_log2;
use core::iter;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::{Columns, Shard, Values, Width};
use smidgen_protocol::vector::Ratio;

/// Number of passes. Mushrooms, the slowest data set tried, is within 1e-4 after 8 and within 1e-6 after 16.
const PASSES: usize = 16;
/// Maximum number of bits of u.
const VECTOR_BITS_MAX: u32 = 30;
/// Maximum number of columns for ‖AᵀA‖_F, which needs a pass per column.
const FROBENIUS_MAX: usize = 128;
/// Maximum width of stored features for which sums of their products are exact.
const EXACT_BITS_MAX: u32 = 15;

/// Data and working memory for a bound.
#[derive(Debug)]
pub struct CurvatureRequest<'a> {
    /// The worker's data, which passed [`Objective::check`](crate::objective::Objective::check).
    pub data: Data<'a>,
    /// Working memory of d integers.
    pub vector: &'a mut [i32],
    /// Working memory of the objective, as for an evaluation.
    pub scratch: &'a mut [i64],
}

/// Bias of a linear model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// None.
    None,
    /// A bias: an additional feature that is always 1.
    One,
}

impl Bias {
    /// The value of the additional feature.
    const fn feature(self) -> Option<i64> {
        match self {
            Self::None => None,
            Self::One => Some(1),
        }
    }
}

/// An upper bound of λ_max(Σ_j a_j a_jᵀ) / n over the n rows of a shard.
///
/// `None` if the data are not a shard, or the working memory is shorter than a row with its bias.
pub fn mean_curvature(rows: CurvatureRequest<'_>, bias: Bias) -> Option<Bound> {
    let shard = rows.data.shard()?;
    let matrix = Matrix { shard: &shard, bias };
    let (u, w) = (rows.vector.get_mut(..matrix.width())?, rows.scratch.get_mut(..matrix.width())?);
    let mut bound = matrix.collatz_wielandt(u, w);
    if matrix.has_frobenius() {
        bound = bound.min(matrix.frobenius(w));
    }
    Some(bound.over(shard.header.rows))
}

/// The matrix A, as stored.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    shard: &'a Shard<'a>,
    bias: Bias,
}

impl Matrix<'_> {
    fn features(&self) -> usize {
        self.shard.header.dimension as usize
    }

    /// Number of columns, including that of the bias.
    fn width(&self) -> usize {
        self.features() + usize::from(self.bias.feature().is_some())
    }

    /// s_k²
    fn square(&self, column: usize) -> Bound {
        let bias = column == self.features();
        let scale = Bound::of(if bias { Ratio::ONE } else { self.shard.scale(column) });
        scale.times(scale)
    }

    /// log2 of a bound of the stored magnitudes.
    fn value_bits(&self) -> u32 {
        match self.shard.header.width {
            Width::Unit => 0,
            Width::I8 => 7,
            Width::I16 => 15,
            Width::I32 => 31,
        }
    }

    /// Iterates over the rows, each as pairs of column and stored value.
    fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, i64)> + Clone> {
        let Self { shard, bias } = *self;
        let mut listed = 0;
        shard.runs(Selection::ALL).flatten().map(move |row| {
            let row = row as usize;
            let (first, len) = match shard.columns {
                Columns::Dense => (row * shard.stride, shard.header.dimension as usize),
                Columns::U8(counts, _) | Columns::U16(counts, _) => {
                    let (first, len) = (listed, counts.get(row).map_or(0, |&count| count.into()));
                    listed += len;
                    (first, len)
                }
            };
            let entries =
                (0..len).map(move |k| (column(shard, first + k, k), value(shard, first + k)));
            let feature = bias.feature().map(|feature| (shard.header.dimension as usize, feature));
            entries.chain(feature)
        })
    }

    /// The smallest max_k (|A|ᵀ|A| v)_k / v_k over the iterates v.
    fn collatz_wielandt(&self, u: &mut [i32], w: &mut [i64]) -> Bound {
        // Objectives accept up to 2^16 columns and 2^31 rows, each column at most once a row, and a bias: neither `u_bits`
        // nor `kept_bits` is negative.
        let width_bits = ceil_log2(self.width() as u32);
        let u_bits = VECTOR_BITS_MAX.min(62 - self.value_bits() - width_bits);
        let margin_bits = self.value_bits() + u_bits + width_bits;
        // A sum over all rows must fit 62 bits; the margin drops the bits that do not.
        let kept_bits = 62 - self.value_bits() - ceil_log2(self.shard.header.rows);
        let dropped = margin_bits.saturating_sub(kept_bits);
        // Any positive vector is a valid start; equal entries favour no column.
        u.fill(1 << u_bits);
        let mut least = None;
        for _ in 0..PASSES {
            self.pass(u, w, dropped);
            let image =
                |(k, &w): (usize, &i64)| Bound::new(w as u64, dropped as i32).times(self.square(k));
            let images = || w.iter().enumerate().map(image);
            let ratios = iter::zip(images(), &*u).map(|(image, u)| image.over(u.unsigned_abs()));
            let largest = ratios.max().unwrap_or(Bound::ZERO);
            // Every iterate gives a valid bound; with rounding the last is not always the smallest.
            least = Some(least.map_or(largest, |least: Bound| least.min(largest)));
            let top = images().max().unwrap_or(Bound::ZERO);
            // Normalise to u_bits again, so that a pass cannot overflow.
            let shift = (u_bits as i32).saturating_sub(top.ceil_log2());
            // A column without entries has image 0. Any positive value keeps v > 0 and affects no other column.
            iter::zip(images(), u.iter_mut())
                .for_each(|(image, u)| *u = image.integer(shift).max(1));
        }
        least.unwrap_or(Bound::ZERO)
    }

    /// w = |Q|ᵀ(|Q| u), rounded up after dropping low bits.
    fn pass(&self, u: &[i32], w: &mut [i64], dropped: u32) {
        w.fill(0);
        for row in self.rows() {
            let terms = row
                .clone()
                .filter_map(|(k, q)| Some(q.unsigned_abs() * u64::from(u.get(k)?.unsigned_abs())));
            // Rounded up, so that w is an upper bound of the exact product.
            let margin = ceil_shift(terms.sum(), dropped);
            row.for_each(|(k, q)| add(w, k, (q.unsigned_abs() * margin) as i64));
        }
    }

    /// Returns whether ‖AᵀA‖_F may be the smaller bound and is affordable.
    fn has_frobenius(&self) -> bool {
        self.value_bits() <= EXACT_BITS_MAX
            && self.width() <= FROBENIUS_MAX
            && self.rows().flatten().any(|(_, q)| q < 0)
    }

    /// ‖AᵀA‖_F, one column of QᵀQ at a time.
    fn frobenius(&self, w: &mut [i64]) -> Bound {
        let mut sum = Bound::ZERO;
        for column in 0..self.width() {
            w.fill(0);
            for row in self.rows() {
                // A sparse row contributes to this column only if it lists it.
                if let Some((_, factor)) = row.clone().find(|&(k, _)| k == column) {
                    row.for_each(|(k, q)| add(w, k, factor * q));
                }
            }
            let squares = w.iter().enumerate().map(|(k, w)| {
                let product = Bound::new(w.unsigned_abs(), 0);
                product.times(product).times(self.square(k))
            });
            let squares = squares.fold(Bound::ZERO, Bound::plus);
            sum = sum.plus(squares.times(self.square(column)));
        }
        sum.root()
    }
}

/// `w_k += term`
fn add(w: &mut [i64], k: usize, term: i64) {
    if let Some(sum) = w.get_mut(k) {
        *sum += term;
    }
}

/// Column of an entry at `position` in its row.
fn column(shard: &Shard<'_>, entry: usize, position: usize) -> usize {
    match shard.columns {
        Columns::Dense => position,
        Columns::U8(_, indices) => indices.get(entry).map_or(0, |&index| index.into()),
        Columns::U16(_, indices) => indices.get(entry).map_or(0, |&index| index.into()),
    }
}

/// Stored value of an entry.
fn value(shard: &Shard<'_>, entry: usize) -> i64 {
    match shard.values {
        Values::Unit => 1,
        Values::I8(values) => values.get(entry).map_or(0, |&value| value.into()),
        Values::I16(values) => values.get(entry).map_or(0, |&value| value.into()),
        Values::I32(values) => values.get(entry).map_or(0, |&value| value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, Labels, datasets, dimensions, extreme, real};
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    /// λ_max(AᵀA)/n in f64.
    fn eigenvalue(rows: &reference::Dataset, bias: Bias) -> f64 {
        let width = rows.dimension + usize::from(bias == Bias::One);
        let mut matrix = DMatrix::<f64>::zeros(rows.entries.len(), width);
        for (j, row) in rows.entries.iter().enumerate() {
            row.iter().for_each(|&(k, q)| matrix[(j, k)] = f64::from(q) * real(rows.scales[k]));
            if bias == Bias::One {
                matrix[(j, rows.dimension)] = 1.0;
            }
        }
        let gram = if matrix.nrows() < width {
            &matrix * matrix.transpose()
        } else {
            matrix.transpose() * &matrix
        };
        gram.symmetric_eigenvalues().max() / rows.entries.len() as f64
    }

    fn bound(rows: &reference::Dataset, bias: Bias) -> f64 {
        let words = rows.shard();
        let data = Data::Sent(&bytemuck::cast_slice(&words)[..rows.len()]);
        let width = rows.dimension + 1;
        let (mut vector, mut scratch) = (vec![0; width], vec![0; width]);
        let rows = CurvatureRequest { data, vector: &mut vector, scratch: &mut scratch };
        real(mean_curvature(rows, bias).and_then(Bound::ratio).expect("a bound in range"))
    }

    proptest! {
        #[test]
        fn bound_exceeds_largest_eigenvalue(rows in datasets(dimensions(), Labels::Classes(2), 6)) {
            for bias in [Bias::None, Bias::One] {
                let (bound, eigenvalue) = (bound(&rows, bias), eigenvalue(&rows, bias));
                prop_assert!(bound >= eigenvalue * (1.0 - 1e-12), "{bound:e} < {eigenvalue:e}");
            }
        }
    }

    proptest! {
        /// The result does not depend on the order of the rows.
        #[test]
        fn extreme_data_never_panics_and_row_order_does_not_matter((rows, point) in extreme(
            datasets(dimensions(), Labels::Classes(2), 6),
            |rows| rows.dimension
        )) {
            let of = |rows: &reference::Dataset| {
                let words = rows.shard();
                let data = Data::Sent(&bytemuck::cast_slice(&words)[..rows.len()]);
                let (mut vector, mut scratch) = (point.x.clone(), vec![-1; point.x.len()]);
                let rows = CurvatureRequest { data, vector: &mut vector, scratch: &mut scratch };
                mean_curvature(rows, Bias::None).and_then(Bound::ratio)
            };
            prop_assert_eq!(of(&rows), of(&rows.reversed()));
        }
    }

    #[test]
    fn bound_is_tight_for_orthogonal_rows() {
        let scale = Ratio { mantissa: 1, exponent: -1 };
        let entries = vec![vec![(0, 3), (1, -4)], vec![(2, 12)]];
        let mut rows = reference::Dataset {
            dimension: 3,
            width: Width::I8,
            sparse: true,
            scales: vec![scale; 3],
            classes: 2,
            label_width: Width::Unit,
            label_scale: Ratio::ONE,
            labels: vec![0, 1],
            entries,
        };
        let close = |found: f64, exact: f64| found >= exact && found <= exact * (1.0 + 1e-6);
        assert!(close(bound(&rows, Bias::None), 4.0 * 144.0 / 2.0));
        rows.labels.pop();
        rows.entries.pop();
        assert!(close(bound(&rows, Bias::None), 4.0 * 25.0));
        assert!(close(bound(&rows, Bias::One), 4.0 * 25.0 + 1.0));
    }

    /// Orthogonal columns with signs: the bound by magnitudes misses the cancellation.
    #[test]
    fn frobenius_bound_accounts_for_signs() {
        let entries = [[1, 1], [1, -1]].map(|row| vec![(0, row[0]), (1, row[1])]);
        let rows = reference::Dataset {
            dimension: 2,
            width: Width::I8,
            sparse: false,
            scales: vec![Ratio::ONE; 2],
            classes: 2,
            label_width: Width::Unit,
            label_scale: Ratio::ONE,
            labels: vec![0, 1],
            entries: entries.to_vec(),
        };
        let found = bound(&rows, Bias::None);
        assert!(
            (found / 2f64.sqrt() - 1.0).abs() < 1e-6,
            "{found}, where λ = 1 and the bound by magnitudes is 2"
        );
    }
}
