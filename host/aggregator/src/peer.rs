//! The state of one worker.

use crate::board::{Board, Visitor};
use crate::exchange::Exchange;
use crate::stage::Stage;
use crate::standing::{Exclusions, Standing};
use crate::stopwatch::{Elapsed, Stopwatch};
use crate::traffic::Traffic;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, Kind};
use smidgen_protocol::message::{Loss, Ticket};
use smidgen_protocol::vector::Ratio;
use std::time::Duration;

/// Counters of a worker at its end of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatistics {
    /// Frames that it dropped, in the order of [`Reject::ALL`].
    pub rejected: [u32; Reject::COUNT],
    /// Number of times its receiver lost bytes.
    pub overruns: u32,
    /// Number of mantissas that it cut to their range.
    pub saturated: u32,
}

/// Rows that a board holds out, and how many of them the model classifies correctly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Number of rows.
    pub rows: u32,
    /// Number of rows of which the model finds the class.
    pub right: u32,
}

/// The received part of an update.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Bodies with their first coordinates.
    pub bodies: Vec<(u32, Vec<u8>)>,
    /// Number of their entries.
    pub entries: u32,
    /// The first coordinate of the next body.
    pub next_from: u32,
    /// The transcript of all entries, once the update was applied.
    pub applied: u64,
    /// Context of the last frame that was taken; it may come again.
    last: Option<Context>,
}

impl Incoming {
    /// Adds a body.
    pub(crate) fn push(&mut self, context: &Context, body: &[u8], entries: u32) {
        self.bodies.push((context.from, body.to_vec()));
        self.entries += entries;
        self.last = Some(*context);
    }

    /// Removes the bodies at the end of a round.
    pub(crate) fn close(&mut self) {
        self.bodies.clear();
        (self.entries, self.next_from, self.applied) = (0, 0, 0);
    }

    /// Forgets the frames as well, because the worker computes its update again.
    pub(crate) fn forget(&mut self) {
        self.close();
        self.last = None;
    }

    /// The contexts of frames that were taken, the newest first.
    pub(crate) fn taken(&self) -> impl Iterator<Item = Context> {
        let last = self.last;
        let earlier = self.bodies.iter().rev().map(|(from, _)| *from);
        let part = move |from| last.map(|last| Context { kind: Kind::Part, from, ..last });
        let earlier = earlier.filter_map(part);
        last.into_iter().chain(earlier)
    }
}

/// The state of one worker.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    pub exchange: Exchange,
    pub standing: Standing,
    pub exclusions: Exclusions,
    pub board: Board,
    /// A board of another worker that answers on its link.
    pub visitor: Visitor,
    /// Its board may be the visitor of another worker.
    pub board_visits: bool,
    /// Ticket of the configuration that it acknowledged; a reboot forgets it.
    pub opened: Ticket,
    /// The constant L̂_i that it reported.
    pub l_i: Option<Ratio>,
    /// Result of its last probe: largest gradient mantissa, loss mantissa.
    pub range: Option<(u32, i32)>,
    /// It was sent the given initial model since it was configured.
    pub has_initial_model: bool,
    /// The round whose state it has; `None` once it is configured again.
    pub at_round: Option<u32>,
    /// The last closed round was closed without it.
    pub missed: bool,
    pub incoming: Incoming,
    /// Its loss in the last round that it took part in.
    pub loss: Loss,
    /// Shift of its last update with entries.
    pub shift: u8,
    /// Traffic since the last close.
    pub uplink: Traffic,
    pub downlink: Traffic,
    /// Traffic before that, up and down.
    past: (Traffic, Traffic),
    pub stopwatch: Stopwatch,
    /// Measured times of its last closed round, if its update was in it.
    pub elapsed: Option<Elapsed>,
    /// Its counters, as of its last Ready.
    pub statistics: WorkerStatistics,
    /// Number of reboots detected.
    pub reboots: u32,
    /// Its score at the end of the run.
    pub score: Option<Score>,
    /// It keeps the model of the run: also after a power cut if true.
    pub keeps_model: Option<bool>,
}

impl Peer {
    /// Notes that the awaited answer came, on a line that takes `byte_time` for a byte.
    pub(crate) fn answered(&mut self, now: Duration, byte_time: Duration) {
        self.stopwatch.answered(now, self.exchange.asked().evaluates(), byte_time);
        self.exchange.answered(now);
    }

    /// Restores a worker of a resumed run: its loss in the last round and whether it missed it, its traffic until then,
    /// and its number of reboots.
    pub(crate) fn resume(
        &mut self,
        (loss, missed): (Loss, bool),
        past: (Traffic, Traffic),
        reboots: u32,
    ) {
        (self.loss, self.missed, self.past, self.reboots) = (loss, missed, past, reboots);
        self.standing = Standing::resumed();
    }

    /// Notes that it was found restarted; returns how often that has happened since its last update.
    pub(crate) fn restarted(&mut self) -> u32 {
        self.reboots += 1;
        self.standing.restarted()
    }

    /// Has it wait until the round is over, whichever board may be on its link.
    pub(crate) fn wait(&mut self) {
        // A challenge would have it identify itself in this round again.
        self.exchange.recognised();
        self.exchange.enter(Stage::Idle);
    }

    /// Notes that it holds no state of the open round.
    pub(crate) fn forget_round(&mut self) {
        self.at_round = None;
        self.incoming.forget();
    }

    /// Notes that its update was taken, so that all setbacks are over.
    pub(crate) fn updated(&mut self, now: Duration, round: u32) {
        self.stopwatch.updated(now);
        self.at_round = Some(round);
        self.standing.updated();
        self.exchange.enter(Stage::Idle);
    }

    /// Adds the traffic since the last close to that of the past.
    pub(crate) fn close_traffic(&mut self) {
        self.past.0 += std::mem::take(&mut self.uplink);
        self.past.1 += std::mem::take(&mut self.downlink);
    }

    /// All traffic, up and down.
    pub(crate) fn traffic(&self) -> (Traffic, Traffic) {
        let (mut up, mut down) = self.past;
        up += self.uplink;
        down += self.downlink;
        (up, down)
    }
}
