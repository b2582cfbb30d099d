//! Which theorem allows a step, and where none does.
//!
//! A step size is made by the formula of a theorem. Where the theorem covers the run, it allows the step; elsewhere the
//! step is borrowed, and [`Gap`] says why. [`Basis::of`] decides that from method, step, downlink, minibatches and who
//! takes part; every compressor enters by its [contraction](super::contraction). docs/theory.md states the theorems.

use crate::options::{Choice, Downlink, Method, Step};
use std::fmt;

/// A theorem about a step size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theorem {
    /// Gradient descent with 1/L.
    Descent,
    /// EF21 with the quadratic mean of the L_i.
    Ef21,
    /// EF21+, whose estimators contract at least as much as those of EF21.
    Plus,
    /// EF21 on the cloned problem.
    Reloaded1,
    /// EF21-W.
    Reloaded2,
    /// EF21 with the arithmetic mean of the L_i.
    Reloaded3,
    /// The same for workers of different contractions.
    Unequal,
    /// The exact root of the inequality in its proof.
    Root,
    /// EF21 on rare features.
    Rare,
    /// EF21-SGD and EF21-W-SGD.
    Sgd,
    /// EF21-SGDM.
    Sgdm,
    /// EF21-HB.
    HeavyBall,
    /// EF21-Prox.
    Prox,
    /// EF21 with EF21-P on the way down.
    ModelDown,
    /// EF21-BC.
    SumDown,
}

impl Theorem {
    /// What it is called in a sentence: `Theorem 3 of Error Feedback Reloaded`. Where the step is not that of a printed
    /// theorem, the name says so.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descent => "the descent lemma",
            Self::Ef21 => "Theorem 1 of EF21",
            Self::Plus => "the theorem of EF21+",
            Self::Reloaded1 => "Theorem 1 of Error Feedback Reloaded",
            Self::Reloaded2 => "Theorem 2 of Error Feedback Reloaded",
            Self::Reloaded3 => "Theorem 3 of Error Feedback Reloaded",
            Self::Unequal => {
                "Theorem 3 of Error Feedback Reloaded (extended here to workers that differ)"
            }
            Self::Root => "the proof of Theorem 3 of Error Feedback Reloaded",
            Self::Rare => "the theorem of rare features of Error Feedback Reloaded",
            Self::Sgd => "the theorem of EF21-SGD (constants derived here)",
            Self::Sgdm => "the theorem of EF21-SGDM",
            Self::HeavyBall => "the theorem of EF21-HB (constants derived here)",
            Self::Prox => "the theorem of EF21-Prox (constants derived here)",
            Self::ModelDown => "the theorem of EF21 with EF21-P (derived here)",
            Self::SumDown => "the theorem of EF21-BC (constants derived here)",
        }
    }

    /// Whose step its formula is: `EF21's step`.
    pub const fn step_name(self) -> &'static str {
        match self {
            Self::Descent => "the step of gradient descent",
            Self::Ef21
            | Self::Plus
            | Self::Reloaded1
            | Self::Reloaded2
            | Self::Reloaded3
            | Self::Unequal
            | Self::Root
            | Self::Rare => "EF21's step",
            Self::Sgd => "EF21-SGD's step",
            Self::Sgdm => "EF21-SGDM's step",
            Self::HeavyBall => "EF21-HB's step",
            Self::Prox => "EF21-Prox's step",
            Self::ModelDown => "EF21-P's step",
            Self::SumDown => "EF21-BC's step",
        }
    }
}

/// A part of a run that no theorem covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The method itself: under heterogeneity it has no theorem, or one with other assumptions.
    Method(Method),
    /// The method, whose theorem exists, but whose constants were not compared with the paper.
    Unchecked(Method),
    /// The method with minibatches.
    Batch(Method),
    /// The method with a compressed downlink.
    Downlink(Method),
    /// Averages of workers that are away.
    Participation(Method),
    /// Rounds that close without workers that are silent, not drawn.
    Absence,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchecked(_) => "no theorem that we could check covers ",
            Self::Method(_)
            | Self::Batch(_)
            | Self::Downlink(_)
            | Self::Participation(_)
            | Self::Absence => "no theorem covers ",
        })?;
        match self {
            Self::Method(method) | Self::Unchecked(method) => f.write_str(method.name()),
            Self::Batch(method) => write!(f, "{} with --batch", method.name()),
            Self::Downlink(method) => write!(f, "{} with a compressed downlink", method.name()),
            Self::Participation(method) => {
                write!(f, "{} with --participation below 1", method.name())
            }
            Self::Absence => f.write_str("rounds without silent workers (--absent skip)"),
        }
    }
}

