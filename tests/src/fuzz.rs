//! Fuzz targets: functions that take any bytes and panic where a guarantee is violated.
//!
//! ```text
//!  wire        deframer, message, body          received bytes, layer by layer
//!  shards      shard                            data that a host sends, and every objective on them
//!  worker      worker                           a sequence of frames, noise, reboots
//!  recordings  recordings                       recorder commands, samples, power cuts
//!  aggregator  aggregator                       a dishonest worker beside an honest one
//!  text        dataset, config, record, model   files of users
//!  checkpoint  checkpoint                       files from which a run resumes
//!  corpus                                       seeds: the golden vectors of the wire format
//! ```
//!
//! `fuzz/` runs them with libFuzzer, `tests/all/fuzz.rs` for some seconds with inputs that are
//! always the same.

pub mod aggregator;
pub mod checkpoint;
pub mod corpus;
pub mod recordings;
pub mod shards;
pub mod text;
pub mod wire;
pub mod worker;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its binary in `fuzz/`.
    pub name: &'static str,
    /// Takes any bytes; panics where a guarantee is violated.
    pub run: fn(&[u8]),
    /// Returns the seed inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All fuzz targets.
pub const TARGETS: [Target; 12] = [
    Target { name: "deframer", run: wire::deframer, seeds: corpus::frames },
    Target { name: "message", run: wire::message, seeds: corpus::payloads },
    Target { name: "body", run: wire::body, seeds: corpus::bodies },
    Target { name: "shard", run: shards::shard, seeds: corpus::shards },
    Target { name: "worker", run: worker::worker, seeds: corpus::sequences },
    Target { name: "recordings", run: recordings::recordings, seeds: corpus::sequences },
    Target { name: "aggregator", run: aggregator::aggregator, seeds: corpus::sequences },
    Target { name: "dataset", run: text::dataset, seeds: corpus::datasets },
    Target { name: "config", run: text::config, seeds: corpus::configs },
    Target { name: "record", run: text::record, seeds: corpus::records },
    Target { name: "model", run: text::model, seeds: corpus::models },
    Target { name: "checkpoint", run: checkpoint::checkpoint, seeds: corpus::checkpoints },
];
