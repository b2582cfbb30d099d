//! How long bytes take on a serial line: ten bits each, with start and stop bit.

use std::time::Duration;

const BITS_PER_BYTE: u32 = 10;

/// How long a byte takes at `baud`.
pub fn byte_time(baud: u32) -> Duration {
    Duration::from_secs(BITS_PER_BYTE.into()) / baud
}

/// Seconds that `bytes` take at `baud`, one after the other.
pub fn seconds(bytes: u64, baud: u32) -> f64 {
    bytes as f64 * f64::from(BITS_PER_BYTE) / f64::from(baud)
}
