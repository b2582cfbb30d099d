//! The aggregator machine: the server of EF21, and the questions that it takes to run a round.
//!
//! ```text
//!   receive(now, worker, bytes) ──> [ machine ] ──> poll_transmit(now, out) ─> (worker, len)
//!   handle_timeout(now) ──────────>     │  ▲
//!                          poll_event() ▼  │ proceed() | finish()
//!                                     [ body ]            poll_timeout() ─> when to call again
//! ```
//!
//! It knows neither clock nor port: `now` is the time since the run began. Every worker is at one stage: one
//! question that is asked until it is answered. What a stage leads to depends on the state of the run, so a board that was
//! restarted simply finds itself at an early stage again, while its mirror and the model wait for it:
//!
//! ```text
//!  Greet ─ Configure ─ Load ─ Probe ─┐ (once)              ┌─ Part… ─ Round ─┐ (each round)
//!                        └───────────┴─ Announce ─ Restore… ─ Begin ─────────┴─ More… ─ Idle
//! ```

mod compressor;
mod failure;
mod mirror;
mod model;
mod peer;
mod scaling;
mod timer;

use crate::ratio::ratio;
use crate::record::Traffic;
pub use compressor::Budget;
pub use failure::{Failure, Reason};
pub use mirror::Mirror;
pub use model::value;
use model::{Chunk, Model, chunk};
pub use peer::Identity;
pub use peer::Told;
use peer::{Peer, Stage};
use smidgen_protocol::counters::{Counters, Reject};
use smidgen_protocol::digest::{self, Transcript};
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, Deframer, FRAME_LEN_MAX, Frame, checksum};
use smidgen_protocol::message::{
    BROADCAST, Configure, Down, Downlink, Exponents, Init, Part, Ready, Refusal, SCHEMA, Ticket,
    Up, VERSION, greeting,
};
use smidgen_protocol::method::{Method, Participation};
use smidgen_protocol::sparse::{Decoder, Packing};
use smidgen_protocol::step::Rule;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The run, not 0; a worker leaves one run when it is configured for another.
    pub session: u32,
    /// Name of the objective.
    pub objective: String,
    /// Weight λ of the regulariser.
    pub lambda: f64,
    /// Dimension d.
    pub dimension: u32,
    /// Coordinates per update, K.
    pub k: u32,
    /// Bits of a mantissa, 2..=32.
    pub value_bits: u8,
    /// The first estimators.
    pub init: Init,
    /// What workers send of their gradients.
    pub method: Method,
    /// Who takes part in a round.
    pub participation: Participation,
    /// How the model travels.
    pub downlink: Downlink,
    /// What a change may hold on its way down (EF21-P, EF21-BC); everything, where there is none.
    pub downlink_budget: Option<Budget>,
    /// Step size γ.
    pub gamma: f64,
    /// η of the heavy ball; 0 for none.
    pub momentum: f64,
    /// Weight λ₁ of the l1 norm, by a proximal step; 0 for none.
    pub l1: f64,
    /// What each worker has; their number is n.
    pub shares: Vec<Share>,
    /// How long a byte takes on the line: answers are not expected sooner.
    pub byte_time: Duration,
}

/// A worker's part of the problem.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its data, as they travel.
    pub data: Vec<u8>,
    /// What its gradient is multiplied with before it meets the grid: 1/(n w_i) in EF21-W, else 1.
    pub scale: f64,
    /// What its estimator is multiplied with in the sum: n w_i in EF21-W, else 1.
    pub weight: f64,
    /// Its part in f: 1/n where workers are equal.
    pub loss_weight: f64,
}

/// What a body gets to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker said who it is.
    Greeted(usize),
    /// A worker holds so many of so many bytes of its data.
    Loaded {
        /// Index of the worker.
        worker: usize,
        /// Bytes it holds.
        held: u32,
        /// Bytes in all.
        len: u32,
    },
    /// A worker was restarted and is being restored.
    Rebooted(usize),
    /// All workers hold their data and the exponents are found: what that cost.
    Prepared(Carried),
    /// A round is complete: look at the state, then call [`Aggregator::proceed`] or [`Aggregator::finish`].
    Closed(Closed),
    /// All workers confirmed that their state is that of the host.
    Finished,
    /// The run cannot go on.
    Failed(Failure),
}

