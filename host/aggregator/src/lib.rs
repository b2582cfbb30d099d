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
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod chunk;
mod compressor;
mod downlink;
mod exchange;
mod failure;
mod information;
mod mirror;
mod model;
mod peer;
pub mod ratio;
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
mod timer;
mod traffic;
mod tuner;
mod uplink;

use chunk::Chunk;
pub use compressor::DownlinkBudget;
pub use failure::{Failure, Reason};
use information::Information;
pub use mirror::Mirror;
use model::Model;
pub use model::value;
use peer::Peer;
pub use peer::{Identity, WorkerStatistics};
use ratio::{ratio, real};
use routes::Routes;
pub use scaling::grids;
pub use sealing::{Salts, Sealing};
pub use setup::{Setup, Share, StepRule, Theory, WORKERS_MAX};
use smidgen_protocol::counters::{Counters, Reject};
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::frame::{Deframer, FRAME_LEN_MAX};
use smidgen_protocol::message::Exponents;
use smidgen_protocol::seal::HostSeal;
pub use snapshot::{ForeignSnapshot, Snapshot};
use stage::Stage;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;
pub use stopwatch::Elapsed;
pub use traffic::{Carried, Traffic};
use tuner::Tuner;

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
    /// The board of a worker answers on another link than before.
    Moved(usize),
    /// Rounds close without a worker from now on, since it is silent, or for the reason given, which may be another than before.
    Excluded {
        /// Index of the worker.
        worker: usize,
        /// Why, if it is not just silent.
        failure: Option<Failure>,
    },
    /// A worker that was left out answers again, and is waited for.
    Readmitted(usize),
    /// All workers hold their data and the exponents are found: what that cost.
    Prepared(Carried),
    /// A round is complete: look at the state, then call [`Aggregator::proceed`] or [`Aggregator::finish`].
    Closed(Closed),
    /// All workers confirmed that their state is that of the host: what that cost.
    Finished(Carried),
    /// The run cannot go on.
    Failed(Failure),
}

/// A round that is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// Round t: what follows belongs to x^t.
    pub round: u32,
    /// The mean of the workers' losses: f(x^t), where all of them looked at all of their rows.
    pub loss: f64,
    /// ‖g^t‖².
    pub estimator_norm_squared: f64,
    /// Digest of all x, g_i and bodies up to here.
    pub transcript: u64,
    /// Workers that were left out of it.
    pub excluded: u32,
    /// Bits that its updates would take at least, which name their entries and give each a mantissa.
    pub information_bits: f64,
    /// What it took.
    pub carried: Carried,
}

/// The machine.
#[derive(Debug)]
pub struct Aggregator {
    /// The receiving end of each link.
    deframers: Vec<Deframer>,
    /// What became of the bytes received from each worker.
    counters: Vec<Counters>,
    machine: Machine,
}

impl Aggregator {
    /// A run that has not begun.
    ///
    /// # Panics
    /// If the numbers contradict each other: K is not in `1..=d`, there are no workers or too many, the session is 0, the
    /// bits of a value are not in `2..=32`, or a real number is not finite.
    pub fn new(setup: Setup) -> Self {
        let workers = setup.shares.len();
        assert!((1..=WORKERS_MAX).contains(&workers));
        assert!(setup.shares.iter().all(|share| (1..=setup.dimension).contains(&share.k)));
        assert!(setup.session != 0 && (2..=32).contains(&setup.value_bits));
        Self {
            deframers: (0..workers).map(|_| Deframer::default()).collect(),
            counters: vec![Counters::default(); workers],
            machine: Machine::new(setup),
        }
    }

    /// Takes what arrived on a link, in pieces of any size. It counts for the worker to which the link led when it came.
    /// Returns the length of the frames that ended in it and were of use.
    pub fn receive(&mut self, now: Duration, link: usize, mut bytes: &[u8]) -> usize {
        let mut useful = 0;
        while !bytes.is_empty() {
            let worker = self.machine.routes.worker(link);
            let counters = &mut self.counters[worker];
            let (rest, frame) = self.deframers[link].feed(bytes, counters);
            let taken = bytes.len() - rest.len();
            let peer = &mut self.machine.peers[worker];
            peer.uplink.wire_bytes += taken as u64;
            peer.stopwatch.arriving(now, taken);
            bytes = rest;
            if let Some(frame) = frame {
                let wire_len = frame.wire_len;
                self.machine.peers[worker].uplink.frames += 1;
                let opened = match self.machine.seals.get_mut(link) {
                    Some(seal) => seal.open(frame),
                    None => Ok(frame),
                };
                let outcome = opened.and_then(|frame| self.machine.handle(now, worker, &frame));
                counters.tally(outcome, wire_len);
                useful += outcome.map_or(0, |()| wire_len);
                if outcome == Err(Reject::Repeated) {
                    let Peer { exchange, uplink, .. } = &mut self.machine.peers[worker];
                    exchange.repeated();
                    uplink.retransmitted_frames += 1;
                    uplink.retransmitted_bytes += wire_len as u64;
                }
                self.machine.peers[worker].stopwatch.frame_ended();
                self.interrupt_swapped(link, worker);
            } else if self.deframers[link].pending() == 0 {
                self.machine.peers[worker].stopwatch.frame_ended();
            }
        }
        useful
    }

