//! When to ask again: the retransmission timer of TCP (RFC 6298), per link and kind of question.

use std::time::Duration;

/// Before anything is known of a link. Data chunks take 50 ms at 115200 baud.
const FIRST: Duration = Duration::from_millis(500);
const LEAST: Duration = Duration::from_millis(20);

/// An estimate of how long an answer takes.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    smoothed: Option<Duration>,
    variation: Duration,
    timeout: Duration,
    most: Duration,
}

impl Timer {
    /// A timer that never waits longer than `most`.
    pub fn new(most: Duration) -> Self {
        Self { smoothed: None, variation: Duration::ZERO, timeout: FIRST, most }
    }

    /// How long to wait before asking again.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// An answer to a question that was asked once took so long.
    pub fn sample(&mut self, took: Duration) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = took / 2;
                took
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
                (smoothed * 7 + took) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.timeout = (smoothed + self.variation * 4).clamp(LEAST, self.most);
    }

    /// No answer came: wait twice as long from now on, until a sample says otherwise.
    pub fn back_off(&mut self) {
        self.timeout = (self.timeout * 2).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_answers_and_their_spread() {
        let most = Duration::from_secs(4);
        let mut timer = Timer::new(most);
        (0..50).for_each(|_| timer.sample(Duration::from_millis(40)));
        let steady = timer.timeout();
        assert!((40..60).contains(&steady.as_millis()), "{steady:?}");
        (0..50).for_each(|n| timer.sample(Duration::from_millis(20 + n % 2 * 40)));
        assert!(timer.timeout() > steady);
        (0..20).for_each(|_| timer.back_off());
        assert_eq!(timer.timeout(), most);
    }
}
