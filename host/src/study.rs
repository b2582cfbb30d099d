//! Work around a run: plans, and the experiments of papers.

pub mod plan;
pub mod reproduction;