/// Who takes part in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// All workers.
    All,
    /// Those that were drawn.
    Drawn,
    /// Those that answer in time.
    Answering,
}

/// What decides which theorem covers a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// The method.
    pub method: Method,
    /// The step that was asked for.
    pub step: Step,
    /// How the model travels.
    pub downlink: Downlink,
    /// Whether minibatches make noise that the method does not average.
    pub noise: bool,
    /// Who takes part.
    pub presence: Presence,
    /// Whether all workers have one contraction.
    pub alike: bool,
}

/// Whose formula makes a step, and what of the run its theorem does not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The theorem.
    pub theorem: Theorem,
    /// What it does not cover; none where it allows the step.
    pub gap: Option<Gap>,
}

impl Basis {
    /// That of a run.
    pub fn of(case: &Case) -> Self {
        let method = case.method;
        let noise = case.noise.then_some(Gap::Batch(method));
        let Self { theorem, gap } = match method {
            Method::Ef21 => Self::of_ef21(case),
            Method::Ef21W => {
                Self::of_estimators(case, case.means(Theorem::Reloaded2, Theorem::Reloaded2), None)
            }
            // The noise of clones has no proven bound.
            Method::Ef21Clone => Self::of_estimators(case, Theorem::Reloaded1, noise),
            Method::Ef21Plus => Self::of_estimators(case, Theorem::Plus, None),
            Method::Gd => match case.presence {
                Presence::All => Self::of_estimators(case, Theorem::Descent, noise),
                Presence::Drawn | Presence::Answering => Self::of_ef21(case),
            },
            Method::Ef21Hb => Self::of_relative(case, Theorem::HeavyBall, noise),
            Method::Ef21Prox => Self::of_relative(case, Theorem::Prox, noise),
            // Its averages stand still while a worker is away.
            Method::Ef21Sgdm => Self::of_relative(
                case,
                Theorem::Sgdm,
                match case.presence {
                    Presence::All | Presence::Answering => Some(Gap::Unchecked(method)),
                    Presence::Drawn => Some(Gap::Participation(method)),
                },
            ),
            Method::Ef14 | Method::Dcgd | Method::Econtrol => {
                Self { gap: Some(Gap::Method(method)), ..Self::of_ef21(case) }
            }
        };
        let absence = match case.presence {
            Presence::All | Presence::Drawn => None,
            Presence::Answering => Some(Gap::Absence),
        };
        Self { theorem, gap: gap.or(absence) }
    }

    fn of_ef21(case: &Case) -> Self {
        Self::of_estimators(case, case.means(Theorem::Ef21, Theorem::Reloaded3), None)
    }

    /// EF21 and its forms, whose proofs need no more than the contraction of the estimators: `plain` without noise and
    /// with the model sent as it is, `noise` what is missing with minibatches.
    fn of_estimators(case: &Case, plain: Theorem, noise: Option<Gap>) -> Self {
        let both = case.noise.then_some(Gap::Batch(case.method));
        match case.downlink {
            Downlink::Dense | Downlink::Sparse if case.noise => match case.step {
                // Their proofs know no noise.
                Step::Exact => Self { theorem: Theorem::Root, gap: both },
                Step::Rare => Self { theorem: Theorem::Rare, gap: both },
                Step::Qm | Step::Am | Step::Auto | Step::Fixed(_) => {
                    Self { theorem: Theorem::Sgd, gap: noise }
                }
            },
            Downlink::Dense | Downlink::Sparse => Self { theorem: plain, gap: None },
            Downlink::Ef21P => Self { theorem: Theorem::ModelDown, gap: both },
            Downlink::Ef21Bc => Self { theorem: Theorem::SumDown, gap: both },
        }
    }

