//! The choices of `--step` in theory: one exhaustive match per property.

use super::smoothness::Mean;
use super::theorem::Theorem;
use crate::options::Step;

/// Source of γ in theory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// The option itself.
    Given(f64),
    /// The theorem of the method for this mean of the L_i.
    Mean(Mean),
    /// A refinement, which only plain EF21 has.
    Refinement(Theorem),
}

impl Step {
    /// Returns the source of γ.
    pub const fn source(self) -> Source {
        match self {
            Self::Qm => Source::Mean(Mean::Quadratic),
            Self::Am | Self::Auto => Source::Mean(Mean::Arithmetic),
            Self::Exact => Source::Refinement(Theorem::Root),
            Self::Rare => Source::Refinement(Theorem::Rare),
            Self::Tight => Source::Refinement(Theorem::Tight),
            Self::Fixed(gamma) => Source::Given(gamma),
        }
    }

    /// Returns γ, if the option is a number.
    pub const fn given(self) -> Option<f64> {
        match self.source() {
            Source::Given(gamma) => Some(gamma),
            Source::Mean(_) | Source::Refinement(_) => None,
        }
    }

    /// Returns the mean of the L_i in its formula.
    pub const fn mean(self) -> Mean {
        match self.source() {
            Source::Mean(mean) => mean,
            Source::Given(_) | Source::Refinement(_) => Mean::Arithmetic,
        }
    }

    /// Returns its theorem, if it is a refinement.
    pub const fn refinement(self) -> Option<Theorem> {
        match self.source() {
            Source::Refinement(theorem) => Some(theorem),
            Source::Given(_) | Source::Mean(_) => None,
        }
    }

    /// Returns whether the run tunes γ from the losses that workers report.
    pub const fn is_tuned(self) -> bool {
        match self {
            Self::Auto => true,
            Self::Qm | Self::Am | Self::Exact | Self::Rare | Self::Tight | Self::Fixed(_) => false,
        }
    }

    /// Returns whether the formula counts the features in the rows of each worker.
    pub const fn counts_features(self) -> bool {
        match self {
            Self::Rare => true,
            Self::Qm | Self::Am | Self::Auto | Self::Exact | Self::Tight | Self::Fixed(_) => false,
        }
    }

    /// Returns whether γ depends only on the formula for a mean of the L_i.
    pub const fn is_of_a_mean(self) -> bool {
        match self {
            Self::Qm | Self::Am => true,
            Self::Auto | Self::Exact | Self::Rare | Self::Tight | Self::Fixed(_) => false,
        }
    }

    /// Returns whether its theorem is on convex functions, has a rate if they are strongly convex, and has a Lyapunov
    /// function of its own.
    pub const fn needs_convexity(self) -> bool {
        match self {
            Self::Tight => true,
            Self::Qm | Self::Am | Self::Auto | Self::Exact | Self::Rare | Self::Fixed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Downlink, Method};
    use crate::problem::theory::{Basis, Case, Presence, Proof};

    #[test]
    fn steps_of_ef21_have_theorems_of_their_own() {
        let cover = |step: Step, alike, noise| {
            let case = Case {
                method: Method::Ef21,
                proof: Proof::Means { quadratic: Theorem::Ef21, arithmetic: Theorem::Reloaded3 },
                mean: step.mean(),
                refinement: step.refinement(),
                downlink: Downlink::Sparse,
                noise,
                presence: Presence::All,
                alike,
            };
            let Basis { theorem, gap } = Basis::of(&case);
            gap.is_none().then_some(theorem)
        };
        assert_eq!(cover(Step::Qm, true, false), Some(Theorem::Ef21));
        assert_eq!(cover(Step::Am, false, false), Some(Theorem::Unequal));
        assert_eq!(cover(Step::Exact, false, false), Some(Theorem::Root));
        assert_eq!(cover(Step::Rare, true, false), Some(Theorem::Rare));
        assert_eq!(cover(Step::Tight, false, false), Some(Theorem::Tight));
        let refined = [Step::Exact, Step::Rare, Step::Tight];
        assert_eq!(refined.map(|step| cover(step, true, true)), [None; 3]);
        assert_eq!(cover(Step::Fixed(3.0), true, true), Some(Theorem::Sgd));
    }
}
