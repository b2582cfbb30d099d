//! Losses of a margin: the shortest way to a linear objective of your own.
//!
//! ```text
//! f_i(x) = (1/n_i) Σ_j φ(a_jᵀx, b_j) + regulariser        ∇f_i(x) = (1/n_i) Σ_j φ′(a_jᵀx, b_j) a_j + its slope
//! ```
//!
//! Implement [`MarginLoss`] for φ. The type is then an [`Objective`] for rows of all widths, dense and sparse, masked or
//! in minibatches, with scaled columns, both regularisers and a bound of the curvature. [Logistic
//! regression](crate::logistic), [least squares](crate::least_squares) and the [squared hinge](crate::squared_hinge)
//! are such losses.
//!
//! # Units
//! Numbers are integers with a number of fraction bits, their exponent e: `value = mantissa · 2^(−e)`. The exponent of
//! margins differs between evaluations, since it follows the model and the scales of its columns. A loss gets it in
//! [`MarginLoss::new`] and chooses the exponents of its slopes and of its values. Margins are below 2^62 and targets at
//! most 2^61, so their difference fits an i64.
//!
//! # An example
//! The Huber loss is r²/2 where |r| ≤ 1, and |r| − 1/2 beyond, for the residual r = aᵀx − b. With c, which is r clamped
//! to ±1, it is c²/2 + (|r| − |c|), and its slope is c.
//!
//! ```
//! use smidgen_firmware::bound::Bound;
//! use smidgen_firmware::margin::{Margin, MarginLoss, Targets, one};
//!
//! #[derive(Clone, Copy, Debug, Default)]
//! struct Huber {
//!     exponent: i32,
//! }
//!
//! impl MarginLoss for Huber {
//!     const NAME: &'static str = "huber";
//!     const TARGETS: Targets = Targets::Labels;
//!
//!     fn new(exponent: i32) -> Self {
//!         Self { exponent }
//!     }
//!
//!     fn slope_exponent(&self) -> i32 {
//!         self.exponent
//!     }
//!
//!     fn slope(&self, Margin { margin, target, .. }: Margin) -> i64 {
//!         (margin - target).clamp(-one(self.exponent), one(self.exponent))
//!     }
//!
//!     fn loss_exponent(&self, dropped: i32) -> i32 {
//!         2 * (self.exponent - dropped) + 1
//!     }
//!
//!     fn loss(&self, _at: Margin, rounded: i64) -> u64 {
//!         rounded.unsigned_abs().pow(2)
//!     }
//!
//!     fn linear_loss(&self, at: Margin) -> u64 {
//!         (at.margin - at.target).abs_diff(self.slope(at))
//!     }
//!
//!     fn curvature() -> Option<Bound> {
//!         Some(Bound::new(1, 0))
//!     }
//! }
//!
//! // With 20 fraction bits: at a margin of 3 and a target of 1 the slope is 1 and the loss 1/2 + 1.
//! let (loss, at) = (Huber::new(20), Margin { margin: 3 << 20, target: 1 << 20, side: 1 });
//! assert_eq!(loss.slope(at), 1 << 20);
//! assert_eq!((loss.loss(at, 1 << 20), loss.linear_loss(at)), (1 << 40, 1 << 20));
//! ```
//!
//! How a worker of this objective is tested, simulated and flashed: `docs/own-objective.md` in the repository.

mod lanes;

use crate::bound::Bound;
use crate::classes;
use crate::columns::{self, Slopes, bits};
use crate::curvature::{Bias, CurvatureRequest, mean_curvature};
use crate::data::Data;
use crate::fixed_point::{mean_factor, scale_u128};
use crate::objective::{Classes, Classification, Evaluation, Objective};
use crate::rows::{self, Precision, RowLoss};
use crate::simd::loops::{IS_ON, Loops, sum, vectorised};
pub(crate) use lanes::limited;
#[doc(hidden)]
pub use lanes::{LANES, LossLanes, MarginLanes, Rounding};
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::{Ratio, round_shift};

/// A row, as a [`MarginLoss`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// aᵀx, below 2^62, with the exponent of margins.
    pub margin: i64,
    /// The target of the margin, with the same exponent; see [`Targets`].
    pub target: i64,
    /// The side of the row: 1 for a positive label, else −1.
    pub side: i64,
}

