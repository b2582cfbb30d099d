//! A sensor read by a clock: a sample is what its driver measures when the sample is due.

use super::sensor::{Sensor, Unfit};
use smidgen_protocol::recipe::Recipe;

/// Time between two samples, in microseconds times samples per 1000 s.
const PERIOD: u64 = 1_000_000 * 1_000;

/// A driver that measures at once. It samples at [`Clocked`]'s highest rate or more often.
pub trait Probe {
    /// Reason why there is no measurement.
    type Error;

    /// Number of channels; 0 if the sensor is missing.
    fn channels(&self) -> usize;

    /// As [`Sensor::full_scale`].
    fn full_scale(&self, _channel: usize) -> u32 {
        0
    }

    /// Reads the latest measurement, one value per channel, left-aligned to 16 bits.
    fn measure(&mut self, sample: &mut [i16]) -> Result<(), Self::Error>;
}

/// Reason why a sample was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockedError<E> {
    /// The board was busy until the next one was due.
    Late {
        /// Number of samples lost.
        missing: u32,
    },
    /// The driver failed.
    Probe(E),
}

/// Microseconds since any time, modulo 2^32.
pub trait Clock {
    /// The time.
    fn micros(&mut self) -> u32;

    /// Has the main loop woken at a time; returns `false` if it cannot.
    fn wake_at(&mut self, _micros: u32) -> bool {
        false
    }
}

/// A clock that wakes no one.
impl<C: FnMut() -> u32> Clock for C {
    fn micros(&mut self) -> u32 {
        self()
    }
}

/// A sensor with a driver and a clock.
#[derive(Debug)]
pub struct Clocked<P, C> {
    probe: P,
    clock: C,
    /// Highest rate, in samples per 1000 s.
    rate_max_millihertz: u32,
    rate_millihertz: u32,
    /// Time of the latest look at the clock.
    last: u32,
    /// Time since the latest sample was due, in units of [`PERIOD`].
    elapsed: u64,
}

impl<P: Probe, C: Clock> Clocked<P, C> {
    /// Creates a sensor.
    pub fn new(probe: P, rate_max_millihertz: u32, clock: C) -> Self {
        Self { probe, clock, rate_max_millihertz, rate_millihertz: 0, last: 0, elapsed: 0 }
    }
}

impl<P: Probe, C: Clock> Sensor for Clocked<P, C> {
    type Error = ClockedError<P::Error>;

    fn channels(&self) -> usize {
        self.probe.channels()
    }

    fn full_scale(&self, channel: usize) -> u32 {
        self.probe.full_scale(channel)
    }

    fn accept(&mut self, recipe: &Recipe) -> Result<(), Unfit> {
        if self.channels() != usize::from(recipe.channels) {
            return Err(Unfit::Channels);
        }
        if recipe.rate_millihertz > self.rate_max_millihertz {
            return Err(Unfit::Rate);
        }
        self.rate_millihertz = recipe.rate_millihertz;
        self.start();
        Ok(())
    }

    fn start(&mut self) {
        (self.last, self.elapsed) = (self.clock.micros(), 0);
    }

    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, Self::Error> {
        let now = self.clock.micros();
        let passed = now.wrapping_sub(self.last);
        self.last = now;
        self.elapsed += u64::from(passed) * u64::from(self.rate_millihertz);
        let Some(late) = self.elapsed.checked_sub(PERIOD) else { return Ok(false) };
        self.elapsed = late;
        if late >= PERIOD {
            self.elapsed = late % PERIOD;
            let missing = u32::try_from(late / PERIOD + 1).unwrap_or(u32::MAX);
            return Err(ClockedError::Late { missing });
        }
        self.probe.measure(sample).map_err(ClockedError::Probe)?;
        Ok(true)
    }

    fn wake(&mut self) -> bool {
        // At most 1000 s. Before a recipe was accepted there is no rate.
        let left = PERIOD.saturating_sub(self.elapsed);
        let micros = left.checked_div(self.rate_millihertz.into());
        micros.is_some_and(|micros| self.clock.wake_at(self.last.wrapping_add(micros as u32 + 1)))
    }

