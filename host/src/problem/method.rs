//! What the methods are: one exhaustive match for each fact. What their workers are stands in `smidgen_protocol::method`.

use crate::options::Method;

impl Method {
    /// Whether it weighs or clones workers by their smoothness constants.
    pub const fn needs_constants(self) -> bool {
        match self {
            Self::Ef21W | Self::Ef21Clone => true,
            Self::Ef21
            | Self::Ef21Plus
            | Self::Ef21Sgdm
            | Self::Ef21Hb
            | Self::Ef21Prox
            | Self::Ef14
            | Self::Econtrol
            | Self::Dcgd
            | Self::Gd => false,
        }
    }

    /// Whether the inequalities in the proof of Reloaded's Theorem 3 are about it.
    pub const fn has_lyapunov_function(self) -> bool {
        match self {
            Self::Ef21 | Self::Ef21W | Self::Ef21Clone | Self::Ef21Plus | Self::Gd => true,
            Self::Ef21Sgdm
            | Self::Ef21Hb
            | Self::Ef21Prox
            | Self::Ef14
            | Self::Econtrol
            | Self::Dcgd => false,
        }
    }

    /// Whether it is dense gradient descent, with which the others are compared.
    pub const fn is_baseline(self) -> bool {
        match self {
            Self::Gd => true,
            Self::Ef21
            | Self::Ef21W
            | Self::Ef21Clone
            | Self::Ef21Plus
            | Self::Ef21Sgdm
            | Self::Ef21Hb
            | Self::Ef21Prox
            | Self::Ef14
            | Self::Econtrol
            | Self::Dcgd => false,
        }
    }
}
