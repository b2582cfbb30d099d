//! The inequalities in the proof of Reloaded's Theorem 3, watched while a run goes on.
//!
//! ```text
//! e_i = g_i − ∇f_i(x^t)     G = (1/n) Σ_i (L_AM/L_i) ‖e_i‖²     R = ‖x^{t+1} − x^t‖²     Ψ = f(x) + κγ/(2θ) G
//!
//! contraction   ‖e_i^{t+1}‖² ≤ (1 − θ) ‖e_i^t‖² + β L_i² R                      for every worker, any γ
//! descent       f(x^{t+1}) ≤ f(x^t) + ⟨∇f(x^t), x^{t+1} − x^t⟩ + (L/2) R        any γ
//! lyapunov      Ψ^{t+1} ≤ Ψ^t − (γ/2) ‖∇f(x^t)‖²                                for γ that the theorem allows
//! ```
//!
//! With x^{t+1} = x^t − γ g^t the second is the descent lemma of the proof. κ is c_w for rare features and 1 elsewhere. Workers that are weighted
//! or cloned count with what their estimators estimate. The compressor is deterministic, so each round is checked, not a mean.
//!
//! All is computed in f64 from the data, the host's mirrors and the model as they are, so it also watches the fixed point.

use crate::aggregator::{Aggregator, value};
use crate::objective::Objective;
use crate::recipe::Part;
use crate::theory::{Smoothness, beta, theta};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// What rounding to the grids may cost, relative to Ψ.
const GRID: f64 = 1e-9;

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
    #[serde(deserialize_with = "crate::record::null_is_nan")]
    pub psi: f64,
    /// The step to this round; none in the first.
    #[serde(flatten)]
    pub slacks: Option<Slacks>,
}

/// The slack of each inequality.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slacks {
    /// The least of all workers, with the worker's weight in Ψ.
    #[serde(deserialize_with = "crate::record::null_is_nan")]
    pub contraction_slack: f64,
    /// Of the descent lemma.
    #[serde(deserialize_with = "crate::record::null_is_nan")]
    pub descent_slack: f64,
    /// Of the Lyapunov function.
    #[serde(deserialize_with = "crate::record::null_is_nan")]
    pub lyapunov_slack: f64,
}

impl Watched {
    /// The first inequality that does not hold, but for rounding.
    pub fn violated(&self) -> Option<Inequality> {
        let Slacks { contraction_slack, descent_slack, lyapunov_slack } = self.slacks?;
        let fails = |slack: f64| !slack.is_finite() || slack < -GRID * self.psi.abs();
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

/// What the theorem knows of a run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The workers, clones included.
    pub parts: Vec<Part>,
    /// Constants of the shares.
    pub smoothness: Smoothness,
    /// γ
    pub gamma: f64,
    /// The contraction of every worker.
    pub alpha: f64,
    /// κ
    pub factor: f64,
}

/// The watch.
#[derive(Debug)]
pub struct Lyapunov {
    objective: Objective,
    terms: Terms,
    /// The last round.
    before: Option<State>,
}

/// A round.
#[derive(Debug)]
struct State {
    x: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    psi: f64,
    /// ‖e_i‖²
    errors: Vec<f64>,
}

impl Lyapunov {
    /// A watch for a run, where share i has f_i of `objective`.
    pub fn new(objective: Objective, terms: Terms) -> Self {
        Self { objective, terms, before: None }
    }

    /// Looks at a round that was just closed.
    pub fn look(&mut self, aggregator: &Aggregator) -> Watched {
        let now = self.state(aggregator);
        let psi = now.psi;
        let slacks = self.before.as_ref().map(|before| self.slacks(before, &now));
        self.before = Some(now);
        Watched { psi, slacks }
    }

