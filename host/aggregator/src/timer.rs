//! When to repeat a request: the retransmission timer of TCP (RFC 6298), per link and kind of request.
//!
//! TCP backs off for as long as a minute, because its losses are a sign of congestion. Those of a serial line are not:
//! the time-out is bounded by what is known of the link, and an answer resets it.

use std::time::Duration;

/// The first time-out. A data chunk takes 50 ms at 115200 baud.
const FIRST: Duration = Duration::from_millis(500);
const LEAST: Duration = Duration::from_millis(20);
/// The longest time-out, as a multiple of the estimate.
const PATIENCE: u32 = 16;

/// An estimate of how long an answer takes.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// Mean and deviation of the answers so far, smoothed.
    known: Option<(Duration, Duration)>,
    timeout: Duration,
    most: Duration,
}

impl Timer {
    /// A timer whose time-out never exceeds `most`.
    pub fn new(most: Duration) -> Self {
        Self { known: None, timeout: FIRST, most }
    }

    /// Returns the time after which the request is repeated.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Takes the time of an answer.
    pub fn sample(&mut self, took: Duration) {
        self.known = Some(match self.known {
            // RFC 6298: the first answer says nothing about the spread.
            None => (took, took / 2),
            Some((smoothed, spread)) => {
                // Its gains are 1/8 and 1/4.
                ((smoothed * 7 + took) / 8, (spread * 3 + smoothed.abs_diff(took)) / 4)
            }
        });
        self.settle();
    }

    /// Resets the time-out after an answer to one of several copies, whose time is ambiguous. Without an estimate, the
    /// time-out stays.
    pub fn settle(&mut self) {
        self.timeout = self.estimate().unwrap_or(self.timeout);
    }

    /// Doubles the time-out after a missing answer.
    pub fn back_off(&mut self) {
        let patience = self.estimate().map_or(self.most, |estimate| estimate * PATIENCE);
        self.timeout = (self.timeout * 2).min(patience).min(self.most);
    }

    fn estimate(&self) -> Option<Duration> {
        let (smoothed, spread) = self.known?;
        Some((smoothed + spread * 4).clamp(LEAST, self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(300);

    #[test]
    fn the_timeout_follows_the_answers_and_their_spread() {
        let mut timer = Timer::new(MOST);
        (0..50).for_each(|_| timer.sample(Duration::from_millis(40)));
        let steady = timer.timeout();
        assert!((40..60).contains(&steady.as_millis()), "{steady:?}");
        (0..50).for_each(|n| timer.sample(Duration::from_millis(20 + n % 2 * 40)));
        assert!(timer.timeout() > steady);
    }

    #[test]
    fn patience_has_the_bounds_of_what_is_known() {
        let mut timer = Timer::new(MOST);
        (0..20).for_each(|_| timer.back_off());
        assert_eq!(timer.timeout(), MOST, "nothing is known of the link");
        timer.settle();
        assert_eq!(timer.timeout(), MOST, "nor is it now");

        timer.sample(Duration::from_millis(40));
        let usual = timer.timeout();
        (0..20).for_each(|_| timer.back_off());
        assert_eq!(timer.timeout(), PATIENCE * usual);
        timer.settle();
        assert_eq!(timer.timeout(), usual);
    }
}