/// The labels that a loss accepts, and the targets that it gets for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Two classes, of which a loss uses the side. Targets are 0, and margins may have any exponent.
    Sides,
    /// Two classes, whose targets are −1 and 1. The exponent of margins is at most 60; below −1 targets are 0.
    Signs,
    /// Real labels, which are the targets, at most 2^61. The exponent of margins is at most that at which the largest
    /// target has 61 bits: about 60 for labels of 1, less for larger ones. It has no lower end.
    Labels,
}

impl Targets {
    /// Returns whether labels are classes.
    const fn are_classes(self) -> bool {
        match self {
            Self::Sides | Self::Signs => true,
            Self::Labels => false,
        }
    }
}

/// The loss φ of a row as a function of its margin aᵀx and its target. See the [module](self).
///
/// The default value is the objective before an evaluation, of which only the type matters.
pub trait MarginLoss: Default {
    /// Name by which the host selects the objective, without spaces.
    const NAME: &'static str;

    /// The labels that it accepts.
    const TARGETS: Targets;

    /// Prepares an evaluation, for margins with `exponent` fraction bits; [`Targets`] has its range.
    fn new(exponent: i32) -> Self;

    /// Number of bits of the largest slope, at most 63; `None` if slopes have no bound. Without a bound an evaluation
    /// passes twice over the rows, first to find the largest slope.
    fn slope_bits(&self) -> Option<u32> {
        None
    }

    /// Fraction bits of [slopes](Self::slope).
    fn slope_exponent(&self) -> i32;

    /// The derivative φ′ with respect to the margin.
    fn slope(&self, at: Margin) -> i64;

    /// The slope without the low bits that do not fit a sum over all rows. Those out of range are clamped afterwards.
    #[inline(always)]
    fn rounded_slope(&self, at: Margin, dropped: i32) -> i64 {
        round_shift(self.slope(at), dropped)
    }

    /// Fraction bits of [values](Self::loss), if slopes drop this number of bits.
    fn loss_exponent(&self, dropped: i32) -> i32;

    /// The value φ, or its part that is not [linear](Self::linear_loss). `rounded` is the slope without the dropped
    /// bits, at most 31 bits, for losses that are functions of it.
    fn loss(&self, at: Margin, rounded: i64) -> u64;

    /// A part of φ with the exponent of margins, for losses that are linear far from their targets.
    #[inline(always)]
    fn linear_loss(&self, _at: Margin) -> u64 {
        0
    }

    /// What the functions above return for several rows, for the vectors of a host.
    #[doc(hidden)]
    #[inline(always)]
    fn lanes(&self, rows: &MarginLanes, rounding: Rounding) -> LossLanes {
        let mut found = LossLanes::default();
        for place in 0..LANES {
            let MarginLanes { margins, targets, sides } = rows;
            let (margin, target) = (margins[place], targets[place]);
            let at = Margin { margin, target, side: sides[place] };
            let rounded = limited(self.rounded_slope(at, rounding.dropped), rounding.limit);
            found.residuals[place] = rounded;
            found.losses[place] = self.loss(at, rounded);
            found.linear[place] = self.linear_loss(at);
        }
        found
    }

    /// An upper bound of the second derivative φ″; `None` if there is none.
    fn curvature() -> Option<Bound>;
}

/// 1 with `exponent` fraction bits, saturated; 0 for exponents below −1, where a unit is more than 2.
#[must_use]
pub const fn one(exponent: i32) -> i64 {
    round_shift(1, -exponent)
}

/// Bits of a target, so that the difference from a margin stays below 2^63.
const TARGET_BITS: i32 = 61;
/// Bits of a slope before rounding, which may carry into one more.
const UNBOUNDED_BITS_MAX: u32 = 30;

impl<L: MarginLoss> Objective for L {
    const NAME: &'static str = L::NAME;

