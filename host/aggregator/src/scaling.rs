//! The exponents of a run, and when they change.
//!
//! The probe at x⁰ finds the first exponents; between rounds the host announces others.
//! The rules depend on agreed state only, never on the link, so a run takes the same exponents whatever gets lost. A
//! range that proves too small is widened before anything saturates; one that became too coarse is narrowed.

use smidgen_protocol::message::{Exponents, Loss};
use smidgen_protocol::vector::Exponent;

/// The bits that a magnitude should have. Outside `least..=most` the exponent is adjusted so that it has `aim`.
struct Range {
    least: u32,
    aim: u32,
    most: u32,
}

/// Gradients have room to grow eightfold before the next adjustment.
const GRADIENT: Range = Range { least: 25, aim: 28, most: 30 };
/// The model keeps all bits that it can: its grid limits how small a step can be.
const MODEL: Range = Range { least: 0, aim: 29, most: 30 };
/// A loss has 24 bits with its sign.
const LOSS: Range = Range { least: 18, aim: 21, most: 22 };

/// Bits by which the gradient of a minibatch may exceed that of all rows, or an estimator that holds a part of it.
pub(crate) const NOISE_BITS: u32 = 6;

/// The largest magnitude of an exponent.
const EXPONENT_MAX: i32 = 100;
/// The fewest bits of a quantity on the finest grid that are more than noise.
const SMALLEST_BITS: i32 = 24;
/// Exponent of the first probe, which shows any gradient up to 2^50.
const COARSEST: Exponent = -20;

/// Bits of a magnitude: 0 for 0, `b` for `2^(b-1)..2^b`.
fn bits(magnitude: u64) -> u32 {
    u64::BITS - magnitude.leading_zeros()
}

impl Range {
    /// The exponent that suits a largest magnitude.
    fn adjust(&self, exponent: Exponent, magnitude: u64) -> Exponent {
        let bits = bits(magnitude);
        // Zero says nothing about later magnitudes.
        if magnitude != 0 && !(self.least..=self.most).contains(&bits) {
            let moved = i32::from(exponent) + self.aim as i32 - bits as i32;
            moved.clamp(-EXPONENT_MAX, EXPONENT_MAX) as Exponent
        } else {
            exponent
        }
    }
}

/// The magnitudes that a grid can represent: `SMALLEST_BITS` at least on the finest, their range at most on the
/// coarsest.
pub mod grids {
    use super::{EXPONENT_MAX, GRADIENT, LOSS, MODEL, Range, SMALLEST_BITS};
    use std::ops::RangeInclusive;

    fn held(range: &Range) -> RangeInclusive<f64> {
        let power = |exponent: i32| f64::from(exponent).exp2();
        power(SMALLEST_BITS - EXPONENT_MAX)..=power(range.most as i32 + EXPONENT_MAX)
    }

    /// Losses.
    pub fn losses() -> RangeInclusive<f64> {
        held(&LOSS)
    }

    /// Coordinates of gradients.
    pub fn gradients() -> RangeInclusive<f64> {
        held(&GRADIENT)
    }

    /// Coordinates of models, and of steps.
    pub fn models() -> RangeInclusive<f64> {
        held(&MODEL)
    }
}

/// Exponents of the first probe.
pub(crate) fn first_probe() -> Exponents {
    Exponents { x: 0, gradient: COARSEST, loss: COARSEST }
}

/// Returns the exponents after a probe: those to use, or those of the next probe if a magnitude was too coarse.
pub(crate) fn after_probe(probed: Exponents, gradient_max: u32, loss_max: u32) -> Exponents {
    let finer = |exponent: Exponent, magnitude: u32, range: &Range| {
        if magnitude == 0 {
            // Too small to see: look closer, up to a limit.
            (i32::from(exponent) + range.aim as i32).min(EXPONENT_MAX) as Exponent
        } else {
            range.adjust(exponent, u64::from(magnitude))
        }
    };
    Exponents {
        x: probed.x,
        gradient: finer(probed.gradient, gradient_max, &GRADIENT),
        loss: finer(probed.loss, loss_max, &LOSS),
    }
}

