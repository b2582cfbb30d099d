//! The Huber loss of a residual r = aᵀx − b: r²/2 where |r| ≤ 1, else |r| − 1/2.
#![no_std]

use smidgen_firmware::bound::Bound;
use smidgen_firmware::margin::{Margin, MarginLoss, Targets, one};

/// r²/2 near the target, |r| − 1/2 far from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Huber {
    /// Fraction bits of margins.
    exponent: i32,
}

impl MarginLoss for Huber {
    const NAME: &'static str = "huber";
    const TARGETS: Targets = Targets::Labels;

    fn new(exponent: i32) -> Self {
        Self { exponent }
    }

    fn slope_exponent(&self) -> i32 {
        self.exponent
    }

    fn slope(&self, at: Margin) -> i64 {
        (at.margin - at.target).clamp(-one(self.exponent), one(self.exponent))
    }

    fn loss_exponent(&self, dropped: i32) -> i32 {
        2 * (self.exponent - dropped) + 1
    }

    fn loss(&self, _at: Margin, rounded: i64) -> u64 {
        rounded.unsigned_abs().pow(2)
    }

    fn linear_loss(&self, at: Margin) -> u64 {
        (at.margin - at.target).abs_diff(self.slope(at))
    }

    fn curvature() -> Option<Bound> {
        Some(Bound::new(1, 0))
    }
}
