//! How windows of time series become rows, whose columns are features of channels.

use serde::{Deserialize, Serialize};
use smidgen_protocol::recipe::{Features, Recipe, RecipeError};

/// Largest relative difference of full scales that count as equal: sensors of one kind differ by a few thousandths.
const FULL_SCALE_TOLERANCE: f64 = 0.01;

/// Returns whether sensors with these full scales count as equal.
pub fn is_same_full_scale(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < FULL_SCALE_TOLERANCE
}

/// Largest relative difference of rates that count as equal.
pub(super) const RATE_TOLERANCE: f64 = 0.05;

/// A recipe of the recorder, with names and units of its channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// The channels in order.
    pub channels: Vec<Channel>,
    /// Samples per 1000 s.
    pub rate_millihertz: u32,
    /// Number of samples in a window.
    pub window: u16,
    /// Number of samples from the start of a window to that of the next.
    pub hop: u16,
    /// Features of each channel.
    #[serde(with = "names")]
    pub features: Features,
}

/// A channel of a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The value, in the unit of the user's files, at which the sensor has 2^15; absent if its values are used as they
    /// are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_scale: Option<f64>,
}

impl Channel {
    /// A channel of a board, which has no name of its own; channels are counted from 1.
    pub fn of_board(number: u8) -> Self {
        Self { name: format!("channel{number}"), full_scale: None }
    }

    /// Returns the sample of a sensor at this value: rounded to nearest, halves away from zero, and limited to the full
    /// scale. That of NaN is 0.
    pub fn sample(&self, value: f64) -> i16 {
        let scaled = match self.full_scale {
            Some(full_scale) => value / full_scale * f64::from(1u16 << 15),
            None => value,
        };
        // A conversion from float is limited to the range of the integer.
        scaled.round() as i16
    }
}

/// What a model knows of its rows, for a run that continues it.
#[derive(Clone, Debug)]
pub struct TrainedWindows<'m> {
    /// How samples become rows.
    pub windows: &'m Windows,
    /// Bits of each column.
    pub bits: Vec<u8>,
    /// Names of the classes.
    pub classes: &'m [String],
    /// Name of the column of the classes in its files, if the user gave it.
    pub label: Option<&'m str>,
}

impl Windows {
    /// Returns the recipe, which has the right number of channels if there are fewer than 256.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            channels: u8::try_from(self.channels.len()).unwrap_or(u8::MAX),
            window: self.window,
            hop: self.hop,
            features: self.features,
            rate_millihertz: self.rate_millihertz,
        }
    }

    /// Returns whether the full scales of all channels are known.
    pub fn knows_full_scales(&self) -> bool {
        self.channels.iter().all(|channel| channel.full_scale.is_some())
    }

    /// Returns whether rows of a board with this recipe are such rows.
    pub fn accept(&self, recipe: &Recipe) -> bool {
        let ours = self.recipe();
        let ratio = f64::from(recipe.rate_millihertz) / f64::from(ours.rate_millihertz);
        let is_same = ours == Recipe { rate_millihertz: ours.rate_millihertz, ..*recipe };
        is_same && (ratio - 1.0).abs() <= RATE_TOLERANCE
    }

    /// Checks the recipe and the full scales.
    ///
    /// # Errors
    /// If a field is invalid. Full scales that are no positive numbers, or that only some channels have, count as
    /// invalid channels.
    pub fn check(&self) -> Result<(), RecipeError> {
        self.recipe().check()?;
        let full_scales: Vec<_> =
            self.channels.iter().filter_map(|channel| channel.full_scale).collect();
        let is_valid = [0, self.channels.len()].contains(&full_scales.len())
            && full_scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
        if is_valid { Ok(()) } else { Err(RecipeError::Channels) }
    }

    /// Returns whether channels have names of their own, unlike those of boards.
    pub fn are_named(&self) -> bool {
        (1..)
            .zip(&self.channels)
            .any(|(number, channel)| channel.name != Channel::of_board(number).name)
    }

    /// Returns the names of the columns of a row: `x.mean`, `x.std`, …
    pub fn column_names(&self) -> Vec<String> {
        let name = |channel: &Channel| channel.name.clone();
        let of_channel = |channel: &Channel| {
            let channel = name(channel);
            self.features.iter().map(move |feature| format!("{channel}.{}", feature.name()))
        };
        self.channels.iter().flat_map(of_channel).collect()
    }
}

