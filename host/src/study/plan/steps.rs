//! The step sizes that theory allows EF21 on a problem, with the bound of each theorem.
//!
//! ```text
//! (1/T) Σ_{t<T} ‖∇f(x^t)‖² ≤ ( 2 δ⁰/γ + Σ_i κ ‖g_i⁰ − ∇f_i(x⁰)‖² / (n² w_i θ_i) ) / T        δ⁰ = f(x⁰) − f^inf
//! ```
//!
//! w_i are the weights of the theorem, θ_i = θ(p_i α_i), and κ is c_w for rare features and 1 elsewhere. Losses and
//! regularisers are never negative, so f(x⁰) stands for δ⁰.

use crate::options::{Method, Step};
use crate::problem::objective::Objective;
use crate::problem::specification::rare_alpha;
use crate::problem::theory::{Smoothness, rounding_loss, theta, xi};
use crate::run::experiment::Experiment;
use serde::Serialize;
use smidgen_aggregator::Setup;
use smidgen_protocol::message::Init;

/// A step size that a theorem allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Admissible {
    /// Name of the theorem: the value of `--step`, or `clone`.
    pub name: &'static str,
    /// Formula of the step size.
    pub formula: &'static str,
    /// γ
    pub gamma: f64,
    /// γ over that of `qm`.
    pub gamma_over_qm: f64,
    /// Rounds after which the theorem bounds the mean of ‖∇f‖² by the target, in expectation if the run is randomised.
    /// `None` with minibatches, whose noise does not vanish, and if silent workers are skipped.
    pub rounds_to_target: Option<f64>,
}

/// Returns the step sizes for a target of ‖∇f‖², `qm` and `am` first; empty without constants.
pub(super) fn admissible(experiment: &Experiment, target: f64) -> Vec<Admissible> {
    let (Some(smoothness), Some(objective)) = (&experiment.smoothness, experiment.objective())
    else {
        return vec![];
    };
    let start = Start::new(experiment, &objective);
    let theorems = theorems(experiment, smoothness);
    let gammas = theorems
        .iter()
        .filter_map(|theorem| Some((theorem, experiment.gamma_of(theorem.method, theorem.step)?)));
    let gammas: Vec<(&Bound, f64)> = gammas.collect();
    let qm = gammas.first().map_or(f64::NAN, |(_, gamma)| *gamma);
    let steps = gammas.into_iter().map(|(theorem, gamma)| Admissible {
        name: theorem.name,
        formula: theorem.formula,
        gamma,
        gamma_over_qm: gamma / qm,
        rounds_to_target: start.rounds(theorem, gamma, target).filter(|_| {
            experiment.setup.method.batch.is_full() && experiment.setup.round_timeout.is_none()
        }),
    });
    steps.collect()
}

/// The bound of a theorem on EF21.
struct Bound {
    name: &'static str,
    formula: &'static str,
    method: Method,
    step: Step,
    /// κ
    factor: f64,
    /// w_i and θ_i of each worker.
    weights: Vec<(f64, f64)>,
}

fn theorems(experiment: &Experiment, smoothness: &Smoothness) -> Vec<Bound> {
    let Smoothness { ref l_i, .. } = *smoothness;
    let alphas: Vec<f64> = experiment.one_per_share().map(|worker| worker.alpha).collect();
    let least = alphas.iter().copied().fold(1.0, f64::min);
    let alike = |weights: Vec<f64>, alpha: f64| {
        normalised(weights).into_iter().map(|weight| (weight, theta(alpha))).collect()
    };
    let price = |(l_i, alpha): (&f64, &f64)| l_i * if least < 1.0 { xi(*alpha) } else { 1.0 };
    let mixed = normalised(l_i.iter().zip(&alphas).map(price).collect());
    let mixed: Vec<_> = mixed.into_iter().zip(alphas.iter().map(|alpha| theta(*alpha))).collect();
    let alike_all = alphas.iter().all(|&alpha| alpha == least);
    let one_alpha = alike_all || !experiment.setup.method.batch.is_full();
    let am = if one_alpha { "1/(L + L_AM ξ)" } else { "1/(L + mean of L_i ξ_i)" };
    let clones = (0..l_i.len()).map(|worker| smoothness.clones(worker)).collect();
    let of = |name, formula, step, weights| Bound {
        name,
        formula,
        method: Method::Ef21,
        step,
        factor: 1.0,
        weights,
    };
    let mut theorems = vec![
        of("qm", "1/(L + L_QM ξ)", Step::Qm, alike(vec![1.0; l_i.len()], least)),
        of("am", am, Step::Am, mixed.clone()),
        of("exact", "the root that am bounds", Step::Exact, mixed),
        Bound {
            method: Method::Ef21Clone,
            ..of("clone", "1/(L + M ξ), ⌈L_i/L_AM⌉ clones", Step::Am, alike(clones, least))
        },
    ];
    if let Some(features) = experiment.rare_features() {
        let Setup { ref method, dimension, .. } = experiment.setup;
        let alpha = rare_alpha(&experiment.workers, method, features, dimension as usize);
        let weights = alike(l_i.clone(), alpha);
        let rare = of("rare", "1/(L + √c_w L_AM ξ(K/r))", Step::Rare, weights);
        theorems.push(Bound { factor: features.c_w, ..rare });
    }
    theorems
}

/// Scales numbers so that their sum is 1.
fn normalised(numbers: Vec<f64>) -> Vec<f64> {
    let sum: f64 = numbers.iter().sum();
    numbers.into_iter().map(|number| number / sum).collect()
}

/// State at the start of a run.
struct Start {
    /// f(x⁰)
    loss: f64,
    /// ‖g_i⁰ − ∇f_i(x⁰)‖² of each worker.
    errors: Vec<f64>,
}

