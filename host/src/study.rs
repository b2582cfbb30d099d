//! Questions that take many runs: plans and the experiments of papers.

pub mod plan;
pub mod reproduction;