    /// One i64 per column, for the sum of its slopes.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        rows::open(data).is_some_and(|shard| {
            let is_labelled = !L::TARGETS.are_classes() || shard.header.classes == 2;
            shard.header.dimension as usize == dimension && is_labelled
        })
    }

    fn evaluate(&mut self, mut request: Evaluation<'_>) -> i64 {
        let Some(shard) = request.data.shard() else { return 0 };
        let row_count = request.rows.count(shard.header.rows);
        let precision = Precision::new(&shard.header, row_count);
        let sums = request.take_scratch();
        let exponent_max = margin_exponent_max(L::TARGETS, &shard, request.rows);
        let exponent = scale_model(&mut request, &shard, &precision, exponent_max);
        let at = Rows { shard: &shard, loss: L::new(exponent), exponent };
        let allowed = precision.residual_bits;
        // All slopes drop the same bits, so that their sums by column share one exponent.
        let dropped = match at.loss.slope_bits() {
            Some(bits) => bits.saturating_sub(allowed),
            None => {
                let mut peak = Peak { at: &at, magnitude: 0 };
                rows::pass(&shard, request.rows, request.gradient, sums, &mut peak);
                let bits = u64::BITS - peak.magnitude.leading_zeros();
                bits.saturating_sub(allowed.min(UNBOUNDED_BITS_MAX))
            }
        } as i32;
        let limit = (1i64 << allowed).min(i32::MAX.into());
        let mut residuals = Residuals { at: &at, dropped, limit, loss: 0, linear: 0 };
        rows::pass(&shard, request.rows, request.gradient, sums, &mut residuals);
        let Residuals { loss, linear, .. } = residuals;
        let mean = mean_factor(row_count);
        let sum_exponent = at.loss.slope_exponent() - dropped - precision.dropped;
        let slopes = Slopes::new(precision.sum_bits, sum_exponent, mean);
        let parts = [(loss, at.loss.loss_exponent(dropped)), (linear, exponent)];
        finish(request, &shard, sums, slopes, mean, parts)
    }

    fn curvature(rows: CurvatureRequest<'_>) -> Option<Bound> {
        Some(mean_curvature(rows, Bias::None)?.times(L::curvature()?))
    }

    fn classify(request: Classification<'_>) -> Option<Classes> {
        L::TARGETS.are_classes().then(|| classes::linear(request))
    }
}

/// Stores the scaled model in place of the gradient, which is not needed before the pass is over; returns the exponent
/// of margins, at most `exponent_max`.
// Like `finish`, a function of its own so that images have it once, not for every loss.
fn scale_model(
    request: &mut Evaluation<'_>,
    shard: &Shard<'_>,
    precision: &Precision,
    exponent_max: i32,
) -> i32 {
    let Evaluation { x, x_exponent, gradient, .. } = request;
    let exponent_max = exponent_max.saturating_add(precision.dropped);
    columns::scale(x, *x_exponent, |k| shard.scale(k), exponent_max, gradient) - precision.dropped
}

/// Writes the gradient; returns the mean of the parts of the loss, each with its exponent, plus the regulariser.
fn finish(
    mut request: Evaluation<'_>,
    shard: &Shard<'_>,
    sums: &[i64],
    slopes: Slopes,
    mean: Ratio,
    parts: [(u128, i32); 2],
) -> i64 {
    let [loss, linear] =
        parts.map(|(loss, exponent)| scale_u128(mean, loss, exponent, request.loss_exponent));
    let penalty = columns::fill_gradient(
        &mut request,
        sums,
        #[inline(always)]
        |k, sum| slopes.at(sum, shard.scale(k)),
    );
    loss.saturating_add(linear).saturating_add(penalty)
}

/// Largest exponent of margins at which every target has at most [`TARGET_BITS`] bits.
fn margin_exponent_max(targets: Targets, shard: &Shard<'_>, rows: Selection) -> i32 {
    match targets {
        Targets::Sides => i32::MAX,
        // A target of 1 has one bit more than its fraction.
        Targets::Signs => TARGET_BITS - 1,
        Targets::Labels => {
            let rows = shard.runs(rows).flatten();
            let label_bits = rows.map(|row| bits(shard.label(row as usize))).max().unwrap_or(0);
            let Ratio { mantissa, exponent } = shard.label_scale();
            TARGET_BITS - label_bits - bits(mantissa) + i32::from(exponent)
        }
    }
}

/// The rows of an evaluation.
struct Rows<'a, L> {
    shard: &'a Shard<'a>,
    loss: L,
    /// Fraction bits of margins.
    exponent: i32,
}

