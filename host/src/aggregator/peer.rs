//! One worker as the aggregator sees it: what it was asked, what it answered, what it cost.

use super::timer::Timer;
use crate::record::Traffic;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{Part, Ticket};
use std::time::Duration;

/// So many questions without an answer, and the worker is asked who it is: it may have been restarted.
const ATTEMPTS_UNTIL_CHECK: u32 = 3;

/// Who answers on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Kind of board.
    pub board: String,
    /// Which of its kind.
    pub identity: u64,
    /// Bytes of memory for state and data.
    pub memory: u32,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {:016x}", self.board, self.identity)
    }
}

/// What a worker counts at its end of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Frames it dropped, in the order of [`Reject::ALL`].
    pub rejected: [u32; Reject::COUNT],
    /// How often its receiver lost bytes.
    pub overruns: u32,
    /// Mantissas it cut to their range.
    pub saturated: u32,
}

/// What a worker is being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Hello → Ready.
    #[default]
    Greet,
    /// Configure → Ack.
    Configure,
    /// Data → Ack, until all bytes are held.
    Load { held: u32 },
    /// Probe → Range.
    Probe,
    /// Announce → Ack.
    Announce,
    /// Part → Ack, from the mirror and the model, after a reboot.
    Restore { part: Part, from: u32 },
    /// Begin → Update.
    Begin,
    /// Part → Ack, the downlink of a round that does not fit one frame.
    Part(usize),
    /// Round → Update.
    Round,
    /// More → Update.
    More,
    /// Hello → Ready, whose digests are compared.
    Verify,
    /// Nothing: the others are waited for.
    Idle,
}

impl Stage {
    /// Whether the worker must compute a gradient before it answers.
    fn evaluates(self) -> bool {
        matches!(self, Self::Probe | Self::Begin | Self::Round)
    }

    /// Whether an update is waited for.
    pub fn awaits_update(self) -> bool {
        matches!(self, Self::Begin | Self::Round | Self::More)
    }
}

/// The state of one worker.
#[derive(Debug, Default)]
pub struct Peer {
    pub stage: Stage,
    /// The question is put off until the worker has said who it is.
    pub checking: bool,
    pub identity: Option<Identity>,
    pub ticket: Ticket,
    /// What the last probe found: largest gradient mantissa, loss mantissa.
    pub range: Option<(u32, i32)>,
    /// The round whose state the worker holds; none after a configuration.
    pub at_round: Option<u32>,
    /// Bodies of the update of this round with their first coordinates, and where the next one starts.
    pub bodies: Vec<(u32, Vec<u8>)>,
    pub entries: u32,
    pub next_from: u32,
    pub loss: i32,
    /// The context of the last update that was taken: it may come again.
    pub last_update: Option<Context>,
    /// Traffic since the last close, and before.
    pub uplink: Traffic,
    pub downlink: Traffic,
    past: (Traffic, Traffic),
    /// What its last Ready told.
    pub told: Told,
    /// Times it was found restarted.
    pub reboots: u32,
    queued: bool,
    attempts: u32,
    sent_at: Duration,
    heard_at: Duration,
    deadline: Option<Duration>,
    quick: Timer,
    evaluation: Timer,
}

impl Peer {
    /// Starts the next exchange.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.ticket = self.ticket.wrapping_add(1);
        self.attempts = 0;
        self.checking = false;
        self.deadline = None;
    }

    /// Whether there is a question to ask, and it is not yet in the queue: then it is from now on.
    pub fn enqueue(&mut self) -> bool {
        let new = !self.queued && self.stage != Stage::Idle;
        self.queued |= new;
        new
    }

    /// Takes it from the queue; returns whether there still is a question to ask.
    pub fn dequeue(&mut self) -> bool {
        self.queued = false;
        self.stage != Stage::Idle
    }

    /// Notes that the question has been sent, and with its answer will be on the line for `line_time` at most; returns
    /// when to ask again, and whether it had been asked before.
    pub fn sent(&mut self, now: Duration, line_time: Duration) -> (Duration, bool) {
        let deadline = now + self.timer().timeout() + line_time;
        self.sent_at = now + line_time;
        self.deadline = Some(deadline);
        (deadline, self.attempts > 0)
    }

    /// Notes that the awaited answer came.
    pub fn answered(&mut self, now: Duration) {
        self.heard_at = now;
        if self.attempts == 0 {
            let took = now.saturating_sub(self.sent_at);
            self.timer().sample(took);
        }
    }

    /// Whether the question must be asked again, `deadline` having passed.
    pub fn missed(&mut self, deadline: Duration) -> bool {
        if self.deadline != Some(deadline) {
            return false;
        }
        self.timer().back_off();
        self.attempts += 1;
        let in_session = !matches!(self.stage, Stage::Greet | Stage::Verify);
        self.checking = in_session && self.attempts.is_multiple_of(ATTEMPTS_UNTIL_CHECK);
        true
    }

    /// Asks the worker who it is before anything else: its line was interrupted.
    pub fn check(&mut self) {
        self.checking = !matches!(self.stage, Stage::Greet | Stage::Verify | Stage::Idle);
        self.attempts = self.attempts.max(1);
    }

    /// Forgets what came of this round's update: the worker computes it anew.
    pub fn restart_update(&mut self) {
        self.bodies.clear();
        (self.entries, self.next_from) = (0, 0);
    }

    /// Puts the traffic since the last close to that of the past.
    pub fn close_traffic(&mut self) {
        self.past.0 += std::mem::take(&mut self.uplink);
        self.past.1 += std::mem::take(&mut self.downlink);
    }

    /// All traffic, up and down.
    pub fn traffic(&self) -> (Traffic, Traffic) {
        let (mut up, mut down) = self.past;
        up += self.uplink;
        down += self.downlink;
        (up, down)
    }

    /// Since when an answer is overdue; none if nothing is.
    pub fn silent_since(&self) -> Option<Duration> {
        (self.attempts > 0 && self.stage != Stage::Idle).then_some(self.heard_at)
    }

    fn timer(&mut self) -> &mut Timer {
        if self.stage.evaluates() && !self.checking {
            &mut self.evaluation
        } else {
            &mut self.quick
        }
    }
}