    fn missing(error: &Self::Error) -> u32 {
        match *error {
            ClockedError::Late { missing } => missing,
            ClockedError::Probe(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use smidgen_protocol::recipe::Features;

    struct Counting(i16);

    impl Probe for Counting {
        type Error = ();

        fn channels(&self) -> usize {
            1
        }

        fn measure(&mut self, sample: &mut [i16]) -> Result<(), ()> {
            self.0 += 1;
            sample[0] = self.0;
            if self.0 == 4 { Err(()) } else { Ok(()) }
        }
    }

    fn recipe(channels: u8, rate_millihertz: u32) -> Recipe {
        Recipe { channels, window: 2, hop: 1, features: Features::DEFAULT, rate_millihertz }
    }

    #[test]
    fn samples_follow_the_clock_without_drift() {
        let now = Cell::new(u32::MAX - 1_000_000);
        let mut sensor = Clocked::new(Counting(10), 100_000, || now.get());
        // 3 Hz does not divide a second of microseconds.
        sensor.accept(&recipe(1, 3_000)).unwrap();
        let mut count = 0;
        for _ in 0..10_000_000 / 250 {
            now.set(now.get().wrapping_add(250));
            count += u32::from(sensor.poll(&mut [0]).unwrap());
        }
        assert_eq!(count, 30);
    }

    #[test]
    fn late_samples_and_failures_are_gaps() {
        let now = Cell::new(0);
        let mut sensor = Clocked::new(Counting(0), 100_000, || now.get());
        sensor.accept(&recipe(1, 10_000)).unwrap();
        let mut sample = [0];
        let mut poll_at = |micros| {
            now.set(micros);
            sensor.poll(&mut sample).map(|due| due.then_some(sample[0]))
        };
        assert_eq!(poll_at(99_999), Ok(None));
        assert_eq!(poll_at(100_000), Ok(Some(1)));
        assert_eq!(poll_at(299_999), Ok(Some(2)), "late, but before the next one");
        assert_eq!(poll_at(300_000), Ok(Some(3)));
        assert_eq!(poll_at(400_000), Err(ClockedError::Probe(())));
        assert_eq!(poll_at(750_000), Err(ClockedError::Late { missing: 3 }));
        assert_eq!(poll_at(799_999), Ok(None));
        assert_eq!(poll_at(800_000), Ok(Some(5)));
    }

    /// A clock that stands still until the time at which it is to wake.
    struct Alarm(u32);

    impl Clock for Alarm {
        fn micros(&mut self) -> u32 {
            self.0
        }

        fn wake_at(&mut self, micros: u32) -> bool {
            self.0 = micros;
            true
        }
    }

    #[test]
    fn sensor_wakes_when_a_sample_is_due() {
        for rate in [1, 3_000, 33_333, 100_000] {
            let mut sensor = Clocked::new(Counting(10), 100_000, Alarm(u32::MAX - 5));
            assert!(!sensor.wake(), "without a recipe");
            sensor.accept(&recipe(1, rate)).unwrap();
            for _ in 0..20 {
                assert_eq!(sensor.poll(&mut [0]), Ok(false));
                assert!(sensor.wake());
                assert_eq!(sensor.poll(&mut [0]), Ok(true), "{rate}");
            }
        }
        let mut polled = Clocked::new(Counting(10), 100_000, || 0);
        polled.accept(&recipe(1, 1)).unwrap();
        assert!(!polled.wake());
    }

    #[test]
    fn recipe_of_another_sensor_is_refused() {
        let mut sensor = Clocked::new(Counting(0), 100_000, || 0);
        assert_eq!(sensor.accept(&recipe(1, 100_000)), Ok(()));
        assert_eq!(sensor.accept(&recipe(1, 100_001)), Err(Unfit::Rate));
        assert_eq!(sensor.accept(&recipe(2, 100_000)), Err(Unfit::Channels));
    }
}