/// A round that is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// Round t: what follows belongs to x^t.
    pub round: u32,
    /// f(x^t), the mean of the workers' losses.
    pub loss: f64,
    /// ‖g^t‖².
    pub estimator_norm_squared: f64,
    /// Digest of all x, g_i and bodies up to here.
    pub transcript: u64,
    /// What it took.
    pub carried: Carried,
}

/// What passed the links since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the workers.
    pub uplink: Traffic,
    /// To the workers.
    pub downlink: Traffic,
    /// Bytes, both ways, on the link that carried most.
    pub busiest_link_bytes: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Aggregator {
    lines: Vec<Line>,
    machine: Machine,
}

/// The receiving end of a link.
#[derive(Debug, Default)]
struct Line {
    deframer: Deframer,
    counters: Counters,
}

impl Aggregator {
    /// A run that has not begun.
    ///
    /// # Panics
    /// If the numbers contradict each other: K is not in `1..=d`, there are no workers or too many.
    pub fn new(setup: Setup) -> Self {
        let workers = setup.shares.len();
        assert!((1..=1 << 15).contains(&workers) && (1..=setup.dimension).contains(&setup.k));
        assert!(setup.session != 0 && (2..=32).contains(&setup.value_bits));
        let lines = (0..workers).map(|_| Line::default()).collect();
        Self { lines, machine: Machine::new(setup) }
    }

    /// Takes what arrived from a worker, in pieces of any size.
    pub fn receive(&mut self, now: Duration, worker: usize, mut bytes: &[u8]) {
        let Line { deframer, counters } = &mut self.lines[worker];
        self.machine.peers[worker].uplink.wire_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (rest, frame) = deframer.feed(bytes, counters);
            bytes = rest;
            if let Some(frame) = frame {
                let wire_len = frame.wire_len;
                self.machine.peers[worker].uplink.frames += 1;
                let outcome = self.machine.handle(now, worker, &frame);
                counters.tally(outcome, wire_len);
                let uplink = &mut self.machine.peers[worker].uplink;
                if outcome == Err(Reject::Repeated) {
                    uplink.retransmitted_frames += 1;
                    uplink.retransmitted_bytes += wire_len as u64;
                }
            }
        }
    }

    /// The link to a worker was interrupted and works again.
    pub fn handle_reconnect(&mut self, worker: usize) {
        self.machine.peers[worker].check();
        self.machine.enqueue(worker);
    }

    /// Asks again where an answer is overdue.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.machine.handle_timeout(now);
    }

    /// When [`Aggregator::handle_timeout`] must be called, if nothing arrives before.
    pub fn poll_timeout(&mut self) -> Option<Duration> {
        self.machine.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Writes the next frame to send into `out`, if there is one; returns for whom it is, and its length.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<(usize, usize)> {
        self.machine.poll_transmit(now, out)
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.machine.events.pop_front()
    }

    /// Takes the step after a closed round and starts the next one.
    ///
    /// # Panics
    /// If no round was closed.
    pub fn proceed(&mut self) {
        self.machine.proceed();
    }

    /// Ends the run after a closed round: asks every worker for the digests of its state.
    ///
    /// # Panics
    /// If no round was closed.
    pub fn finish(&mut self) {
        self.machine.finish();
    }

    /// Mantissas of the model that workers hold: x, and w in EF21-P.
    pub fn x(&self) -> &[i32] {
        self.machine.model.w()
    }

    /// The model that workers hold, in f64.
    pub fn model(&self) -> Vec<f64> {
        let exponent = self.exponents().x;
        self.x().iter().map(|&m| value(f64::from(m), exponent)).collect()
    }

    /// The exponents in use.
    pub fn exponents(&self) -> Exponents {
        self.machine.model.exponents()
    }

    /// The copy of a worker's estimator.
    pub fn mirror(&self, worker: usize) -> &Mirror {
        &self.machine.mirrors[worker]
    }

    /// Who a worker is, once it has said so.
    pub fn identity(&self, worker: usize) -> Option<&Identity> {
        self.machine.peers[worker].identity.as_ref()
    }

    /// What became of the bytes received from a worker.
    pub fn counters(&self, worker: usize) -> &Counters {
        &self.lines[worker].counters
    }

    /// Bytes received from a worker of a frame that has not ended.
    pub fn pending(&self, worker: usize) -> usize {
        self.lines[worker].deframer.pending()
    }

    /// What a worker's last Ready told of its end of the link.
    pub fn told(&self, worker: usize) -> Told {
        self.machine.peers[worker].told
    }

    /// All traffic of a worker, up and down.
    pub fn traffic(&self, worker: usize) -> (Traffic, Traffic) {
        self.machine.peers[worker].traffic()
    }

    /// How often a worker was found restarted.
    pub fn reboots(&self, worker: usize) -> u32 {
        self.machine.peers[worker].reboots
    }

    /// Since when an answer of a worker is overdue; none if nothing is.
    pub fn silent_since(&self, worker: usize) -> Option<Duration> {
        self.machine.peers[worker].silent_since()
    }

    /// Mantissas of x, g_i and Σ g_i that were cut to their range, on the host's side.
    pub fn saturated(&self) -> u32 {
        self.machine.model.saturated()
    }

    /// The round whose updates are coming in.
    pub fn open_round(&self) -> Option<u32> {
        self.machine.open_round()
    }
}

