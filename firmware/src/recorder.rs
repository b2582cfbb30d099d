//! Data that are born on the board: samples of a sensor become labelled rows, which stay where they are evaluated.
//!
//! ```text
//!  Sensor ── sample ──> Window ── samples ──> features::row ── row ──> Store ── values, labels ──> Shard
//! ```
//!
//! Everything is integer code, the same on a board, in an emulator and in a simulation: equal samples give equal rows.

pub mod clocked;
pub mod features;
pub mod sensor;
pub mod store;
pub mod stream;
pub mod window;

use embedded_storage::nor_flash::NorFlash;
use sensor::Sensor;
use smidgen_protocol::message::Progress;
use smidgen_protocol::recipe::{CHANNELS_MAX, ROW_LEN_MAX, Recipe};
use store::{Mapped, Store, StoreError};
use window::{Samples, TooLong, Window};

/// Records labelled rows of a sensor in a store.
///
/// Call [`Recorder::begin`], then [`Recorder::poll`] or [`Recorder::sample`] for each sample, then [`Recorder::end`].
///
/// ```
/// use smidgen_firmware::recorder::Recorder;
/// use smidgen_firmware::recorder::store::{RamFlash, Store};
/// use smidgen_protocol::recipe::{Feature, Features, Recipe};
///
/// let features = Features::NONE.with(Feature::Mean).with(Feature::Max);
/// let recipe = Recipe { channels: 1, window: 4, hop: 2, features, rate_millihertz: 10_000 };
/// let (mut rows, mut samples) = ([0; 64], [0; 4]);
///
/// let mut recorder = Recorder::new(Store::open(RamFlash::new(&mut rows)).unwrap(), &mut samples);
/// // After power-on the content of RAM is arbitrary; rows of a store after a reset would be kept without this.
/// recorder.store_mut().clear(&recipe).unwrap();
/// recorder.begin(&recipe, "walking", false).unwrap();
/// for sample in [1, 2, 3, 4, 7, 8] {
///     recorder.sample(&[sample]).unwrap();
/// }
/// assert_eq!(recorder.end().rows, 2);
/// assert_eq!(recorder.store().values(), [3, 4, 6, 8]);
/// ```
#[derive(Debug)]
pub struct Recorder<'m, F> {
    store: Store<F>,
    window: Window<'m>,
    recipe: Option<Recipe>,
    progress: Progress,
}

/// Adds a sample to a window; returns the samples of the window that it completes.
fn add<'w>(
    progress: &mut Progress,
    window: &'w mut Window<'_>,
    sample: &[i16],
) -> Option<Samples<'w>> {
    progress.samples = progress.samples.saturating_add(1);
    window.push(sample)
}

/// Drops the samples of incomplete windows, since this many are missing after them.
fn lose(progress: &mut Progress, window: &mut Window<'_>, missing: u32) {
    window.restart();
    progress.samples = progress.samples.saturating_add(missing);
    progress.gaps = progress.gaps.saturating_add(1);
}

/// Reason why a recorder refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderError {
    /// The store refuses.
    Store(StoreError),
    /// The memory for samples is too small for the window.
    Window(TooLong),
    /// The sensor has another number of channels than the recipe, or a sample has.
    Channels {
        /// Number of channels.
        found: usize,
    },
}

/// Reason why a recorder has no sample of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollError<E> {
    /// The recorder refuses.
    Recorder(RecorderError),
    /// The sensor lost samples.
    Sensor(E),
}

impl<E> From<RecorderError> for PollError<E> {
    fn from(error: RecorderError) -> Self {
        Self::Recorder(error)
    }
}

impl From<StoreError> for RecorderError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'m, F: NorFlash + Mapped> Recorder<'m, F> {
    /// Creates a recorder with memory for the samples of one window.
    pub fn new(store: Store<F>, samples: &'m mut [i16]) -> Self {
        Self { store, window: Window::new(samples), recipe: None, progress: Progress::default() }
    }

