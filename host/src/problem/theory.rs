//! Theory before the first round: smoothness constants and step sizes.
//!
//! EF21 with a compressor of contraction α converges with γ = 1/(L + L_QM ξ(α)) (Richtárik, Sokolov, Fatkhullin 2021)
//! and with γ = 1/(L + L_AM ξ(α)) (Error Feedback Reloaded, Theorem 3), which is never shorter.

mod contraction;
mod formula;
pub mod linear;
pub mod noise;
mod rare;
mod smoothness;
mod spectrum;
mod step;
mod theorem;

pub use contraction::{beta, contraction, growth, rounding_loss, theta, top_k_alpha, xi};
pub use formula::Terms;
pub use rare::RareFeatures;
pub use smoothness::{Constants, Mean, Smoothness};
pub use step::Source;
pub use theorem::{Basis, Case, Gap, Presence, Proof, Theorem};