/// Where the run as a whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The exponents are being found.
    Probing(Exponents),
    /// Updates of round t are coming in.
    Open(u32),
    /// Round t is complete.
    Closed(u32),
    /// Digests are being compared.
    Finishing,
}

#[derive(Debug)]
struct Machine {
    setup: Setup,
    phase: Phase,
    model: Model,
    mirrors: Vec<Mirror>,
    peers: Vec<Peer>,
    /// What the workers must hear in this round.
    downlink: Vec<Chunk>,
    /// The frame that ends it, the same for all.
    round_frame: Vec<u8>,
    transcript: Transcript,
    queue: VecDeque<usize>,
    deadlines: BinaryHeap<Reverse<(Duration, usize)>>,
    events: VecDeque<Event>,
}

impl Machine {
    fn new(setup: Setup) -> Self {
        let (d, n) = (setup.dimension as usize, setup.shares.len());
        let rule = Rule {
            gamma_n: ratio(setup.gamma / n as f64),
            momentum: ratio(setup.momentum),
            l1_n: ratio(setup.l1 * n as f64),
        };
        let weights = setup.shares.iter().map(|share| ratio(share.weight)).collect();
        let (downlink, budget) = (setup.downlink, setup.downlink_budget);
        let mut machine = Self {
            phase: Phase::Probing(scaling::first_probe()),
            model: Model::new(d, weights, setup.gamma, rule, downlink, budget),
            mirrors: vec![Mirror::new(d); n],
            peers: (0..n).map(|_| Peer::default()).collect(),
            downlink: Vec::new(),
            round_frame: Vec::new(),
            transcript: Transcript::default(),
            queue: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            events: VecDeque::new(),
            setup,
        };
        (0..n).for_each(|worker| machine.enqueue(worker));
        machine
    }

    fn enqueue(&mut self, worker: usize) {
        if self.peers[worker].enqueue() {
            self.queue.push_back(worker);
        }
    }

    fn enter(&mut self, worker: usize, stage: Stage) {
        self.peers[worker].enter(stage);
        self.enqueue(worker);
    }

    fn fail(&mut self, worker: usize, reason: Reason) {
        let identity = self.peers[worker].identity.clone();
        self.events.push_back(Event::Failed(Failure { worker, identity, reason }));
    }

    fn handle_timeout(&mut self, now: Duration) {
        while let Some(&Reverse((deadline, worker))) = self.deadlines.peek()
            && deadline <= now
        {
            self.deadlines.pop();
            if self.peers[worker].missed(deadline) {
                self.enqueue(worker);
            }
        }
    }
}

