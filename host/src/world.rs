//! Where the workers of a run live: the seam between a run and links, boards or their simulation.

pub mod driver;
pub mod emulator;
pub mod fault_injector;
pub mod ports;
pub mod simulation;
pub mod transport;

use serde::{Deserialize, Serialize};
use smidgen_aggregator::{Aggregator, Event};
use thiserror::Error;

/// Where workers live: it moves bytes between them and the aggregator, and time on.
pub trait World {
    /// Advances by one turn, which waits for a tenth of a second or two at most; says what happened, if anything did.
    fn advance(&mut self) -> Result<Option<Event>, WorldError>;

    /// Goes on until something happens.
    fn next_event(&mut self) -> Result<Event, WorldError> {
        loop {
            if let Some(event) = self.advance()? {
                return Ok(event);
            }
        }
    }

    /// The aggregator that it serves.
    fn aggregator(&mut self) -> &mut Aggregator;

    /// f at the x of the round that was just closed, where the data are at hand.
    fn measure(&mut self) -> Option<Measured>;

    /// What the times that it passes to the aggregator are of.
    fn clock(&self) -> Clock;

    /// Where a link leads, for people.
    fn place(&self, link: usize) -> String;

    /// The next thing that people should hear of, if there is one.
    fn poll_note(&mut self) -> Option<String> {
        None
    }
}

/// What the data say of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// f(x); none where the mean of the losses that workers report is just that.
    pub loss: Option<f64>,
    /// ‖∇f(x)‖².
    pub gradient_norm_squared: f64,
}

/// Why a world comes to a halt.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorldError {
    /// Nobody answered at all.
    #[error(
        "no worker answers on {place}: {heard}; check that the board runs smidgen's firmware, that it is connected to this port, that \
         --baud fits, and {}", key_advice(*.keyed)
    )]
    Silent {
        /// Where it was looked for.
        place: String,
        /// What came instead.
        heard: String,
        /// Whether the run has a key.
        keyed: bool,
    },
    /// A worker that took part does not answer any more.
    #[error("{place} has not answered for {seconds} seconds; check its power and cable")]
    Lost {
        /// Where it was.
        place: String,
        /// For how long.
        seconds: u64,
    },
    /// A worker is there but does not go on.
    #[error(
        "{place} says that it is there, but has answered no question for {seconds} seconds; restart it"
    )]
    Evasive {
        /// Where it is.
        place: String,
        /// For how long.
        seconds: u64,
    },
    /// The emulator of a board is gone for good.
    #[error("{place} does not come back: {reason}; try another version of QEMU")]
    Ended {
        /// Which board.
        place: String,
        /// What happened to it.
        reason: String,
    },
    /// The user requested twice that the run end.
    #[error("the run was interrupted")]
    Interrupted,
    /// Links so bad that nothing gets through.
    #[error(
        "no round was closed in {hours} hours of simulated time; use a faster line (--baud) or one with fewer faults \
         (--faults)"
    )]
    Stalled {
        /// For how long.
        hours: u64,
    },
}

/// What a key has to do with silence.
fn key_advice(keyed: bool) -> &'static str {
    if keyed {
        "that its image holds the key of --key: a board with another one, or without, does not answer"
    } else {
        "that its image holds no key: a board with one answers only with --key"
    }
}

/// What measures time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The host's clock: what passed.
    Host,
    /// The clock of a simulation: the modelled line, its delay, and the time that a simulated worker takes for a gradient.
    Virtual,
}
