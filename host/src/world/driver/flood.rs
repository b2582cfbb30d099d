//! Detects links that flood, and distinguishes them from noisy lines.

use std::time::Duration;

/// Useless bytes that may arrive at once, for example repeated answers or a buffered log.
const BURST: u64 = 4 << 20;
/// Useless bytes forgiven per second: the capacity of a line of ten million baud, and a hundredth of what a host can
/// discard.
const RATE: u64 = 1 << 20;

/// Useless bytes of a link: bytes outside accepted frames, less those forgiven since.
///
/// Noise, a board's log and duplicate answers never reach the limit on a serial line. A socket has no baud rate: a peer
/// that writes without pause reaches the limit within a tenth of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauge {
    level: u64,
    at: Duration,
}

impl Gauge {
    /// Counts `received` bytes, `useful` of them in accepted frames. Returns whether the link floods.
    pub(crate) fn rise(&mut self, now: Duration, received: usize, useful: usize) -> bool {
        let passed = now.saturating_sub(self.at);
        let forgiven = u128::from(RATE) * passed.as_micros() / 1_000_000;
        let forgiven = u64::try_from(forgiven).unwrap_or(u64::MAX);
        // The remainder is kept, so that many small steps forgive as much as one large step.
        if forgiven > 0 {
            self.at = now;
        }
        let level = self.level.saturating_sub(forgiven) + received as u64;
        self.level = level.saturating_sub(useful as u64);
        self.level > BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds until a flood is detected, for bytes at a rate of which a share is useful.
    fn noticed_after(rate: u64, useful: f64) -> Option<f64> {
        let mut gauge = Gauge::default();
        let step = Duration::from_millis(1);
        let received = (rate / 1000) as usize;
        let is_flood = |step_number: &u32| {
            gauge.rise(step * *step_number, received, (received as f64 * useful) as usize)
        };
        (0..100_000).find(is_flood).map(|step_number| f64::from(step_number) / 1000.0)
    }

    #[test]
    fn flood_is_detected_at_once_and_noise_never() {
        assert!(noticed_after(100_000_000, 0.0).is_some_and(|seconds| seconds < 0.1));
        assert!(noticed_after(100_000_000, 0.5).is_some_and(|seconds| seconds < 0.1));
        assert!(noticed_after(2_000_000, 0.0).is_some_and(|seconds| seconds < 10.0));
        assert_eq!(noticed_after(1_000_000, 0.0), None, "ten million baud");
        assert_eq!(noticed_after(100_000_000, 0.999), None, "answers");
    }

    #[test]
    fn small_steps_forgive_as_much_as_large_ones() {
        let mut gauge = Gauge::default();
        for microsecond in 0..2_000_000 {
            assert!(!gauge.rise(Duration::from_micros(microsecond), 1, 0));
        }
        assert!(gauge.level < 1000, "{}", gauge.level);
    }
}