impl<L: MarginLoss> Rows<'_, L> {
    #[inline(always)]
    fn at(&self, row: usize, margin: i64) -> Margin {
        let label = self.shard.label(row);
        let side = if label > 0 { 1 } else { -1 };
        let target = match L::TARGETS {
            Targets::Sides => 0,
            Targets::Signs => side * one(self.exponent),
            Targets::Labels => self.shard.label_scale().scale(label.into(), -self.exponent),
        };
        Margin { margin, target, side }
    }
}

/// Finds the largest slope. Its residuals are 0, so the pass changes no sum.
struct Peak<'a, L> {
    at: &'a Rows<'a, L>,
    magnitude: u64,
}

impl<L: MarginLoss> RowLoss for Peak<'_, L> {
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        for (row, margin) in (first..).zip(margins) {
            let slope = self.at.loss.slope(self.at.at(row, *margin));
            self.magnitude = self.magnitude.max(slope.unsigned_abs());
            // Zero residuals leave the sums untouched in this pass.
            *margin = 0;
        }
    }
}

/// Rounds slopes to residuals and accumulates losses.
struct Residuals<'a, L> {
    at: &'a Rows<'a, L>,
    /// Low bits dropped from a slope.
    dropped: i32,
    /// Largest residual with which no sum overflows.
    limit: i64,
    loss: u128,
    linear: u128,
}

impl<L: MarginLoss> RowLoss for Residuals<'_, L> {
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        if IS_ON {
            let (loss, linear) = vectorised(Lanes { residuals: self, first, margins });
            (self.loss, self.linear) = (self.loss + loss, self.linear + linear);
            return;
        }
        let (mut sum, mut linear) = (Sum::default(), Sum::default());
        for (row, margin) in (first..).zip(margins) {
            let at = self.at.at(row, *margin);
            let rounded = self.at.loss.rounded_slope(at, self.dropped);
            let rounded = limited(rounded, self.limit);
            sum.add(self.at.loss.loss(at, rounded));
            linear.add(self.at.loss.linear_loss(at));
            *margin = rounded;
        }
        // Summed outside the loop, where the sums are in registers.
        (self.loss, self.linear) = (self.loss + sum.value(), self.linear + linear.value());
    }
}

/// [`RowLoss::residuals`] for the vectors of a host. Returns the sums of both parts of the loss.
struct Lanes<'a, 'r, L> {
    residuals: &'a Residuals<'r, L>,
    first: usize,
    margins: &'a mut [i64],
}

impl<L: MarginLoss> Loops for Lanes<'_, '_, L> {
    type Output = (u128, u128);
    #[inline(always)]
    fn run(self) -> (u128, u128) {
        let Residuals { at, dropped, limit, .. } = *self.residuals;
        let rounding = Rounding { dropped, limit };
        let mut sums = (0, 0);
        for (first, margins) in (self.first..).step_by(LANES).zip(self.margins.chunks_mut(LANES)) {
            let len = margins.len();
            let mut rows =
                MarginLanes { sides: lanes::sides(at.shard, first, len), ..MarginLanes::default() };
            match margins.first_chunk() {
                // A copy of known length needs no call.
                Some(margins) => rows.margins = *margins,
                None => rows.margins[..len].copy_from_slice(margins),
            }
            match L::TARGETS {
                Targets::Sides => {}
                Targets::Signs | Targets::Labels => {
                    for (row, target) in (first..).zip(&mut rows.targets[..len]) {
                        *target = at.at(row, 0).target;
                    }
                }
            }
            let found = at.loss.lanes(&rows, rounding);
            match margins.first_chunk_mut() {
                Some(margins) => *margins = found.residuals,
                None => margins.copy_from_slice(&found.residuals[..len]),
            }
            sums.0 += sum(&found.losses[..len]);
            sums.1 += sum(&found.linear[..len]);
        }
        sums
    }
}

/// A sum in two words, of which the upper one counts carries of the lower one.
#[derive(Clone, Copy, Default)]
struct Sum {
    low: u64,
    carries: u32,
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, term: u64) {
        let (low, has_carried) = self.low.overflowing_add(term);
        (self.low, self.carries) = (low, self.carries.wrapping_add(has_carried.into()));
    }

    fn value(self) -> u128 {
        u128::from(self.carries) << 64 | u128::from(self.low)
    }
}
