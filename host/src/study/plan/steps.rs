//! The step sizes that theory allows EF21 on a problem, with the bound of each theorem.
//!
//! ```text
//! (1/T) Σ_{t<T} ‖∇f(x^t)‖² ≤ ( 2 δ⁰/γ + Σ_i κ ‖g_i⁰ − ∇f_i(x⁰)‖² / (n² w_i θ_i) ) / T        δ⁰ = f(x⁰) − f^inf
//! ```
//!
//! w_i are the weights of the theorem, θ_i = θ(p_i α_i), and κ is c_w for rare features and 1 elsewhere. Losses and
//! regularisers are never negative, so f(x⁰) stands for δ⁰. If f is μ-strongly convex, ‖∇f(x⁰)‖²/(2μ) does if it is
//! smaller, and there are [linear rates](linear): with Ψ of the PL theorem and V of the tight theory
//!
//! ```text
//! ‖∇f(x^T)‖² ≤ 2L (1 − r)^T Ψ⁰          ‖∇f(x^T)‖² ≤ (1 − r)^T V⁰/s
//! ```

use crate::options::{Method, Step};
use crate::problem::objective::Objective;
use crate::problem::specification::{rare_alpha, strong_convexity};
use crate::problem::theory::{Smoothness, linear, rounding_loss, theta, xi};
use crate::run::experiment::Experiment;
use serde::Serialize;
use smidgen_aggregator::Setup;
use smidgen_protocol::message::Init;
use std::iter;

/// A step size that a theorem allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Admissible {
    /// Name of the theorem: the value of `--step`, `clone` or `pl`.
    pub name: &'static str,
    /// Formula of the step size.
    pub formula: &'static str,
    /// γ
    pub gamma: f64,
    /// γ over that of `qm`.
    pub gamma_over_qm: f64,
    /// Rounds after which a theorem bounds the mean of ‖∇f‖² by the target, in expectation if the run is randomised.
    /// `None` with minibatches, whose noise does not vanish, if silent workers are skipped, and if no theorem has a
    /// bound.
    pub rounds_to_target: Option<f64>,
    /// If these rounds follow from a linear rate, so that ‖∇f‖² itself is at most the target: the part that the
    /// Lyapunov function loses in each round.
    pub linear_rate: Option<f64>,
}

impl Admissible {
    /// Name of the step size of the PL theorem as it is printed.
    pub(super) const PL: &str = "pl";
}

/// Returns the step sizes for a target of ‖∇f‖², `qm` and `am` first; empty without constants.
pub(super) fn admissible(experiment: &Experiment, target: f64) -> Vec<Admissible> {
    let (Some(smoothness), Some(objective)) = (&experiment.smoothness, experiment.objective())
    else {
        return vec![];
    };
    let mu = strong_convexity(experiment.options());
    let start = Start::new(experiment, &objective, smoothness, mu);
    let bounds = bounds(experiment, smoothness, mu.unwrap_or(0.0));
    let qm = bounds.first().map_or(f64::NAN, |bound| bound.gamma);
    let is_bounded =
        experiment.setup.method.batch.is_full() && experiment.setup.round_timeout.is_none();
    let steps = bounds.into_iter().map(|bound| {
        let (rounds, linear_rate) = start.rounds(&bound, target).filter(|_| is_bounded).unzip();
        Admissible {
            name: bound.name,
            formula: bound.formula,
            gamma: bound.gamma,
            gamma_over_qm: bound.gamma / qm,
            rounds_to_target: rounds,
            linear_rate: linear_rate.flatten(),
        }
    });
    steps.collect()
}

/// The bound of a theorem on EF21.
struct Bound {
    name: &'static str,
    formula: &'static str,
    gamma: f64,
    /// κ and weights of Ψ, if its bounds hold for the step size.
    psi: Option<(f64, Weights)>,
    /// Weights of V, if it is the step size of the tight theory.
    tight: Option<Weights>,
}

/// w_i and p_i α_i of each worker.
type Weights = Vec<(f64, f64)>;

