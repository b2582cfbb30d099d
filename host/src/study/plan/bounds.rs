//! The step sizes of the theorems on EF21, with the weights of their Lyapunov functions.

use crate::options::{Method, Step};
use crate::problem::specification::{exceeds, rare_alpha};
use crate::problem::theory::{Smoothness, theta, xi};
use crate::run::experiment::Experiment;

/// Name of the step size of the PL theorem as it is printed.
pub(super) const PL: &str = "pl";

/// The bound of a theorem.
pub(super) struct Bound {
    /// Name of the theorem: the value of `--step`, `clone` or `pl`.
    pub(super) name: &'static str,
    pub(super) formula: &'static str,
    pub(super) gamma: f64,
    /// Ψ, if its theorem holds for the step size.
    pub(super) psi: Option<Psi>,
    /// V, if it decreases with the step size.
    pub(super) v: Option<V>,
}

impl Bound {
    fn of_psi(name: &'static str, formula: &'static str, gamma: f64, psi: Psi) -> Self {
        Self { name, formula, gamma, psi: Some(psi), v: None }
    }
}

/// The errors of the estimators in Ψ.
pub(super) struct Psi {
    /// κ
    pub(super) factor: f64,
    pub(super) errors: Vec<Weighted>,
}

impl Psi {
    const fn plain(errors: Vec<Weighted>) -> Self {
        Self { factor: 1.0, errors }
    }
}

/// The errors of the estimators in V.
pub(super) struct V {
    /// α of all of them.
    pub(super) alpha: f64,
    pub(super) errors: Vec<Weighted>,
}

/// The error of a worker's estimator.
#[derive(Clone, Copy)]
pub(super) struct Weighted {
    /// w_i
    pub(super) weight: f64,
    /// p_i α_i
    pub(super) alpha: f64,
}

/// A problem, for which each theorem has a bound.
pub(super) struct Theorems<'a> {
    experiment: &'a Experiment,
    smoothness: &'a Smoothness,
    /// μ, if f is strongly convex, else 0.
    mu: f64,
    /// p_i α_i of each worker.
    alphas: Vec<f64>,
    /// The least of them.
    least: f64,
}

impl<'a> Theorems<'a> {
    pub(super) fn new(experiment: &'a Experiment, smoothness: &'a Smoothness, mu: f64) -> Self {
        let alphas: Vec<f64> = experiment.one_per_share().map(|worker| worker.alpha).collect();
        let least = alphas.iter().copied().fold(1.0, f64::min);
        Self { experiment, smoothness, mu, alphas, least }
    }

    /// Returns the bounds of all theorems with a step size for the problem, `qm` and `am` first.
    pub(super) fn bounds(&self) -> Vec<Bound> {
        let all = [
            self.qm(),
            self.am(),
            self.exact(),
            self.cloned(),
            self.rare(),
            self.tight(),
            self.polyak_lojasiewicz(),
        ];
        all.into_iter().flatten().collect()
    }

    fn qm(&self) -> Option<Bound> {
        let equal = self.alike(self.least, self.alphas.iter().map(|_| 1.0));
        let gamma = self.gamma(Step::Qm)?;
        Some(Bound::of_psi("qm", "1/(L + L_QM ξ)", gamma, Psi::plain(equal)))
    }

    fn am(&self) -> Option<Bound> {
        let are_alike = self.alphas.iter().all(|&alpha| alpha == self.least);
        let formula = match are_alike || !self.experiment.setup.method.batch.is_full() {
            true => "1/(L + L_AM ξ)",
            false => "1/(L + mean of L_i ξ_i)",
        };
        Some(Bound::of_psi("am", formula, self.gamma(Step::Am)?, Psi::plain(self.mixed())))
    }

    fn exact(&self) -> Option<Bound> {
        let gamma = self.gamma(Step::Exact)?;
        Some(Bound::of_psi("exact", "the root that am bounds", gamma, Psi::plain(self.mixed())))
    }