    fn slacks(&self, before: &State, now: &State) -> Slacks {
        let Terms { alpha, gamma, ref smoothness, .. } = self.terms;
        let moved: Vec<f64> =
            now.x.iter().zip(&before.x).map(|(now, before)| now - before).collect();
        let (square, along) = (dot(&moved, &moved), dot(&before.gradient, &moved));
        let contraction = (0..now.errors.len()).map(|worker| {
            let l_i = self.constant(worker);
            let bound =
                (1.0 - theta(alpha)) * before.errors[worker] + beta(alpha) * l_i * l_i * square;
            self.weight(worker) * (bound - now.errors[worker])
        });
        let norm_squared = dot(&before.gradient, &before.gradient);
        Slacks {
            // `min` would pass over what is no number.
            contraction_slack: contraction
                .fold(f64::INFINITY, |least, slack| if slack >= least { least } else { slack }),
            descent_slack: before.loss + along + smoothness.l / 2.0 * square - now.loss,
            lyapunov_slack: before.psi - gamma / 2.0 * norm_squared - now.psi,
        }
    }

    fn state(&self, aggregator: &Aggregator) -> State {
        let x = aggregator.model();
        let mut gradient = vec![0.0; x.len()];
        let errors: Vec<f64> = (0..self.terms.parts.len())
            .map(|worker| self.error(worker, &x, aggregator, &mut gradient))
            .collect();
        let loss = self.objective.loss_and_gradient(&x, &mut gradient);
        let weighted = errors.iter().enumerate().map(|(worker, error)| self.weight(worker) * error);
        let psi = loss + weighted.sum::<f64>();
        State { x, loss, gradient, psi, errors }
    }

    /// ‖e_i‖²
    fn error(&self, worker: usize, x: &[f64], aggregator: &Aggregator, work: &mut [f64]) -> f64 {
        let Part { share, scale, weight, .. } = self.terms.parts[worker];
        let exponent = aggregator.exponents().gradient;
        self.objective.worker_loss_and_gradient(share, x, work);
        let mirror = aggregator.mirror(worker).mantissas();
        let g_i = mirror.iter().map(|&m| value(f64::from(m), exponent));
        g_i.zip(&*work).map(|(g_i, g)| (weight * (g_i - scale * g)).powi(2)).sum()
    }

    /// L_i of what a worker estimates.
    fn constant(&self, worker: usize) -> f64 {
        let Part { share, scale, weight, .. } = self.terms.parts[worker];
        weight * scale * self.terms.smoothness.l_i[share]
    }

