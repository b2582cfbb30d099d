//! Frames to workers: the open request of each.

use crate::chunk::{Chunk, chunk};
use crate::machine::{Machine, Phase};
use crate::setup::address;
use crate::stage::Stage;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, Draft, FRAME_LEN_MAX};
use smidgen_protocol::message::{BROADCAST, Down, Exponents, Known, Part, SCHEMA, VERSION};
use smidgen_protocol::round::Start;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::time::Duration;

/// A message with its address, context and body.
struct Letter<'m> {
    address: u16,
    context: Context,
    message: Down<'m>,
    body: Cow<'m, [u8]>,
}

impl Machine {
    /// Writes the next frame to send; returns its worker and its length.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Duration,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<(usize, usize)> {
        loop {
            let worker = self.queue.pop_front()?;
            if let Some(until) = self.peers[worker].exchange.start_pause(now) {
                self.deadlines.push(Reverse((until, worker)));
                continue;
            }
            // An answer may have come while the repetition was in the queue.
            if !self.peers[worker].exchange.dequeue() {
                continue;
            }
            if let Some((len, payload_len)) = self.emit(worker, out) {
                self.sent(now, worker, len, payload_len);
                return Some((worker, len));
            }
            // The link has no seal yet, or has used it up: a Hello makes a new one.
            self.peers[worker].exchange.check();
            self.enqueue(worker);
        }
    }

    /// Notes that a frame with a body of `payload_len` bytes was sent.
    fn sent(&mut self, now: Duration, worker: usize, len: usize, payload_len: usize) {
        let peer = &mut self.peers[worker];
        // A time-out that the line alone uses up would repeat every request.
        let awaits_update = peer.exchange.asked().awaits_update();
        let answer_len = if awaits_update { FRAME_LEN_MAX } else { 0 };
        let line_time = self.setup.byte_time * (len + answer_len) as u32;
        let (deadline, again) = peer.exchange.sent(now, line_time);
        self.deadlines.push(Reverse((deadline, worker)));
        peer.stopwatch.sent(now, len);
        self.since.get_or_insert(now);
        peer.downlink.frames += 1;
        peer.downlink.wire_bytes += len as u64;
        if again || peer.standing.is_sent_again() {
            peer.downlink.retransmitted_frames += 1;
            peer.downlink.retransmitted_bytes += len as u64;
        } else {
            peer.downlink.payload_bytes += payload_len as u64;
        }
    }

    /// Writes the request to a worker; returns the lengths of frame and body, or `None` if the link has no seal for it.
    fn emit(&mut self, worker: usize, out: &mut [u8; FRAME_LEN_MAX]) -> Option<(usize, usize)> {
        let asked = self.peers[worker].exchange.asked();
        let (draft, payload_len) = self.draft(worker, asked, out);
        let link = self.routes.link(worker);
        let len = match (self.seals.get_mut(link), &self.setup.seal) {
            (Some(seal), Some(sealing)) => seal.close(draft, || sealing.salts.draw())?,
            (None, _) | (Some(_), None) => draft.close(),
        };
        Some((len, payload_len))
    }

    /// Writes the request of a stage as a draft of a frame; returns it and the length of its body.
    fn draft<'o>(
        &self,
        worker: usize,
        asked: Stage,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> (Draft<'o>, usize) {
        if asked == Stage::Round {
            let (start, body) = self.round_start();
            let round = self.open_round().unwrap_or(0);
            let context = Context { round, ..self.context(worker) };
            return (start.draft(body, &context, out), body.len());
        }
        let Letter { address, context, message, body } = self.letter(worker, asked);
        (message.draft(address, &body, &context, out), body.len())
    }

    fn letter(&self, worker: usize, asked: Stage) -> Letter<'_> {
        let (message, body) = self.request(worker, asked);
        // If cables were swapped, another worker receives it, whose state need not be that of the round.
        let address = if message.is_setup() { BROADCAST } else { address(worker) };
        Letter { address, context: self.context_of(&message), message, body }
    }

    /// The request of a stage, and its body.
    fn request(&self, worker: usize, asked: Stage) -> (Down<'_>, Cow<'_, [u8]>) {
        let peer = &self.peers[worker];
        let (ticket, none) = (peer.exchange.ticket(), Cow::default());
        match asked {
            Stage::Greet | Stage::Verify => {
                let echo = peer.exchange.echo();
                (Down::Hello { version: VERSION, schema: SCHEMA, echo }, none)
            }
            Stage::Configure => {
                let identity = peer.board.identity().map_or(0, |identity| identity.identity);
                (Down::Configure(self.setup.configuration(worker, ticket, identity)), none)
            }
            Stage::Load { held, .. } => {
                let rest = &self.setup.shares[worker].data[held as usize..];
                let body = &rest[..rest.len().min(BODY_LEN_MAX)];
                (Down::Data { ticket, offset: held }, body.into())
            }
            Stage::Curvature => (Down::Curvature { ticket }, none),
            Stage::Handover(step) => self.handover_request(ticket, step),
            Stage::Score => (Down::Score { ticket }, none),
            Stage::Keep => (Down::Keep { ticket }, none),
            Stage::Probe => (Down::Probe { ticket, exponents: self.probed_exponents() }, none),
            Stage::Announce => {
                let (exponents, gamma_n) = (self.model.exponents(), self.model.gamma_n());
                (Down::Announce { ticket, exponents, gamma_n }, none)
            }
            Stage::Restore { part, from, .. } => {
                let Chunk { until, body, .. } = self.state(worker, part, from);
                (Down::Part { ticket, part, from, until }, body.into())
            }
            Stage::Begin => {
                let downlink = self.model.form();
                let known = Known { loss: peer.loss, shift: peer.shift, downlink };
                (Down::Begin { ticket, round: self.open_round().unwrap_or(0), known }, none)
            }
            Stage::Part(index) => {
                let &Chunk { from, until, ref body } = &self.downlink[index];
                let part = self.setup.method.downlink.part();
                (Down::Part { ticket, part, from, until }, body.as_slice().into())
            }
            Stage::More => (Down::More { from: peer.incoming.next_from }, none),
            Stage::Round => unreachable!("its frame is no message"),
            Stage::Idle => unreachable!("an idle worker is not asked"),
        }
    }

    /// The last chunk of a round's downlink, which asks for the update.
    fn round_start(&self) -> (Start, &[u8]) {
        let &Chunk { from, ref body, .. } = self.downlink.last().expect("a downlink has a chunk");
        (Start { from, pace: self.model.announced_pace() }, body)
    }

    fn probed_exponents(&self) -> Exponents {
        match self.phase {
            Phase::Probing(exponents) => exponents,
            Phase::Measuring
            | Phase::Open(_)
            | Phase::Closed(_)
            | Phase::Finishing
            | Phase::Finished => unreachable!("workers are probed while exponents are sought"),
        }
    }

    /// The context of a message of the host.
    fn context_of(&self, message: &Down) -> Context {
        let session = Context::downlink(self.setup.session);
        if message.is_setup() {
            Context::SETUP
        } else if message.is_of_round() {
            Context { round: self.open_round().unwrap_or(0), ..session }
        } else {
            session
        }
    }

    /// A piece of a vector that a restarted worker is sent.
    fn state(&self, worker: usize, part: Part, from: u32) -> Chunk {
        match part {
            Part::Model | Part::ModelChange => chunk(self.model.w(), from),
            Part::Estimator => chunk(self.mirrors[worker].mantissas(), from),
            Part::Sum | Part::SumChange => chunk(self.model.announced(), from),
            Part::Velocity => chunk(self.model.velocity(), from),
        }
    }

    /// The stage that sends chunk `index` of the downlink.
    pub(crate) fn part(&self, index: usize) -> Stage {
        if index + 1 < self.downlink.len() { Stage::Part(index) } else { Stage::Round }
    }
}