// What comes up.
impl Machine {
    fn handle(&mut self, now: Duration, worker: usize, frame: &Frame) -> Result<(), Reject> {
        let (payload, context) = self.check(worker, frame)?;
        let (message, body) = match Up::parse(payload) {
            Ok(parsed) => parsed,
            Err(reject) => {
                if let Some((version, schema)) = greeting(payload) {
                    self.compare_versions(worker, version, schema);
                }
                return Err(reject);
            }
        };
        match message {
            Up::Ready(ready) => return self.handle_ready(now, worker, &ready),
            Up::Update { .. } | Up::Anew { .. } | Up::UpdatePart => {
                return self.handle_update(now, worker, &message, body, &context);
            }
            Up::Ack { ticket, value } => {
                self.admit(now, worker, ticket)?;
                self.handle_ack(worker, value);
            }
            Up::Range { ticket, gradient_max, loss } => {
                self.admit(now, worker, ticket)?;
                self.handle_range(worker, gradient_max, loss.mantissa());
            }
            Up::Refused { ticket, refusal } => {
                self.admit(now, worker, ticket)?;
                self.handle_refusal(worker, refusal);
            }
        }
        Ok(())
    }

    /// Checks a frame in the contexts that its message can have.
    fn check<'f>(&self, worker: usize, frame: &Frame<'f>) -> Result<(&'f [u8], Context), Reject> {
        let peer = &self.peers[worker];
        let session = self.context(worker);
        let contexts = match Up::parse(frame.unchecked()) {
            Ok((message, _)) if message.is_setup() => [Some(Context::SETUP), None],
            Ok((message, _)) if message.is_of_round() => {
                let from = peer.next_from;
                let expected = self.open_round().map(|round| Context { round, from, ..session });
                [expected.filter(|_| peer.stage.awaits_update()), peer.last_update]
            }
            Ok(_) => [Some(session), None],
            Err(_) => [Some(session), Some(Context::SETUP)],
        };
        let checked = |context| Some((frame.check(&context).ok()?, context));
        contexts.into_iter().flatten().find_map(checked).ok_or(Reject::Checksum)
    }

    fn context(&self, worker: usize) -> Context {
        Context { worker: address(worker), ..Context::downlink(self.setup.session) }
    }

    fn open_round(&self) -> Option<u32> {
        if let Phase::Open(round) = self.phase { Some(round) } else { None }
    }

    /// Lets the answer to the present request pass, once.
    fn admit(&mut self, now: Duration, worker: usize, ticket: Ticket) -> Result<(), Reject> {
        let peer = &mut self.peers[worker];
        if ticket != peer.ticket || peer.stage == Stage::Idle {
            return Err(Reject::Repeated);
        }
        peer.answered(now);
        Ok(())
    }

    fn compare_versions(&mut self, worker: usize, version: u16, schema: [u8; 8]) -> bool {
        if version != VERSION {
            self.fail(worker, Reason::Version(version));
        } else if schema != SCHEMA {
            self.fail(worker, Reason::Schema(schema));
        }
        (version, schema) == (VERSION, SCHEMA)
    }

    fn handle_ready(&mut self, now: Duration, worker: usize, ready: &Ready) -> Result<(), Reject> {
        let peer = &self.peers[worker];
        let asked = peer.checking || matches!(peer.stage, Stage::Greet | Stage::Verify);
        if !asked {
            return Err(Reject::Repeated);
        }
        if !self.compare_versions(worker, ready.version, ready.schema)
            || !self.identify(worker, ready)
        {
            return Ok(());
        }
        let in_session = ready.session == self.setup.session;
        let peer = &mut self.peers[worker];
        peer.answered(now);
        peer.told =
            Told { rejected: ready.rejected, overruns: ready.overruns, saturated: ready.saturated };
        match peer.stage {
            Stage::Greet => {
                self.events.push_back(Event::Greeted(worker));
                self.enter(worker, Stage::Configure);
            }
            Stage::Verify => self.verify(worker, ready, in_session),
            _ if in_session => {
                peer.checking = false;
                self.enqueue(worker);
            }
            _ => {
                peer.reboots += 1;
                self.events.push_back(Event::Rebooted(worker));
                self.enter(worker, Stage::Configure);
            }
        }
        Ok(())
    }

    /// Takes a worker for who it says it is, unless that cannot be.
    fn identify(&mut self, worker: usize, ready: &Ready) -> bool {
        let identity = Identity {
            board: ready.board.to_owned(),
            identity: ready.identity,
            memory: ready.memory,
        };
        let same =
            |peer: &Peer| peer.identity.as_ref().is_some_and(|i| i.identity == ready.identity);
        let twin = self.peers.iter().enumerate().find(|&(i, peer)| i != worker && same(peer));
        let twin = twin.map(|(i, _)| i);
        let swapped = self.peers[worker].identity.is_some() && !same(&self.peers[worker]);
        if swapped {
            self.fail(worker, Reason::Swapped(identity));
            return false;
        }
        self.peers[worker].identity = Some(identity);
        let (theirs, wanted) = (ready.objective.to_owned(), self.setup.objective.clone());
        if let Some(twin) = twin {
            self.fail(worker, Reason::SameIdentity(twin));
        } else if theirs != wanted {
            self.fail(worker, Reason::Objective { theirs, wanted });
        } else {
            return true;
        }
        false
    }

    /// Compares a worker's state with the host's; one that was restarted at the very end has none to compare.
    fn verify(&mut self, worker: usize, ready: &Ready, in_session: bool) {
        let digests = (digest::vector(self.model.w()), self.mirrors[worker].digest());
        if in_session && (ready.model_digest, ready.estimator_digest) != digests {
            self.fail(worker, Reason::Diverged);
        }
        self.peers[worker].enter(Stage::Idle);
        if self.peers.iter().all(|peer| peer.stage == Stage::Idle) {
            self.events.push_back(Event::Finished);
        }
    }

    fn handle_refusal(&mut self, worker: usize, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Memory { need, room } => Reason::Memory { need, room },
            Refusal::Data => Reason::Data,
            Refusal::Objective | Refusal::Configuration => Reason::Configuration,
        };
        self.peers[worker].enter(Stage::Idle);
        self.fail(worker, reason);
    }

    fn handle_ack(&mut self, worker: usize, value: u32) {
        let d = self.setup.dimension;
        let next = match self.peers[worker].stage {
            Stage::Configure => {
                self.peers[worker].at_round = None;
                self.loaded(worker, 0)
            }
            Stage::Load { .. } => self.loaded(worker, value),
            Stage::Announce => self.announced(worker),
            Stage::Restore { part, .. } if value < d => Stage::Restore { part, from: value },
            Stage::Restore { part, .. } => self.restored(part),
            Stage::Part(index) => self.part(index + 1),
            stage => stage,
        };
        if next == Stage::Begin {
            self.peers[worker].restart_update();
            self.peers[worker].last_update = None;
        }
        self.enter(worker, next);
    }

    /// The stage after a worker holds `held` bytes of its data.
    fn loaded(&mut self, worker: usize, held: u32) -> Stage {
        let len = self.setup.shares[worker].data.len() as u32;
        self.events.push_back(Event::Loaded { worker, held, len });
        match self.phase {
            _ if held < len => Stage::Load { held },
            Phase::Probing(_) => Stage::Probe,
            _ => Stage::Announce,
        }
    }

    /// The stage after a worker knows the exponents.
    fn announced(&self, worker: usize) -> Stage {
        match (self.phase, self.peers[worker].at_round) {
            (Phase::Open(0), None) => Stage::Begin,
            (_, None) => Stage::Restore { part: Part::Model, from: 0 },
            (_, Some(_)) => self.part(0),
        }
    }

    /// The stage after a vector was restored.
    fn restored(&self, part: Part) -> Stage {
        match (part, self.setup.downlink) {
            (Part::Model, _) => Stage::Restore { part: Part::Estimator, from: 0 },
            (Part::Estimator, Downlink::Sparse) => Stage::Restore { part: Part::Sum, from: 0 },
            (Part::Sum, _) if self.setup.momentum != 0.0 => {
                Stage::Restore { part: Part::Velocity, from: 0 }
            }
            _ => Stage::Begin,
        }
    }

    /// The stage that sends chunk `index` of the downlink.
    fn part(&self, index: usize) -> Stage {
        if index + 1 < self.downlink.len() { Stage::Part(index) } else { Stage::Round }
    }

    fn handle_range(&mut self, worker: usize, gradient_max: u32, loss: i32) {
        self.peers[worker].range = Some((gradient_max, loss));
        self.peers[worker].enter(Stage::Idle);
        let Phase::Probing(probed) = self.phase else {
            return;
        };
        let ranges: Option<Vec<_>> = self.peers.iter().map(|peer| peer.range).collect();
        let Some(ranges) = ranges else {
            return;
        };
        let gradient_max = ranges.iter().map(|range| range.0).max().unwrap_or(0);
        let loss_max = ranges.iter().map(|range| range.1.unsigned_abs()).max().unwrap_or(0);
        let better = scaling::after_probe(probed, gradient_max, loss_max);
        let stage = if better == probed {
            self.model.start(probed, gradient_max);
            self.phase = Phase::Open(0);
            let carried = self.close_traffic();
            self.events.push_back(Event::Prepared(carried));
            Stage::Announce
        } else {
            self.phase = Phase::Probing(better);
            self.peers.iter_mut().for_each(|peer| peer.range = None);
            Stage::Probe
        };
        for worker in 0..self.peers.len() {
            if self.peers[worker].stage == Stage::Idle {
                self.enter(worker, stage);
            }
        }
    }

    fn handle_update(
        &mut self,
        now: Duration,
        worker: usize,
        message: &Up,
        body: &[u8],
        context: &Context,
    ) -> Result<(), Reject> {
        let peer = &self.peers[worker];
        if Some(*context) == peer.last_update {
            return Err(Reject::Repeated);
        }
        let decoder = self.setup.decoder(context.round, body, context.from)?;
        let entries = decoder.check(self.setup.dimension).map_err(|_| Reject::Body)?;
        let peer = &mut self.peers[worker];
        if peer.entries + entries > self.setup.budget(context.round).0 {
            return Err(Reject::Body);
        }
        peer.answered(now);
        peer.last_update = Some(*context);
        peer.uplink.payload_bytes += body.len() as u64;
        peer.bodies.push((context.from, body.to_vec()));
        peer.entries += entries;
        if let Up::Update { loss } | Up::Anew { loss } = message {
            if self.setup.participation.includes(address(worker), context.round) {
                peer.loss = loss.mantissa();
            }
            self.take_update(worker, context.round, matches!(message, Up::Anew { .. }));
        } else {
            peer.next_from = decoder.entries().last().map_or(context.from, |(index, _)| index + 1);
            self.enter(worker, Stage::More);
        }
        Ok(())
    }

    /// Applies the whole update of a worker, exactly once; closes the round after the last.
    fn take_update(&mut self, worker: usize, round: u32, anew: bool) {
        let peer = &mut self.peers[worker];
        let setup = &self.setup;
        let bodies = peer
            .bodies
            .iter()
            .map(|(from, body)| setup.decoder(round, body, *from).expect("the body was checked"));
        self.model.take(worker, &mut self.mirrors[worker], anew, bodies);
        peer.at_round = Some(round);
        peer.enter(Stage::Idle);
        if self.peers.iter().all(|peer| peer.at_round == Some(round)) {
            self.close(round);
        }
    }
}