    /// Of ‖e_i‖² in Ψ: κγ/(2θ) · L_AM/(n L_i).
    fn weight(&self, worker: usize) -> f64 {
        let Terms { gamma, alpha, factor, ref smoothness, ref parts } = self.terms;
        // A worker without any feature has no error, whatever it weighs.
        let inverse = match self.constant(worker) {
            0.0 => 1.0,
            l_i => smoothness.l_am / l_i,
        };
        factor * gamma / (2.0 * theta(alpha)) * inverse / parts.len() as f64
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;
    use crate::record::{RecordError, RoundRecord};
    use crate::theory::top_k_alpha;
    use crate::training::{Goal, Observer, train};

    /// Watches every round of a run.
    struct Watch {
        lyapunov: Lyapunov,
        rounds: Vec<Watched>,
    }

    impl Observer for Watch {
        fn round(&mut self, _: &RoundRecord, _: bool, at: &Aggregator) -> Result<(), RecordError> {
            self.rounds.push(self.lyapunov.look(at));
            Ok(())
        }
    }

    /// The rounds of digits or other data with γ times that of theory, watched for the contraction α or that of the run.
    fn watched(options: &str, stretch: f64, alpha: Option<f64>) -> Vec<Watched> {
        let mut experiment = Experiment::of(&format!("--check-theory {options}"));
        experiment.setup.gamma *= stretch;
        let mut lyapunov = experiment.lyapunov().unwrap();
        lyapunov.terms.alpha = alpha.unwrap_or(lyapunov.terms.alpha);
        let goal = Goal { rounds: experiment.options().rounds, target: None };
        let mut watch = Watch { lyapunov, rounds: vec![] };
        train(&mut experiment.simulation(), goal, 115_200, &mut watch).unwrap();
        watch.rounds
    }

    fn first_violation(rounds: &[Watched]) -> Option<Inequality> {
        rounds.iter().find_map(Watched::violated)
    }

    const DIGITS: &str = "--rows 200 --workers 4 --k 2 --rounds 40";
    const TIGHT: &str = "--dataset tight-quadratics --objective least-squares --lambda 0 --workers 2 --k 1 --step am --value-bits 32 --rounds 100";

    #[test]
    fn a_step_of_theory_keeps_every_inequality() {
        for options in [
            "--lambda 0.1 --step am",
            "--lambda 0.1 --step am --value-bits 2",
            "--lambda 0.1 --step am --method ef21-w",
            "--lambda 0.1 --step am --method ef21-clone",
            "--lambda 0.1 --step am --method ef21+",
            "--lambda 0.1 --step am --method gd",
            "--lambda 0.1 --step am --compressor natural",
            "--lambda 0.1 --step am --compressor sign",
            "--lambda 0.1 --step qm",
            "--lambda 0.1 --step exact",
            "--lambda 0 --step rare",
        ] {
            let rounds = watched(&format!("{DIGITS} {options}"), 1.0, None);
            assert_eq!(first_violation(&rounds), None, "{options}");
            assert!(rounds.len() == 41 && rounds[0].slacks.is_none(), "{options}");
        }
    }

    /// Two workers, two rows each, found among random ones: the theorem has little to spare here.
    #[test]
    fn a_tight_instance_fails_below_twice_the_step() {
        let first = |stretch: f64| first_violation(&watched(TIGHT, stretch, None));
        assert_eq!([0.5, 1.0].map(first), [None; 2]);
        // The lemmas hold for any step: only what follows from both fails.
        assert_eq!([1.75, 2.0, 4.0].map(first), [Some(Inequality::Lyapunov); 3]);
        let psi = |stretch: f64| {
            let rounds = watched(TIGHT, stretch, None);
            rounds.last().unwrap().psi / rounds[0].psi
        };
        assert!(psi(1.0) < 1.0, "{}", psi(1.0));
        let rise = psi(4.0);
        assert!(rise.is_nan() || rise >= 1e3, "{rise}");
    }

    /// All coordinates travel, so that K/d says that nothing is lost.
    #[test]
    fn two_bits_need_the_contraction_that_counts_their_rounding() {
        let options = TIGHT.replace("--k 1", "--k 2").replace("--value-bits 32", "--value-bits 2");
        assert_eq!(first_violation(&watched(&options, 1.0, None)), None);
        let gamma = |options: &str| Experiment::of(options).setup.gamma;
        let stretch =
            gamma(&options.replace("--value-bits 2", "--value-bits 32")) / gamma(&options);
        assert!(stretch > 2.5, "{stretch}");
        let old = watched(&options, stretch, Some(top_k_alpha(2, 2)));
        assert!(first_violation(&old).is_some(), "γ was {stretch} times too long");
    }

    #[test]
    fn a_constant_that_is_too_small_is_found_by_its_lemma() {
        let find = |spoil: fn(&mut Terms)| {
            let mut experiment = Experiment::of(&format!("--check-theory {TIGHT}"));
            let mut lyapunov = experiment.lyapunov().unwrap();
            spoil(&mut lyapunov.terms);
            experiment.setup.gamma = lyapunov.terms.gamma;
            let mut watch = Watch { lyapunov, rounds: vec![] };
            let goal = Goal { rounds: 40, target: None };
            train(&mut experiment.simulation(), goal, 115_200, &mut watch).unwrap();
            first_violation(&watch.rounds)
        };
        assert_eq!(find(|_| {}), None);
        assert_eq!(find(|terms| terms.alpha = 0.99), Some(Inequality::Contraction));
        assert_eq!(find(|terms| terms.smoothness.l /= 20.0), Some(Inequality::Descent));
    }
}
