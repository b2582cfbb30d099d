//! Twins of losses of a margin aᵀx.

use super::twin::{
    Curvature, Labels, Margins, Objective, ObjectiveInfo, Probabilities, Row, RowNoise, Targets,
    Twin,
};
use smidgen_firmware::least_squares::LeastSquares;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::margin::{self, MarginLoss};
use smidgen_firmware::squared_hinge::SquaredHinge;

/// Bits of the largest residual of a loss whose slopes have no bound.
const RESIDUAL_BITS: i32 = 30;
/// Bits of a sum of residuals without those of a feature of 16 bits; see `Precision` of the firmware.
const SUM_BITS: i32 = 62 - 15;
/// Bits of the accuracy of a slope from a table.
const TABLE_BITS: i32 = 28;

/// The twin of a loss of a margin.
///
/// ```
/// use smidgen::objective::{MarginTwin, Objective};
/// use smidgen_firmware::least_squares::LeastSquares;
///
/// // (aᵀx − b)², its derivative, and the bound 2 of its second derivative.
/// static SQUARES: MarginTwin =
///     MarginTwin::new::<LeastSquares>("Squares: real targets", 2.0, |margin, target| {
///         let error = margin - target;
///         (error * error, 2.0 * error)
///     });
/// assert_eq!(Objective::of(&SQUARES).dimension(5, 0), 5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MarginTwin {
    name: &'static str,
    about: &'static str,
    targets: margin::Targets,
    curvature: Curvature,
    is_convex: bool,
    row_noise: RowNoise,
    probabilities: Probabilities,
    /// Boards have slopes from the table of σ.
    is_tabulated: bool,
    at: fn(f64, f64) -> (f64, f64),
}

impl MarginTwin {
    /// Creates the twin of `L`, a convex loss whose second derivative is at most `curvature`. `at` returns value and
    /// slope for a margin and a target, which is the label, or ±1 for classes. `about` is for `--help`.
    pub const fn new<L: MarginLoss>(
        about: &'static str,
        curvature: f64,
        at: fn(margin: f64, target: f64) -> (f64, f64),
    ) -> Self {
        Self {
            name: L::NAME,
            about,
            targets: L::TARGETS,
            curvature: Curvature::AtMost(curvature),
            is_convex: true,
            row_noise: RowNoise::Unknown,
            probabilities: Probabilities::None,
            is_tabulated: false,
            at,
        }
    }

    /// Declares that the loss is not convex.
    #[must_use]
    pub const fn nonconvex(self) -> Self {
        Self { is_convex: false, ..self }
    }

    /// Declares that the second derivative has no bound: theory has no constants, and `--step auto` starts with those of
    /// another objective.
    #[must_use]
    pub const fn unbounded(self, starts_like: Objective) -> Self {
        Self { curvature: Curvature::Unbounded { starts_like }, ..self }
    }

    /// Declares a bound of the gradient of a row, which theory needs for minibatches.
    #[must_use]
    pub const fn with_row_noise(self, row_noise: RowNoise) -> Self {
        Self { row_noise, ..self }
    }

    /// Declares that σ of a margin is the probability of the second class.
    #[must_use]
    pub const fn with_sigmoid(self) -> Self {
        Self { probabilities: Probabilities::Sigmoid, ..self }
    }

    /// Declares that boards have the slope from the table of σ, as in logistic regression.
    const fn tabulated(self) -> Self {
        Self { is_tabulated: true, ..self }
    }

    /// Returns the target of a label.
    fn target(&self, label: f64) -> f64 {
        match self.targets {
            margin::Targets::Labels => label,
            margin::Targets::Sides | margin::Targets::Signs if label > 0.0 => 1.0,
            margin::Targets::Sides | margin::Targets::Signs => -1.0,
        }
    }

    /// Returns value and slope at a row.
    fn at(&self, row: Row<'_>, label: f64, x: &[f64]) -> (f64, f64) {
        (self.at)(row.dot(x), self.target(label))
    }

    fn largest_curvature(&self) -> f64 {
        match self.curvature {
            Curvature::AtMost(curvature) => curvature,
            Curvature::Unbounded { .. } => f64::NAN,
        }
    }
}

impl Twin for MarginTwin {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn info(&self) -> ObjectiveInfo {
        let (labels, targets) = match self.targets {
            margin::Targets::Sides => (Labels::Binary, Targets::None),
            margin::Targets::Signs => (Labels::Binary, Targets::Signs),
            margin::Targets::Labels => (Labels::Real, Targets::Labels),
        };
        ObjectiveInfo {
            labels,
            margins: Margins::One,
            curvature: self.curvature,
            is_convex: self.is_convex,
            row_noise: self.row_noise,
            targets,
            probabilities: self.probabilities,
            starts_at_random: false,
        }
    }

