//! The interface between a run and its workers.

use serde::{Deserialize, Serialize};
use smidgen_aggregator::{Aggregator, Event};
use thiserror::Error;

/// Transport and clock of a run: moves bytes between workers and aggregator, and advances time.
pub trait World {
    /// Advances by one step, which waits for at most a few tenths of a second. Returns an event if one occurred.
    fn advance(&mut self) -> Result<Option<Event>, WorldError>;

    /// Advances until an event occurs.
    fn next_event(&mut self) -> Result<Event, WorldError> {
        loop {
            if let Some(event) = self.advance()? {
                return Ok(event);
            }
        }
    }

    /// Returns the aggregator.
    fn aggregator(&mut self) -> &mut Aggregator;

    /// Evaluates f at the x of the round just closed, if the host has the data.
    fn measure(&mut self) -> Option<Measured>;

    /// Returns the clock of the times that it passes to the aggregator.
    fn clock(&self) -> Clock;

    /// Returns the display name of a link's place.
    fn place(&self, link: usize) -> String;

    /// Returns the next message for the user, if there is one.
    fn poll_note(&mut self) -> Option<String> {
        None
    }
}

/// Evaluation of a model on the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// f(x); `None` if the mean of the losses that workers report is the same.
    pub loss: Option<f64>,
    /// ‖∇f(x)‖².
    pub gradient_norm_squared: f64,
}

/// Reasons why a run cannot continue.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorldError {
    /// No worker has ever answered.
    #[error(
        "no worker answers on {place}: {heard}; check that the board runs smidgen's firmware, that it is connected to \
         this port and no other program uses that, that --baud is right, and {}", key_advice(*.keyed)
    )]
    Silent {
        /// The place of the link.
        place: String,
        /// What was received instead.
        heard: String,
        /// True if the run has a key.
        keyed: bool,
    },
    /// A worker no longer answers.
    #[error("{place} has not answered for {seconds} seconds; check its power and cable")]
    Lost {
        /// Its place.
        place: String,
        /// Time since its last answer.
        seconds: u64,
    },
    /// A worker identifies itself but makes no progress.
    #[error(
        "{place} identifies itself, but has answered no other request for {seconds} seconds; restart it"
    )]
    Evasive {
        /// Its place.
        place: String,
        /// Time since its last useful answer.
        seconds: u64,
    },
    /// The emulator of a board cannot be kept running.
    #[error("{place} cannot be restarted: {reason}; try another version of QEMU")]
    Ended {
        /// The board.
        place: String,
        /// The reason.
        reason: String,
    },
    /// The user requested a stop twice.
    #[error("stopped on request")]
    Interrupted,
    /// No round is closed, because links are too slow or too faulty.
    #[error(
        "no round was closed in {hours} hours of simulated time; use a faster line (--baud) or one with fewer faults \
         (--faults)"
    )]
    Stalled {
        /// Simulated time without a round.
        hours: u64,
    },
}

/// Returns what to check about keys if a board is silent.
fn key_advice(keyed: bool) -> &'static str {
    if keyed {
        "that its image contains the key of --key: a board with another key, or without one, does not answer"
    } else {
        "that its image contains no key: a board with a key answers only if --key names it"
    }
}

/// A source of measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The host's clock.
    Host,
    /// The clock of a simulation, which models the line, its delay, and the time of a gradient.
    Virtual,
}
