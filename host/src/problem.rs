//! The problem to be trained: data, objective, theory, and the method specification. Knows no board, world or record.

pub mod dataset;
pub mod method;
pub mod objective;
pub mod range;
pub mod specification;
pub mod theory;
