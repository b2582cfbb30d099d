//! The theorems, and the runs that they cover.
//!
//! A step size is computed by the formula of a theorem. If the theorem covers the run, it allows the step size;
//! otherwise the step size is borrowed, and [`Gap`] is the reason. [`Basis::of`] decides this from the [`Proof`] of
//! the method, the step, the downlink, minibatches and participation. Every compressor enters by its
//! [contraction](mod@super::contraction). docs/theory.md states the theorems.

use super::smoothness::Mean;
use crate::options::{Choice, Downlink, Method};
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
    /// EF21 on strongly convex functions. That no step has a better rate is an empirical law for unequal L_i.
    Tight,
    /// EF21-SGD and EF21-W-SGD.
    Sgd,
    /// EF21-SGDM.
    Sgdm,
    /// EF21-HB.
    HeavyBall,
    /// EF21-Prox.
    Prox,
    /// EF21 with EF21-P on the downlink.
    ModelDown,
    /// EF21-BC.
    SumDown,
}

impl Theorem {
    /// Returns its name in a sentence: `Theorem 3 of Error Feedback Reloaded`. The name says if the step size is not
    /// that of a published theorem.
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
            Self::Tight => {
                "the tight theory of EF21 (arXiv 2605.31594 for equal L_i, derived here for others)"
            }
            Self::Sgd => "the theorem of EF21-SGD (constants derived here)",
            Self::Sgdm => "the theorem of EF21-SGDM",
            Self::HeavyBall => "the theorem of EF21-HB (constants derived here)",
            Self::Prox => "the theorem of EF21-Prox (constants derived here)",
            Self::ModelDown => "the theorem of EF21 with EF21-P (derived here)",
            Self::SumDown => "the theorem of EF21-BC (constants derived here)",
        }
    }

    /// Returns the name of its step size: `EF21's step`.
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
            Self::Tight => "EF21's tight step",
            Self::Sgd => "EF21-SGD's step",
            Self::Sgdm => "EF21-SGDM's step",
            Self::HeavyBall => "EF21-HB's step",
            Self::Prox => "EF21-Prox's step",
            Self::ModelDown => "EF21-P's step",
            Self::SumDown => "EF21-BC's step",
        }
    }
}

/// Proof of the step size of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By the contraction of the estimators, with a theorem for either mean of the L_i.
    Means {
        /// The theorem for the quadratic mean.
        quadratic: Theorem,
        /// The theorem for the arithmetic mean, if workers have equal contractions.
        arithmetic: Theorem,
    },
    /// By the contraction of the estimators, with one theorem.
    Contraction {
        /// The theorem.
        theorem: Theorem,
        /// True if it covers minibatches.
        covers_noise: bool,
    },
    /// By the descent lemma while all workers participate; otherwise like EF21.
    Descent,
    /// By a theorem on the server's step, which covers neither minibatches nor a compressed downlink.
    Server(Theorem),
    /// By the theorem of EF21-SGDM, whose constants have not been compared with the paper.
    Averages,
    /// No proof; the step size is borrowed from EF21.
    None,
}

impl Proof {
    /// Returns whether `--step exact`, `rare` and `tight` refine it.
    pub const fn has_refinements(self) -> bool {
        match self {
            Self::Means { .. } => true,
            Self::Contraction { .. }
            | Self::Descent
            | Self::Server(_)
            | Self::Averages
            | Self::None => false,
        }
    }

    /// Returns whether it uses the Lyapunov function of Reloaded's Theorem 3.
    pub const fn has_lyapunov_function(self) -> bool {
        match self {
            Self::Means { .. } | Self::Contraction { .. } | Self::Descent => true,
            Self::Server(_) | Self::Averages | Self::None => false,
        }
    }

    /// Returns the mean of the L_i in its formula, for a step of this mean.
    pub const fn mean(self, mean: Mean) -> Mean {
        match self {
            // The theory of EF21-SGDM has no other mean.
            Self::Averages => Mean::Quadratic,
            Self::Means { .. }
            | Self::Contraction { .. }
            | Self::Descent
            | Self::Server(_)
            | Self::None => mean,
        }
    }
}

