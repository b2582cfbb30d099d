//! Straggler policy: what to do when a worker is silent.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Straggler policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Absent {
    /// Rounds wait. A run on real links ends after this many seconds of silence.
    Wait(f64),
    /// Rounds close without a worker after this many seconds of silence.
    Skip(f64),
}

/// Default silence time-out, in seconds.
const SECONDS: f64 = 5.0;
/// Default deadline of a waiting run, in seconds: enough to replace a cable or restart a serial server.
const DEADLINE: f64 = 120.0;
/// Valid numbers of seconds: a millisecond to thirty years.
const LEGAL: RangeInclusive<f64> = 1e-3..=1e9;

impl Default for Absent {
    fn default() -> Self {
        Self::Wait(DEADLINE)
    }
}

/// A text is not an [`Absent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give wait, wait=SECONDS, skip or skip=SECONDS, with a number from 0.001 to 1e9")]
pub struct AbsentError;

impl Absent {
    /// Returns the time-out of a round; `None` waits forever.
    pub fn patience(self) -> Option<Duration> {
        match self {
            Self::Wait(_) => None,
            Self::Skip(seconds) => Some(Duration::from_secs_f64(seconds)),
        }
    }

    /// Returns how long a run on real links searches for a worker without which it cannot continue.
    pub fn deadline(self) -> Duration {
        Duration::from_secs_f64(match self {
            Self::Wait(seconds) => seconds,
            Self::Skip(_) => DEADLINE,
        })
    }
}

impl FromStr for Absent {
    type Err = AbsentError;

    fn from_str(text: &str) -> Result<Self, AbsentError> {
        let seconds = |text: &str| {
            let seconds = str::parse(text).ok();
            seconds.filter(|seconds| LEGAL.contains(seconds)).ok_or(AbsentError)
        };
        match text.split_once('=') {
            None if text == "wait" => Ok(Self::default()),
            None if text == "skip" => Ok(Self::Skip(SECONDS)),
            Some(("wait", text)) => seconds(text).map(Self::Wait),
            Some(("skip", text)) => seconds(text).map(Self::Skip),
            _ => Err(AbsentError),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(DEADLINE) => f.write_str("wait"),
            Self::Wait(seconds) => write!(f, "wait={seconds}"),
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
    fn policy_round_trips() {
        for (text, absent) in [
            ("wait", Absent::Wait(120.0)),
            ("wait=3600", Absent::Wait(3600.0)),
            ("skip=0.5", Absent::Skip(0.5)),
            ("skip=5", Absent::Skip(5.0)),
        ] {
            assert_eq!(text.parse(), Ok(absent));
            assert_eq!(absent.to_string(), text);
        }
        assert_eq!("skip".parse(), Ok(Absent::Skip(5.0)));
        for text in [
            "",
            "skip=",
            "skip=0",
            "skip=-1",
            "skip=1e10",
            "wait=1e-4",
            "wait=nan",
            "wait=now",
            "hop",
        ] {
            assert_eq!(text.parse::<Absent>(), Err(AbsentError), "{text}");
        }
    }
}