impl Setup {
    /// What a worker is told of its part.
    pub fn configuration(&self, worker: usize, ticket: Ticket, identity: u64) -> Configure<'_> {
        let Share { data, scale, .. } = &self.shares[worker];
        let n = self.shares.len() as f64;
        Configure {
            ticket,
            session: self.session,
            identity,
            worker: address(worker),
            dimension: self.dimension,
            k: self.k,
            value_bits: self.value_bits,
            init: self.init,
            method: self.method,
            scale: ratio(*scale),
            participation: self.participation,
            downlink: self.downlink,
            momentum: ratio(self.momentum),
            l1_n: ratio(self.l1 * n),
            objective: &self.objective,
            lambda: ratio(self.lambda),
            data_len: data.len() as u32,
            data_checksum: checksum(data),
        }
    }

    /// What an update of `round` may hold: entries, and bits of a mantissa.
    fn budget(&self, round: u32) -> (u32, u8) {
        self.init.budget(round, self.dimension, self.k, self.value_bits)
    }

    fn decoder<'b>(&self, round: u32, body: &'b [u8], from: u32) -> Result<Decoder<'b>, Reject> {
        let (k, value_bits) = self.budget(round);
        let packing = Packing::new(self.dimension, k, value_bits);
        Decoder::new(body, packing, from).map_err(|_| Reject::Body)
    }
}

