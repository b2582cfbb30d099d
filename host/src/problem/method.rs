//! The methods: every property that the host decides by method, in one table.
//!
//! A method is a variant of [`Method`], which `--help` lists, and an arm of [`Method::info`]. If workers compute
//! something new, `smidgen_protocol::method` describes their rule, and `smidgen_firmware` implements it.

use crate::options::Method;
use crate::problem::theory::{Proof, Theorem};
use smidgen_aggregator::ratio::ratio;
use smidgen_protocol::method::Method as WorkerRule;

/// The properties of a method.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// The rule by which workers turn gradients into updates, given η.
    pub worker_rule: fn(f64) -> WorkerRule,
    /// The role of `--eta`.
    pub eta: Eta,
    /// True if it adds λ₁‖x‖₁ to f, by a proximal step.
    pub has_l1: bool,
    /// True for gradient descent, whose updates contain all coordinates of the full gradient, unrounded.
    pub is_dense: bool,
    /// How shares of the data become workers.
    pub population: Population,
    /// Proof of its step size.
    pub proof: Proof,
    /// True if estimators may restart from zero, so that they may move by twice their error.
    pub restarts_estimators: bool,
    /// True for the method with which the others are compared.
    pub is_baseline: bool,
    /// True if `reproduce` implements the method in f64.
    pub has_float_twin: bool,
}

/// The role of `--eta` in a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eta {
    /// Not used.
    Unused,
    /// The momentum of the server's step.
    Momentum,
    /// The weight of the newest gradient in a worker's average.
    Averaging,
    /// The gain of a worker's error feedback.
    Gain,
}

/// How shares of the data become workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// One worker per share, all with the same weight.
    Equal,
    /// One worker per share, weighted by its smoothness constant.
    Weighted,
    /// Several clones per share, by its smoothness constant.
    Cloned,
}

impl Population {
    /// Returns whether the workers depend on smoothness constants.
    pub const fn needs_constants(self) -> bool {
        match self {
            Self::Equal => false,
            Self::Weighted | Self::Cloned => true,
        }
    }
}

impl Eta {
    /// Returns the default of `--eta`.
    pub const fn default(self) -> f64 {
        match self {
            Self::Momentum => 0.5,
            Self::Unused | Self::Averaging | Self::Gain => 0.1,
        }
    }

    /// Returns the momentum of the server's step.
    pub const fn momentum(self, eta: f64) -> f64 {
        match self {
            Self::Momentum => eta,
            Self::Unused | Self::Averaging | Self::Gain => 0.0,
        }
    }
}

