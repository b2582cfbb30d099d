//! Slopes and losses of several rows at a time, for the vectors of a host.

use smidgen_protocol::shard::{Labels, Shard};

/// Rows whose slopes are computed at a time for the vectors of a host.
#[doc(hidden)]
pub const LANES: usize = 16;

/// Fields of several margins.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MarginLanes {
    pub margins: [i64; LANES],
    pub targets: [i64; LANES],
    pub sides: [i64; LANES],
}

/// Residuals of several rows, and both parts of their losses.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LossLanes {
    pub residuals: [i64; LANES],
    pub losses: [u64; LANES],
    pub linear: [u64; LANES],
}

/// How slopes become residuals.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Rounding {
    /// Low bits dropped from a slope.
    pub dropped: i32,
    /// Largest residual with which no sum overflows.
    pub limit: i64,
}

/// A rounded slope as a residual.
#[inline(always)]
pub(crate) fn limited(rounded: i64, limit: i64) -> i64 {
    match rounded.unsigned_abs() > limit as u64 {
        true => rounded.signum() * limit,
        false => rounded,
    }
}

/// The sides of `len` rows from `first` on.
#[inline(always)]
pub(crate) fn sides(shard: &Shard<'_>, first: usize, len: usize) -> [i64; LANES] {
    let mut positive = [0; LANES];
    match shard.labels {
        Labels::Bits(bytes) => {
            let byte = |place| u32::from(bytes.get(first / 8 + place).copied().unwrap_or(0));
            let bits = (byte(0) | byte(1) << 8 | byte(2) << 16) >> (first % 8);
            for (place, positive) in positive.iter_mut().enumerate() {
                *positive = i64::from(bits >> place & 1);
            }
        }
        Labels::I8(_) | Labels::I16(_) | Labels::I32(_) | Labels::Masked(_) => {
            for (row, positive) in (first..).zip(&mut positive[..len]) {
                *positive = i64::from(shard.label(row) > 0);
            }
        }
    }
    let mut sides = [0; LANES];
    for (side, positive) in sides.iter_mut().zip(positive) {
        *side = 2 * positive - 1;
    }
    sides
}
