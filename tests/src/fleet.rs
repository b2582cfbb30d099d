//! Fleets of any size for benches: rows for each worker, and the time that a process spends.

use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write;

const FEATURES: usize = 10;

/// A row for each of `count` workers, of two classes, in the format of LIBSVM.
///
/// # Panics
/// Never: a string takes everything.
pub fn rows(count: usize) -> String {
    let mut text = String::new();
    for row in 0..count {
        write!(text, "{}", row % 2).expect("a string takes everything");
        for column in 1..=FEATURES {
            write!(text, " {column}:{}", (row * 7 + column * 13) % 17)
                .expect("a string takes everything");
        }
        text.push('\n');
    }
    text
}

/// Processor time of this process in microseconds.
pub fn processor_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