impl Method {
    /// Returns the properties of the method. Each arm lists all of them, so that none can be forgotten.
    pub const fn info(self) -> MethodInfo {
        match self {
            Self::Ef21 => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::Means { quadratic: Theorem::Ef21, arithmetic: Theorem::Reloaded3 },
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: true,
            },
            Self::Ef21W => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: false,
                population: Population::Weighted,
                proof: Proof::Means {
                    quadratic: Theorem::Reloaded2,
                    arithmetic: Theorem::Reloaded2,
                },
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Ef21Clone => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: false,
                population: Population::Cloned,
                // The noise of clones has no proven bound.
                proof: Proof::Contraction { theorem: Theorem::Reloaded1, covers_noise: false },
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Ef21Plus => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21Plus,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::Contraction { theorem: Theorem::Plus, covers_noise: true },
                restarts_estimators: true,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Ef21Sgdm => MethodInfo {
                worker_rule: |eta| WorkerRule::Sgdm { eta: ratio(eta) },
                eta: Eta::Averaging,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::Averages,
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Ef21Hb => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Momentum,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::Server(Theorem::HeavyBall),
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Ef21Prox => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Unused,
                has_l1: true,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::Server(Theorem::Prox),
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Ef14 => MethodInfo {
                worker_rule: |_| WorkerRule::Ef14,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::None,
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Econtrol => MethodInfo {
                worker_rule: |eta| WorkerRule::EControl { eta: ratio(eta) },
                eta: Eta::Gain,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::None,
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Dcgd => MethodInfo {
                worker_rule: |_| WorkerRule::Dcgd,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: false,
                population: Population::Equal,
                proof: Proof::None,
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
            Self::Gd => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Unused,
                has_l1: false,
                is_dense: true,
                population: Population::Equal,
                proof: Proof::Descent,
                restarts_estimators: false,
                is_baseline: true,
                has_float_twin: false,
            },
            Self::GdHb => MethodInfo {
                worker_rule: |_| WorkerRule::Ef21,
                eta: Eta::Momentum,
                has_l1: false,
                is_dense: true,
                population: Population::Equal,
                // EF21-HB whose compressor keeps everything: α = 1.
                proof: Proof::Server(Theorem::HeavyBall),
                restarts_estimators: false,
                is_baseline: false,
                has_float_twin: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Choice, Downlink};
    use crate::problem::theory::{Basis, Case, Gap, Mean, Presence};

    fn case(method: Method) -> Case {
        Case {
            method,
            proof: method.info().proof,
            mean: Mean::Arithmetic,
            refinement: None,
            downlink: Downlink::Sparse,
            noise: false,
            presence: Presence::All,
            alike: true,
        }
    }

    /// Returns the theorem that covers a case, if there is one.
    fn cover(case: Case) -> Option<Theorem> {
        let Basis { theorem, gap } = Basis::of(&case);
        gap.is_none().then_some(theorem)
    }

    #[test]
    fn sentences_list_methods() {
        assert_eq!(Method::listed("or", |method| method.info().is_baseline), "gd");
        let refined = Method::listed("and", |method| method.info().proof.has_refinements());
        assert_eq!(refined, "ef21 and ef21-w");
        assert_eq!(Method::listed("or", |_| false), "");
    }

    #[test]
    fn theorem_of_each_method() {
        let by_method: Vec<_> =
            Method::ALL.iter().map(|&method| (method.name(), cover(case(method)))).collect();
        assert_eq!(
            by_method,
            [
                ("ef21", Some(Theorem::Reloaded3)),
                ("ef21-w", Some(Theorem::Reloaded2)),
                ("ef21-clone", Some(Theorem::Reloaded1)),
                ("ef21+", Some(Theorem::Plus)),
                ("ef21-sgdm", None),
                ("ef21-hb", Some(Theorem::HeavyBall)),
                ("ef21-prox", Some(Theorem::Prox)),
                ("ef14", None),
                ("econtrol", None),
                ("dcgd", None),
                ("gd", Some(Theorem::Descent)),
                ("gd-hb", Some(Theorem::HeavyBall)),
            ]
        );
    }

    #[test]
    fn noise_is_not_covered_with_compressed_downlink_or_absence() {
        for &method in Method::ALL {
            for downlink in [Downlink::Ef21P, Downlink::Ef21Bc] {
                let noisy = Case { downlink, noise: true, ..case(method) };
                assert_eq!(cover(noisy), None, "{noisy:?}");
            }
            let absent = Case { presence: Presence::Answering, ..case(method) };
            assert_eq!(cover(absent), None, "{absent:?}");
        }
    }

    #[test]
    fn server_theorems_cover_neither_noise_nor_compressed_downlink() {
        for &method in Method::ALL {
            let (excludes_noise, excludes_downlink) = match method.info().proof {
                Proof::Server(_) | Proof::Averages => (true, true),
                Proof::Contraction { covers_noise, .. } => (!covers_noise, false),
                Proof::Means { .. } | Proof::Descent | Proof::None => (false, false),
            };
            if excludes_noise {
                assert_eq!(cover(Case { noise: true, ..case(method) }), None, "{method:?}");
            }
            for downlink in [Downlink::Ef21P, Downlink::Ef21Bc] {
                let compressed = Case { downlink, ..case(method) };
                assert!(!excludes_downlink || cover(compressed).is_none(), "{compressed:?}");
            }
        }
        let drawn = |method| Case { presence: Presence::Drawn, ..case(method) };
        assert_eq!(cover(drawn(Method::Ef21)), Some(Theorem::Reloaded3));
        assert_eq!(cover(drawn(Method::Gd)), Some(Theorem::Reloaded3));
        assert_eq!(cover(drawn(Method::Ef21Sgdm)), None);
    }

    #[test]
    fn step_with_unchecked_constants_is_borrowed() {
        let sgdm = case(Method::Ef21Sgdm);
        for case in [sgdm, Case { noise: true, ..sgdm }] {
            let Basis { theorem, gap } = Basis::of(&case);
            assert_eq!(
                (theorem.step_name(), gap),
                ("EF21-SGDM's step", Some(Gap::Unchecked(Method::Ef21Sgdm)))
            );
            assert_eq!(gap.unwrap().to_string(), "no theorem that we could check covers ef21-sgdm");
        }
    }
}
