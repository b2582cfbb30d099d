//! The aggregator as its caller sees it: a machine without I/O, and what can be asked of it.

use crate::board::Identity;
use crate::event::Event;
use crate::failure::Reason;
use crate::machine::Machine;
use crate::mirror::Mirror;
use crate::model::value;
use crate::peer::{Peer, WorkerStatistics};
use crate::ratio::real;
use crate::setup::{Setup, WORKERS_MAX};
use crate::stopwatch::Elapsed;
use crate::traffic::Traffic;
use smidgen_protocol::counters::{Counters, Reject};
use smidgen_protocol::frame::{Deframer, FRAME_LEN_MAX};
use smidgen_protocol::message::Exponents;
use std::cmp::Reverse;
use std::time::Duration;

/// The machine.
#[derive(Debug)]
pub struct Aggregator {
    /// The receiving end of each link.
    deframers: Vec<Deframer>,
    /// What became of the bytes received from each worker.
    counters: Vec<Counters>,
    pub(crate) machine: Machine,
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
