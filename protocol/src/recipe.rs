//! How samples of a sensor become rows: windows of a number of samples, each reduced to a few features per channel.
//!
//! ```text
//! samples  t = 0, 1, 2, …, of `channels` values each
//! windows  w = 0, 1, 2, …: samples w·hop .. w·hop + window, all of one recording
//! row w    features of channel 0, features of channel 1, …
//! ```
//!
//! Samples and features are i16. A channel is left-aligned: its full scale is 2^15. Features are computed in exact
//! integers, rounded once to the nearest, halves away from zero, and limited to i16: all machines compute the same rows.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Maximum number of channels.
pub const CHANNELS_MAX: usize = 16;
/// Maximum number of values in a row.
pub const ROW_LEN_MAX: usize = CHANNELS_MAX * Feature::ALL.len();

/// A feature of one channel over a window, in units of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Mean.
    Mean,
    /// Standard deviation of the population, at most 2^15 − 1.
    Deviation,
    /// Mean absolute difference of successive samples, at most 2^15 − 1; 0 in a window of one sample.
    Difference,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Root of the mean square, the root of the energy; at most 2^15 − 1.
    Rms,
}

impl Feature {
    /// Every feature, in the order of a row.
    pub const ALL: [Self; 6] =
        [Self::Mean, Self::Deviation, Self::Difference, Self::Min, Self::Max, Self::Rms];

    /// Short name for command lines and columns.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Deviation => "std",
            Self::Difference => "mad",
            Self::Min => "min",
            Self::Max => "max",
            Self::Rms => "rms",
        }
    }

    /// Finds a feature by name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

/// A set of features.
///
/// ```
/// use smidgen_protocol::recipe::{Feature, Features};
///
/// let extremes = Features::NONE.with(Feature::Max).with(Feature::Min);
/// assert!(extremes.iter().eq([Feature::Min, Feature::Max]));
/// assert_eq!(extremes.len(), 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Features(u8);

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// Mean, standard deviation and mean absolute difference.
    pub const DEFAULT: Self =
        Self::NONE.with(Feature::Mean).with(Feature::Deviation).with(Feature::Difference);

    /// The set with one more feature.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u8)
    }

    /// Returns whether the set contains a feature.
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u8 != 0
    }

    /// The features, in the order of a row.
    pub fn iter(self) -> impl Iterator<Item = Feature> + Clone {
        Feature::ALL.into_iter().filter(move |&feature| self.contains(feature))
    }

    /// Number of features.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Returns whether the set has no features.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The set as bits, lowest first in the order of [`Feature::ALL`].
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set with these bits, which [`Recipe::check`] checks.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    const fn has_unknown_bits(self) -> bool {
        self.0 >> Feature::ALL.len() != 0
    }
}

/// How samples become rows.
///
/// ```
/// use smidgen_protocol::recipe::{Feature, Features, Recipe};
///
/// // Accelerometer and gyroscope at 10 Hz, windows of 5 s that overlap by half.
/// let recipe = Recipe {
///     channels: 6,
///     window: 50,
///     hop: 25,
///     features: Features::DEFAULT,
///     rate_millihertz: 10_000,
/// };
/// assert_eq!(recipe.check(), Ok(()));
/// assert_eq!(recipe.row_len(), 18);
/// assert_eq!(recipe.columns().nth(4), Some((1, Feature::Deviation)));
/// // A recording of 10 s has the windows 0..50, 25..75 and 50..100.
/// assert_eq!(recipe.rows(100), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Recipe {
    /// Number of channels of a sample, `1..=CHANNELS_MAX`.
    pub channels: u8,
    /// Number of samples in a window, at least 1.
    pub window: u16,
    /// Number of samples from the start of a window to that of the next, at least 1.
    pub hop: u16,
    /// Features per channel, at least one.
    pub features: Features,
    /// Samples per 1000 s, at least 1.
    pub rate_millihertz: u32,
}

/// Reason why a recipe is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipeError {
    /// There is no channel, or there are more than [`CHANNELS_MAX`].
    Channels,
    /// The window has no samples.
    Window,
    /// The hop is 0.
    Hop,
    /// There is no feature, or an unknown one.
    Features,
    /// The rate is 0.
    Rate,
}

impl Recipe {
    /// Checks all fields.
    pub fn check(&self) -> Result<(), RecipeError> {
        if !(1..=CHANNELS_MAX).contains(&self.channels.into()) {
            return Err(RecipeError::Channels);
        }
        if self.window == 0 {
            return Err(RecipeError::Window);
        }
        if self.hop == 0 {
            return Err(RecipeError::Hop);
        }
        if self.features.is_empty() || self.features.has_unknown_bits() {
            return Err(RecipeError::Features);
        }
        if self.rate_millihertz == 0 {
            return Err(RecipeError::Rate);
        }
        Ok(())
    }

