//! Full scales of channels: the values of files at which a sensor has 2^15, and its samples at others.

use super::error::{Flaw, RecordingsError};
use super::files::Source;
use super::series::{Series, Stretch};
use crate::problem::dataset::windows::{Channel, Windows};
use crate::units::quantity::count;

/// What becomes of values beyond the full scale.
#[derive(Clone, Copy)]
pub(super) enum Beyond {
    Refused,
    Limited,
}

/// Returns the values of a recording as a sensor with these channels has them.
pub(super) fn samples(
    channels: &[Channel],
    name: &str,
    stretch: &Stretch,
    beyond: Beyond,
) -> Result<Vec<i16>, RecordingsError> {
    let range = f64::from(i16::MIN)..=f64::from(i16::MAX);
    let sample = |(place, &value): (usize, &f64)| {
        let channel = &channels[place % channels.len()];
        let refuse = |flaw: Flaw| Err(flaw.at(name, stretch.line(place / channels.len())));
        match (beyond, channel.full_scale) {
            (Beyond::Refused, Some(full_scale)) if value.abs() > full_scale => {
                refuse(Flaw::FullScale { value, channel: channel.name.clone(), full_scale })
            }
            (_, None) if value.fract() != 0.0 || !range.contains(&value) => {
                refuse(Flaw::Integer { value, channel: channel.name.clone() })
            }
            (Beyond::Refused | Beyond::Limited, _) => Ok(channel.sample(value)),
        }
    };
    stretch.values.iter().enumerate().map(sample).collect()
}

/// Says how many values of files exceed the full scales of these channels, if some do.
pub(super) fn note_beyond(channels: &[Channel], files: &[(Source, Series)]) -> Option<String> {
    let values =
        || files.iter().flat_map(|(_, series)| &series.stretches).flat_map(|it| &it.values);
    let is_beyond = |(value, channel): &(&f64, &Channel)| {
        channel.full_scale.is_some_and(|full_scale| value.abs() > full_scale)
    };
    let beyond = values().zip(channels.iter().cycle()).filter(is_beyond).count();
    (beyond > 0).then(|| {
        let all = count(values().count() as u64);
        format!(
            "{} of {all} values exceed the full scale of the model's sensor, and are limited to it; check that they \
             have the unit of its training",
            count(beyond as u64)
        )
    })
}

/// Returns a full scale for each channel, if some were given: one for all, or one per channel.
pub(super) fn full_scale_of_each(
    channels: usize,
    given: &[f64],
) -> Result<Option<Vec<f64>>, RecordingsError> {
    match given {
        [] => Ok(None),
        [one] => Ok(Some(vec![*one; channels])),
        all if all.len() == channels => Ok(Some(all.to_vec())),
        all => Err(RecordingsError::FullScales { given: all.len(), channels }),
    }
}

/// Returns the windows of a model with the full scales of files, if they are given.
pub(super) fn scaled(windows: &Windows, full_scale: &[f64]) -> Result<Windows, RecordingsError> {
    let Some(given) = full_scale_of_each(windows.channels.len(), full_scale)? else {
        return Ok(windows.clone());
    };
    if windows.channels.iter().any(|channel| channel.full_scale.is_some()) {
        return Err(RecordingsError::KnownFullScale);
    }
    let mut windows = windows.clone();
    for (channel, given) in windows.channels.iter_mut().zip(given) {
        channel.full_scale = Some(given);
    }
    Ok(windows)
}

/// Returns the full scale of each channel: as given, or the smallest power of two that no value exceeds.
pub(super) fn full_scales(
    files: &[(Source, Series)],
    given: &[f64],
) -> Result<Vec<f64>, RecordingsError> {
    let channels = files[0].1.channels.len();
    if let Some(given) = full_scale_of_each(channels, given)? {
        return Ok(given);
    }
    let mut largest = vec![0f64; channels];
    for stretch in files.iter().flat_map(|(_, series)| &series.stretches) {
        for (place, value) in stretch.values.iter().enumerate() {
            let largest = &mut largest[place % channels];
            *largest = largest.max(value.abs());
        }
    }
    Ok(largest.into_iter().map(power_of_two).collect())
}

/// Returns the smallest power of two that is at least `value`; 1 for 0.
fn power_of_two(value: f64) -> f64 {
    // Of the smallest and largest f64 there is none, and none is needed.
    let value = value.clamp(1e-300, 1e300);
    if value == 1e-300 {
        return 1.0;
    }
    let power = value.log2().floor().exp2();
    // The logarithm may be rounded to either side.
    [power / 2.0, power, power * 2.0, power * 4.0]
        .into_iter()
        .find(|&power| power >= value)
        .unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_is_the_next_power_of_two() {
        let cases = [(0.0, 1.0), (1.0, 1.0), (1.0 + f64::EPSILON, 2.0), (0.3, 0.5), (8.0, 8.0)];
        for (value, expected) in cases {
            assert_eq!(power_of_two(value), expected, "{value}");
        }
        for exponent in -300..300 {
            let power = f64::from(exponent).exp2();
            assert_eq!(power_of_two(power), power);
            assert_eq!(power_of_two(power * 1.01), 2.0 * power);
        }
    }
}
