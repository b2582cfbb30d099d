//! Scaling before and after the pass over the rows: of the model, and of the sums by column.
//!
//! ```
//! use smidgen_firmware::columns;
//! use smidgen_protocol::vector::Ratio;
//!
//! // The model (3/4, −2) in columns of scales 1 and 1/2: the products are 3/4 and −1, the larger one with 30 or 31 bits.
//! let scales = [Ratio::ONE, Ratio { exponent: 31, ..Ratio::ONE }];
//! let mut products = [0; 2];
//! let exponent = columns::scale(&[3, -8], 2, |k| scales[k], i32::MAX, &mut products);
//! assert_eq!((products[0], products[1]), (3 << (exponent - 2), -1 << exponent));
//! assert_eq!(exponent, 29);
//! ```

pub(crate) mod coordinate;

use crate::fixed_point::scale_u128;
use crate::objective::Evaluation;
use crate::regulariser::{L2, Nonconvex, Penalty};
use crate::simd::{self, loops::IS_ON};
use coordinate::{GUARD_BITS, coordinate, scaled};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::vector::{Exponent, Ratio};

/// Scale of coordinates without a column.
pub const ONE: Ratio = Ratio::ONE;

/// Multiplies the model by the scales of its columns, once per evaluation instead of once per entry; returns the
/// exponent of the products.
///
/// All products share one exponent, at most `exponent_max`, chosen such that the largest has 30 or 31 bits: margins
/// then need no alignment, and their error is relative to the largest term.
pub fn scale(
    x: &[i32],
    x_exponent: Exponent,
    scales: impl Fn(usize) -> Ratio,
    exponent_max: i32,
    mantissas: &mut [i32],
) -> i32 {
    if IS_ON {
        return simd::columns::scale(x, x_exponent, scales, exponent_max, mantissas);
    }
    // The lengths of the factors bound the length of the product, without computing it.
    let top = x.iter().enumerate().filter_map(|(k, &x)| {
        let scale = scales(k);
        let product_is_zero = x == 0 || scale.mantissa == 0;
        (!product_is_zero).then(|| bits(x) + bits(scale.mantissa) - i32::from(scale.exponent))
    });
    let x_exponent = i32::from(x_exponent);
    // A product of lengths m and n has m + n − 1 or m + n bits, so the largest gets 30 or 31.
    let exponent = (x_exponent + 31 - top.max().unwrap_or(0)).min(exponent_max);
    for (k, (mantissa, &x)) in mantissas.iter_mut().zip(x).enumerate() {
        let scale = scales(k);
        *mantissa = scaled(x, scale.mantissa, i32::from(scale.exponent) + x_exponent - exponent);
    }
    exponent
}

/// Length of a magnitude in bits.
pub fn bits(value: i32) -> i32 {
    (u32::BITS - value.unsigned_abs().leading_zeros()) as i32
}

/// Computes the gradient from the slope of the data, `slope(k, sum)` with its exponent, and that of the regulariser,
/// rounding their sum once. Returns the regulariser's contribution to the loss.
pub fn fill_gradient(
    request: &mut Evaluation<'_>,
    sums: &[i64],
    slope: impl Fn(usize, i64) -> (i64, i32),
) -> i64 {
    match request.regulariser {
        Regulariser::Nonconvex => {
            fill(request, &Nonconvex::new(request.lambda, request.x_exponent), sums, slope)
        }
        Regulariser::L2 => fill(request, &L2::new(request.lambda, request.x_exponent), sums, slope),
    }
}

fn fill(
    request: &mut Evaluation<'_>,
    penalty: &impl Penalty,
    sums: &[i64],
    slope: impl Fn(usize, i64) -> (i64, i32),
) -> i64 {
    let grid = i32::from(request.gradient_exponent) + GUARD_BITS;
    let mut loss = 0;
    if IS_ON {
        loss = simd::columns::fill(request, penalty, sums, slope, grid);
        return scale_u128(request.lambda, loss, penalty.loss_exponent(), request.loss_exponent);
    }
    for (k, ((gradient, &x), &sum)) in
        request.gradient.iter_mut().zip(request.x).zip(sums).enumerate()
    {
        let term = penalty.term(x);
        loss += u128::from(term.loss);
        *gradient = coordinate(slope(k, sum), &term, grid, request.saturated);
    }
    scale_u128(request.lambda, loss, penalty.loss_exponent(), request.loss_exponent)
}

/// Converts sums of a pass to slopes: times the scale of the column and the factor of the mean.
#[derive(Clone, Copy, Debug)]
pub struct Slopes {
    mean: Ratio,
    /// Shift that brings sums to 62 bits.
    left: u32,
    exponent: i32,
}

impl Slopes {
    /// For sums of at most 2^`sum_bits` with `sum_exponent` fraction bits, and a positive factor of the mean.
    pub fn new(sum_bits: u32, sum_exponent: i32, mean: Ratio) -> Self {
        let left = 62 - sum_bits;
        // Each of the two products drops 32 bits.
        let exponent = sum_exponent + left as i32 + i32::from(mean.exponent) - 64;
        Self { mean, left, exponent }
    }

    /// `sum * scale * mean` with at most 61 bits and an error of up to two units, and its exponent.
    #[inline]
    pub fn at(&self, sum: i64, scale: Ratio) -> (i64, i32) {
        // Normalised to 62 bits first, so that the dropped 32 bits are below the precision of the result.
        let mean = multiply_high(sum << self.left, self.mean.mantissa);
        (multiply_high(mean, scale.mantissa), self.exponent + i32::from(scale.exponent))
    }
}

/// `a * b / 2^32`, rounded down, without the 128-bit product that 32-bit cores lack.
#[inline]
fn multiply_high(a: i64, b: i32) -> i64 {
    (a >> 32) * i64::from(b) + ((i64::from(a as u32) * i64::from(b)) >> 32)
}
