//! End-to-end tests of smidgen.

pub mod call_graph;
pub mod classifier;
pub mod conformance;
pub mod emulation;
pub mod faulty;
pub mod flash;
pub mod frames;
pub mod fuzz;
pub mod oracle;
pub mod pty;
pub mod reference;
pub mod shared;
pub mod torture;
