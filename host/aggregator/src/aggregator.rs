//! The aggregator as its caller sees it.

use crate::board::Identity;
use crate::event::Event;
use crate::failure::Reason;
use crate::machine::Machine;
use crate::mirror::Mirror;
use crate::model::values;
use crate::peer::{Score, WorkerStatistics};
use crate::ratio::real;
use crate::setup::{Setup, WORKERS_MAX};
use crate::stopwatch::Elapsed;
use crate::traffic::Traffic;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Deframer, FRAME_LEN_MAX};
use smidgen_protocol::message::Exponents;
use std::cmp::Reverse;
use std::time::Duration;

/// The server of a run and its exchanges with all workers, without I/O.
///
/// * `handle_*` and [`receive`](Self::receive) take what happens. `now` is always the time since the run began.
/// * `poll_*` return what to do. After each call that takes something, call [`poll_transmit`](Self::poll_transmit) and
///   [`poll_event`](Self::poll_event) until they return `None`, then [`poll_timeout`](Self::poll_timeout) once.
/// * After [`Event::Closed`] call [`proceed`](Self::proceed) or [`finish`](Self::finish).
/// * Everything else looks at the state.
///
/// # Example
///
/// A run over ports whose `read` returns after a short time-out, be it without a byte:
///
/// ```
/// use smidgen_aggregator::{Aggregator, Event};
/// use smidgen_protocol::frame::FRAME_LEN_MAX;
/// use std::io::{self, Read, Write};
/// use std::time::Instant;
///
/// /// Runs `rounds` rounds; returns the model.
/// fn train<P: Read + Write>(
///     mut aggregator: Aggregator,
///     ports: &mut [P],
///     rounds: u32,
/// ) -> io::Result<Vec<f64>> {
///     let started = Instant::now();
///     let mut frame = [0; FRAME_LEN_MAX];
///     loop {
///         while let Some((link, len)) = aggregator.poll_transmit(started.elapsed(), &mut frame) {
///             ports[link].write_all(&frame[..len])?;
///         }
///         while let Some(event) = aggregator.poll_event() {
///             match event {
///                 Event::Closed(closed) if closed.round + 1 < rounds => aggregator.proceed(),
///                 Event::Closed(_) => aggregator.finish(),
///                 Event::Finished(_) => return Ok(aggregator.model()),
///                 Event::Failed(failure) => return Err(io::Error::other(failure)),
///                 other => eprintln!("{other:?}"),
///             }
///         }
///         for (link, port) in ports.iter_mut().enumerate() {
///             let mut bytes = [0; 256];
///             let len = port.read(&mut bytes)?;
///             aggregator.receive(started.elapsed(), link, &bytes[..len]);
///         }
///         if aggregator.poll_timeout().is_some_and(|at| at <= started.elapsed()) {
///             aggregator.handle_timeout(started.elapsed());
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Aggregator {
    /// The receiving end of each link.
    deframers: Vec<Deframer>,
    /// The fate of the bytes received from each worker.
    counters: Vec<Counters>,
    pub(crate) machine: Machine,
}

