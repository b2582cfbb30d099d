//! Regularisers and their slopes.
//!
//! ```
//! use smidgen_firmware::regulariser::{L2, Penalty};
//! use smidgen_protocol::vector::Ratio;
//!
//! // λ = 1 and x = 3, which has 4 fraction bits: the term x²/2 is 4.5, its slope 3.
//! let l2 = L2::new(Ratio::ONE, 4);
//! let term = l2.term(3 << 4);
//! assert_eq!(term.loss, 9 << (l2.loss_exponent() - 1));
//! assert_eq!(term.slope, 3 << term.slope_exponent);
//! ```

use crate::bound::Bound;
use crate::fixed_point::reciprocal;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::vector::{Exponent, Ratio};

/// A regulariser λ Σ p(x_k), for a model with a given exponent.
pub trait Penalty {
    /// Fraction bits of a term's loss.
    fn loss_exponent(&self) -> i32;

    /// Term of the coordinate with mantissa `x`.
    fn term(&self, x: i32) -> Term;
}

/// A bound of the second derivative. That of x²/(1 + x²) lies in [−1/2, 2], that of x²/2 is 1.
pub fn smoothness(regulariser: Regulariser, lambda: Ratio) -> Bound {
    match regulariser {
        Regulariser::Nonconvex => Bound::of(lambda).shifted(1),
        Regulariser::L2 => Bound::of(lambda),
    }
}

/// The nonconvex regulariser λ Σ x²/(1 + x²), with slope 2λ x/(1 + x²)².
///
/// With r = 1/(1 + x²), x²/(1 + x²) = x² r and the slope is 2λ x r²: one division per coordinate.
#[derive(Clone, Copy, Debug)]
pub struct Nonconvex {
    /// λ, normalised to 31 bits so that its products may drop their lower half.
    lambda: i64,
    /// Fraction bits of a slope for |x| < 1.
    slope_exponent: i32,
    /// Fraction bits of 1 and of x².
    one: u32,
    /// Left shift from x² to `one` fraction bits, negative for a right shift; 0 for the usual exponents.
    shift: i32,
}

/// Term of one coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// p(x), with [`Penalty::loss_exponent`] fraction bits.
    pub loss: u64,
    /// λ p'(x).
    pub slope: i64,
    /// Fraction bits of the slope.
    pub slope_exponent: i32,
}

impl Nonconvex {
    /// For weight λ and a model with the given exponent.
    pub fn new(lambda: Ratio, x_exponent: Exponent) -> Self {
        let x_exponent = i32::from(x_exponent);
        let one = (2 * x_exponent).clamp(0, 62);
        // Keep one zero for the sign. The clamp is for a weight of zero, which has 32.
        let zeros = lambda.mantissa.unsigned_abs().leading_zeros().clamp(1, 31) - 1;
        Self {
            lambda: i64::from(lambda.mantissa) << zeros,
            slope_exponent: i32::from(lambda.exponent) + zeros as i32 + x_exponent,
            one: one as u32,
            shift: one - 2 * x_exponent,
        }
    }

    /// x² with `one` fraction bits, at most 2^62.
    #[inline]
    fn square(&self, x: i32) -> u64 {
        // Up to 2^62, so that 1 + x² fits 64 bits.
        let square = u64::from(x.unsigned_abs()).pow(2);
        match self.shift {
            0 => square,
            ..0 => square.checked_shr(self.shift.unsigned_abs()).unwrap_or(0),
            1.. => {
                let left = self.shift.min(62) as u32;
                square.min((1 << 62) >> left) << left
            }
        }
    }
}

impl Penalty for Nonconvex {
    fn loss_exponent(&self) -> i32 {
        self.one as i32
    }

    /// The relative error is at most 2^-28.
    #[inline]
    fn term(&self, x: i32) -> Term {
        let square = self.square(x);
        let sum = square + (1 << self.one);
        // Normalise 1 + x² to 32 bits for `reciprocal`, and undo the shift in the exponents.
        let zeros = sum.leading_zeros();
        // r = quotient * 2^-(32 + extra)
        let quotient = reciprocal((sum << zeros >> 32) as u32);
        let extra = 63 - self.one - zeros;
        let weight = ((quotient * quotient) >> 32) as i64 * self.lambda;
        Term {
            loss: multiply_high(square, quotient) >> extra,
            slope: ((weight + (1 << 30)) >> 31) * i64::from(x),
            slope_exponent: self.slope_exponent + 2 * extra as i32,
        }
    }
}

/// The regulariser (λ/2) Σ x², with slope λ x.
#[derive(Clone, Copy, Debug)]
pub struct L2 {
    lambda: Ratio,
    x_exponent: i32,
}

impl L2 {
    /// For weight λ and a model with the given exponent.
    pub fn new(lambda: Ratio, x_exponent: Exponent) -> Self {
        Self { lambda, x_exponent: x_exponent.into() }
    }
}

impl Penalty for L2 {
    fn loss_exponent(&self) -> i32 {
        2 * self.x_exponent + 1
    }

    /// Exact.
    #[inline]
    fn term(&self, x: i32) -> Term {
        Term {
            loss: u64::from(x.unsigned_abs()).pow(2),
            slope: i64::from(self.lambda.mantissa) * i64::from(x),
            slope_exponent: i32::from(self.lambda.exponent) + self.x_exponent,
        }
    }
}

/// `a * b / 2^32` for b < 2^32 and a result below 2^64, without a 128-bit product.
#[inline]
fn multiply_high(a: u64, b: u64) -> u64 {
    (a >> 32) * b + (((a & u64::from(u32::MAX)) * b) >> 32)
}