/// Returns the bounds of all theorems with a step size for the problem.
fn bounds(experiment: &Experiment, smoothness: &Smoothness, mu: f64) -> Vec<Bound> {
    let Smoothness { ref l_i, l, .. } = *smoothness;
    let Setup { ref method, dimension, .. } = experiment.setup;
    let alphas: Vec<f64> = experiment.one_per_share().map(|worker| worker.alpha).collect();
    let least = alphas.iter().copied().fold(1.0, f64::min);
    let alike = |weights: Vec<f64>, alpha: f64| -> Weights {
        normalised(weights).into_iter().map(|weight| (weight, alpha)).collect()
    };
    let price = |(l_i, alpha): (&f64, &f64)| l_i * if least < 1.0 { xi(*alpha) } else { 1.0 };
    let mixed = normalised(l_i.iter().zip(&alphas).map(price).collect());
    let mixed: Vec<_> = mixed.into_iter().zip(alphas.iter().copied()).collect();
    let alike_all = alphas.iter().all(|&alpha| alpha == least);
    let one_alpha = alike_all || !method.batch.is_full();
    let am = if one_alpha { "1/(L + L_AM ξ)" } else { "1/(L + mean of L_i ξ_i)" };
    let clones = (0..l_i.len()).map(|worker| smoothness.clones(worker)).collect();
    let of = |name, formula, method, step, psi| {
        let gamma = experiment.gamma_of(method, step)?;
        Some(Bound { name, formula, gamma, psi: Some(psi), tight: None })
    };
    let ef21 = |name, formula, step, psi| of(name, formula, Method::Ef21, step, psi);
    let am = ef21("am", am, Step::Am, (1.0, mixed.clone()));
    let exact = ef21("exact", "the root that am bounds", Step::Exact, (1.0, mixed.clone()));
    let clone = (1.0, alike(clones, least));
    let rare = experiment.rare_features().and_then(|features| {
        let alpha = rare_alpha(&experiment.workers, method, features, dimension as usize);
        let psi = (features.c_w, alike(l_i.clone(), alpha));
        ef21("rare", "1/(L + √c_w L_AM ξ(K/r))", Step::Rare, psi)
    });
    let formula = "2/(L_AM + μ) · (1−s)/(1+s)";
    let tight = ef21("tight", formula, Step::Tight, (1.0, mixed.clone())).map(|tight| Bound {
        psi: tight.psi.filter(|_| exact.as_ref().is_some_and(|exact| tight.gamma <= exact.gamma)),
        tight: Some(alike(l_i.iter().map(|l_i| l_i + mu).collect(), least)),
        ..tight
    });
    let pl = am.as_ref().filter(|_| mu > 0.0 && method.batch.is_full()).map(|am| {
        let error = 1.0 / am.gamma - l;
        let gamma = (1.0 / (l + 2f64.sqrt() * error)).min(theta(least) / (2.0 * mu));
        let formula = "1/(L + √2 L_AM ξ), at most θ/(2μ)";
        Bound { name: Admissible::PL, formula, gamma, psi: Some((1.0, mixed)), tight: None }
    });
    let all = [
        ef21("qm", "1/(L + L_QM ξ)", Step::Qm, (1.0, alike(vec![1.0; l_i.len()], least))),
        am,
        exact,
        of("clone", "1/(L + M ξ), ⌈L_i/L_AM⌉ clones", Method::Ef21Clone, Step::Am, clone),
        rare,
        tight,
        pl,
    ];
    all.into_iter().flatten().collect()
}

/// Scales numbers so that their sum is 1.
fn normalised(numbers: Vec<f64>) -> Vec<f64> {
    let sum: f64 = numbers.iter().sum();
    numbers.into_iter().map(|number| number / sum).collect()
}

/// State at the start of a run, and the constants of its function.
struct Start<'a> {
    smoothness: &'a Smoothness,
    /// μ, if f is strongly convex, else 0.
    mu: f64,
    /// δ⁰, or an upper bound.
    gap: f64,
    /// ‖∇f(x⁰)‖².
    norm_squared: f64,
    /// ‖g_i⁰ − ∇f_i(x⁰)‖² of each worker.
    errors: Vec<f64>,
}

impl<'a> Start<'a> {
    /// Computes it for x⁰ = 0.
    fn new(
        experiment: &Experiment,
        objective: &Objective,
        smoothness: &'a Smoothness,
        mu: Option<f64>,
    ) -> Self {
        let x = vec![0.0; experiment.setup.dimension as usize];
        let mut gradient = x.clone();
        let loss = objective.loss_and_gradient(&x, &mut gradient);
        let norm_squared = gradient.iter().map(|g| g * g).sum();
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
        let mu = mu.unwrap_or(0.0);
        // By the PL inequality.
        let gap = if mu > 0.0 { loss.min(norm_squared / (2.0 * mu)) } else { loss };
        Self { smoothness, mu, gap, norm_squared, errors }
    }

    /// Returns T of a bound for a target, and the rate from which it follows if it is a linear one.
    fn rounds(&self, bound: &Bound, target: f64) -> Option<(f64, Option<f64>)> {
        let gamma = bound.gamma;
        let of_psi = bound.psi.iter().flat_map(|(factor, weights)| {
            let sublinear = self.sublinear(gamma, *factor, weights, target);
            iter::once((sublinear, None)).chain(self.by_pl(gamma, *factor, weights, target))
        });
        let of_v = bound.tight.iter().filter_map(|weights| self.by_tight_theory(weights, target));
        let finite = of_psi.chain(of_v).filter(|(rounds, _)| rounds.is_finite());
        finite.min_by(|(a, _), (b, _)| a.total_cmp(b))
    }

