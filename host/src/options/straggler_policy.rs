//! Straggler policy: what to do when a worker is silent.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Straggler policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StragglerPolicy {
    /// Rounds wait. A run on real links ends after this many seconds of silence.
    Wait(f64),
    /// Rounds close without a worker after this many seconds of silence.
    Skip(f64),
}

/// Default of `--absent skip`, in seconds.
pub const ROUND_TIMEOUT: f64 = 5.0;
/// Default of `--absent wait`, in seconds: enough to replace a cable or restart a serial server.
pub const DEADLINE: f64 = 120.0;
/// Valid numbers of seconds: a millisecond to thirty years.
const LEGAL: RangeInclusive<f64> = 1e-3..=1e9;

impl Default for StragglerPolicy {
    fn default() -> Self {
        Self::Wait(DEADLINE)
    }
}

/// A text is not a [`StragglerPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give wait, wait=SECONDS, skip or skip=SECONDS, with a number from 0.001 to 1e9")]
pub struct StragglerPolicyError;

impl StragglerPolicy {
    /// Returns the time-out of a round; `None` waits forever.
    pub fn round_timeout(self) -> Option<Duration> {
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

impl FromStr for StragglerPolicy {
    type Err = StragglerPolicyError;

    fn from_str(text: &str) -> Result<Self, StragglerPolicyError> {
        let seconds = |text: &str| {
            let seconds = str::parse(text).ok();
            seconds.filter(|seconds| LEGAL.contains(seconds)).ok_or(StragglerPolicyError)
        };
        match text.split_once('=') {
            None if text == "wait" => Ok(Self::default()),
            None if text == "skip" => Ok(Self::Skip(ROUND_TIMEOUT)),
            Some(("wait", text)) => seconds(text).map(Self::Wait),
            Some(("skip", text)) => seconds(text).map(Self::Skip),
            _ => Err(StragglerPolicyError),
        }
    }
}

impl fmt::Display for StragglerPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(DEADLINE) => f.write_str("wait"),
            Self::Wait(seconds) => write!(f, "wait={seconds}"),
            Self::Skip(seconds) => write!(f, "skip={seconds}"),
        }
    }
}

impl Serialize for StragglerPolicy {
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
            ("wait", StragglerPolicy::Wait(DEADLINE)),
            ("wait=3600", StragglerPolicy::Wait(3600.0)),
            ("skip=0.5", StragglerPolicy::Skip(0.5)),
            ("skip=5", StragglerPolicy::Skip(5.0)),
        ] {
            assert_eq!(text.parse(), Ok(absent));
            assert_eq!(absent.to_string(), text);
        }
        assert_eq!("skip".parse(), Ok(StragglerPolicy::Skip(ROUND_TIMEOUT)));
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
            assert_eq!(text.parse::<StragglerPolicy>(), Err(StragglerPolicyError), "{text}");
        }
    }
}