    /// The rows.
    pub fn store(&self) -> &Store<F> {
        &self.store
    }

    /// The rows, to discard or to clear; this ends a recording.
    pub fn store_mut(&mut self) -> &mut Store<F> {
        self.recipe = None;
        &mut self.store
    }

    /// Begins a recording of a class; ends the one before.
    ///
    /// The store is [prepared](Store::prepare), which loses no rows.
    pub fn begin(
        &mut self,
        recipe: &Recipe,
        class: &str,
        is_test: bool,
    ) -> Result<(), RecorderError> {
        self.end();
        recipe.check().map_err(StoreError::Recipe)?;
        self.window.start(recipe).map_err(RecorderError::Window)?;
        self.store.prepare(recipe)?;
        self.store.begin(class, is_test)?;
        self.recipe = Some(*recipe);
        self.progress = Progress::default();
        Ok(())
    }

    /// Adds the next sample, one value per channel; returns whether it completed a row.
    pub fn sample(&mut self, sample: &[i16]) -> Result<bool, RecorderError> {
        let recipe = self.recipe.ok_or(StoreError::NotRecording)?;
        if sample.len() != usize::from(recipe.channels) {
            self.gap(1);
            return Err(RecorderError::Channels { found: sample.len() });
        }
        let Some(samples) = add(&mut self.progress, &mut self.window, sample) else {
            return Ok(false);
        };
        let mut row = [0; ROW_LEN_MAX];
        self.store.push(features::row(&samples, recipe.features, &mut row))?;
        self.progress.rows += 1;
        Ok(true)
    }

    /// Drops the samples of incomplete windows, since this many are [missing](Sensor::missing) after them.
    pub fn gap(&mut self, missing: u32) {
        lose(&mut self.progress, &mut self.window, missing);
    }

    /// Adds a sample of a sensor, if one is due; returns whether it completed a row.
    ///
    /// An error of the sensor is also a gap; the recording continues after it.
    pub fn poll<S: Sensor>(&mut self, sensor: &mut S) -> Result<bool, PollError<S::Error>> {
        let mut sample = [0; CHANNELS_MAX];
        let found = sensor.channels();
        let sample = sample.get_mut(..found).ok_or(RecorderError::Channels { found })?;
        match sensor.poll(sample) {
            Ok(true) => Ok(self.sample(sample)?),
            Ok(false) => Ok(false),
            Err(error) => {
                self.gap(S::missing(&error));
                Err(PollError::Sensor(error))
            }
        }
    }

    /// Ends a recording and begins with windows that are not recorded, of a valid recipe.
    pub fn watch(&mut self, recipe: &Recipe) -> Result<(), TooLong> {
        self.end();
        self.window.start(recipe)
    }

    /// Takes a sample of a sensor for the window begun by [`Recorder::watch`], if one is due; returns the row that it
    /// completes. An error of the sensor is a gap.
    pub fn look<'r, S: Sensor>(
        &mut self,
        sensor: &mut S,
        recipe: &Recipe,
        progress: &mut Progress,
        row: &'r mut [i16; ROW_LEN_MAX],
    ) -> Option<&'r [i16]> {
        let mut sample = [0; CHANNELS_MAX];
        let sample = sample.get_mut(..recipe.channels.into())?;
        match sensor.poll(sample) {
            Ok(true) => {
                let samples = add(progress, &mut self.window, sample)?;
                progress.rows = progress.rows.saturating_add(1);
                Some(features::row(&samples, recipe.features, row))
            }
            Ok(false) => None,
            Err(error) => {
                lose(progress, &mut self.window, S::missing(&error));
                None
            }
        }
    }

    /// How far the recording has got, or the latest one.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Ends the recording.
    pub fn end(&mut self) -> Progress {
        self.recipe = None;
        self.store.end();
        self.progress
    }
}

#[cfg(test)]
mod tests;
