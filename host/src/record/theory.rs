//! The inequalities of a convergence proof, checked in each round.

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use thiserror::Error;

/// Error of constants of 31 bits, relative to Ψ.
const RELATIVE: f64 = 1e-9;

/// An inequality of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inequality {
    /// The estimators approach the gradients.
    Contraction,
    /// The descent lemma: f is L-smooth.
    Descent,
    /// Ψ decreases.
    Lyapunov,
    /// Ψ decreases linearly, because f is strongly convex.
    Linear,
}

impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contraction => "the contraction of the estimators",
            Self::Descent => "the descent lemma",
            Self::Lyapunov => "the decrease of the Lyapunov function",
            Self::Linear => {
                "the linear decrease of the Lyapunov function, by the PL theorem of EF21,"
            }
        })
    }
}

/// Check of a round, in units of f. A slack is the bound minus the value found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Line")]
pub struct TheoryCheck {
    /// The Lyapunov function Ψ.
    pub psi: f64,
    /// Slacks of the step to this round; absent in the first round.
    #[serde(flatten)]
    pub slacks: Option<Slacks>,
}

/// The slack of each inequality.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slacks {
    /// Contraction of the worker with the least sum of slack and allowance, times its weight in Ψ.
    pub contraction_slack: f64,
    /// Bound on the part due to the grids.
    pub contraction_allowance: f64,
    /// Descent lemma.
    pub descent_slack: f64,
    /// Bound on the part due to cancellation in f64.
    pub descent_allowance: f64,
    /// Decrease of the Lyapunov function.
    pub lyapunov_slack: f64,
    /// Linear decrease of the Lyapunov function, if f is strongly convex and the PL theorem covers the step size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_slack: Option<f64>,
    /// Bound on the part of both due to the grids.
    pub grid_allowance: f64,
}

/// The fields of [`TheoryCheck`] in a line of `rounds.jsonl`.
///
/// A flattened `Option<Slacks>` would be read as `None` if a single field is missing or malformed.
#[derive(Deserialize)]
struct Line {
    #[serde(deserialize_with = "super::nan::null_is_nan")]
    psi: f64,
    #[serde(default, deserialize_with = "present")]
    contraction_slack: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    descent_slack: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    lyapunov_slack: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    linear_slack: Option<f64>,
    /// Absent in older records, which allowed nothing.
    #[serde(default, deserialize_with = "super::nan::null_is_nan")]
    grid_allowance: f64,
    /// Absent in older records, which allowed `grid_allowance` for every inequality.
    #[serde(default, deserialize_with = "present")]
    contraction_allowance: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    descent_allowance: Option<f64>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    super::nan::null_is_nan(deserializer).map(Some)
}

impl TryFrom<Line> for TheoryCheck {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let Line { psi, grid_allowance, .. } = line;
        let slacks = match (line.contraction_slack, line.descent_slack, line.lyapunov_slack) {
            (Some(contraction_slack), Some(descent_slack), Some(lyapunov_slack)) => Some(Slacks {
                contraction_slack,
                contraction_allowance: line.contraction_allowance.unwrap_or(grid_allowance),
                descent_slack,
                descent_allowance: line.descent_allowance.unwrap_or(grid_allowance),
                lyapunov_slack,
                linear_slack: line.linear_slack,
                grid_allowance,
            }),
            (None, None, None) => None,
            (_, _, _) => {
                return Err("the record has some of the slacks of its inequalities, but not all");
            }
        };
        Ok(Self { psi, slacks })
    }
}

impl TheoryCheck {
    /// Returns the first inequality that is violated by more than rounding errors.
    pub fn violated(&self) -> Option<Inequality> {
        let slacks = self.slacks?;
        let relative = RELATIVE * self.psi.abs();
        // Written so that a NaN fails the check.
        let fails =
            |slack: f64, allowance: f64| !(slack.is_finite() && slack >= -(relative + allowance));
        let all = [
            (slacks.contraction_slack, slacks.contraction_allowance, Inequality::Contraction),
            (slacks.descent_slack, slacks.descent_allowance, Inequality::Descent),
            (slacks.lyapunov_slack, slacks.grid_allowance, Inequality::Lyapunov),
        ];
        let linear = slacks.linear_slack;
        let linear = linear.map(|slack| (slack, slacks.grid_allowance, Inequality::Linear));
        let mut failing =
            all.into_iter().chain(linear).filter(|&(slack, allowance, _)| fails(slack, allowance));
        failing.next().map(|(_, _, inequality)| inequality)
    }
}

