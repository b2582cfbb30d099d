#![doc = include_str!("../README.md")]
//!
//! # Stages of a worker
//!
//! One exchange is open with each worker: a request that is repeated until it is answered. The state of the run decides
//! which stage follows, so a restarted board simply finds itself at an early stage again, while its mirror and the
//! model wait for it.
//!
//! ```text
//!  Greet ─ Configure ─ Load ─ Curvature? ─ Probe ─┐ (once)              ┌─ Part… ─ Round ─┐ (each round)
//!                        └────────────────────────┴─ Announce ─ Restore… ─ Begin ─────────┴─ More… ─ Idle
//!                                                                        (at the end) Handover? ─ Score? ─ Keep? ─┘
//! ```
//!
//! A run that starts from a [given model](InitialModel::Given) announces its exponent and sends it before the probe, by
//! the messages of a restoration: … Curvature? ─ Announce ─ Restore Model ─ Probe ─ ….
//!
//! # Dependencies between modules
//!
//! A module imports only modules below it or to its right.
//!
//! ```text
//!  snapshot, aggregator
//!  rounds, ending, uplink, downlink, stragglers, recognition  what the machine does
//!  machine
//!  peer, routes, setup, model                             what it holds
//!  exchange, standing, event                              what becomes of a worker
//!  stage, timer, stopwatch, traffic, failure, board, chunk, method_spec, mirror, scaling, tuner, information
//!  compressor, ratio, sealing, shown
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod aggregator;
mod board;
mod chunk;
mod compressor;
mod downlink;
mod ending;
mod event;
mod exchange;
mod failure;
mod final_model;
mod information;
mod machine;
mod method_spec;
mod mirror;
mod model;
mod peer;
pub mod ratio;
mod recognition;
mod rounds;
mod routes;
mod scaling;
mod sealing;
mod setup;
pub mod shown;
mod snapshot;
mod stage;
mod standing;
mod stopwatch;
mod stragglers;
mod timer;
mod traffic;
mod tuner;
mod uplink;

pub use aggregator::Aggregator;
pub use board::Identity;
pub use compressor::DownlinkBudget;
pub use event::{Closed, Event};
pub use failure::{Failure, Reason};
pub use final_model::{FinalModel, Selected};
pub use method_spec::{MethodSpec, StepRule, Theory, WorkerSpec};
pub use mirror::Mirror;
pub use model::value;
pub use peer::{Score, WorkerStatistics};
pub use scaling::grids;
pub use sealing::{Salts, Sealing};
pub use setup::{InitialModel, Setup, Share, WORKERS_MAX};
pub use snapshot::{ForeignSnapshot, Snapshot};
pub use standing::retry_delay;
pub use stopwatch::Elapsed;
pub use timer::Timer;
pub use traffic::{Carried, Traffic};
