//! A perceptron with one hidden layer, in fixed point.
//!
//! ```text
//! h_ju = tanh(v_uᵀa_j + e_u)       s_jc = w_cᵀh_j + b_c       f_i(x) = (1/n_i) Σ_j cross-entropy of s_j + regulariser
//! x = (v_1, e_1, …, v_H, e_H, w_1, b_1, …, w_C, b_C)
//! ```
//!
//! The first layer is evaluated as in [softmax regression](crate::softmax), with one margin of a row per hidden unit.
//! The second layer is evaluated row by row, between the margins and the residuals of the first:
//!
//! ```text
//! margins of the units ─ tanh ─ scores ─ slopes ∂/∂s_c     summed, times h_u, for the second layer
//!                                           └─ Σ_c w_cu ∂/∂s_c · (1 − h_u²) ─ residuals of the first layer
//! ```

#[cfg(test)]
mod tests;

use crate::classes;
use crate::columns::{self, ONE, Slopes};
use crate::data::Data;
use crate::fixed_point::{ceil_log2, mean_factor};
use crate::multiclass::{CLASSES_MAX, CrossEntropy, SLOPE_BITS};
use crate::objective::{Classes, Classification, Evaluation, Objective};
use crate::rows::{self, Precision, RowLoss, UNITS_MAX};
use crate::sigmoid::Sigmoid;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::{Header, Shard};

/// A perceptron with one hidden layer on a [shard](smidgen_protocol::shard) of rows in up to 64 classes.
///
/// d = H (p + 1) + C (H + 1) for p features, C classes and up to 64 hidden units, whose number H follows from d.
///
/// # Accuracy
/// Hidden units are within 2^-28 and slopes within 2^-26, in addition to the effect of the error of margins. A residual
/// of the first layer is within 2^-26 of the largest weight of the second layer, times the number of classes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perceptron;

/// Fraction bits of a hidden unit.
const UNIT_BITS: u32 = 30;
/// Bits dropped from a product of weight and unit, to leave room for a sum over all units and the bias.
const PRODUCT_DROPPED: u32 = 6;
/// Bits dropped from Σ_c w_cu ∂/∂s_c. Since Σ_c |∂/∂s_c| ≤ 2, it has 62 bits, of which 30 remain.
const BACK_DROPPED: u32 = 32;

impl Objective for Perceptron {
    const NAME: &'static str = "perceptron";

    /// One i64 per coordinate, for the sum of its slopes.
    fn scratch_len(dimension: usize) -> usize {
        dimension
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        rows::open(data).is_some_and(|shard| {
            (2..=CLASSES_MAX).contains(&shard.header.classes.into())
                && hidden_units(&shard.header, dimension).is_some()
        })
    }

    fn evaluate(&mut self, mut request: Evaluation<'_>) -> i64 {
        let Some(shard) = request.data.shard() else { return 0 };
        let Some(hidden) = hidden_units(&shard.header, request.x.len()) else { return 0 };
        let row_count = request.rows.count(shard.header.rows);
        let precision = Precision::new(&shard.header, row_count);
        let scale = |k| precision.scale(&shard, k);
        let border = hidden * (shard.header.dimension as usize + 1);
        let sums = request.take_scratch();
        // The layers have exponents of their own: the weights of the second need not suit the features of the first.
        let (Some(x), Some(mantissas)) =
            (request.x.split_at_checked(border), request.gradient.split_at_mut_checked(border))
        else {
            return 0;
        };
        let first = columns::scale(x.0, request.x_exponent, scale, i32::MAX, mantissas.0);
        let second = columns::scale(x.1, request.x_exponent, |_| ONE, i32::MAX, mantissas.1);
        let (first_sums, second_sums) = sums.split_at_mut_checked(border).unwrap_or_default();
        second_sums.fill(0);
        let mut layer = OutputLayer {
            shard: &shard,
            layer: Layer::new(&shard, mantissas.1, first - precision.dropped),
            sums: second_sums,
            row_bits: ceil_log2(row_count),
            entropy: CrossEntropy::new(second + (UNIT_BITS - PRODUCT_DROPPED) as i32),
            dropped: SLOPE_BITS.saturating_sub(precision.residual_bits),
        };
        rows::pass_units(&shard, request.rows, mantissas.0, first_sums, &mut layer);
        let mean = mean_factor(row_count);
        let loss = layer.entropy.loss(mean, request.loss_exponent);
        let back = second + (SLOPE_BITS - layer.dropped) as i32 - BACK_DROPPED as i32;
        let first = Slopes::new(precision.sum_bits, back - precision.dropped, mean);
        let product = (SLOPE_BITS + UNIT_BITS - layer.row_bits) as i32;
        let second = Slopes::new(SLOPE_BITS + UNIT_BITS + 1, product, mean);
        let penalty = columns::fill_gradient(&mut request, sums, |k, sum| match k < border {
            true => first.at(sum, scale(k)),
            false => second.at(sum, ONE),
        });
        loss.saturating_add(penalty)
    }

