//! The shared parts of the end-to-end tests. Start with [`conformance`].
//!
//! A [scripted host](host) leads a real worker; `fuzz/worker.rs` draws its messages from bytes. Two harnesses lead a
//! real aggregator: `host/aggregator/src/tests/bench.rs` sees stages and queues inside, `fuzz/aggregator.rs` draws the
//! answers of a dishonest worker from bytes.

pub mod call_graph;
pub mod classifier;
pub mod conformance;
pub mod emulation;
pub mod faulty;
pub mod flash;
pub mod frames;
pub mod fuzz;
pub mod host;
pub mod oracle;
pub mod pty;
pub mod reference;
pub mod shared;
pub mod torture;
