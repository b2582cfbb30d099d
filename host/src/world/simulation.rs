//! Workers, links and time in one process: the real machines on a modelled wire.
//!
//! Worker library and frames are those of real boards. The line (baud rate, latency, faults) and time are modelled;
//! time jumps to the next event. A seed determines the run.

mod board;
mod line;
mod recorder;
mod together;
mod wire;

pub use board::{BOARD, Board, EVALUATION, SimulatedBoard, memory_len, memory_len_of, start};
pub use line::Line;
use together::Reads;
pub use wire::Wire;

use crate::problem::objective::Objective;
use crate::world::interface::{Clock, Measured, World, WorldError};
use smidgen_aggregator::{Aggregator, Event, Setup, value};
use smidgen_firmware::objective::Evaluator;
use smidgen_protocol::frame::FRAME_LEN_MAX;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;
use std::time::Duration;

/// A round that takes longer than this ends the run.
const ROUND_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A run in one process.
#[derive(Debug)]
pub struct Simulation<B> {
    aggregator: Aggregator,
    boards: Vec<B>,
    /// The board at the other end of each link.
    wiring: Vec<usize>,
    /// The link of each board.
    links: Vec<usize>,
    /// f in f64: telemetry where workers do not compute their whole gradients in every round.
    exact: Option<Objective>,
    now: Duration,
    arrivals: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    /// Of [`together`], empty between events.
    reads: Reads,
    /// The weight of each worker in f.
    loss_weights: Vec<f64>,
    last_event: Duration,
}

/// A scheduled arrival. The order of the fields is the order of events.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    at: Duration,
    sequence: u64,
    board: usize,
    what: Arrival,
}

/// The next step of bytes on their way between host and board.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// Bytes from the host reach the board.
    Down(Vec<u8>),
    /// Bytes from the board reach the host.
    Up(Vec<u8>),
    /// The board reads what it has received.
    Read,
}

impl<R: Evaluator + Clone + Send> Simulation<Board<R>> {
    /// A simulation of healthy boards, each with the memory that the largest worker needs.
    pub fn new(setup: Setup, objectives: R, line: Line) -> Self {
        let memory_len = memory_len_of(objectives.table(), &setup);
        let board = |index| Board::new(&setup, index, memory_len, objectives.clone(), line);
        let boards = (0..setup.shares.len()).map(board).collect();
        Self::with_boards(setup, boards)
    }
}

impl<B: SimulatedBoard> Simulation<B> {
    /// A simulation of these boards, one for each worker.
    pub fn with_boards(setup: Setup, boards: Vec<B>) -> Self {
        Self {
            wiring: (0..boards.len()).collect(),
            links: (0..boards.len()).collect(),
            loss_weights: setup.shares.iter().map(|share| share.worker.loss_weight).collect(),
            aggregator: Aggregator::new(setup),
            boards,
            exact: None,
            now: Duration::ZERO,
            arrivals: BinaryHeap::new(),
            sequence: 0,
            reads: Reads::default(),
            last_event: Duration::ZERO,
        }
    }