// The rounds.
impl Machine {
    fn close(&mut self, round: u32) {
        self.transcript.absorb(u64::from(round));
        self.transcript.absorb(digest::vector(self.model.w()));
        if self.setup.downlink == Downlink::Model {
            self.transcript.absorb(digest::vector(self.model.x()));
        }
        for (peer, mirror) in self.peers.iter_mut().zip(&self.mirrors) {
            self.transcript.absorb(mirror.digest());
            peer.bodies.iter().for_each(|(_, body)| self.transcript.absorb_bytes(body));
            peer.restart_update();
        }
        let parts = self.peers.iter().zip(&self.setup.shares);
        let loss = parts.map(|(peer, share)| f64::from(peer.loss) * share.loss_weight).sum();
        let closed = Closed {
            round,
            loss: value(loss, self.model.exponents().loss),
            estimator_norm_squared: self.model.estimator_norm_squared(),
            transcript: self.transcript.value(),
            carried: self.close_traffic(),
        };
        self.events.push_back(Event::Closed(closed));
        self.phase = Phase::Closed(round);
    }

    fn close_traffic(&mut self) -> Carried {
        let mut carried = Carried::default();
        for peer in &mut self.peers {
            let bytes = peer.uplink.wire_bytes + peer.downlink.wire_bytes;
            carried.busiest_link_bytes = carried.busiest_link_bytes.max(bytes);
            carried.uplink += peer.uplink;
            carried.downlink += peer.downlink;
            peer.close_traffic();
        }
        carried
    }

