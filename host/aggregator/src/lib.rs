//! The aggregator machine: the server of EF21, and the requests that it takes to run a round.
//!
//! ```text
//!   receive(now, link, bytes) ────> [ machine ] ──> poll_transmit(now, out) ─> (link, len)
//!   handle_timeout(now) ──────────>     │  ▲
//!                          poll_event() ▼  │ proceed() | finish()
//!                                     [ body ]            poll_timeout() ─> when to call again
//! ```
//!
//! It knows neither clock nor port: `now` is the time since the run began. Every worker is at one stage: one
//! request that is asked until it is answered. What a stage leads to depends on the state of the run, so a board that was
//! restarted simply finds itself at an early stage again, while its mirror and the model wait for it. Which link leads to which
//! worker is what boards say of themselves (`routes`):
//!
//! ```text
//!  Greet ─ Configure ─ Load ─ Curvature? ─ Probe ─┐ (once)              ┌─ Part… ─ Round ─┐ (each round)
//!                        └────────────────────────┴─ Announce ─ Restore… ─ Begin ─────────┴─ More… ─ Idle
//! ```

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod aggregator;
mod board;
mod chunk;
mod compressor;
mod downlink;
mod event;
mod exchange;
mod failure;
mod information;
mod machine;
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
pub use mirror::Mirror;
pub use model::value;
pub use peer::WorkerStatistics;
pub use scaling::grids;
pub use sealing::{Salts, Sealing};
pub use setup::{Setup, Share, StepRule, Theory, WORKERS_MAX};
pub use snapshot::{ForeignSnapshot, Snapshot};
pub use stopwatch::Elapsed;
pub use traffic::{Carried, Traffic};

#[cfg(test)]
mod tests;
