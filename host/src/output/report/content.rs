//! The content that the sections of a page share.

use super::against::Against;
use super::curve::{Comparison, Measure};
use super::mark::Mark;
use crate::record::{Run, Summary};
use crate::world::Clock;
use serde_json::Value;

/// A run, and the data that the sections of its page share.
pub(super) struct Page<'a> {
    pub(super) run: &'a Run,
    pub(super) marks: Vec<Mark>,
    pub(super) baseline: Vec<Mark>,
    pub(super) comparison: Option<Comparison>,
}

impl Page<'_> {
    pub(super) fn summary(&self) -> &Summary {
        &self.run.summary
    }

    pub(super) fn last(&self) -> &Mark {
        self.marks.last().expect("a run has at least one round")
    }

    /// Returns an option of the run as it is typed on the command line.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        self.summary().configuration.get(name).map(plain)
    }

    /// Returns the clock of the run's measured seconds, if there are any.
    pub(super) fn clock(&self) -> Option<Clock> {
        self.summary().clock.filter(|_| self.last().total.elapsed_seconds.is_some())
    }

    /// Returns the time by which the run is compared with dense gradient descent, which is simulated: virtual time if
    /// both have it, otherwise modelled time.
    pub(super) fn common_time(&self) -> Against {
        let both = [&self.marks, &self.baseline].into_iter().filter_map(|marks| marks.last());
        let is_known = both.into_iter().all(|mark| mark.total.elapsed_seconds.is_some());
        match self.summary().clock {
            Some(Clock::Virtual) if is_known => Against::Virtual,
            Some(Clock::Virtual | Clock::Host) | None => Against::Modelled,
        }
    }

    /// Returns the norm to draw: the gradient if it is known in any round, otherwise the estimator.
    pub(super) fn norm(&self) -> Measure {
        let known = self.marks.iter().any(|mark| mark.gradient_norm_squared.is_some());
        if known { Measure::Gradient } else { Measure::Estimator }
    }
}

/// Formats a value of the configuration as it is typed on the command line.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