    /// More comes on a link than any board has to say, and it is closed: there can be no run with the worker there.
    pub fn handle_flood(&mut self, link: usize) {
        let worker = self.machine.routes.worker(link);
        self.machine.fail(worker, Reason::Flood);
    }

    /// If a link does not lead to `worker` any more, the one that does so now has begun a frame, perhaps, that counts for nobody.
    fn interrupt_swapped(&mut self, link: usize, worker: usize) {
        let Machine { routes, .. } = &self.machine;
        let (now, other) = (routes.worker(link), routes.link(worker));
        if now != worker {
            self.deframers[other].interrupt(&mut self.counters[now]);
        }
    }

    /// A link was interrupted and works again; another board may be behind it.
    pub fn handle_reconnect(&mut self, link: usize) {
        self.reopen(link, false);
    }

    /// The same where it was opened at a place that is only a guess: a board that is not of this run has no part in it there,
    /// so that nobody is left out for it.
    pub fn handle_guess(&mut self, link: usize) {
        self.reopen(link, true);
    }

    fn reopen(&mut self, link: usize, tentative: bool) {
        let worker = self.machine.routes.worker(link);
        self.deframers[link].interrupt(&mut self.counters[worker]);
        self.machine.peers[worker].stopwatch.frame_ended();
        self.machine.routes.reopen(link, tentative);
        self.machine.reconnect(worker);
    }

    /// Asks again where an answer is overdue.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.machine.handle_timeout(now);
    }

    /// When [`Aggregator::handle_timeout`] must be called, if nothing arrives before.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let deadline = self.machine.deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        [deadline, self.machine.closing_at()].into_iter().flatten().min()
    }

    /// Writes the next frame to send into `out`, if there is one; returns the link for it, and its length.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<(usize, usize)> {
        let (worker, len) = self.machine.poll_transmit(now, out)?;
        Some((self.machine.routes.link(worker), len))
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

    /// The link that leads to a worker.
    pub fn link(&self, worker: usize) -> usize {
        self.machine.routes.link(worker)
    }

    /// Who said last on a link who it is, since that was opened.
    pub fn heard(&self, link: usize) -> Option<&Identity> {
        self.machine.routes.heard(link)
    }

    /// Whether that is a board that is not of this run.
    pub fn is_strange(&self, link: usize) -> bool {
        self.machine.is_strange(link)
    }

    /// Whether the board of a worker has said to this host who it is.
    pub fn is_greeted(&self, worker: usize) -> bool {
        self.machine.peers[worker].board.is_greeted()
    }

    /// Who a worker is, once it has said so, in an earlier part of the run perhaps.
    pub fn identity(&self, worker: usize) -> Option<&Identity> {
        self.machine.peers[worker].board.identity()
    }

    /// What became of the bytes received from a worker.
    pub fn counters(&self, worker: usize) -> &Counters {
        &self.counters[worker]
    }

    /// Bytes received on the link of a worker of a frame that has not ended.
    pub fn pending(&self, worker: usize) -> usize {
        self.deframers[self.link(worker)].pending()
    }

    /// What a worker's last Ready told of its end of the link.
    pub fn statistics(&self, worker: usize) -> WorkerStatistics {
        self.machine.peers[worker].statistics
    }

    /// All traffic of a worker, up and down.
    pub fn traffic(&self, worker: usize) -> (Traffic, Traffic) {
        self.machine.peers[worker].traffic()
    }

    /// Where the time of each worker went in the last round that was closed, for those that had a part in it.
    pub fn elapsed(&self) -> impl Iterator<Item = (usize, Elapsed)> {
        let peers = self.machine.peers.iter().enumerate();
        peers.filter_map(|(worker, peer)| Some((worker, peer.elapsed?)))
    }

    /// How often a worker was found restarted.
    pub fn reboots(&self, worker: usize) -> u32 {
        self.machine.peers[worker].reboots
    }

    /// Whether nothing waits for a worker that is silent: others go on without it.
    pub fn proceeds_without(&self, now: Duration, worker: usize) -> bool {
        self.machine.proceeds_without(now, worker)
    }

    /// Whether rounds close without a worker.
    pub fn is_excluded(&self, worker: usize) -> bool {
        self.machine.peers[worker].standing.is_excluded()
    }

    /// How often rounds began to close without a worker.
    pub fn exclusions(&self, worker: usize) -> u32 {
        self.machine.peers[worker].exclusions.count
    }

    /// Why a worker was left out last, if it was not just silent.
    pub fn exclusion_reason(&self, worker: usize) -> Option<&Reason> {
        self.machine.peers[worker].exclusions.reason.as_ref()
    }

    /// Since when a useful answer of a worker has been waited for; none if it is not overdue.
    pub fn silent_since(&self, worker: usize) -> Option<Duration> {
        self.machine.peers[worker].exchange.silent_since()
    }

    /// When any answer of a worker came last, be it only that it is there.
    pub fn answered_at(&self, worker: usize) -> Duration {
        self.machine.peers[worker].exchange.answered_at()
    }

    /// Mantissas of x, g_i and Σ g_i that were cut to their range, on the host's side.
    pub fn saturated(&self) -> u32 {
        self.machine.model.saturated()
    }

    /// The step size γ of the run; where it is tuned, the first and the least. A guess until workers have reported, where
    /// they are asked.
    pub fn gamma(&self) -> f64 {
        self.machine.model.gamma()
    }

    /// The constant L̂_i that a worker reported, if it was asked for it.
    pub fn l_i(&self, worker: usize) -> Option<f64> {
        self.machine.peers[worker].l_i.map(real)
    }

    /// The constants of all workers, once all have reported theirs.
    pub fn reported(&self) -> Option<Vec<f64>> {
        (0..self.machine.peers.len()).map(|worker| self.l_i(worker)).collect()
    }

    /// The round whose updates are coming in.
    pub fn open_round(&self) -> Option<u32> {
        self.machine.open_round()
    }
}