    fn classify(request: Classification<'_>) -> Option<Classes> {
        let Classification { shard, x, x_exponent, scratch, .. } = request;
        let hidden = hidden_units(&shard.header, x.len())?;
        let precision = Precision::new(&shard.header, shard.header.rows);
        let border = hidden * (shard.header.dimension as usize + 1);
        let (first, second) = x.split_at_checked(border)?;
        let mantissas: &mut [i32] = bytemuck::cast_slice_mut(scratch);
        let (first_scaled, rest) = mantissas.split_at_mut_checked(border)?;
        let weights = rest.get_mut(..second.len())?;
        let scale = |k| precision.scale(shard, k);
        let exponent = columns::scale(first, x_exponent, scale, i32::MAX, first_scaled);
        let second_exponent = columns::scale(second, x_exponent, |_| ONE, i32::MAX, weights);
        let layer = Layer::new(shard, weights, exponent - precision.dropped);
        let scores = |margins: &mut [i64]| {
            let (mut units, mut scores) = ([0; UNITS_MAX + 1], [0; CLASSES_MAX]);
            classes::largest(layer.scores(layer.units(margins, &mut units), &mut scores))
        };
        let classes = Classes::none(second_exponent + (UNIT_BITS - PRODUCT_DROPPED) as i32);
        let mut largest = classes::Largest { shard, scores, classes };
        rows::pass_units(shard, Selection::ALL, first_scaled, &mut [], &mut largest);
        Some(largest.classes)
    }
}

/// Number of hidden units of a model of this dimension, if it fits the data.
fn hidden_units(header: &Header, dimension: usize) -> Option<usize> {
    let (features, classes) = (header.dimension as usize, usize::from(header.classes));
    let weights = dimension.checked_sub(classes)?;
    let of_one = features + 1 + classes;
    let units = weights.checked_div(of_one)?;
    (units * of_one == weights && (1..=UNITS_MAX).contains(&units)).then_some(units)
}

/// The hidden units and the second layer.
struct Layer<'a> {
    /// Weights of the second layer, class by class, each with its bias.
    weights: &'a [i32],
    classes: usize,
    sigmoid: Sigmoid,
}

impl<'a> Layer<'a> {
    fn new(shard: &Shard<'_>, weights: &'a [i32], margin_exponent: i32) -> Self {
        let classes = usize::from(shard.header.classes).min(CLASSES_MAX);
        // tanh z = 1 − 2σ(−2z)
        Self { weights, classes, sigmoid: Sigmoid::new(margin_exponent - 1) }
    }

    /// The units of a row and the bias input.
    fn units<'u>(&self, margins: &[i64], units: &'u mut [i32; UNITS_MAX + 1]) -> &'u [i32] {
        // The last unit is the bias input, which is always 1.
        units.fill(1 << UNIT_BITS);
        let unit_count = margins.len().min(UNITS_MAX) + 1;
        let units = &mut units[..unit_count];
        units.iter_mut().zip(margins).for_each(|(unit, &margin)| *unit = self.tanh(margin));
        units
    }

    /// The scores of a row.
    fn scores<'s>(&self, units: &[i32], scores: &'s mut [i64; CLASSES_MAX]) -> &'s mut [i64] {
        let scores = scores.get_mut(..self.classes).unwrap_or_default();
        // `max` excludes the panic of a chunk without weights.
        let weights = self.weights.chunks_exact(units.len().max(1));
        for (score, weights) in scores.iter_mut().zip(weights) {
            let product = |(&unit, &weight): (&i32, &i32)| product(unit, weight) >> PRODUCT_DROPPED;
            *score = units.iter().zip(weights).map(product).sum();
        }
        scores
    }

    fn tanh(&self, margin: i64) -> i32 {
        let (sigma, _) = self.sigmoid.at(margin.unsigned_abs());
        // tanh(z) = 1 − 2σ(−2z) for z ≥ 0; sigma has 32 fraction bits, so 2σ in units of 2^-31 is sigma itself.
        let magnitude = (((1 << 31) - sigma) >> (31 - UNIT_BITS)) as i32;
        if margin < 0 { -magnitude } else { magnitude }
    }
}

/// The second layer and the loss.
struct OutputLayer<'a> {
    shard: &'a Shard<'a>,
    layer: Layer<'a>,
    /// Σ over rows of slope times unit, in the same order.
    sums: &'a mut [i64],
    row_bits: u32,
    entropy: CrossEntropy,
    /// Low bits dropped from a residual of the first layer.
    dropped: u32,
}

impl RowLoss for OutputLayer<'_> {
    fn residuals(&mut self, row: usize, margins: &mut [i64]) {
        let (mut units, mut slopes) = ([0; UNITS_MAX + 1], [0; CLASSES_MAX]);
        let units = self.layer.units(margins, &mut units);
        let slopes = self.layer.scores(units, &mut slopes);
        self.entropy.slopes(slopes, self.shard.label(row) as usize);
        self.add(slopes, units);
        for (u, (margin, &unit)) in margins.iter_mut().zip(units).enumerate() {
            let weights = self.layer.weights.iter().skip(u).step_by(units.len().max(1));
            let back: i64 = slopes.iter().zip(weights).map(|(s, &w)| s * i64::from(w)).sum();
            // tanh′ = 1 − tanh², from the unit that is at hand.
            let steepness = (1 << UNIT_BITS) - (product(unit, unit) >> UNIT_BITS);
            *margin = ((back >> BACK_DROPPED) * steepness) >> (UNIT_BITS + self.dropped);
        }
    }
}

impl OutputLayer<'_> {
    /// Adds a row's products of slopes and units to the sums.
    fn add(&mut self, slopes: &[i64], units: &[i32]) {
        for (&slope, sums) in slopes.iter().zip(self.sums.chunks_exact_mut(units.len().max(1))) {
            for (sum, &unit) in sums.iter_mut().zip(units) {
                // Dropping log2 of the number of rows from every product keeps the sum below 2^61.
                *sum += (slope * i64::from(unit)) >> self.row_bits;
            }
        }
    }
}

fn product(a: i32, b: i32) -> i64 {
    i64::from(a) * i64::from(b)
}