/// A part of a run that no theorem covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The method itself: under heterogeneity it has no theorem, or one with other assumptions.
    Method(Method),
    /// The method, whose theorem has constants that have not been compared with the paper.
    Unchecked(Method),
    /// The method with minibatches.
    Batch(Method),
    /// The method with a compressed downlink.
    Downlink(Method),
    /// Averages of absent workers.
    Participation(Method),
    /// Rounds without silent workers, whose absence is not random.
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

/// The participants of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// All workers.
    All,
    /// Randomly drawn workers.
    Drawn,
    /// Workers that answer in time.
    Answering,
}

/// The properties of a run that decide which theorem covers it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// The method.
    pub method: Method,
    /// Proof of its step size.
    pub proof: Proof,
    /// The mean of the L_i in the requested step.
    pub mean: Mean,
    /// The refinement of the step, if it is one.
    pub refinement: Option<Theorem>,
    /// The downlink.
    pub downlink: Downlink,
    /// True if minibatches add noise that the method does not average.
    pub noise: bool,
    /// The participants.
    pub presence: Presence,
    /// True if all workers have the same contraction.
    pub alike: bool,
}

/// The theorem whose formula gives a step size, and the part of the run that it does not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The theorem.
    pub theorem: Theorem,
    /// The part that it does not cover; `None` if it allows the step size.
    pub gap: Option<Gap>,
}

impl Basis {
    /// Returns the basis of a run.
    pub fn of(case: &Case) -> Self {
        let method = case.method;
        let noise = case.noise.then_some(Gap::Batch(method));
        let Self { theorem, gap } = match case.proof {
            Proof::Means { quadratic, arithmetic } => {
                Self::of_estimators(case, case.means(quadratic, arithmetic), None)
            }
            Proof::Contraction { theorem, covers_noise } => {
                Self::of_estimators(case, theorem, noise.filter(|_| !covers_noise))
            }
            Proof::Descent => match case.presence {
                Presence::All => Self::of_estimators(case, Theorem::Descent, noise),
                Presence::Drawn | Presence::Answering => Self::of_ef21(case),
            },
            Proof::Server(theorem) => Self::of_server(case, theorem, noise),
            // The average of an absent worker does not change.
            Proof::Averages => Self::of_server(
                case,
                Theorem::Sgdm,
                match case.presence {
                    Presence::All | Presence::Answering => Some(Gap::Unchecked(method)),
                    Presence::Drawn => Some(Gap::Participation(method)),
                },
            ),
            Proof::None => Self { gap: Some(Gap::Method(method)), ..Self::of_ef21(case) },
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

    /// Returns the basis of EF21 and its variants, whose proofs need only the contraction of the estimators. `plain`
    /// is the theorem without noise and downlink compression, `noise` the gap with minibatches.
    fn of_estimators(case: &Case, plain: Theorem, noise: Option<Gap>) -> Self {
        let both = case.noise.then_some(Gap::Batch(case.method));
        match case.downlink {
            Downlink::Dense | Downlink::Sparse if case.noise => match case.refinement {
                // Its proof does not cover noise.
                Some(theorem) => Self { theorem, gap: both },
                None => Self { theorem: Theorem::Sgd, gap: noise },
            },
            Downlink::Dense | Downlink::Sparse => Self { theorem: plain, gap: None },
            Downlink::Ef21P => Self { theorem: Theorem::ModelDown, gap: both },
            Downlink::Ef21Bc => Self { theorem: Theorem::SumDown, gap: both },
        }
    }

    /// Returns the basis of a method whose theorem does not cover a compressed downlink.
    fn of_server(case: &Case, theorem: Theorem, gap: Option<Gap>) -> Self {
        let downlink = Some(Gap::Downlink(case.method));
        match case.downlink {
            Downlink::Dense | Downlink::Sparse => Self { theorem, gap },
            Downlink::Ef21P => Self { theorem: Theorem::ModelDown, gap: downlink },
            Downlink::Ef21Bc => Self { theorem: Theorem::SumDown, gap: downlink },
        }
    }
}

impl Case {
    /// Returns the theorem of a step without noise, given those of both means of the L_i for equal workers.
    fn means(&self, quadratic: Theorem, arithmetic: Theorem) -> Theorem {
        match (self.refinement, self.mean) {
            (Some(theorem), _) => theorem,
            (None, Mean::Quadratic) => quadratic,
            (None, Mean::Arithmetic) if self.alike => arithmetic,
            (None, Mean::Arithmetic) => Theorem::Unequal,
        }
    }
}
