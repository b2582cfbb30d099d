//! The interface to a sensor.

use smidgen_protocol::recipe::Recipe;

/// Reason why a sensor cannot deliver the samples of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It has another number of channels.
    Channels,
    /// It is not sampled that often.
    Rate,
}

/// A sensor with one or more channels, sampled at the rate of a recipe.
///
/// Implement it over a driver: the values are those of the sensor's registers, left-aligned to 16 bits, so that the
/// full scale of every channel is 2^15.
pub trait Sensor {
    /// Reason why samples were lost.
    type Error;

    /// Number of channels.
    fn channels(&self) -> usize;

    /// Value of sample 2^15 of a channel, in thousandths of its unit, g or °/s; 0 if unknown.
    fn full_scale(&self, _channel: usize) -> u32 {
        0
    }

    /// Prepares for samples of a recipe.
    fn accept(&mut self, recipe: &Recipe) -> Result<(), Unfit> {
        match self.channels() == usize::from(recipe.channels) {
            true => Ok(()),
            false => Err(Unfit::Channels),
        }
    }

    /// Drops samples that were taken before, since a recording begins, or the classification of live windows.
    fn start(&mut self) {}

    /// Reads the next sample into `sample`, one value per channel; returns `false` if none is due yet.
    ///
    /// Does not wait. An error means that samples were lost, once for every gap; the next call goes on after it.
    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, Self::Error>;

    /// Has the main loop woken once the next sample may be due; returns `false` if it must poll instead.
    fn wake(&mut self) -> bool {
        false
    }

    /// Number of samples that an error stands for, 1 where it is unknown.
    fn missing(_error: &Self::Error) -> u32 {
        1
    }
}
