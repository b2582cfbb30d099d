//! The problem that is trained: data, objective, theory, and what a method makes of them. Knows no board, world or record.

pub mod dataset;
pub mod method;
pub mod objective;
pub mod range;
pub mod specification;
pub mod theory;
