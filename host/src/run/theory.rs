//! Theory of an experiment: step sizes, rare features, noise floor, and the check of a proof.

use super::data::Data;
use super::experiment::Experiment;
use super::lyapunov::{Lyapunov, Terms};
use super::setup::held_shares;
use crate::options::{self, Downlink, Method, Options, Step};
use crate::problem::objective::{Objective, OnBoards};
use crate::problem::specification::{
    self, Longest, Problem, Rows, Specification, rare_alpha, strong_convexity,
};
use crate::problem::theory::{Constants, RareFeatures, noise};
use smidgen_aggregator::{MethodSpec, Setup};

impl Experiment {
    /// Returns γ of another method or step choice on the same problem with the same workers, if theory has one.
    pub fn gamma_of(&self, method: Method, step: Step) -> Option<f64> {
        let constants = Constants::Known(self.smoothness.clone()?);
        let (downlink, source) = (Downlink::Sparse, options::Constants::Data);
        let options = Options { method, step, downlink, constants: source, ..self.numbers() };
        Some(Specification::new(&options, self.problem(&constants)).ok()?.method.gamma)
    }

    /// Returns the largest known step size for the constants L_i that workers report.
    pub fn longest_of_reports(&self, l_i: &[f64]) -> Option<Longest> {
        let (options, constants) = (self.numbers(), Constants::Known(specification::reported(l_i)));
        let problem = self.problem(&constants);
        Specification::new(&options, problem).ok()?.longest(&options, problem)
    }

    /// Returns the options with the K and participation of each share in the run.
    fn numbers(&self) -> Options {
        let k = self.one_per_share().map(|worker| worker.spec.k).collect();
        let participation = self.one_per_share().map(|worker| worker.participation).collect();
        Options { k, participation, ..self.options().clone() }
    }

    /// Returns the problem with other constants.
    fn problem<'a>(&'a self, constants: &'a Constants) -> Problem<'a> {
        let rows = self.data.as_ref().map(|Data { dataset, shares, .. }| Rows { dataset, shares });
        let (dimension, row_counts) = (self.setup.dimension as usize, &self.shape.row_counts[..]);
        Problem { dimension, row_counts, rows, constants }
    }

    /// Returns which worker has which features, if the coordinates of the model are features, constants are known, and
    /// no regulariser acts on all coordinates.
    pub fn rare_features(&self) -> Option<RareFeatures> {
        let smoothness = self.smoothness.as_ref().filter(|_| self.options().lambda == 0.0)?;
        self.problem(&Constants::Known(smoothness.clone())).rare_features(&smoothness.l_i)
    }

    /// Returns the bound of theory on the noise floor of ‖∇f‖² with minibatches, if there is one: for EF21 and EF21-W
    /// whose workers have the same α, with a fixed step size that theory allows.
    pub fn noise_floor(&self) -> Option<f64> {
        let MethodSpec { rule, batch, gamma, step_rule, downlink_budget, .. } = self.setup.method;
        let is_plain =
            self.options().method.info().proof.has_refinements() && downlink_budget.is_none();
        let is_allowed = !step_rule.is_tuned() && is_allowed(gamma, self.longest);
        let alpha = self.workers.first()?.alpha;
        let is_alike = self.workers.iter().all(|worker| worker.alpha == alpha);
        let has_noise = noise::disturbs(rule, batch);
        let smoothness = self.smoothness.as_ref();
        let smoothness = smoothness.filter(|_| has_noise && is_plain && is_allowed && is_alike)?;
        let Data { dataset, shares, .. } = self.data.as_ref()?;
        let data = (dataset, &shares[..]);
        noise::floor(self.options().objective, data, smoothness, batch.size as usize, alpha)
    }

    /// Returns whether a theorem covers the run and allows its step size.
    pub fn is_allowed(&self) -> bool {
        is_allowed(self.setup.method.gamma, self.longest)
    }