/// The first round in which an inequality does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error(
    "in round {round}, {inequality} does not hold as theory says; the constants may be wrong for these data, or the \
         vectors too coarse: please report it with the options of the run"
)]
pub struct Violation {
    /// The round t + 1.
    pub round: u32,
    /// The inequality.
    pub inequality: Inequality,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slacks without a violation, with a different allowance each.
    const SLACKS: Slacks = Slacks {
        contraction_slack: 0.5,
        contraction_allowance: 0.125,
        descent_slack: 0.25,
        descent_allowance: 0.25,
        lyapunov_slack: 0.125,
        linear_slack: Some(0.125),
        grid_allowance: 0.5,
    };

    fn read(line: &str) -> Result<TheoryCheck, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    #[test]
    fn line_without_allowances_is_still_checked() {
        let slacks = r#""contraction_slack":0.5,"descent_slack":0.25,"lyapunov_slack""#;
        let old = |slack: &str| read(&format!("{{\"psi\":1.0,{slacks}:{slack}}}")).unwrap();
        assert_eq!(old("-0.125").violated(), Some(Inequality::Lyapunov));
        assert_eq!(old("null").violated(), Some(Inequality::Lyapunov));
        assert_eq!(old("0.125").violated(), None);
        let one = "-0.125,\"grid_allowance\":0.25";
        assert_eq!(old(one).violated(), None);
        let Slacks { contraction_allowance, descent_allowance, .. } = old(one).slacks.unwrap();
        assert_eq!([contraction_allowance, descent_allowance], [0.25; 2]);
    }

    #[test]
    fn each_inequality_has_its_own_allowance() {
        let violated = |slacks| TheoryCheck { psi: 1.0, slacks: Some(slacks) }.violated();
        let find = |allowed: f64| {
            [
                violated(Slacks { contraction_slack: -allowed, ..SLACKS }),
                violated(Slacks { descent_slack: -allowed, ..SLACKS }),
                violated(Slacks { lyapunov_slack: -allowed, ..SLACKS }),
                violated(Slacks { linear_slack: Some(-allowed), ..SLACKS }),
            ]
        };
        let (contraction, descent) = (Some(Inequality::Contraction), Some(Inequality::Descent));
        let lyapunov = Some(Inequality::Lyapunov);
        assert_eq!(find(0.1), [None; 4]);
        assert_eq!(find(0.2), [contraction, None, None, None]);
        assert_eq!(find(0.4), [contraction, descent, None, None]);
        assert_eq!(find(0.6), [contraction, descent, lyapunov, Some(Inequality::Linear)]);
        let slacks = Slacks { descent_allowance: f64::NAN, ..SLACKS };
        assert_eq!(violated(slacks), descent, "NaN");
    }

    #[test]
    fn line_round_trips() {
        let convex = Slacks { linear_slack: None, ..SLACKS };
        for slacks in [None, Some(convex), Some(SLACKS)] {
            let watched = TheoryCheck { psi: 2.0, slacks };
            assert_eq!(read(&serde_json::to_string(&watched).unwrap()), Ok(watched));
        }
    }

    #[test]
    fn line_with_only_some_slacks_is_refused() {
        for field in ["contraction_slack", "descent_slack", "lyapunov_slack"] {
            let one = read(&format!("{{\"psi\":1.0,\"{field}\":-1.0}}"));
            assert!(one.is_err_and(|error| error.contains("not all")), "{field}");
            let malformed = read(&format!("{{\"psi\":1.0,\"{field}\":\"x\"}}"));
            assert!(malformed.is_err(), "{field}");
        }
    }
}