/// Where the run as a whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Workers are asked how smooth their functions are.
    Measuring,
    /// The exponents are being found.
    Probing(Exponents),
    /// Updates of round t are coming in.
    Open(u32),
    /// Round t is complete.
    Closed(u32),
    /// Digests are being compared.
    Finishing,
    /// They were those of the host.
    Finished,
}

#[derive(Debug)]
struct Machine {
    setup: Setup,
    phase: Phase,
    model: Model,
    mirrors: Vec<Mirror>,
    peers: Vec<Peer>,
    routes: Routes,
    /// The host's end of each link where there is a key, and nothing passes without it; none without one.
    seals: Vec<HostSeal>,
    /// What the workers must hear in this round.
    downlink: Vec<Chunk>,
    transcript: Transcript,
    information: Information,
    /// Who finds the next step size, where it is tuned.
    tuner: Option<Tuner>,
    queue: VecDeque<usize>,
    deadlines: BinaryHeap<Reverse<(Duration, usize)>>,
    events: VecDeque<Event>,
    /// When the first frame since the last close was sent.
    since: Option<Duration>,
}

impl Machine {
    fn new(setup: Setup) -> Self {
        let (d, n) = (setup.dimension as usize, setup.shares.len());
        let rule = setup.rule();
        let weights = setup.shares.iter().map(|share| ratio(share.weight)).collect();
        let (downlink, budget) = (setup.downlink, setup.downlink_budget);
        let mut model = Model::new(d, weights, setup.gamma, rule, downlink, budget);
        model.seed(setup.start_seed);
        let mut machine = Self {
            phase: match setup.theory {
                Some(_) => Phase::Measuring,
                None => Phase::Probing(model.exponents()),
            },
            model,
            mirrors: vec![Mirror::new(d); n],
            peers: (0..n).map(|_| Peer::default()).collect(),
            routes: Routes::new(n),
            seals: seals(&setup),
            downlink: Vec::new(),
            transcript: Transcript::default(),
            information: Information::new(setup.dimension, setup.value_bits),
            tuner: (setup.step_rule == StepRule::Tuned).then(|| Tuner::new(n)),
            queue: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            events: VecDeque::new(),
            since: None,
            setup,
        };
        (0..n).for_each(|worker| machine.enqueue(worker));
        machine
    }

    fn enqueue(&mut self, worker: usize) {
        if self.peers[worker].exchange.enqueue() {
            self.queue.push_back(worker);
        }
    }

    fn enter(&mut self, worker: usize, stage: Stage) {
        self.peers[worker].exchange.enter(stage);
        self.enqueue(worker);
    }

    /// Asks who is there; a worker that was given up for a reason gets another chance.
    fn reconnect(&mut self, worker: usize) {
        let over = matches!(self.phase, Phase::Finishing | Phase::Finished);
        let Peer { standing, exchange, visitor, .. } = &mut self.peers[worker];
        visitor.forget();
        if !over && standing.pardon() {
            return self.enter(worker, Stage::Greet);
        }
        exchange.interrupted();
        self.enqueue(worker);
    }

    fn handle_timeout(&mut self, now: Duration) {
        while let Some(&Reverse((deadline, worker))) = self.deadlines.peek()
            && deadline <= now
        {
            self.deadlines.pop();
            if self.peers[worker].exchange.expired(deadline) {
                self.enqueue(worker);
            }
        }
        self.close_if_complete(now);
    }
}

/// The ends of links that have never been used.
fn seals(setup: &Setup) -> Vec<HostSeal> {
    let end = |Sealing { key, .. }: &Sealing| HostSeal::new(key.clone());
    setup.shares.iter().filter_map(|_| setup.seal.as_ref().map(end)).collect()
}

/// The address of a worker: its number, from 1.
fn address(worker: usize) -> u16 {
    worker as u16 + 1
}

#[cfg(test)]
mod tests;