    fn proceed(&mut self) {
        let Phase::Closed(round) = self.phase else {
            panic!("only a closed round can be left");
        };
        let loss_max = self.peers.iter().map(|peer| peer.loss.unsigned_abs()).max().unwrap_or(0);
        let rescaled = self.model.rescale(&mut self.mirrors, u64::from(loss_max));
        self.downlink = self.model.step();
        self.phase = Phase::Open(round + 1);
        self.round_frame = self.emit_round(round + 1);
        let stage = if rescaled { Stage::Announce } else { self.part(0) };
        (0..self.peers.len()).for_each(|worker| self.enter(worker, stage));
    }

    /// The frame that ends the downlink of a round, for all workers.
    fn emit_round(&self, round: u32) -> Vec<u8> {
        let mut out = [0; FRAME_LEN_MAX];
        let Chunk { from, body, .. } = self.downlink.last().expect("a downlink has a chunk");
        let context = Context { round, ..Context::downlink(self.setup.session) };
        let len = Down::Round { from: *from }.emit(BROADCAST, body, &context, &mut out);
        out[..len].to_vec()
    }

    fn finish(&mut self) {
        assert!(matches!(self.phase, Phase::Closed(_)), "only a closed round can be the last");
        self.phase = Phase::Finishing;
        (0..self.peers.len()).for_each(|worker| self.enter(worker, Stage::Verify));
    }
}