    /// Number of values in a row, at most [`ROW_LEN_MAX`] if the recipe is valid.
    pub fn row_len(&self) -> usize {
        usize::from(self.channels) * self.features.len()
    }

    /// Number of values in a window: samples times channels.
    pub fn window_len(&self) -> usize {
        usize::from(self.channels) * usize::from(self.window)
    }

    /// Channel and feature of every value in a row.
    pub fn columns(&self) -> impl Iterator<Item = (u8, Feature)> + Clone {
        let features = self.features;
        (0..self.channels)
            .flat_map(move |channel| features.iter().map(move |feature| (channel, feature)))
    }

    /// Number of rows of a recording with this many samples.
    pub fn rows(&self, samples: u32) -> u32 {
        let after_first = samples.checked_sub(self.window.into());
        let more = after_first.and_then(|samples| samples.checked_div(self.hop.into()));
        more.map_or(0, |more| more.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECIPE: Recipe = Recipe {
        channels: 6,
        window: 50,
        hop: 25,
        features: Features::DEFAULT,
        rate_millihertz: 10_000,
    };

    fn recipes() -> impl Strategy<Value = Recipe> {
        let fields = any::<(u8, u16, u16, u8, u32)>();
        fields.prop_map(|(channels, window, hop, bits, rate_millihertz)| Recipe {
            channels,
            window,
            hop,
            features: Features::from_bits(bits),
            rate_millihertz,
        })
    }

    #[test]
    fn golden_bytes() {
        let all = Feature::ALL.into_iter().fold(Features::NONE, Features::with);
        let largest = Recipe {
            channels: 16,
            window: u16::MAX,
            hop: 1,
            features: all,
            rate_millihertz: u32::MAX,
        };
        let golden: [(Recipe, &[u8]); 2] = [
            (RECIPE, &[6, 50, 25, 0b0000_0111, 0x90, 0x4e]),
            (largest, &[16, 0xff, 0xff, 3, 1, 0b0011_1111, 0xff, 0xff, 0xff, 0xff, 15]),
        ];
        for (recipe, bytes) in golden {
            let mut out = [0; 16];
            assert_eq!(postcard::to_slice(&recipe, &mut out).unwrap(), bytes);
            assert_eq!(postcard::from_bytes(bytes), Ok(recipe));
            assert_eq!(recipe.check(), Ok(()));
        }
    }

    #[test]
    fn each_invalid_field_has_its_error() {
        let invalid = [
            (Recipe { channels: 0, ..RECIPE }, RecipeError::Channels),
            (Recipe { channels: CHANNELS_MAX as u8 + 1, ..RECIPE }, RecipeError::Channels),
            (Recipe { window: 0, ..RECIPE }, RecipeError::Window),
            (Recipe { hop: 0, ..RECIPE }, RecipeError::Hop),
            (Recipe { features: Features::NONE, ..RECIPE }, RecipeError::Features),
            (
                Recipe { features: Features::from_bits(0b0100_0001), ..RECIPE },
                RecipeError::Features,
            ),
            (Recipe { rate_millihertz: 0, ..RECIPE }, RecipeError::Rate),
        ];
        for (recipe, error) in invalid {
            assert_eq!(recipe.check(), Err(error));
        }
    }

    #[test]
    fn features_have_distinct_names_and_bits() {
        for (bit, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(Feature::find(feature.name()), Some(feature));
            assert_eq!(Features::NONE.with(feature).bits(), 1 << bit);
        }
        assert_eq!(Feature::find("median"), None);
    }

    proptest! {
        #[test]
        fn recipes_round_trip(recipe in recipes()) {
            let mut out = [0; 16];
            let bytes = postcard::to_slice(&recipe, &mut out).unwrap();
            prop_assert_eq!(postcard::from_bytes(bytes), Ok(recipe));
        }

        #[test]
        fn valid_recipe_has_a_row_within_limits(recipe in recipes()) {
            let columns = recipe.columns().count();
            prop_assert_eq!(columns, recipe.row_len());
            if recipe.check().is_ok() {
                prop_assert!((1..=ROW_LEN_MAX).contains(&columns));
                prop_assert!(recipe.window_len() > 0);
            }
        }

        #[test]
        fn rows_are_the_windows_that_fit(samples in 0u32..300, window in 1u16..50, hop in 1u16..50) {
            let recipe = Recipe { window, hop, ..RECIPE };
            let ends = (0..).map(|w| w * u32::from(hop) + u32::from(window));
            let expected = ends.take_while(|&end| end <= samples).count();
            prop_assert_eq!(recipe.rows(samples), expected as u32);
        }

        #[test]
        fn extreme_recipes_never_panic(recipe in recipes(), samples: u32) {
            recipe.rows(samples);
        }
    }
}