    fn add(&self, row: Row<'_>, label: f64, weight: f64, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (loss, slope) = self.at(row, label, x);
        row.add_to(gradient, weight * slope);
        loss
    }

    fn scores(&self, row: Row<'_>, x: &[f64]) -> Vec<f64> {
        vec![row.dot(x)]
    }

    fn cancellation(&self, row: Row<'_>, label: f64, x: &[f64]) -> f64 {
        if self.is_tabulated {
            // The error of a margin is multiplied by a slope that is less than the loss.
            return 0.0;
        }
        let target = match self.targets {
            margin::Targets::Sides => 0.0,
            margin::Targets::Signs => 1.0,
            margin::Targets::Labels => label.abs(),
        };
        let terms = row.entries().map(|(column, value)| (value * x[column]).abs());
        let error = distance_error(row, terms.sum::<f64>() + target);
        let (_, slope) = self.at(row, label, x);
        error * (slope.abs() + 0.5 * self.largest_curvature() * error)
    }

    fn residual_error(&self, rows: &[(Row<'_>, f64)], x: &[f64], unit: f64) -> f64 {
        let bits = |bits: i32| f64::from(-bits).exp2();
        if self.is_tabulated {
            return bits(TABLE_BITS);
        }
        let target = match self.targets {
            // On a grid coarser than 1 a target is off by less than its unit.
            margin::Targets::Signs if unit > 1.0 => self.largest_curvature() * unit,
            margin::Targets::Sides | margin::Targets::Signs | margin::Targets::Labels => 0.0,
        };
        // Sums over many rows leave fewer bits for each residual.
        let left = SUM_BITS - (rows.len() as f64).log2().ceil() as i32;
        let slopes = rows.iter().map(|&(row, label)| self.at(row, label, x).1.abs());
        bits(RESIDUAL_BITS.min(left)) * slopes.fold(0.0, f64::max) + target
    }
}

/// log(1 + exp(−y aᵀx)), where σ(1 − σ) is at most 1/4.
pub(super) static LOGISTIC: MarginTwin =
    MarginTwin::new::<Logistic>("Logistic regression: two classes", 0.25, |margin, y| {
        let (loss, slope) = softplus(-y * margin);
        (loss, -y * slope)
    })
    .with_row_noise(RowNoise::Bounded(|squares| squares))
    .with_sigmoid()
    .tabulated();

/// (aᵀx − b)²
pub(super) static LEAST_SQUARES: MarginTwin =
    MarginTwin::new::<LeastSquares>("Least squares: real targets", 2.0, |margin, target| {
        let residual = margin - target;
        (residual * residual, 2.0 * residual)
    })
    .with_row_noise(RowNoise::GrowsWithLoss);

/// max(0, 1 − y aᵀx)², whose second derivative is 2 where a margin falls short of its target, else 0.
pub(super) static SQUARED_HINGE: MarginTwin = MarginTwin::new::<SquaredHinge>(
    "Linear support vector machine with the squared hinge: two classes",
    2.0,
    |margin, y| {
        let shortfall = (1.0 - y * margin).max(0.0);
        (shortfall * shortfall, -2.0 * y * shortfall)
    },
)
.with_row_noise(RowNoise::GrowsWithLoss);

/// Returns a bound on the rounding error of the distance of a margin from a target; `size` is the sum of the magnitudes
/// of its terms.
fn distance_error(row: Row<'_>, size: f64) -> f64 {
    (row.values.len() + 2) as f64 * f64::EPSILON * size
}

/// Returns 1/(1 + e^(−z)), without overflow.
pub(super) fn sigmoid(z: f64) -> f64 {
    softplus(z).1
}

/// Returns log(1 + e^z) and its derivative, without overflow or cancellation for any z.
#[inline]
fn softplus(z: f64) -> (f64, f64) {
    let small = (-z.abs()).exp();
    let slope = if z > 0.0 { 1.0 } else { small } / (1.0 + small);
    (z.max(0.0) + small.ln_1p(), slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_is_accurate_for_large_magnitudes() {
        assert_eq!(softplus(1000.0), (1000.0, 1.0));
        assert_eq!(softplus(0.0), (2f64.ln(), 0.5));
        assert_eq!(softplus(-f64::INFINITY), (0.0, 0.0));
        let (value, slope) = softplus(-100.0);
        let tiny = (-100f64).exp();
        assert!((value / tiny - 1.0).abs() < 1e-15 && (slope / tiny - 1.0).abs() < 1e-15);
    }
}