impl Start {
    /// Computes it for x⁰ = 0.
    fn new(experiment: &Experiment, objective: &Objective) -> Self {
        let x = vec![0.0; experiment.setup.dimension as usize];
        let mut gradient = x.clone();
        let loss = objective.loss_and_gradient(&x, &mut gradient);
        let errors = experiment.one_per_share().map(|worker| {
            objective.worker_loss_and_gradient(worker.share, &x, &mut gradient);
            // All workers participate in round 0.
            error(
                experiment,
                &mut gradient,
                worker.spec.k as usize,
                worker.alpha / worker.participation,
            )
        });
        let errors = errors.collect();
        Self { loss, errors }
    }

    /// Returns T of a theorem for a target.
    fn rounds(&self, theorem: &Bound, gamma: f64, target: f64) -> Option<f64> {
        let n = self.errors.len() as f64;
        let weighted = self.errors.iter().zip(&theorem.weights);
        let weighted = weighted.filter(|(error, _)| **error > 0.0);
        let error: f64 = weighted.map(|(error, (w, theta))| error / (n * n * w * theta)).sum();
        let rounds = ((2.0 * self.loss / gamma + theorem.factor * error) / target).ceil();
        rounds.is_finite().then_some(rounds)
    }
}

/// Returns ‖g_i⁰ − ∇f_i(x⁰)‖², or an upper bound.
fn error(experiment: &Experiment, gradient: &mut [f64], k: usize, alpha: f64) -> f64 {
    let squares = |gradient: &[f64]| gradient.iter().map(|g| g * g).sum::<f64>();
    match experiment.setup.method.init {
        Init::Full => 0.0,
        Init::Zero => squares(gradient),
        Init::Compressed if experiment.setup.method.compressor.is_top_k() => {
            gradient.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
            let loss = rounding_loss(k as u32, experiment.setup.method.value_bits);
            squares(&gradient[k..]) + loss * squares(&gradient[..k])
        }
        Init::Compressed => (1.0 - alpha) * squares(gradient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::training::{Goal, collect};

    fn experiment(options: &str) -> Experiment {
        Experiment::of(&format!("--rows 200 --workers 4 {options}"))
    }

    fn step(experiment: &Experiment, name: &str, target: f64) -> Admissible {
        let steps = admissible(experiment, target);
        steps.into_iter().find(|step| step.name == name).unwrap()
    }

    #[test]
    fn rounds_are_those_of_the_theorems() {
        let experiment = experiment("--k 4 --value-bits 3 --step am --init zero");
        let objective = experiment.objective().unwrap();
        let mut gradient = vec![0.0; 64];
        let loss = objective.loss_and_gradient(&[0.0; 64], &mut gradient);
        let Smoothness { l, l_am, l_qm, ref l_i, .. } = *experiment.smoothness.as_ref().unwrap();
        let norms = (0..4).map(|worker| {
            objective.worker_loss_and_gradient(worker, &[0.0; 64], &mut gradient);
            gradient.iter().map(|g| g * g).sum::<f64>()
        });
        let norms: Vec<f64> = norms.collect();
        let (target, alpha) = (1e-3, 4.0 / 64.0 * (1.0 - 4.0 / 19.0));
        let plain: f64 = norms.iter().sum::<f64>() / 4.0;
        let weighted: f64 = norms.iter().zip(l_i).map(|(norm, l_i)| l_am / l_i * norm / 4.0).sum();
        for (name, mean, error) in [("qm", l_qm, plain), ("am", l_am, weighted)] {
            let gamma = 1.0 / (l + mean * xi(alpha));
            let expected = (2.0 * loss / gamma + error / theta(alpha)) / target;
            let step = step(&experiment, name, target);
            assert!((step.gamma / gamma - 1.0).abs() < 1e-12, "{name}");
            assert!((step.rounds_to_target.unwrap() - expected).abs() < 2.0, "{name}");
        }
    }

    #[test]
    fn runs_meet_the_bounds_of_the_theorems() {
        for (name, options) in [
            ("am", "--k 8 --lambda 0.1 --step am --init full"),
            ("am", "--k 8 --lambda 0.1 --step am --init zero"),
            ("rare", "--k 8 --lambda 0 --step rare"),
            ("exact", "--k 8,64,16,8 --lambda 0.1 --step exact"),
            ("clone", "--k 8 --lambda 0.1 --step am --method ef21-clone"),
            ("am", "--k 8 --lambda 0.1 --step am --value-bits 2"),
        ] {
            let options = if options.contains("bits") {
                options.into()
            } else {
                format!("{options} --value-bits 32")
            };
            let experiment = experiment(&options);
            let rounds = 200;
            let goal = Goal { rounds, target: None };
            let course = collect(&mut experiment.simulation(), goal, 115_200, |_| {}).unwrap();
            let norms = course.rounds.iter().filter_map(|round| round.gradient_norm_squared);
            let mean = norms.take(rounds as usize).sum::<f64>() / f64::from(rounds);
            let step = step(&experiment, name, mean);
            assert!((step.gamma / experiment.setup.method.gamma - 1.0).abs() < 1e-12, "{options}");
            assert!(step.rounds_to_target.unwrap() >= f64::from(rounds), "{options}");
        }
    }

    #[test]
    fn regulariser_excludes_rare_features() {
        let has_rare = |options: &str| {
            admissible(&experiment(options), 1e-3).iter().any(|step| step.name == "rare")
        };
        assert!(has_rare("--lambda 0"));
        assert!(!has_rare("--lambda 1e-9"));
        assert!(!has_rare("--lambda 1e-9 --regulariser l2"));
    }
}