/// Features as a list of their names.
mod names {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use smidgen_protocol::recipe::{Feature, Features};

    pub(super) fn serialize<S: Serializer>(
        features: &Features,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        features.iter().map(Feature::name).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Features, D::Error> {
        let names: Vec<String> = Vec::deserialize(deserializer)?;
        names.iter().try_fold(Features::NONE, |features, name| {
            let unknown =
                || D::Error::custom(format!("`{name}` is no feature that this smidgen knows"));
            Feature::find(name).map(|feature| features.with(feature)).ok_or_else(unknown)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smidgen_protocol::recipe::Feature;

    fn windows() -> Windows {
        let channel = |name: &str, scale| Channel { name: name.into(), full_scale: Some(scale) };
        Windows {
            channels: vec![channel("x", 2.0), channel("y", 0.5)],
            rate_millihertz: 10_000,
            window: 50,
            hop: 25,
            features: Features::NONE.with(Feature::Max).with(Feature::Mean),
        }
    }

    #[test]
    fn windows_round_trip_with_names_of_features() {
        let text = serde_json::to_string(&windows()).unwrap();
        let channels = r#"[{"name":"x","full_scale":2.0},{"name":"y","full_scale":0.5}]"#;
        let rest = r#""rate_millihertz":10000,"window":50,"hop":25,"features":["mean","max"]"#;
        assert_eq!(text, format!("{{\"channels\":{channels},{rest}}}"));
        assert_eq!(serde_json::from_str::<Windows>(&text).unwrap(), windows());
        let unknown = text.replace("max", "median");
        let error = serde_json::from_str::<Windows>(&unknown).unwrap_err().to_string();
        assert!(error.starts_with("`median` is no feature"), "{error}");
    }

    #[test]
    fn columns_are_in_the_order_of_a_row() {
        assert_eq!(windows().column_names(), ["x.mean", "x.max", "y.mean", "y.max"]);
        assert_eq!(windows().column_names().len(), windows().recipe().row_len());
    }

    #[test]
    fn samples_are_rounded_and_limited() {
        let x = &windows().channels[0];
        let raw = Channel { full_scale: None, ..x.clone() };
        let half = 1.0 / f64::from(1 << 15);
        let values = [0.0, 1.0, -2.0, 2.0, 9.0, half, -half, f64::NAN];
        let samples = [0, 1 << 14, i16::MIN, i16::MAX, i16::MAX, 1, -1, 0];
        assert_eq!(values.map(|value| x.sample(value)), samples);
        assert_eq!([-1.5, 1.5, 40_000.0].map(|value| raw.sample(value)), [-2, 2, i16::MAX]);
    }

    #[test]
    fn invalid_fields_are_found() {
        assert_eq!(windows().check(), Ok(()));
        for full_scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut windows = windows();
            windows.channels[0].full_scale = Some(full_scale);
            assert_eq!(windows.check(), Err(RecipeError::Channels));
        }
        let mut some = windows();
        some.channels[1].full_scale = None;
        assert_eq!(some.check(), Err(RecipeError::Channels));
        assert_eq!(Windows { hop: 0, ..windows() }.check(), Err(RecipeError::Hop));
        assert_eq!(Windows { channels: vec![], ..windows() }.check(), Err(RecipeError::Channels));
    }

    #[test]
    fn full_scales_of_one_kind_of_sensor_are_the_same() {
        // The two accelerometers of a micro:bit, and another one.
        assert!(is_same_full_scale(4.0, 3.994) && is_same_full_scale(3.994, 4.0));
        assert!(!is_same_full_scale(4.0, 4.096) && !is_same_full_scale(2.0, 4.0));
    }
}
