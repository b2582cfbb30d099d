//! What a round says of the inequalities that a proof stands on.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// What constants of 31 bits may cost, relative to Ψ.
const RELATIVE: f64 = 1e-9;

/// An inequality of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inequality {
    /// The estimators come closer to the gradients.
    Contraction,
    /// f is as smooth as L says.
    Descent,
    /// Ψ falls.
    Lyapunov,
}

impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contraction => "the contraction of the estimators",
            Self::Descent => "the descent lemma",
            Self::Lyapunov => "the decrease of the Lyapunov function",
        })
    }
}

/// What a round says of the inequalities, in units of f: a slack is the bound minus what was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// Ψ
    #[serde(deserialize_with = "super::null_is_nan")]
    pub psi: f64,
    /// The step to this round; none in the first.
    #[serde(flatten)]
    pub slacks: Option<Slacks>,
}

/// The slack of each inequality.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slacks {
    /// The least of all workers, with the worker's weight in Ψ.
    #[serde(deserialize_with = "super::null_is_nan")]
    pub contraction_slack: f64,
    /// Of the descent lemma.
    #[serde(deserialize_with = "super::null_is_nan")]
    pub descent_slack: f64,
    /// Of the Lyapunov function.
    #[serde(deserialize_with = "super::null_is_nan")]
    pub lyapunov_slack: f64,
    /// What the grids may take of a slack.
    #[serde(deserialize_with = "super::null_is_nan")]
    pub grid_allowance: f64,
}

impl Watched {
    /// The first inequality that does not hold, but for rounding.
    pub fn violated(&self) -> Option<Inequality> {
        let Slacks { contraction_slack, descent_slack, lyapunov_slack, grid_allowance } =
            self.slacks?;
        let least = -(RELATIVE * self.psi.abs() + grid_allowance);
        // An allowance that is no number allows nothing.
        let fails = |slack: f64| !(slack.is_finite() && slack >= least);
        let all = [
            (contraction_slack, Inequality::Contraction),
            (descent_slack, Inequality::Descent),
            (lyapunov_slack, Inequality::Lyapunov),
        ];
        all.into_iter().find(|&(slack, _)| fails(slack)).map(|(_, inequality)| inequality)
    }
}

/// The first round whose inequalities do not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error(
    "in round {round} {inequality} does not hold as theory says; the constants may be wrong for these data, or the vectors too \
     coarse: please report it with the options of the run"
)]
pub struct Violation {
    /// The round t + 1.
    pub round: u32,
    /// What does not hold.
    pub inequality: Inequality,
}