    /// Returns Σ ‖g_i⁰ − ∇f_i(x⁰)‖²/(n² w_i), each term divided by a function of p_i α_i.
    fn error(&self, weights: &[(f64, f64)], divisor: impl Fn(f64) -> f64) -> f64 {
        let n = self.errors.len() as f64;
        let weighted = self.errors.iter().zip(weights).filter(|(error, _)| **error > 0.0);
        weighted.map(|(error, &(w, alpha))| error / (n * n * w * divisor(alpha))).sum()
    }

    fn sublinear(&self, gamma: f64, factor: f64, weights: &[(f64, f64)], target: f64) -> f64 {
        let error = factor * self.error(weights, theta);
        ((2.0 * self.gap / gamma + error) / target).ceil()
    }

    /// Returns T and r by the PL theorem, if it has a rate for the step size.
    fn by_pl(
        &self,
        gamma: f64,
        factor: f64,
        weights: &[(f64, f64)],
        target: f64,
    ) -> Option<(f64, Option<f64>)> {
        let Smoothness { ref l_i, l, .. } = *self.smoothness;
        let n = l_i.len() as f64;
        let moving = l_i.iter().zip(weights).filter(|(l_i, _)| **l_i > 0.0);
        let part = |(l_i, &(w, alpha)): (&f64, &(f64, f64))| linear::Part {
            square: factor * l_i * l_i / (n * n * w),
            alpha,
        };
        let parts: Vec<_> = moving.map(part).collect();
        let r = linear::polyak_lojasiewicz(gamma, self.mu, l, &parts);
        let error = self.error(weights, |alpha| 2.0 * (theta(alpha) - r));
        let psi = self.gap + factor * gamma * error;
        (r > 0.0).then(|| (linear::rounds(r, target / (2.0 * l * psi)), Some(r)))
    }

    /// Returns T and r by the tight theory, if f is strongly convex.
    fn by_tight_theory(&self, weights: &[(f64, f64)], target: f64) -> Option<(f64, Option<f64>)> {
        let alpha = weights.first().map(|(_, alpha)| *alpha)?;
        let l_max = self.smoothness.l_i.iter().copied().fold(0.0, f64::max);
        let r = linear::tight(alpha, l_max, self.mu);
        let v_over_s = self.norm_squared + self.error(weights, |alpha| (1.0 - alpha).sqrt());
        (self.mu > 0.0).then(|| (linear::rounds(r, target / v_over_s), Some(r)))
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

    /// If f is strongly convex, the last ‖∇f‖² meets the bound.
    #[test]
    fn runs_meet_the_linear_bounds() {
        for (name, options) in [
            ("am", "--k 8 --step am"),
            ("qm", "--k 8 --step qm --init zero"),
            ("am", "--k 8,64,16,8 --step am"),
            ("clone", "--k 8 --step am --method ef21-clone"),
            ("tight", "--k 8 --step tight"),
            ("tight", "--k 8 --step tight --init zero --objective svm"),
        ] {
            let options = format!("--lambda 1 --regulariser l2 --value-bits 32 {options}");
            let experiment = experiment(&options);
            let goal = Goal { rounds: 300, target: None };
            let course = collect(&mut experiment.simulation(), goal, 115_200, |_| {}).unwrap();
            let last = course.rounds.last().and_then(|last| last.gradient_norm_squared).unwrap();
            let step = step(&experiment, name, last);
            assert!(step.linear_rate.is_some(), "{options}");
            assert!(step.rounds_to_target.unwrap() >= 300.0, "{options}: {step:?}");
        }
    }

    #[test]
    fn strong_convexity_bounds_rounds_by_a_tenth() {
        let of = |options: &str| experiment(&format!("--k 8 --lambda 0.1 --step am {options}"));
        let rounds = |experiment: &Experiment, name: &str| {
            let found = step(experiment, name, 1e-3);
            (found.rounds_to_target.unwrap(), found.linear_rate)
        };
        let (nonconvex, l2) = (of(""), of("--regulariser l2"));
        let (sublinear, none) = rounds(&nonconvex, "am");
        for name in ["am", "tight", "pl"] {
            let (linear, rate) = rounds(&l2, name);
            assert!(linear < 0.2 * sublinear && rate.is_some(), "{name}: {linear} {sublinear}");
        }
        assert_eq!(none, None);
        let names = admissible(&nonconvex, 1e-3);
        assert!(names.iter().all(|step| step.name != "tight" && step.name != Admissible::PL));
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
