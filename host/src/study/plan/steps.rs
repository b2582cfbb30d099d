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

use super::bounds::{Bound, Psi, Theorems, V, Weighted};
use crate::problem::objective::Objective;
use crate::problem::specification::strong_convexity;
use crate::problem::theory::{Smoothness, linear, rounding_loss, theta};
use crate::run::experiment::Experiment;
use serde::Serialize;
use smidgen_protocol::message::Init;

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

/// Returns the step sizes for a target of ‖∇f‖², `qm` and `am` first; empty without constants.
pub(super) fn admissible(experiment: &Experiment, target: f64) -> Vec<Admissible> {
    let (Some(smoothness), Some(objective)) = (&experiment.smoothness, experiment.objective())
    else {
        return vec![];
    };
    let mu = strong_convexity(experiment.options()).unwrap_or(0.0);
    let start = Start::new(experiment, &objective, smoothness, mu);
    let bounds = Theorems::new(experiment, smoothness, mu).bounds();
    let qm = bounds.first().map_or(f64::NAN, |bound| bound.gamma);
    let is_bounded =
        experiment.setup.method.batch.is_full() && experiment.setup.round_timeout.is_none();
    let steps = bounds.into_iter().map(|bound| {
        let rounds = start.rounds(&bound, target).filter(|_| is_bounded);
        Admissible {
            name: bound.name,
            formula: bound.formula,
            gamma: bound.gamma,
            gamma_over_qm: bound.gamma / qm,
            rounds_to_target: rounds.map(|rounds| rounds.count),
            linear_rate: rounds.and_then(|rounds| rounds.linear_rate),
        }
    });
    steps.collect()
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
        mu: f64,
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
        // By the PL inequality.
        let gap = if mu > 0.0 { loss.min(norm_squared / (2.0 * mu)) } else { loss };
        Self { smoothness, mu, gap, norm_squared, errors }
    }

    /// Returns the fewest rounds to a target by a bound.
    fn rounds(&self, bound: &Bound, target: f64) -> Option<Rounds> {
        let gamma = bound.gamma;
        let of_psi = bound.psi.iter().flat_map(|psi| {
            [Some(self.sublinear(gamma, psi, target)), self.by_pl(gamma, psi, target)]
        });
        let of_v = bound.v.iter().map(|v| self.by_tight_theory(v, target));
        let finite = of_psi.flatten().chain(of_v).filter(|rounds| rounds.count.is_finite());
        finite.min_by(|a, b| a.count.total_cmp(&b.count))
    }

    /// Returns Σ ‖g_i⁰ − ∇f_i(x⁰)‖²/(n² w_i), each term divided by a function of p_i α_i.
    fn error(&self, errors: &[Weighted], divisor: impl Fn(f64) -> f64) -> f64 {
        let n = self.errors.len() as f64;
        let weighted = self.errors.iter().zip(errors).filter(|(error, _)| **error > 0.0);
        let term = |(error, of): (&f64, &Weighted)| error / (n * n * of.weight * divisor(of.alpha));
        weighted.map(term).sum()
    }

    fn sublinear(&self, gamma: f64, Psi { factor, errors }: &Psi, target: f64) -> Rounds {
        let error = factor * self.error(errors, theta);
        let count = ((2.0 * self.gap / gamma + error) / target).ceil();
        Rounds { count, linear_rate: None }
    }

    /// Returns the rounds by the PL theorem, if it has a rate for the step size.
    fn by_pl(&self, gamma: f64, Psi { factor, errors }: &Psi, target: f64) -> Option<Rounds> {
        let Smoothness { ref l_i, l, .. } = *self.smoothness;
        let n = l_i.len() as f64;
        let moving = l_i.iter().zip(errors).filter(|(l_i, _)| **l_i > 0.0);
        let part = |(l_i, &Weighted { weight, alpha }): (&f64, &Weighted)| linear::Part {
            square: factor * l_i * l_i / (n * n * weight),
            alpha,
        };
        let parts: Vec<_> = moving.map(part).collect();
        let rate = linear::polyak_lojasiewicz(gamma, self.mu, l, &parts);
        let error = self.error(errors, |alpha| 2.0 * (theta(alpha) - rate));
        let psi = self.gap + factor * gamma * error;
        (rate > 0.0).then(|| Rounds::linear(rate, target / (2.0 * l * psi)))
    }

    /// Returns the rounds by the tight theory.
    fn by_tight_theory(&self, V { alpha, errors }: &V, target: f64) -> Rounds {
        let l_max = self.smoothness.l_i.iter().copied().fold(0.0, f64::max);
        let rate = linear::tight(*alpha, l_max, self.mu);
        let v_over_s = self.norm_squared + self.error(errors, |alpha| (1.0 - alpha).sqrt());
        Rounds::linear(rate, target / v_over_s)
    }
}

/// Rounds to a target.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    /// T
    count: f64,
    /// r, if they follow from a linear rate.
    linear_rate: Option<f64>,
}

impl Rounds {
    /// Returns the rounds in which a function that loses the part `rate` in each round falls to `ratio` of its start.
    fn linear(rate: f64, ratio: f64) -> Self {
        Self { count: linear::rounds(rate, ratio), linear_rate: Some(rate) }
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
    use super::super::bounds::PL;
    use super::*;
    use crate::problem::theory::xi;
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
        for name in ["am", "tight", PL] {
            let (linear, rate) = rounds(&l2, name);
            assert!(linear < 0.2 * sublinear && rate.is_some(), "{name}: {linear} {sublinear}");
        }
        assert_eq!(none, None);
        let names = admissible(&nonconvex, 1e-3);
        assert!(names.iter().all(|step| step.name != "tight" && step.name != PL));
    }

    /// The L_i of one worker is L, so that its tight step is longer than `exact`.
    #[test]
    fn tight_step_beyond_exact_needs_strong_convexity() {
        let has_tight = |options: &str| {
            let options = format!("--rows 40 --k 4 --scale-columns off --regulariser l2 {options}");
            let steps = admissible(&Experiment::of(&options), 1e-3);
            steps.iter().any(|step| step.name == "tight")
        };
        assert!(!has_tight("--workers 1 --lambda 0"));
        assert!(has_tight("--workers 1 --lambda 0.1") && has_tight("--workers 4 --lambda 0"));
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
