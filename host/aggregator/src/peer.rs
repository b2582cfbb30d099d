//! One worker as the aggregator sees it: what it is asked, what it has answered, what it cost.

use super::exchange::{Exchange, Stage};
use super::failure::Reason;
use super::stopwatch::{Elapsed, Stopwatch};
use super::traffic::Traffic;
use crate::shown::shown;
use serde::{Deserialize, Serialize};
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::Ticket;
use smidgen_protocol::vector::Ratio;
use std::time::Duration;

/// So many restarts without an update in between, and a board is given up.
pub const RESTARTS_MAX: u32 = 8;

/// How long who was left out for a reason is not asked at first; twice as long each time, so many times.
const TERM_MIN: Duration = Duration::from_secs(10);
const DOUBLINGS_MAX: u32 = 6;

/// Who answers on a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        write!(f, "{} {:016x}", shown(&self.board), self.identity)
    }
}

/// What a worker counts at its end of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStatistics {
    /// Frames it dropped, in the order of [`Reject::ALL`].
    pub rejected: [u32; Reject::COUNT],
    /// How often its receiver lost bytes.
    pub overruns: u32,
    /// Mantissas it cut to their range.
    pub saturated: u32,
}

/// The update of this round, as far as it has come.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Bodies with their first coordinates.
    pub bodies: Vec<(u32, Vec<u8>)>,
    /// Their entries.
    pub entries: u32,
    /// The first coordinate of the next body.
    pub next_from: u32,
    /// The context of the last frame that was taken: it may come again.
    last: Option<Context>,
}

impl Incoming {
    /// Takes a body.
    pub fn push(&mut self, context: &Context, body: &[u8], entries: u32) {
        self.bodies.push((context.from, body.to_vec()));
        self.entries += entries;
        self.last = Some(*context);
    }

    /// Empties it for the next round.
    pub fn close(&mut self) {
        self.bodies.clear();
        (self.entries, self.next_from) = (0, 0);
    }

    /// Forgets it all: the worker computes its update anew.
    pub fn forget(&mut self) {
        self.close();
        self.last = None;
    }

    /// The contexts of frames that were taken before, the newest first.
    pub fn taken(&self) -> impl Iterator<Item = Context> {
        let last = self.last;
        let earlier = self.bodies.iter().rev().map(|(from, _)| *from);
        let earlier = last
            .into_iter()
            .flat_map(move |last| earlier.clone().map(move |from| Context { from, ..last }));
        last.into_iter().chain(earlier)
    }
}

/// The state of one worker.
#[derive(Debug, Default)]
pub struct Peer {
    pub exchange: Exchange,
    /// Its board: the one that answered first, in this run or in the part of it that was resumed.
    pub identity: Option<Identity>,
    /// The link on which its board was heard last by this host, if it ever was.
    pub heard_on: Option<usize>,
    /// Whose board answers on its link, if it is not its own.
    pub met: Option<usize>,
    /// How often in a row such a board has answered on its own link as well.
    pub refuted: u32,
    /// Ticket of the configuration that it acknowledged: a boot forgets it.
    pub opened: Ticket,
    /// The most bytes of its data, or coordinates of the vector that is being restored, that it has confirmed.
    pub furthest: u32,
    /// Its constant L̂_i, where it was asked for it.
    pub l_i: Option<Ratio>,
    /// What the last probe found: largest gradient mantissa, loss mantissa.
    pub range: Option<(u32, i32)>,
    /// The round whose state the worker holds; none after a configuration.
    pub at_round: Option<u32>,
    /// Rounds close without it.
    pub excluded: bool,
    /// For a reason, until it answers as it should.
    pub barred: bool,
    /// How often it was barred since its last update.
    terms: u32,
    /// How often rounds began to close without it, and the last reason, if it was not just silent.
    pub exclusions: u32,
    pub reason: Option<Reason>,
    /// The last closed round was closed without it.
    pub missed: bool,
    pub incoming: Incoming,
    pub loss: i32,
    /// Traffic since the last close, and before.
    pub uplink: Traffic,
    pub downlink: Traffic,
    past: (Traffic, Traffic),
    pub stopwatch: Stopwatch,
    /// Where its time went in the last closed round, if it had a part in that.
    pub elapsed: Option<Elapsed>,
    /// What its last Ready told.
    pub statistics: WorkerStatistics,
    /// Times it was found restarted, and those of them since its last update.
    pub reboots: u32,
    pub restarts: u32,
}

impl Peer {
    /// The awaited answer came, on a line that takes `byte_time` for a byte.
    pub fn answered(&mut self, now: Duration, byte_time: Duration) {
        self.stopwatch.answered(now, self.exchange.asked().evaluates(), byte_time);
        self.exchange.answered(now);
    }

    /// Whether its board has said to this host who it is.
    pub fn is_greeted(&self) -> bool {
        self.heard_on.is_some()
    }

    /// A worker of a run that goes on: its loss in the last round or whether it missed that, its traffic until then, how often it was restarted.
    /// Until its next update, what it is sent it has been sent before.
    pub fn take_up(&mut self, (loss, missed): (i32, bool), past: (Traffic, Traffic), reboots: u32) {
        (self.loss, self.missed, self.past) = (loss, missed, past);
        (self.reboots, self.restarts) = (reboots, 1);
    }

    /// There can be no run with it: it is asked again later, each time after twice as long, and then it must not restart once.
    pub fn bar(&mut self) {
        (self.barred, self.restarts) = (true, RESTARTS_MAX);
        (self.met, self.refuted) = (None, 0);
        self.exchange.rest(TERM_MIN * 2u32.pow(self.terms.min(DOUBLINGS_MAX)));
        self.terms += 1;
    }

    /// It is not asked before the round is over, whoever may be on its link.
    pub fn wait(&mut self) {
        (self.met, self.refuted) = (None, 0);
        self.exchange.recognised();
        self.exchange.enter(Stage::Idle);
    }

    /// Its update was taken, so that whatever was wrong is over.
    pub fn updated(&mut self, now: Duration, round: u32) {
        self.stopwatch.updated(now);
        self.at_round = Some(round);
        (self.restarts, self.terms) = (0, 0);
        self.exchange.enter(Stage::Idle);
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
}