impl Aggregator {
    /// Creates a run that has not begun.
    ///
    /// # Panics
    /// If the numbers contradict each other: K is not in `1..=d`, there are no workers or more than [`WORKERS_MAX`],
    /// the session is 0, the bits of a value are not in `2..=32`, a given initial model has another dimension or a
    /// mantissa out of range, or a real number is not finite.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let workers = setup.shares.len();
        // The caller validates user input; these are preconditions.
        assert!((1..=WORKERS_MAX).contains(&workers));
        assert!(setup.shares.iter().all(|share| (1..=setup.dimension).contains(&share.worker.k)));
        assert!(setup.session != 0 && (2..=32).contains(&setup.method.value_bits));
        assert!(setup.initial_model.fits(setup.dimension));
        Self {
            deframers: (0..workers).map(|_| Deframer::default()).collect(),
            counters: vec![Counters::default(); workers],
            machine: Machine::new(setup),
        }
    }

    /// Takes bytes that arrived on a link, in pieces of any size. Returns the length of the useful frames that ended in
    /// them.
    pub fn receive(&mut self, now: Duration, link: usize, mut bytes: &[u8]) -> usize {
        let mut useful = 0;
        while !bytes.is_empty() {
            // An answer may reroute the link, but received bytes count for the worker to which it led before.
            let worker = self.machine.routes.worker(link);
            let counters = &mut self.counters[worker];
            let (rest, frame) = self.deframers[link].feed(bytes, counters);
            let taken = bytes.len() - rest.len();
            bytes = rest;
            self.machine.note_bytes(now, worker, taken);
            if let Some(frame) = frame {
                let wire_len = frame.wire_len;
                let outcome = self.machine.handle_sealed(now, link, worker, frame);
                counters.tally(outcome, wire_len);
                useful += outcome.map_or(0, |()| wire_len);
                self.machine.peers[worker].stopwatch.frame_ended();
                self.interrupt_swapped(link, worker);
            } else if self.deframers[link].pending() == 0 {
                self.machine.peers[worker].stopwatch.frame_ended();
            }
        }
        useful
    }

    /// Discards a frame that has begun on the other link, if an answer of `worker` on `link` made the two swap.
    fn interrupt_swapped(&mut self, link: usize, worker: usize) {
        let Machine { routes, .. } = &self.machine;
        let (now, other) = (routes.worker(link), routes.link(worker));
        if now != worker {
            self.deframers[other].interrupt(&mut self.counters[now]);
        }
    }

    /// Notes that a link was closed because it received more than any board needs to send.
    pub fn handle_flood(&mut self, link: usize) {
        let worker = self.machine.routes.worker(link);
        self.machine.fail(worker, Reason::Flood);
    }

    /// Notes that a link was reopened; it may lead to another board.
    pub fn handle_reconnect(&mut self, link: usize) {
        self.reopen(link, false);
    }

    /// Notes that a link was opened at a place that is only a guess: a board of another run may be there, and is
    /// ignored.
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

    /// Repeats requests whose answers are overdue.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.machine.handle_timeout(now);
    }

    /// When to call [`Aggregator::handle_timeout`], if nothing arrives before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        // Deadlines that were met meanwhile wake the caller for nothing, which costs less than to remove them.
        let deadline = self.machine.deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        [deadline, self.machine.closing_at()].into_iter().flatten().min()
    }

    /// Writes the next frame to send into `out`; returns its link and its length.
    #[must_use]
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<(usize, usize)> {
        let (worker, len) = self.machine.poll_transmit(now, out)?;
        Some((self.machine.routes.link(worker), len))
    }

    /// The next event.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.machine.events.pop_front()
    }

    /// Takes the step after a closed round and opens the next one.
    ///
    /// # Panics
    /// If no round was closed.
    pub fn proceed(&mut self) {
        self.machine.proceed();
    }

    /// Leaves boards the model that they keep, in place of that of this run; to be called before
    /// [`finish`](Self::finish).
    pub fn keep_none(&mut self) {
        self.machine.keeps = false;
    }

    /// Ends the run after a closed round: every worker is asked for the digests of its state. Boards with rows of their
    /// own then get the model of the run, score it, and keep it if it is better than the initial one.
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
        values(self.x(), self.exponents().x)
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

    /// The board that identified itself last on a link, since that was opened.
    pub fn heard(&self, link: usize) -> Option<&Identity> {
        self.machine.routes.heard(link)
    }

    /// That board is not of this run.
    pub fn is_strange(&self, link: usize) -> bool {
        self.machine.is_strange(link)
    }

    /// The board of a worker has identified itself to this host.
    pub fn is_greeted(&self, worker: usize) -> bool {
        self.machine.peers[worker].board.is_greeted()
    }

    /// The board of a worker, once it has identified itself, be it to the host of a resumed run.
    pub fn identity(&self, worker: usize) -> Option<&Identity> {
        self.machine.peers[worker].board.identity()
    }

    /// The fate of the bytes received from a worker.
    pub fn counters(&self, worker: usize) -> &Counters {
        &self.counters[worker]
    }

    /// Bytes of an incomplete frame on the link of a worker.
    pub fn pending(&self, worker: usize) -> usize {
        self.deframers[self.link(worker)].pending()
    }

    /// Counters of a worker at its end of the link, as of its last identification.
    pub fn statistics(&self, worker: usize) -> WorkerStatistics {
        self.machine.peers[worker].statistics
    }

    /// All traffic of a worker, up and down.
    pub fn traffic(&self, worker: usize) -> (Traffic, Traffic) {
        self.machine.peers[worker].traffic()
    }

    /// Returns the measured times of the last closed round, per worker whose update is in it.
    pub fn elapsed(&self) -> impl Iterator<Item = (usize, Elapsed)> {
        let peers = self.machine.peers.iter().enumerate();
        peers.filter_map(|(worker, peer)| Some((worker, peer.elapsed?)))
    }

    /// Returns the number of reboots of a worker.
    pub fn reboots(&self, worker: usize) -> u32 {
        self.machine.peers[worker].reboots
    }

    /// Nothing waits for a silent worker: the others proceed without it.
    pub fn proceeds_without(&self, now: Duration, worker: usize) -> bool {
        self.machine.proceeds_without(now, worker)
    }

    /// Rounds close without a worker.
    pub fn is_excluded(&self, worker: usize) -> bool {
        self.machine.peers[worker].standing.is_excluded()
    }

    /// Returns the number of times that rounds began to close without a worker.
    pub fn exclusions(&self, worker: usize) -> u32 {
        self.machine.peers[worker].exclusions.count
    }

    /// Returns the reason of a worker's last exclusion; `None` if it was silent.
    pub fn exclusion_reason(&self, worker: usize) -> Option<&Reason> {
        self.machine.peers[worker].exclusions.reason.as_ref()
    }

    /// Since when a useful answer of a worker has been awaited; `None` if it is not overdue.
    pub fn silent_since(&self, worker: usize) -> Option<Duration> {
        self.machine.peers[worker].exchange.silent_since()
    }

    /// When any answer of a worker came last, useful or not.
    pub fn answered_at(&self, worker: usize) -> Duration {
        self.machine.peers[worker].exchange.answered_at()
    }

    /// The score of the model of the run on the rows that the board of a worker holds out; `None` without rows on the
    /// board, and for a worker that no longer has the model.
    pub fn score(&self, worker: usize) -> Option<Score> {
        self.machine.peers[worker].score
    }

    /// Whether the board of a worker keeps the model of the run, also after a power cut if true; `None` as for
    /// [`score`](Self::score).
    pub fn keeps_model(&self, worker: usize) -> Option<bool> {
        self.machine.peers[worker].keeps_model
    }

    /// Number of mantissas of x, g_i and Σ g_i that the host cut to their range.
    pub fn saturated(&self) -> u32 {
        self.machine.model.saturated()
    }

    /// Returns the step size γ; if it is tuned, the first and least one. If it depends on constants that workers
    /// report, it is a guess until then.
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
