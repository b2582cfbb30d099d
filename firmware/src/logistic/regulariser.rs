//! The nonconvex regulariser λ Σ x²/(1 + x²) and its gradient 2λ x/(1 + x²)².

use smidgen_protocol::vector::{Exponent, Ratio};

/// The regulariser at a model with a given exponent.
///
/// With r = 1/(1 + x²), each coordinate costs one division: x²/(1 + x²) = x² r, and the slope is 2λ x r².
#[derive(Clone, Copy, Debug)]
pub struct Regulariser {
    /// λ with a mantissa of 31 bits, so that its products may drop their low half.
    lambda: i64,
    /// Fraction bits of a slope where |x| < 1.
    slope_exponent: i32,
    /// 1 and x² are held with 2^one for 1.
    one: u32,
    left: u32,
    right: u32,
}

/// One coordinate's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// x²/(1 + x²), with [`Regulariser::loss_exponent`] fraction bits.
    pub loss: u64,
    /// 2λ x/(1 + x²)².
    pub slope: i64,
    /// Fraction bits of the slope.
    pub slope_exponent: i32,
}

impl Regulariser {
    /// For a weight and an exponent of the model.
    pub fn new(lambda: Ratio, x_exponent: Exponent) -> Self {
        let x_exponent = i32::from(x_exponent);
        let one = (2 * x_exponent).clamp(0, 62);
        let right = 2 * x_exponent - one;
        let zeros = lambda.mantissa.unsigned_abs().leading_zeros().clamp(1, 31) - 1;
        Self {
            lambda: i64::from(lambda.mantissa) << zeros,
            slope_exponent: i32::from(lambda.exponent) + zeros as i32 + x_exponent,
            one: one as u32,
            left: (-right).clamp(0, 63) as u32,
            right: right.clamp(0, 63) as u32,
        }
    }

    /// Fraction bits of a part's loss.
    pub fn loss_exponent(&self) -> i32 {
        self.one as i32
    }

    /// The part of the coordinate with mantissa `x`, good to 2^-28 of itself.
    #[inline]
    pub fn at(&self, x: i32) -> Part {
        let square = u64::from(x.unsigned_abs()).pow(2);
        let square = (square.min((1 << 62) >> self.left) << self.left) >> self.right;
        let sum = square + (1 << self.one);
        let zeros = sum.leading_zeros();
        let divisor = (sum << zeros) >> 32;
        // r = quotient * 2^-(32 + extra), with 31 or 32 significant bits.
        let quotient = (u64::MAX >> 1) / divisor;
        let extra = 63 - self.one - zeros;
        let weight = ((quotient * quotient) >> 32) as i64 * self.lambda;
        Part {
            loss: multiply_high(square, quotient) >> extra,
            slope: ((weight + (1 << 30)) >> 31) * i64::from(x),
            slope_exponent: self.slope_exponent + 2 * extra as i32,
        }
    }
}

/// `a * b / 2^32` for b below 2^32 and a result below 2^64, without 128-bit arithmetic.
#[inline]
fn multiply_high(a: u64, b: u64) -> u64 {
    (a >> 32) * b + (((a & u64::from(u32::MAX)) * b) >> 32)
}