    /// Computes losses and gradient norms from the data in f64.
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { exact: Some(objective), ..self }
    }

    /// The time since the run began.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// All boards.
    pub fn boards(&self) -> &[B] {
        &self.boards
    }

    /// All boards, to change them.
    pub fn boards_mut(&mut self) -> &mut [B] {
        &mut self.boards
    }

    /// The board of a worker, once it has identified itself.
    pub fn board_of(&self, worker: usize) -> Option<usize> {
        Some(self.aggregator.identity(worker)?.identity as usize - 1)
    }

    /// The link that leads to a board.
    pub fn link(&self, board: usize) -> usize {
        self.links[board]
    }

    /// Exchanges the cables of two boards at the host. Bytes on their way still arrive, possibly with the two parts
    /// of a frame on different links.
    pub fn exchange(&mut self, one: usize, other: usize) {
        self.links.swap(one, other);
        self.wiring.swap(self.links[one], self.links[other]);
    }

    /// Schedules an arrival.
    pub fn schedule(&mut self, at: Duration, board: usize, what: Arrival) {
        self.sequence += 1;
        self.arrivals.push(Reverse(Scheduled { at, sequence: self.sequence, board, what }));
    }

    /// Delivers the next arrival before `limit`, without transmissions of the host. If there is none, advances to
    /// `limit` and returns false.
    pub fn deliver_before(&mut self, limit: Duration) -> bool {
        if self.arrivals.peek().is_some_and(|Reverse(next)| next.at < limit) {
            let Reverse(next) = self.arrivals.pop().expect("one was seen");
            self.now = self.now.max(next.at);
            self.deliver(next);
            return true;
        }
        if limit < Duration::MAX {
            self.now = self.now.max(limit);
        }
        false
    }

    /// Advances by one event, or by several reads that are independent of each other, or to `limit` if nothing happens before.
    ///
    /// # Errors
    /// If the run has come to a halt.
    pub fn advance_until(&mut self, limit: Duration) -> Result<Option<Event>, WorldError> {
        if let Some(event) = self.aggregator.poll_event() {
            self.last_event = self.now;
            return Ok(Some(event));
        }
        if self.now - self.last_event >= ROUND_TIME_MAX {
            return Err(WorldError::Stalled { hours: ROUND_TIME_MAX.as_secs() / 3600 });
        }
        self.step(limit);
        Ok(None)
    }

    fn step(&mut self, limit: Duration) {
        self.transmit();
        let arrival = self.arrivals.peek().map(|Reverse(next)| next.at);
        let timeout = self.aggregator.poll_timeout();
        let next = arrival.into_iter().chain(timeout).min();
        if limit < Duration::MAX && next.is_none_or(|next| limit <= next) {
            self.now = self.now.max(limit);
            return;
        }
        match (arrival, timeout) {
            (Some(arrival), timeout) if timeout.is_none_or(|timeout| arrival <= timeout) => {
                let Reverse(next) = self.arrivals.pop().expect("one was seen");
                self.now = self.now.max(arrival);
                match next.what {
                    Arrival::Read => {
                        let end = timeout.unwrap_or(Duration::MAX).min(limit);
                        self.deliver_reads(self.now, next.board, end);
                    }
                    Arrival::Down(_) | Arrival::Up(_) => self.deliver(next),
                }
            }
            (_, Some(timeout)) => {
                self.now = self.now.max(timeout);
                self.aggregator.handle_timeout(self.now);
            }
            (_, None) => self.now += ROUND_TIME_MAX,
        }
    }

    /// Puts all frames of the host on their lines.
    fn transmit(&mut self) {
        let mut frame = [0; FRAME_LEN_MAX];
        while let Some((link, len)) = self.aggregator.poll_transmit(self.now, &mut frame) {
            let Self { boards, arrivals, sequence, .. } = self;
            let board = self.wiring[link];
            boards[board].send_down(self.now, &frame[..len], |at, bytes| {
                *sequence += 1;
                let (sequence, what) = (*sequence, Arrival::Down(bytes));
                arrivals.push(Reverse(Scheduled { at, sequence, board, what }));
            });
        }
    }

    /// Delivers a read, and those after it that are independent of it and before `end`; see [`together`].
    fn deliver_reads(&mut self, at: Duration, board: usize, end: Duration) {
        // No answer is due before this.
        let mut end = end.min(at + self.boards[board].latency());
        let mut reads = mem::take(&mut self.reads);
        reads.push(at, board, self.boards[board].data_len());
        while self.arrivals.peek().is_some_and(|Reverse(next)| {
            let reaches_host = matches!(next.what, Arrival::Up(_));
            next.at < end && !reaches_host && !reads.contains(next.board)
        }) {
            let Reverse(next) = self.arrivals.pop().expect("one was seen");
            self.now = self.now.max(next.at);
            match next.what {
                Arrival::Read => {
                    end = end.min(self.now + self.boards[next.board].latency());
                    reads.push(self.now, next.board, self.boards[next.board].data_len());
                }
                Arrival::Down(_) | Arrival::Up(_) => self.deliver(next),
            }
        }
        let Self { boards, arrivals, sequence, .. } = self;
        reads.work(boards, |at, board, bytes| {
            *sequence += 1;
            let (sequence, what) = (*sequence, Arrival::Up(bytes));
            arrivals.push(Reverse(Scheduled { at, sequence, board, what }));
        });
        self.reads = reads;
    }

    fn deliver(&mut self, Scheduled { board, what, .. }: Scheduled) {
        let Self { boards, arrivals, sequence, now, .. } = self;
        match what {
            Arrival::Up(bytes) => {
                if boards[board].reaches_host(*now, bytes.len()) {
                    let link = self.link(board);
                    self.aggregator.receive(self.now, link, &bytes);
                }
            }
            Arrival::Down(bytes) => {
                if let Some(at) = boards[board].receive(*now, &bytes) {
                    self.schedule(at, board, Arrival::Read);
                }
            }
            Arrival::Read => boards[board].work(*now, |at, bytes| {
                *sequence += 1;
                let (sequence, what) = (*sequence, Arrival::Up(bytes));
                arrivals.push(Reverse(Scheduled { at, sequence, board, what }));
            }),
        }
    }
}

impl<B: SimulatedBoard> World for Simulation<B> {
    fn advance(&mut self) -> Result<Option<Event>, WorldError> {
        self.advance_until(Duration::MAX)
    }

    fn aggregator(&mut self) -> &mut Aggregator {
        &mut self.aggregator
    }

    /// In f64 with an objective; else from the gradients that the workers computed at the same x.
    fn measure(&mut self) -> Option<Measured> {
        if let Some(objective) = &self.exact {
            let (loss, norm_squared) = objective.loss_and_norm_squared(&self.aggregator.model());
            return Some(Measured { loss: Some(loss), gradient_norm_squared: norm_squared });
        }
        let mut gradient = vec![0.0; self.boards.first()?.gradient().0.len()];
        for (worker, &loss_weight) in self.loss_weights.iter().enumerate() {
            let (mantissas, exponent) = self.boards[self.board_of(worker)?].gradient();
            let scale = value(loss_weight, exponent);
            let terms = mantissas.iter().map(|&m| f64::from(m) * scale);
            gradient.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        let gradient_norm_squared = gradient.iter().map(|g| g * g).sum();
        Some(Measured { loss: None, gradient_norm_squared })
    }

    fn clock(&self) -> Clock {
        Clock::Virtual
    }

    fn place(&self, link: usize) -> String {
        format!("simulated board {}", self.wiring[link] + 1)
    }
}
