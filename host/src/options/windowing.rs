//! Options that say how samples of a sensor become rows: `--window`, `--hop`, `--features`, `--rate`.

use serde::{Serialize, Serializer};
use smidgen_protocol::recipe::{Feature, Features, Recipe};

/// Default of `--window`, in samples.
pub const WINDOW: u16 = 50;
/// Default of `--rate`, in samples per 1000 s.
pub const RATE_MILLIHERTZ: u32 = 10_000;
/// The highest rate, in Hz.
const RATE_MAX: f64 = 4e6;

/// How samples become rows, as far as it was given.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Windowing {
    /// Number of samples in a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u16>,
    /// Number of samples from the start of a window to that of the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<u16>,
    /// Features of each channel; empty if they were not given.
    #[serde(serialize_with = "names", skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// Samples per 1000 s.
    #[serde(rename = "rate", serialize_with = "hertz", skip_serializing_if = "Option::is_none")]
    pub rate_millihertz: Option<u32>,
}

impl Windowing {
    /// Returns whether no option was given.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the recipe for samples of this many channels. What was not given is as in `existing` rows; without
    /// these, windows overlap by half.
    pub fn recipe(&self, channels: u8, existing: Option<Recipe>) -> Recipe {
        let window = self.window.or(existing.map(|recipe| recipe.window)).unwrap_or(WINDOW);
        let same_window = existing.filter(|recipe| recipe.window == window);
        let half = (window / 2).max(1);
        let given = self.features.iter().copied().fold(Features::NONE, Features::with);
        let features = existing.map_or(Features::DEFAULT, |recipe| recipe.features);
        let rate = existing.map_or(RATE_MILLIHERTZ, |recipe| recipe.rate_millihertz);
        Recipe {
            channels,
            window,
            hop: self.hop.or(same_window.map(|recipe| recipe.hop)).unwrap_or(half),
            features: if given.is_empty() { features } else { given },
            rate_millihertz: self.rate_millihertz.unwrap_or(rate),
        }
    }
}

/// Parses the name of a feature.
pub fn feature(name: &str) -> Result<Feature, String> {
    let names = || Feature::ALL.map(Feature::name).join(", ");
    Feature::find(name).ok_or_else(|| format!("give names from {}", names()))
}

/// Parses a rate in Hz; returns samples per 1000 s.
pub fn rate(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(hertz) if (1e-3..=RATE_MAX).contains(&hertz) => Ok((hertz * 1000.0).round() as u32),
        _ => Err("give a number of samples per second from 0.001 to 4e6".into()),
    }
}

/// Describes a recipe in a line: `6 channels at 10 Hz, windows of 50 samples every 25, mean, std`.
pub fn describe(recipe: &Recipe) -> String {
    let Recipe { channels, window, hop, features, rate_millihertz } = recipe;
    let names: Vec<_> = features.iter().map(Feature::name).collect();
    let (channel, sample) = (
        if *channels == 1 { "channel" } else { "channels" },
        if *window == 1 { "sample" } else { "samples" },
    );
    let hertz = f64::from(*rate_millihertz) / 1000.0;
    format!(
        "{channels} {channel} at {hertz} Hz, windows of {window} {sample} every {hop}, {}",
        names.join(", ")
    )
}

fn names<S: Serializer>(features: &[Feature], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(features.iter().map(|feature| feature.name()))
}

fn hertz<S: Serializer>(rate: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    rate.map(|rate| f64::from(rate) / 1000.0).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_follows_existing_rows() {
        let none = Windowing::default();
        let fresh = none.recipe(3, None);
        assert_eq!((fresh.channels, fresh.window, fresh.hop), (3, WINDOW, WINDOW / 2));
        assert_eq!((fresh.features, fresh.rate_millihertz), (Features::DEFAULT, RATE_MILLIHERTZ));
        let existing = Recipe {
            window: 20,
            hop: 7,
            features: Features::NONE.with(Feature::Rms),
            rate_millihertz: 1,
            ..fresh
        };
        assert_eq!(none.recipe(3, Some(existing)), existing);
        let shorter = Windowing { window: Some(1), ..Windowing::default() };
        assert_eq!(shorter.recipe(3, Some(existing)), Recipe { window: 1, hop: 1, ..existing });
        let other = Windowing {
            window: Some(30),
            hop: Some(30),
            features: vec![Feature::Max, Feature::Mean],
            rate_millihertz: Some(50_000),
        };
        let text = "3 channels at 50 Hz, windows of 30 samples every 30, mean, max";
        assert_eq!(describe(&other.recipe(3, Some(existing))), text);
    }

    #[test]
    fn rates_and_features_are_parsed() {
        assert_eq!(rate("10"), Ok(10_000));
        assert_eq!(rate("0.0014"), Ok(1));
        assert!(["0", "-1", "nan", "5e6", "fast"].iter().all(|text| rate(text).is_err()));
        assert!(Feature::ALL.iter().all(|each| feature(each.name()) == Ok(*each)));
        assert!(feature("median").unwrap_err().contains("mean, std, mad"));
    }
}
