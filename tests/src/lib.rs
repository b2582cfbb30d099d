//! The shared parts of the end-to-end tests. Start with [`conformance`].
//!
//! Four harnesses play host against worker, each for another view:
//!
//! ```text
//! host/aggregator/src/tests/bench.rs     a real aggregator and real workers; sees stages and queues inside
//! firmware/src/worker/tests/host.rs      a scripted host, which builds with the firmware alone
//! tests/src/fuzz/worker.rs               a worker whose host is drawn from bytes
//! tests/src/fuzz/aggregator.rs           an aggregator with an honest worker, and one drawn from bytes
//! ```

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
