//! What a fuzzer feeds: targets that take any bytes and panic where a promise does not hold.
//!
//! ```text
//!  wire        deframer, message, body          what arrives, layer by layer
//!  shards      shard                            data that a host sends, and every objective on them
//!  worker      worker                           a sequence of frames, noise, reboots
//!  aggregator  aggregator                       a worker that lies, beside one that does not
//!  text        dataset, config, record          files of users
//!  checkpoint  checkpoint                       what a run goes on from
//!  corpus                                       seeds: the golden vectors of the wire format
//! ```
//!
//! `fuzz/` drives them with libFuzzer for as long as you like, `tests/fuzz.rs` for some seconds with inputs that are
//! always the same.

pub mod aggregator;
pub mod checkpoint;
pub mod corpus;
pub mod shards;
pub mod text;
pub mod wire;
pub mod worker;

/// A body for a fuzzer.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, that of the binary in `fuzz/` as well.
    pub name: &'static str,
    /// Takes any bytes; panics where a promise does not hold.
    pub run: fn(&[u8]),
    /// What to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "deframer", run: wire::deframer, seeds: corpus::frames },
    Target { name: "message", run: wire::message, seeds: corpus::payloads },
    Target { name: "body", run: wire::body, seeds: corpus::bodies },
    Target { name: "shard", run: shards::shard, seeds: corpus::shards },
    Target { name: "worker", run: worker::worker, seeds: corpus::sequences },
    Target { name: "aggregator", run: aggregator::aggregator, seeds: corpus::sequences },
    Target { name: "dataset", run: text::dataset, seeds: corpus::datasets },
    Target { name: "config", run: text::config, seeds: corpus::configs },
    Target { name: "record", run: text::record, seeds: corpus::records },
    Target { name: "checkpoint", run: checkpoint::checkpoint, seeds: corpus::checkpoints },
];
