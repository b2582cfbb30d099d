//! Transmission times on a serial line: ten bits per byte, with start and stop bit.

use std::time::Duration;

const BITS_PER_BYTE: u32 = 10;

/// Returns the time of a byte at `baud`.
pub fn byte_time(baud: u32) -> Duration {
    Duration::from_secs(BITS_PER_BYTE.into()) / baud
}

/// Returns the seconds that `bytes` take at `baud`, without pauses.
pub fn seconds(bytes: u64, baud: u32) -> f64 {
    bytes as f64 * f64::from(BITS_PER_BYTE) / f64::from(baud)
}
