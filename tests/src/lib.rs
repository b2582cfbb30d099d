//! The shared parts of the end-to-end tests. Start with [`conformance`].
//!
//! Two harnesses play host against worker, both through public interfaces only:
//!
//! ```text
//!           under test           used by
//!  host     a worker             all/worker, fuzz/worker (draws messages from bytes)
//!  bench    an aggregator        all/aggregator, fuzz/aggregator (draws answers of a dishonest worker from bytes)
//! ```

pub mod bench;
pub mod board_page;
pub mod call_graph;
pub mod classifier;
pub mod conformance;
pub mod emulation;
pub mod example;
pub mod faulty;
pub mod flash;
pub mod fleet;
pub mod frames;
pub mod fuzz;
pub mod host;
pub mod instructions;
pub mod oracle;
pub mod pty;
pub mod recording;
pub mod reference;
pub mod shared;
pub mod torture;