    fn cloned(&self) -> Option<Bound> {
        let gamma = self.experiment.gamma_of(Method::Ef21Clone, Step::Am)?;
        let clones = (0..self.alphas.len()).map(|worker| self.smoothness.clones(worker));
        let psi = Psi::plain(self.alike(self.least, clones));
        Some(Bound::of_psi("clone", "1/(L + M ξ), ⌈L_i/L_AM⌉ clones", gamma, psi))
    }

    fn rare(&self) -> Option<Bound> {
        let (experiment, setup) = (self.experiment, &self.experiment.setup);
        let features = experiment.rare_features()?;
        let gamma = self.gamma(Step::Rare)?;
        let dimension = setup.dimension as usize;
        let alpha = rare_alpha(&experiment.workers, &setup.method, features, dimension);
        let errors = self.alike(alpha, self.smoothness.l_i.iter().copied());
        let psi = Psi { factor: features.c_w, errors };
        Some(Bound::of_psi("rare", "1/(L + √c_w L_AM ξ(K/r))", gamma, psi))
    }

    /// V decreases if f is strongly convex, Ψ if the step size is not longer than `exact`.
    fn tight(&self) -> Option<Bound> {
        let gamma = self.gamma(Step::Tight)?;
        let exact = self.gamma(Step::Exact).filter(|&exact| !exceeds(gamma, exact));
        let psi = exact.map(|_| Psi::plain(self.mixed()));
        let sums = self.smoothness.l_i.iter().map(|l_i| l_i + self.mu);
        let v =
            (self.mu > 0.0).then(|| V { alpha: self.least, errors: self.alike(self.least, sums) });
        let is_allowed = psi.is_some() || v.is_some();
        let formula = "2/(L_AM + μ) · (1−s)/(1+s)";
        is_allowed.then_some(Bound { name: "tight", formula, gamma, psi, v })
    }

    fn polyak_lojasiewicz(&self) -> Option<Bound> {
        if self.mu == 0.0 || !self.experiment.setup.method.batch.is_full() {
            return None;
        }
        let l = self.smoothness.l;
        let error = 1.0 / self.gamma(Step::Am)? - l;
        let longest = theta(self.least) / (2.0 * self.mu);
        let gamma = (1.0 / (l + 2f64.sqrt() * error)).min(longest);
        let formula = "1/(L + √2 L_AM ξ), at most θ/(2μ)";
        Some(Bound::of_psi(PL, formula, gamma, Psi::plain(self.mixed())))
    }

    /// Returns γ of EF21.
    fn gamma(&self, step: Step) -> Option<f64> {
        self.experiment.gamma_of(Method::Ef21, step)
    }

    /// Returns weights in these proportions, for one contraction.
    fn alike(&self, alpha: f64, proportions: impl Iterator<Item = f64>) -> Vec<Weighted> {
        let alphas = vec![alpha; self.alphas.len()];
        weighted(proportions, &alphas)
    }

    /// Returns the weights of Theorem 3, extended to workers that differ: in proportion to L_i ξ_i.
    fn mixed(&self) -> Vec<Weighted> {
        let price = |(l_i, &alpha)| l_i * if self.least < 1.0 { xi(alpha) } else { 1.0 };
        let l_i = self.smoothness.l_i.iter().copied();
        weighted(l_i.zip(&self.alphas).map(price), &self.alphas)
    }
}

/// Returns weights in these proportions, whose sum is 1.
fn weighted(proportions: impl Iterator<Item = f64>, alphas: &[f64]) -> Vec<Weighted> {
    let proportions: Vec<f64> = proportions.collect();
    let sum: f64 = proportions.iter().sum();
    let weighted = proportions.into_iter().zip(alphas);
    weighted.map(|(proportion, &alpha)| Weighted { weight: proportion / sum, alpha }).collect()
}
