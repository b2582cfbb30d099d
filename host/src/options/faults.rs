//! Faults injected on links.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Faults of a link. Probabilities are per frame and independent unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Probability that a frame is lost.
    pub loss: f64,
    /// Probability that a frame begins an outage of its direction, of up to 32 frames.
    pub outage: f64,
    /// Probability that a frame is truncated.
    pub cut: f64,
    /// Probability that a bit of a frame is flipped.
    pub corrupt: f64,
    /// Probability per byte that it is replaced, as with mismatched baud rates.
    pub garble: f64,
    /// Probability of stray bytes before a frame, as when a board boots.
    pub noise: f64,
    /// Probability that a frame arrives twice.
    pub duplicate: f64,
    /// True if reads are split anywhere.
    pub split: bool,
}

/// The fault without a probability.
const SPLIT: &str = "split";

impl Faults {
    /// Returns the probabilities by the names of their faults.
    fn probabilities(&mut self) -> [(&'static str, &mut f64); 7] {
        [
            ("loss", &mut self.loss),
            ("outage", &mut self.outage),
            ("cut", &mut self.cut),
            ("corrupt", &mut self.corrupt),
            ("garble", &mut self.garble),
            ("noise", &mut self.noise),
            ("duplicate", &mut self.duplicate),
        ]
    }
}

/// Reasons why a text is not a list of [`Faults`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// Unknown name.
    #[error(
        "unknown fault `{0}`; give none, or some of loss=P, outage=P, cut=P, corrupt=P, garble=P, noise=P, \
         duplicate=P and split, separated by commas"
    )]
    Unknown(String),
    /// Missing or invalid probability.
    #[error("`{0}` lacks a probability; give a number from 0 to 1, such as loss=0.2")]
    Probability(String),
    /// A value for `split`.
    #[error("`{0}`: split takes no value; write only split")]
    Valued(String),
    /// A fault given twice.
    #[error("`{0}` is given twice; give each fault once")]
    Repeated(String),
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let mut faults = Self::default();
        if text == "none" {
            return Ok(faults);
        }
        let mut seen = vec![];
        for part in text.split(',') {
            let (name, value) = part.split_once('=').map_or((part, None), |(n, v)| (n, Some(v)));
            let known = faults.probabilities().into_iter().find(|(known, _)| *known == name);
            match known {
                Some((_, fault)) => *fault = probability(part, value)?,
                None if name != SPLIT => return Err(FaultsError::Unknown(part.into())),
                None if value.is_some() => return Err(FaultsError::Valued(part.into())),
                None => faults.split = true,
            }
            if seen.contains(&name) {
                return Err(FaultsError::Repeated(name.into()));
            }
            seen.push(name);
        }
        Ok(faults)
    }
}

fn probability(part: &str, value: Option<&str>) -> Result<f64, FaultsError> {
    value
        .and_then(|value| value.parse().ok())
        .filter(|probability| (0.0..=1.0).contains(probability))
        .ok_or_else(|| FaultsError::Probability(part.into()))
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut faults = *self;
        let mut parts: Vec<String> = faults
            .probabilities()
            .into_iter()
            .filter(|(_, probability)| **probability > 0.0)
            .map(|(name, probability)| format!("{name}={probability}"))
            .collect();
        if self.split {
            parts.push(SPLIT.into());
        }
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(","))
    }
}

impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_round_trip() {
        for (text, faults) in [
            ("none", Faults::default()),
            ("split", Faults { split: true, ..Faults::default() }),
            ("loss=0.2,split", Faults { loss: 0.2, split: true, ..Faults::default() }),
            (
                "loss=0.2,corrupt=0.05,duplicate=1",
                Faults { loss: 0.2, corrupt: 0.05, duplicate: 1.0, ..Faults::default() },
            ),
            (
                "outage=0.1,cut=0.2,garble=0.001,noise=0.3",
                Faults { outage: 0.1, cut: 0.2, garble: 0.001, noise: 0.3, ..Faults::default() },
            ),
        ] {
            assert_eq!(text.parse(), Ok(faults));
            assert_eq!(faults.to_string(), text);
        }
    }

    #[test]
    fn invalid_part_is_named() {
        for (text, error) in [
            ("", FaultsError::Unknown("".into())),
            ("loss=0.2,", FaultsError::Unknown("".into())),
            ("loss=0.2,los=0.1", FaultsError::Unknown("los=0.1".into())),
            ("loss", FaultsError::Probability("loss".into())),
            ("loss=", FaultsError::Probability("loss=".into())),
            ("corrupt=1.5", FaultsError::Probability("corrupt=1.5".into())),
            ("corrupt=-0.1", FaultsError::Probability("corrupt=-0.1".into())),
            ("duplicate=nan", FaultsError::Probability("duplicate=nan".into())),
            ("split=1", FaultsError::Valued("split=1".into())),
            ("loss=0.1,split,loss=0.2", FaultsError::Repeated("loss".into())),
        ] {
            assert_eq!(text.parse::<Faults>(), Err(error), "{text}");
        }
    }
}
