//! The objective f, which is minimised.

use super::choice::{Choice, choices, serialised};
use crate::objective::{self, Objective};
use smidgen_protocol::message;

impl Choice for Objective {
    const ALL: &'static [Self] = Self::BUILT_IN;

    /// The first one is the default. There is at least one.
    fn all() -> &'static [Self] {
        objective::known().all()
    }

    fn name(self) -> &'static str {
        self.twin().name()
    }

    fn about(self) -> &'static str {
        self.twin().about()
    }
}

serialised!(Objective);

choices! {
    /// A regulariser, over all coordinates of the model.
    pub enum Regulariser {
        /// λ·Σ x²/(1+x²)
        Nonconvex = "nonconvex",
        /// (λ/2)·Σ x²
        L2 = "l2",
    }
}

impl From<Regulariser> for message::Regulariser {
    fn from(regulariser: Regulariser) -> Self {
        match regulariser {
            Regulariser::Nonconvex => Self::Nonconvex,
            Regulariser::L2 => Self::L2,
        }
    }
}