// What goes down.
impl Machine {
    fn poll_transmit(
        &mut self,
        now: Duration,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<(usize, usize)> {
        let worker = loop {
            let worker = self.queue.pop_front()?;
            // An answer may have come while the repeated question stood in the queue.
            if self.peers[worker].dequeue() {
                break worker;
            }
        };
        let (len, payload_len) = self.emit(worker, out);
        let peer = &mut self.peers[worker];
        let answer_len = if peer.stage.awaits_update() { FRAME_LEN_MAX } else { 0 };
        let line_time = self.setup.byte_time * (len + answer_len) as u32;
        let (deadline, again) = peer.sent(now, line_time);
        self.deadlines.push(Reverse((deadline, worker)));
        let downlink = &mut peer.downlink;
        downlink.frames += 1;
        downlink.wire_bytes += len as u64;
        if again {
            downlink.retransmitted_frames += 1;
            downlink.retransmitted_bytes += len as u64;
        } else {
            downlink.payload_bytes += payload_len as u64;
        }
        Some((worker, len))
    }

    /// Writes what a worker is asked; returns the lengths of frame and body.
    fn emit(&self, worker: usize, out: &mut [u8; FRAME_LEN_MAX]) -> (usize, usize) {
        let peer = &self.peers[worker];
        let session = Context::downlink(self.setup.session);
        let (ticket, address) = (peer.ticket, address(worker));
        let round = self.open_round().unwrap_or(0);
        let setup = &self.setup;
        let hello = Down::Hello { version: VERSION, schema: SCHEMA };
        let mut body: &[u8] = &[];
        let piece;
        let (to, context, message) = match peer.stage {
            Stage::Round if !peer.checking => {
                let chunk = self.downlink.last().expect("a round has a downlink");
                out[..self.round_frame.len()].copy_from_slice(&self.round_frame);
                return (self.round_frame.len(), chunk.body.len());
            }
            _ if peer.checking => (BROADCAST, Context::SETUP, hello),
            Stage::Greet | Stage::Verify => (BROADCAST, Context::SETUP, hello),
            Stage::Configure => {
                let identity = peer.identity.as_ref().map_or(0, |identity| identity.identity);
                let configure = setup.configuration(worker, ticket, identity);
                (BROADCAST, Context::SETUP, Down::Configure(configure))
            }
            Stage::Load { held } => {
                let rest = &setup.shares[worker].data[held as usize..];
                body = &rest[..rest.len().min(BODY_LEN_MAX)];
                (address, session, Down::Data { ticket, offset: held })
            }
            Stage::Probe => {
                let Phase::Probing(exponents) = self.phase else {
                    unreachable!("workers are probed while exponents are sought");
                };
                (address, session, Down::Probe { ticket, exponents })
            }
            Stage::Announce => {
                let (exponents, gamma_n) = (self.model.exponents(), self.model.gamma_n());
                (address, session, Down::Announce { ticket, exponents, gamma_n })
            }
            Stage::Restore { part, from } => {
                piece = match part {
                    Part::Model | Part::ModelChange => chunk(self.model.w(), from),
                    Part::Estimator => chunk(self.mirrors[worker].mantissas(), from),
                    Part::Sum | Part::SumChange => chunk(self.model.announced(), from),
                    Part::Velocity => chunk(self.model.velocity(), from),
                };
                body = &piece.body;
                (address, session, Down::Part { ticket, part, from, until: piece.until })
            }
            Stage::Begin => (address, session, Down::Begin { ticket, round }),
            Stage::Part(index) => {
                let Chunk { from, until, body: entries } = &self.downlink[index];
                body = entries;
                let part = setup.downlink.part();
                (address, session, Down::Part { ticket, part, from: *from, until: *until })
            }
            Stage::More => {
                (address, Context { round, ..session }, Down::More { from: peer.next_from })
            }
            Stage::Round | Stage::Idle => unreachable!("nothing to ask"),
        };
        (message.emit(to, body, &context, out), body.len())
    }
}

/// The address of a worker: its number, from 1.
fn address(worker: usize) -> u16 {
    worker as u16 + 1
}