    /// Returns the check of theory, if it was requested.
    pub fn lyapunov(&self) -> Option<Lyapunov> {
        let smoothness = self.smoothness.clone().filter(|_| self.options().check_theory)?;
        let Setup { ref method, dimension, .. } = self.setup;
        let rare = self.rare_features().filter(|_| self.options().step.counts_features());
        let (alpha, factor) = match rare {
            None => (self.workers[0].alpha, 1.0),
            Some(features) => {
                let alpha = rare_alpha(&self.workers, method, features, dimension as usize);
                (alpha, features.c_w)
            }
        };
        let (workers, gamma) = (self.workers.clone(), method.gamma);
        let Data { dataset, shares, recorded, .. } = self.data.as_ref()?;
        let objective = Objective::new(self.options().objective, self.penalty, dataset, shares);
        let bits = recorded.as_ref().map(|recorded| &recorded.bits[..]);
        let on_boards = OnBoards::new(objective.clone(), held_shares(dataset, shares, bits));
        let mu = strong_convexity(self.options()).unwrap_or(0.0);
        let terms = Terms { workers, smoothness, gamma, alpha, factor, mu };
        Some(Lyapunov::new(objective, on_boards, terms))
    }
}

/// Returns whether a theorem covers the run and allows the step size, up to rounding.
fn is_allowed(gamma: f64, longest: Option<Longest>) -> bool {
    let allowed = longest.filter(|longest| longest.basis.gap.is_none());
    allowed.is_some_and(|longest| !specification::exceeds(gamma, longest.gamma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::theory::{Basis, Gap, Smoothness, Theorem, xi};
    use crate::run::training::{Goal, collect};

    fn experiment(options: &str) -> Experiment {
        Experiment::of(&format!("--rows 200 --workers 4 {options}"))
    }

    #[test]
    fn every_objective_of_two_classes_takes_rows_of_one() {
        for objective in ["logistic", "svm"] {
            let data = "--dataset breast-cancer-standardised --rows 19 --workers 2 --step am";
            Experiment::of(&format!("{data} --objective {objective}"));
        }
    }

    #[test]
    fn noise_floor_needs_a_theorem() {
        let floor = |options: &str| experiment(&format!("--batch 9 {options}")).noise_floor();
        for options in ["--step am", "--step qm", "--step 1e-4", "--step am --method ef21-w"] {
            assert!(floor(options).is_some(), "{options}");
        }
        for options in [
            "--step 3",
            "--step auto",
            "--step am --method ef14",
            "--step am --method ef21-hb",
            "--step am --method ef21-sgdm",
            "--step am --downlink ef21-p",
            "--step am --k 4,4,4,64",
            "--step am --participation 1,1,1,0.5",
        ] {
            assert_eq!(floor(options), None, "{options}");
        }
        assert_eq!(experiment("--step am").noise_floor(), None, "full gradients have no noise");
    }

    #[test]
    fn no_theorem_covers_ef21_sgdm_with_partial_participation() {
        for step in ["auto", "0.1"] {
            let of = |p: f64| {
                let options = format!("--method ef21-sgdm --step {step} --participation {p}");
                experiment(&options).longest.unwrap().basis.gap
            };
            assert_eq!(of(0.5), Some(Gap::Participation(options::Method::Ef21Sgdm)), "{step}");
            assert_eq!(of(1.0), Some(Gap::Unchecked(options::Method::Ef21Sgdm)), "{step}");
        }
    }

    #[test]
    fn step_of_each_theorem_is_allowed() {
        for (step, theorem) in
            [("am", Theorem::Reloaded3), ("exact", Theorem::Root), ("rare", Theorem::Rare)]
        {
            let of = experiment(&format!("--lambda 0 --step {step}"));
            let basis = Basis { theorem, gap: None };
            assert_eq!(of.longest, Some(Longest { gamma: of.setup.method.gamma, basis }), "{step}");
        }
        let am = experiment("--step am").longest;
        for step in ["qm", "auto", "3"] {
            assert_eq!(experiment(&format!("--step {step}")).longest, am, "{step}");
        }
    }

    /// Each of these was once reported as allowed.
    #[test]
    fn step_without_a_theorem_is_borrowed() {
        for options in [
            "--method dcgd",
            "--method ef14",
            "--method econtrol",
            "--method ef21-sgdm",
            "--method ef21-sgdm --batch 9",
            "--method ef21-hb --downlink ef21-p",
            "--method ef21-prox --downlink ef21-bc",
            "--method ef21-sgdm --downlink ef21-p",
            "--method ef21-hb --batch 9",
            "--downlink ef21-bc --batch 9",
            "--method ef21-clone --batch 9",
            "--absent skip",
        ] {
            let experiment = experiment(&format!("--step am {options}"));
            let theory = experiment.summary().theory;
            assert_eq!((theory.theory_gamma, theory.theorem), (None, None), "{options}");
            assert_eq!(theory.borrowed_gamma, Some(experiment.setup.method.gamma), "{options}");
        }
    }

    #[test]
    fn gradient_descent_with_partial_participation_has_its_step() {
        let gamma = |options: &str| experiment(&format!("--step am {options}")).setup.method.gamma;
        let of = experiment("--step am --method gd --participation 0.5");
        let Smoothness { l, l_am, .. } = *of.smoothness.as_ref().unwrap();
        assert_eq!(of.setup.method.gamma, 1.0 / (l + l_am * xi(0.5)));
        assert_eq!(gamma("--method gd"), 1.0 / l);
    }

    #[test]
    fn a_heavy_ball_without_compression_has_the_step_of_ef21_hb_without_an_error() {
        for (options, eta) in [("", 0.5), ("--eta 0.9", 0.9f64)] {
            let of = experiment(&format!("--method gd-hb --step am {options}"));
            let l = of.smoothness.as_ref().unwrap().l;
            let gamma = (1.0 - eta).powi(2) / ((1.0 + eta) * l);
            assert!((of.setup.method.gamma / gamma - 1.0).abs() < 1e-12, "{options}");
            assert_eq!(of.setup.method.momentum, eta, "{options}");
            assert!(of.workers.iter().all(|worker| worker.spec.k == 64 && worker.alpha == 1.0));
        }
    }

    #[test]
    fn momentum_makes_gradient_descent_faster_at_the_same_step() {
        let norm = |method: &str| {
            let of = experiment(&format!("--lambda 0.1 --step 0.02 --method {method}"));
            let goal = Goal { rounds: 60, target: None };
            let course = collect(&mut of.simulation(), goal, 115_200, |_| {}).unwrap();
            course.rounds.last().unwrap().gradient_norm_squared.unwrap()
        };
        let (gd, heavy_ball) = (norm("gd"), norm("gd-hb"));
        assert!(heavy_ball < 0.7 * gd, "{heavy_ball:e} {gd:e}");
    }

    #[test]
    fn few_bits_shorten_every_step_of_theory_and_32_bits_none() {
        let alpha = |bits: u32, options: &str| {
            experiment(&format!("--k 16 --value-bits {bits} --step am {options}")).workers[0].alpha
        };
        let gamma = |bits: u32, options: &str| {
            experiment(&format!("--k 16 --value-bits {bits} {options}")).setup.method.gamma
        };
        assert_eq!([32, 2].map(|bits| alpha(bits, "")), [0.25, 0.25 * (1.0 - 16.0 / 19.0)]);
        assert_eq!(alpha(2, "--compressor natural"), alpha(32, "--compressor natural"));
        for options in [
            "--step qm",
            "--step am",
            "--step exact",
            "--step rare --lambda 0",
            "--step am --method ef21-w",
            "--step am --method ef21-clone",
            "--step am --method ef21+",
            "--step am --method ef21-hb",
            "--step am --method ef21-prox",
            "--step am --method ef21-sgdm",
            "--step am --compressor randk",
            "--step am --downlink ef21-p",
            "--step am --downlink ef21-bc",
            "--step am --participation 0.5",
            "--step am --batch 9",
        ] {
            let [few, all] = [2, 32].map(|bits| gamma(bits, options));
            assert!(few < 0.5 * all, "{options}: {few} {all}");
        }
        for downlink in ["sparse", "ef21-p", "ef21-bc"] {
            let gamma = |bits| gamma(bits, &format!("--step auto --downlink {downlink}"));
            assert_eq!(gamma(2), gamma(32), "{downlink}: the step is tuned");
        }
    }

    #[test]
    fn noise_is_bounded_by_the_worker_with_the_least_contraction() {
        let of = |options: &str| experiment(options).setup.method.gamma;
        assert_eq!(of("--batch 9 --step am --k 4,4,4,64"), of("--batch 9 --step am --k 4"));
        assert!(of("--step am --k 4,4,4,64") > of("--step am --k 4"), "full gradients: ξ₄ is 0");
    }
}