    /// A method whose theorem knows no compressed downlink.
    fn of_relative(case: &Case, theorem: Theorem, gap: Option<Gap>) -> Self {
        let downlink = Some(Gap::Downlink(case.method));
        match case.downlink {
            Downlink::Dense | Downlink::Sparse => Self { theorem, gap },
            Downlink::Ef21P => Self { theorem: Theorem::ModelDown, gap: downlink },
            Downlink::Ef21Bc => Self { theorem: Theorem::SumDown, gap: downlink },
        }
    }
}

impl Case {
    /// The theorem of a step without noise, with those of both means of the L_i for workers that are alike.
    fn means(&self, quadratic: Theorem, arithmetic: Theorem) -> Theorem {
        match self.step {
            Step::Exact => Theorem::Root,
            Step::Rare => Theorem::Rare,
            Step::Qm => quadratic,
            Step::Am | Step::Auto | Step::Fixed(_) if self.alike => arithmetic,
            Step::Am | Step::Auto | Step::Fixed(_) => Theorem::Unequal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case {
        method: Method::Ef21,
        step: Step::Am,
        downlink: Downlink::Sparse,
        noise: false,
        presence: Presence::All,
        alike: true,
    };

    /// The theorem that covers a case, if one does.
    fn cover(case: Case) -> Option<Theorem> {
        let Basis { theorem, gap } = Basis::of(&case);
        gap.is_none().then_some(theorem)
    }

    #[test]
    fn each_method_has_its_theorem_or_none() {
        let by_method =
            Method::ALL.iter().map(|&method| (method.name(), cover(Case { method, ..CASE })));
        let by_method: Vec<_> = by_method.collect();
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
            ]
        );
    }

    #[test]
    fn what_a_theorem_does_not_know_is_a_gap() {
        for &method in Method::ALL {
            for downlink in [Downlink::Ef21P, Downlink::Ef21Bc] {
                let noisy = Case { method, downlink, noise: true, ..CASE };
                assert_eq!(cover(noisy), None, "{noisy:?}");
            }
            let absent = Case { method, presence: Presence::Answering, ..CASE };
            assert_eq!(cover(absent), None, "{absent:?}");
        }
        for method in [Method::Ef21Hb, Method::Ef21Prox, Method::Ef21Clone] {
            assert_eq!(cover(Case { method, noise: true, ..CASE }), None, "{method:?}");
        }
        for method in [Method::Ef21Hb, Method::Ef21Prox, Method::Ef21Sgdm] {
            assert_eq!(
                cover(Case { method, downlink: Downlink::Ef21P, ..CASE }),
                None,
                "{method:?}"
            );
        }
        let drawn = Case { presence: Presence::Drawn, ..CASE };
        assert_eq!(cover(drawn), Some(Theorem::Reloaded3));
        assert_eq!(cover(Case { method: Method::Gd, ..drawn }), Some(Theorem::Reloaded3));
        assert_eq!(cover(Case { method: Method::Ef21Sgdm, ..drawn }), None);
    }

    #[test]
    fn constants_that_were_not_checked_only_lend_their_step() {
        let sgdm = Case { method: Method::Ef21Sgdm, ..CASE };
        for case in [sgdm, Case { noise: true, ..sgdm }] {
            let Basis { theorem, gap } = Basis::of(&case);
            assert_eq!(
                (theorem.step_name(), gap),
                ("EF21-SGDM's step", Some(Gap::Unchecked(Method::Ef21Sgdm)))
            );
            assert_eq!(gap.unwrap().to_string(), "no theorem that we could check covers ef21-sgdm");
        }
    }

    #[test]
    fn steps_of_ef21_have_theorems_of_their_own() {
        let of = |step, alike, noise| cover(Case { step, alike, noise, ..CASE });
        assert_eq!(of(Step::Qm, true, false), Some(Theorem::Ef21));
        assert_eq!(of(Step::Am, false, false), Some(Theorem::Unequal));
        assert_eq!(of(Step::Exact, false, false), Some(Theorem::Root));
        assert_eq!(of(Step::Rare, true, false), Some(Theorem::Rare));
        assert_eq!([Step::Exact, Step::Rare].map(|step| of(step, true, true)), [None, None]);
        assert_eq!(of(Step::Fixed(3.0), true, true), Some(Theorem::Sgd));
    }
}
