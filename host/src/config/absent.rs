//! What becomes of a round when a worker is silent, as a user asks for it.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Whether rounds wait for workers that are silent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Absent {
    /// They wait.
    #[default]
    Wait,
    /// They close without a worker that has been silent for so many seconds.
    Skip(f64),
}

/// Seconds of silence that are put up with if nobody says how many.
const SECONDS: f64 = 5.0;

/// A text that is no [`Absent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give wait, skip, or skip=SECONDS with a number greater than 0")]
pub struct AbsentError;

impl Absent {
    /// For how long a round waits; none for ever.
    pub fn patience(self) -> Option<Duration> {
        match self {
            Self::Wait => None,
            Self::Skip(seconds) => Some(Duration::from_secs_f64(seconds)),
        }
    }
}

impl FromStr for Absent {
    type Err = AbsentError;

    fn from_str(text: &str) -> Result<Self, AbsentError> {
        match text.split_once('=') {
            None if text == "wait" => Ok(Self::Wait),
            None if text == "skip" => Ok(Self::Skip(SECONDS)),
            Some(("skip", seconds)) => super::positive(seconds)
                .ok()
                .filter(|&seconds| Duration::try_from_secs_f64(seconds).is_ok())
                .map(Self::Skip)
                .ok_or(AbsentError),
            _ => Err(AbsentError),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("wait"),
            Self::Skip(seconds) => write!(f, "skip={seconds}"),
        }
    }
}

impl Serialize for Absent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absences_are_read_and_written_alike() {
        for (text, absent) in
            [("wait", Absent::Wait), ("skip=0.5", Absent::Skip(0.5)), ("skip=5", Absent::Skip(5.0))]
        {
            assert_eq!(text.parse(), Ok(absent));
            assert_eq!(absent.to_string(), text);
        }
        assert_eq!("skip".parse(), Ok(Absent::Skip(5.0)));
        for text in ["", "skip=", "skip=0", "skip=-1", "skip=1e300", "wait=3", "hop"] {
            assert_eq!(text.parse::<Absent>(), Err(AbsentError), "{text}");
        }
    }
}
