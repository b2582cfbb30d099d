//! The requested step size γ.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Choice of the step size γ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// 1/(L + L_QM·ξ(α)), the step size of EF21.
    Qm,
    /// 1/(L + L_AM·ξ(α)), the step size of "Error Feedback Reloaded", Theorem 3.
    Am,
    /// Starts from theory, and is tuned from round to round by the losses that workers report.
    Auto,
    /// The exact root of which theory gives a simpler bound.
    Exact,
    /// By rare features: which worker has which coordinates ("Error Feedback Reloaded").
    Rare,
    /// The step size of the best worst-case rate for strongly convex functions ("A Tight Theory of Error Feedback").
    Tight,
    /// This number, greater than 0.
    Fixed(f64),
}

/// A text is not a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give qm, am, auto, exact, rare, tight or a number greater than 0: one from 1e-100 to 1e100"
)]
pub struct StepError;

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        match text {
            "qm" => Ok(Self::Qm),
            "am" => Ok(Self::Am),
            "auto" => Ok(Self::Auto),
            "exact" => Ok(Self::Exact),
            "rare" => Ok(Self::Rare),
            "tight" => Ok(Self::Tight),
            number => super::number::positive(number).map(Self::Fixed).map_err(|_| StepError),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qm => f.write_str("qm"),
            Self::Am => f.write_str("am"),
            Self::Auto => f.write_str("auto"),
            Self::Exact => f.write_str("exact"),
            Self::Rare => f.write_str("rare"),
            Self::Tight => f.write_str("tight"),
            Self::Fixed(gamma) => write!(f, "{gamma}"),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_round_trips() {
        for step in [
            Step::Qm,
            Step::Am,
            Step::Auto,
            Step::Exact,
            Step::Rare,
            Step::Tight,
            Step::Fixed(0.25),
            Step::Fixed(1e-9),
        ] {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
    }

    #[test]
    fn invalid_step_is_refused() {
        for text in ["", "qn", "0", "-1", "inf", "nan", "5e-324", "1e308"] {
            assert_eq!(text.parse::<Step>(), Err(StepError), "{text}");
        }
    }
}