/// The largest magnitudes after a round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Magnitudes {
    /// Of x^{t+1}.
    pub x: u64,
    /// Of all g_i.
    pub estimator: u64,
    /// Of wide vectors: Σ g_i as the workers hold it, and the velocity.
    pub wide: u64,
    /// Of all losses.
    pub loss: u64,
}

/// Bits of wide vectors at most, so that their changes can be sent and their sums fit an i64.
const WIDE_BITS_MAX: i32 = 46;

/// The exponents that suit the largest magnitudes between rounds.
///
/// Gradients may have become small while the sum of the round before is still large, and a velocity may outgrow them
/// all: wide vectors limit how fine their grid can be.
pub(crate) fn between_rounds(now: Exponents, max: Magnitudes) -> Exponents {
    let room = WIDE_BITS_MAX - bits(max.wide) as i32;
    let widest = (i32::from(now.gradient) + room).clamp(-EXPONENT_MAX, EXPONENT_MAX) as Exponent;
    Exponents {
        x: MODEL.adjust(now.x, max.x),
        gradient: GRADIENT.adjust(now.gradient, max.estimator).min(widest),
        loss: LOSS.adjust(now.loss, max.loss),
    }
}

/// The exponent of x for a largest first step `step_max`: it leaves x room to grow 64-fold.
pub(crate) fn first_model_exponent(step_max: f64) -> Exponent {
    let magnitude = if step_max > 0.0 { step_max.log2().ceil() as i32 } else { 0 };
    (MODEL.aim as i32 - 6 - magnitude).clamp(-EXPONENT_MAX, EXPONENT_MAX) as Exponent
}

const _: () = assert!(1 << LOSS.most <= Loss::MAX, "a loss in range must not be cut");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_closes_in_on_small_and_large_gradients() {
        for (gradient, loss) in [(1e-9f64, 1e-6f64), (0.3, 0.7), (4e7, 1e3), (0.0, 0.0)] {
            let mut at = first_probe();
            let mantissa = |value: f64, exponent: Exponent, max: f64| {
                (value * f64::from(exponent).exp2()).round().min(max) as u32
            };
            let mut probes = 0;
            loop {
                let next = after_probe(
                    at,
                    mantissa(gradient, at.gradient, 2f64.powi(31)),
                    mantissa(loss, at.loss, f64::from(Loss::MAX)),
                );
                probes += 1;
                if next == at || probes > 8 {
                    break;
                }
                at = next;
            }
            assert!(probes <= 7, "{gradient} takes {probes} probes");
            if gradient > 0.0 {
                let bits = bits(u64::from(mantissa(gradient, at.gradient, 2f64.powi(31))));
                assert!(
                    (GRADIENT.least..=GRADIENT.most).contains(&bits),
                    "{gradient}: {bits} bits"
                );
            }
        }
    }

    #[test]
    fn ranges_widen_in_time_and_narrow_late() {
        let now = Exponents { x: 10, gradient: 20, loss: 12 };
        let after =
            |x, estimator, wide, loss| between_rounds(now, Magnitudes { x, estimator, wide, loss });
        assert_eq!(after(1 << 29, 1 << 29, 1 << 31, 1 << 21), now);
        let wider = after(1 << 30, 1 << 30, 1 << 31, 1 << 22);
        assert_eq!(wider, Exponents { x: 8, gradient: 17, loss: 10 });
        assert_eq!(after(1, (1 << 24) - 1, 1 << 30, 1).gradient, 24);
        assert_eq!(after(1, 1, (1 << 44) - 1, 1).gradient, 22, "the sum has two bits of room");
        assert_eq!(after(1 << 29, 1 << 29, 1 << 48, 1 << 21).gradient, 17, "a velocity is large");
        assert_eq!(after(0, 0, 0, 0), now);
    }
}
