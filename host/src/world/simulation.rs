//! Workers, links and time in one process: the real machines on a modelled wire.
//!
//! The worker library is the one that is flashed, the frames are the ones that travel; what is modelled is the
//! line (baud, latency, faults) and time, which jumps to the next event. The same seed gives the same run.

pub mod flash;
mod wire;

use crate::options::Faults;
use crate::problem::objective::Objective;
use crate::world::fault_injector::{Direction, Fate, FaultInjector};
use crate::world::{Clock, Measured, World, WorldError};
use flash::{DATA_PAGES, Flash, PAGES};
use smidgen_aggregator::{Aggregator, Event, Setup, value};
use smidgen_firmware::journal::FlashJournal;
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::run::sync_journal;
use smidgen_firmware::worker::{Board, Worker, memory_len};
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{BROADCAST, Down, SCHEMA, Up, VERSION};
use smidgen_protocol::seal::{BOOT_LEN, Key, WorkerSeal};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;
use wire::Wire;

/// The name that simulated boards give.
pub const BOARD: &str = "simulated";
/// Number of frames that an eavesdropper remembers.
const HEARD_MAX: usize = 256;
/// How long a worker takes for a gradient, if it is not slow.
const EVALUATION: Duration = Duration::from_millis(2);
const LATENCY: Duration = Duration::from_micros(200);
/// A run whose rounds take longer than this has come to a halt.
const ROUND_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// The line between host and workers.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bits per second, ten for a byte.
    pub baud: u32,
    /// What goes wrong on it.
    pub faults: Faults,
    /// Seed of the faults.
    pub seed: u64,
}

/// A run in one process.
#[derive(Debug)]
pub struct Simulation<R> {
    aggregator: Aggregator,
    workers: Vec<WiredWorker>,
    objectives: R,
    /// f in f64: telemetry where workers do not compute their whole gradients in every round.
    exact: Option<Objective>,
    /// Bytes of memory of each worker.
    memory: Vec<usize>,
    /// The key that the workers hold.
    key: Option<Key>,
    now: Duration,
    deliveries: BinaryHeap<Reverse<Delivery>>,
    sequence: u64,
    /// Which board is behind each link.
    boards: Vec<usize>,
    /// The part of each worker in f.
    loss_weights: Vec<f64>,
    reboots: Vec<(u32, usize)>,
    /// The last frames that were sent, as an eavesdropper has them.
    heard: VecDeque<Vec<u8>>,
    /// What was planned and has taken place.
    mishaps: Vec<Mishap>,
    last_event: Duration,
}

/// A board with a worker on it, and its two wires, whose other ends are in a link of the host.
#[derive(Debug)]
struct WiredWorker {
    worker: Worker<Vec<u64>>,
    /// What it still has when it is restarted.
    journal: Option<FlashJournal<Flash>>,
    /// How often it was started.
    starts: u32,
    up: Wire,
    down: Wire,
    busy_until: Duration,
    /// What arrived while it was busy or drowsy: it reads that at once.
    received: Vec<u8>,
    /// How long after something came it looks at its line.
    drowsiness: Duration,
    /// The last gradient and its exponent: telemetry.
    gradient: Vec<i32>,
    gradient_exponent: i8,
    /// How long it takes for a gradient: time that only retransmission timers see.
    evaluation: Duration,
    /// Until when nothing passes its link.
    unplugged_until: Duration,
    /// Bytes that reached a worker which has since been restarted, or its end of an unplugged link.
    forgotten: u64,
    /// Bytes from the worker that were on their way when it was restarted or unplugged.
    dropped: u64,
}

/// Something that is going to happen. The order of the fields is the order of events.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at: Duration,
    sequence: u64,
    board: usize,
    what: Arrival,
}

/// What happens to a worker.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    /// Bytes from the host reach it.
    Down(Vec<u8>),
    /// Bytes from it reach the host.
    Up(Vec<u8>),
    /// It looks at what it received meanwhile.
    Read,
    /// Its link works again.
    Replugged,
    /// What a test has planned.
    Mishap(Mishap),
}

/// What may happen to a worker, whatever it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// It is restarted and forgets everything, but for its journal.
    Reboot,
    /// Its power fails as soon as so many more words of its flash are written: then it is restarted. That takes place as 0.
    PowerCut(u64),
    /// Its link is pulled for so long.
    Unplug(Duration),
    /// A gradient takes so long from now on.
    Slow(Duration),
    /// It looks at its line so long after something came, from now on, and reads all that is there at once.
    Drowsy(Duration),
    /// Its cable and another one are exchanged at the host.
    Swap {
        /// The other board.
        with: usize,
        /// Whether the host notices that the lines were interrupted.
        noticed: bool,
    },
    /// Replays the frame heard `ago` frames before the latest, to this board or up to the host.
    Replay {
        /// Whether the host gets it.
        up: bool,
        /// Frames that were heard since.
        ago: usize,
    },
    /// A plain frame arrives from a sender without the key, at this board or at the host.
    Forge {
        /// Whether the host gets it.
        up: bool,
    },
    /// It is moved to the link of another board, whose cable hangs loose for so long, until it is put where this one was.
    Displace(usize, Duration),
}

impl<R: ObjectiveSet> Simulation<R> {
    /// Boards that all have as much memory as the largest worker needs.
    pub fn new(setup: Setup, objectives: R, line: Line) -> Self {
        let workers = setup.shares.len();
        let need = |worker| memory_len::<R>(&setup.configuration(worker, 0, 0));
        let memory = vec![(0..workers).map(need).max().unwrap_or(0); workers];
        Self::with_memory(setup, objectives, line, memory)
    }

    /// Workers with this many bytes of memory each.
    pub fn with_memory(setup: Setup, objectives: R, line: Line, memory: Vec<usize>) -> Self {
        let Line { baud, faults, seed } = line;
        let wire = |index: usize, direction| {
            Wire::new(baud, LATENCY, FaultInjector::new(faults, seed, index, direction))
        };
        let key = setup.seal.as_ref().map(|sealing| sealing.key.clone());
        let wired = |(index, &len): (usize, &usize)| WiredWorker {
            worker: start::<R>(index, vec![0; len / 8], key.as_ref(), 0),
            starts: 1,
            journal: None,
            up: wire(index, Direction::Up),
            down: wire(index, Direction::Down),
            busy_until: Duration::ZERO,
            received: Vec::new(),
            drowsiness: Duration::ZERO,
            gradient: vec![0; setup.dimension as usize],
            gradient_exponent: 0,
            evaluation: EVALUATION,
            unplugged_until: Duration::ZERO,
            forgotten: 0,
            dropped: 0,
        };
        Self {
            workers: memory.iter().enumerate().map(wired).collect(),
            boards: (0..memory.len()).collect(),
            loss_weights: setup.shares.iter().map(|share| share.loss_weight).collect(),
            aggregator: Aggregator::new(setup),
            objectives,
            exact: None,
            memory,
            key,
            now: Duration::ZERO,
            deliveries: BinaryHeap::new(),
            sequence: 0,
            reboots: Vec::new(),
            heard: VecDeque::new(),
            mishaps: Vec::new(),
            last_event: Duration::ZERO,
        }
    }

    /// With losses and gradient norms computed from the data in f64.
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { exact: Some(objective), ..self }
    }

    /// With the journal of a micro:bit for every worker.
    pub fn with_journals(mut self) -> Self {
        for wired in &mut self.workers {
            wired.journal = Some(FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []));
        }
        self
    }

    /// Restarts a worker in the middle of a round: it has the downlink and forgets everything before it answers.
    pub fn reboot_in_round(&mut self, round: u32, worker: usize) {
        self.reboots.push((round, worker));
    }

    /// Plans a mishap of a board.
    pub fn plan(&mut self, at: Duration, board: usize, mishap: Mishap) {
        self.push(at, board, Arrival::Mishap(mishap));
    }

    /// The mishaps that have taken place.
    pub fn mishaps(&self) -> &[Mishap] {
        &self.mishaps
    }

    /// Ends all that goes wrong: lines are perfect, workers quick, and what was planned does not take place.
    pub fn heal(&mut self) {
        self.deliveries.retain(|Reverse(next)| !matches!(next.what, Arrival::Mishap(_)));
        for wired in &mut self.workers {
            wired.up.heal();
            wired.down.heal();
            wired.journal.iter_mut().for_each(|journal| journal.flash().restore_power());
            (wired.evaluation, wired.drowsiness) = (EVALUATION, Duration::ZERO);
        }
    }

    /// The time since the run began.
    pub fn now(&self) -> Duration {
        self.now
    }

    fn push(&mut self, at: Duration, board: usize, what: Arrival) {
        self.sequence += 1;
        self.deliveries.push(Reverse(Delivery { at, sequence: self.sequence, board, what }));
    }

    /// The worker on a board, to look at.
    pub fn worker(&self, board: usize) -> &Worker<Vec<u64>> {
        &self.workers[board].worker
    }

    /// The board that a worker of the aggregator is on, once it has said so.
    pub fn board(&self, worker: usize) -> Option<usize> {
        Some(self.aggregator.identity(worker)?.identity as usize - 1)
    }

    fn link(&self, board: usize) -> usize {
        self.boards.iter().position(|&other| other == board).expect("every board is on a link")
    }

    /// What happened to the bytes for a worker, and to the bytes from it.
    pub fn fates(&self, worker: usize) -> (Fate, Fate) {
        (self.workers[worker].down.fate(), self.workers[worker].up.fate())
    }

    /// Bytes that reached a worker before it was restarted, and with it their counters.
    pub fn forgotten(&self, worker: usize) -> u64 {
        self.workers[worker].forgotten
    }

    /// Bytes from a worker that were on their way to the host when it was restarted or its link pulled.
    pub fn dropped(&self, worker: usize) -> u64 {
        self.workers[worker].dropped
    }

    /// Lets everything arrive that is on its way, and nothing new be sent by the host.
    pub fn drain(&mut self) {
        while let Some(Reverse(delivery)) = self.deliveries.pop() {
            self.now = self.now.max(delivery.at);
            self.deliver(delivery);
        }
    }

    fn step(&mut self) {
        let mut frame = [0; FRAME_LEN_MAX];
        while let Some((link, len)) = self.aggregator.poll_transmit(self.now, &mut frame) {
            let Self { workers, deliveries, sequence, heard, .. } = self;
            let board = self.boards[link];
            hear(heard, &frame[..len]);
            workers[board].down.send(self.now, &frame[..len], |at, bytes| {
                *sequence += 1;
                let (sequence, what) = (*sequence, Arrival::Down(bytes));
                deliveries.push(Reverse(Delivery { at, sequence, board, what }));
            });
        }
        let arrival = self.deliveries.peek().map(|Reverse(delivery)| delivery.at);
        let timeout = self.aggregator.poll_timeout();
        match (arrival, timeout) {
            (Some(arrival), timeout) if timeout.is_none_or(|timeout| arrival <= timeout) => {
                let Reverse(delivery) = self.deliveries.pop().expect("one was seen");
                self.now = self.now.max(arrival);
                self.deliver(delivery);
            }
            (_, Some(timeout)) => {
                self.now = self.now.max(timeout);
                self.aggregator.handle_timeout(self.now);
            }
            (_, None) => self.now += ROUND_TIME_MAX,
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let board = delivery.board;
        let link = self.link(board);
        let wired = &mut self.workers[board];
        let unplugged = self.now < wired.unplugged_until;
        match delivery.what {
            Arrival::Up(bytes) if unplugged => wired.dropped += bytes.len() as u64,
            Arrival::Up(bytes) => {
                self.aggregator.receive(self.now, link, &bytes);
            }
            Arrival::Down(bytes) if unplugged => wired.forgotten += bytes.len() as u64,
            Arrival::Down(bytes) => {
                let first = wired.received.is_empty();
                wired.received.extend(bytes);
                let read_at = wired.busy_until.max(self.now + wired.drowsiness);
                if first {
                    self.push(read_at, board, Arrival::Read);
                }
            }
            Arrival::Read => {
                let bytes = std::mem::take(&mut wired.received);
                wired.worker.receive(&bytes);
                self.answer(board);
            }
            Arrival::Replugged => self.aggregator.handle_reconnect(link),
            Arrival::Mishap(mishap) => self.happen(board, mishap),
        }
    }

    fn happen(&mut self, board: usize, mishap: Mishap) {
        self.mishaps.push(mishap);
        match mishap {
            Mishap::Reboot | Mishap::PowerCut(0) => self.reboot(board),
            Mishap::PowerCut(words) => {
                let journal = self.workers[board].journal.as_mut();
                journal.into_iter().for_each(|journal| journal.flash().cut_after(words));
            }
            Mishap::Unplug(time) => self.unplug(board, time),
            Mishap::Slow(evaluation) => self.workers[board].evaluation = evaluation,
            Mishap::Drowsy(drowsiness) => self.workers[board].drowsiness = drowsiness,
            Mishap::Swap { with, noticed } => {
                let links = self.swap(board, with);
                if noticed {
                    links.into_iter().for_each(|link| self.aggregator.handle_reconnect(link));
                }
            }
            Mishap::Replay { up, ago } => {
                if let Some(frame) = self.heard.iter().rev().nth(ago).cloned() {
                    self.inject(board, up, frame);
                }
            }
            Mishap::Forge { up } => self.inject(board, up, forged(up)),
            Mishap::Displace(other, time) => {
                let [link, _] = self.swap(board, other);
                self.aggregator.handle_reconnect(link);
                self.unplug(other, time);
            }
        }
    }

    /// Puts a frame on a line of a board that neither end has sent.
    fn inject(&mut self, board: usize, up: bool, frame: Vec<u8>) {
        let wired = &mut self.workers[board];
        let wire = if up { &mut wired.up } else { &mut wired.down };
        let at = wire.inject(self.now, &frame);
        self.push(at, board, if up { Arrival::Up(frame) } else { Arrival::Down(frame) });
    }

    fn unplug(&mut self, board: usize, time: Duration) {
        let until = &mut self.workers[board].unplugged_until;
        *until = (*until).max(self.now + time);
        self.push(self.now + time, board, Arrival::Replugged);
    }

    /// Exchanges two cables at the host; returns the links on which the boards are now. What is on its way arrives all the same, the
    /// rest of a frame on another link than its begin.
    fn swap(&mut self, one: usize, other: usize) -> [usize; 2] {
        let links = [other, one].map(|board| self.link(board));
        for (link, board) in links.into_iter().zip([one, other]) {
            self.boards[link] = board;
        }
        links
    }

    /// Lets a worker compute and send what it has to.
    fn answer(&mut self, index: usize) {
        if !self.attend(index) {
            return self.happen(index, Mishap::PowerCut(0));
        }
        let wired = &mut self.workers[index];
        if let Some(mut request) = wired.worker.gradient_request() {
            wired.busy_until = wired.busy_until.max(self.now) + wired.evaluation;
            let loss = self.objectives.evaluate_named(request.reborrow());
            wired.gradient.copy_from_slice(request.gradient);
            wired.gradient_exponent = request.gradient_exponent;
            wired.worker.gradient_ready(loss);
            self.reboot_if_due(index);
        }
        if !self.attend(index) {
            return self.happen(index, Mishap::PowerCut(0));
        }
        let Self { workers, deliveries, sequence, heard, .. } = self;
        let wired = &mut workers[index];
        let start = wired.busy_until.max(self.now);
        let mut frame = [0; FRAME_LEN_MAX];
        while let Some(len) = wired.worker.poll_transmit(&mut frame) {
            hear(heard, &frame[..len]);
            wired.up.send(start, &frame[..len], |at, bytes| {
                *sequence += 1;
                let (sequence, board, what) = (*sequence, index, Arrival::Up(bytes));
                deliveries.push(Reverse(Delivery { at, sequence, board, what }));
            });
        }
    }
}

impl<R: ObjectiveSet> Simulation<R> {
    /// Restarts a worker that has just computed its update, if that was planned.
    fn reboot_if_due(&mut self, index: usize) {
        let round = self.aggregator.open_round();
        let due = |&(at, worker): &(u32, usize)| worker == index && Some(at) == round;
        let Some(position) = self.reboots.iter().position(due) else {
            return;
        };
        self.reboots.swap_remove(position);
        self.reboot(index);
    }

    /// Lets the journal of a worker keep and recall; false if power failed meanwhile.
    fn attend(&mut self, index: usize) -> bool {
        let WiredWorker { worker, journal: Some(journal), busy_until, .. } =
            &mut self.workers[index]
        else {
            return true;
        };
        sync_journal(worker, journal);
        *busy_until = (*busy_until).max(self.now) + journal.flash().take_time();
        !journal.flash().is_cut()
    }

    /// Restarts a worker: what it has not sent by now it will not send.
    fn reboot(&mut self, index: usize) {
        let wired = &mut self.workers[index];
        self.deliveries.retain(|Reverse(next)| match &next.what {
            Arrival::Up(bytes) if next.board == index => {
                wired.dropped += bytes.len() as u64;
                false
            }
            _ => true,
        });
        wired.busy_until = self.now;
        wired.forgotten += std::mem::take(&mut wired.received).len() as u64;
        wired.forgotten += wired.worker.counters().bytes() + wired.worker.pending() as u64;
        let mut memory = vec![0; self.memory[index] / 8];
        wired.journal = wired.journal.take().map(|journal| {
            let mut flash = journal.close();
            flash.restore_power();
            FlashJournal::open(flash, DATA_PAGES, &mut memory)
        });
        wired.worker = start::<R>(index, memory, self.key.as_ref(), wired.starts);
        wired.starts += 1;
    }
}

impl<R: ObjectiveSet> World for Simulation<R> {
    fn advance(&mut self) -> Result<Option<Event>, WorldError> {
        if let Some(event) = self.aggregator.poll_event() {
            self.last_event = self.now;
            return Ok(Some(event));
        }
        if self.now - self.last_event >= ROUND_TIME_MAX {
            return Err(WorldError::Stalled { hours: ROUND_TIME_MAX.as_secs() / 3600 });
        }
        self.step();
        Ok(None)
    }

    fn aggregator(&mut self) -> &mut Aggregator {
        &mut self.aggregator
    }

    /// In f64 where that was wanted; else from the gradients that the workers computed at the same x.
    fn measure(&mut self) -> Option<Measured> {
        if let Some(objective) = &self.exact {
            let (loss, norm_squared) = objective.loss_and_norm_squared(&self.aggregator.model());
            return Some(Measured { loss: Some(loss), gradient_norm_squared: norm_squared });
        }
        let mut gradient = vec![0.0; self.workers.first()?.gradient.len()];
        for (worker, &loss_weight) in self.loss_weights.iter().enumerate() {
            let wired = &self.workers[self.board(worker)?];
            let scale = value(loss_weight, wired.gradient_exponent);
            let terms = wired.gradient.iter().map(|&m| f64::from(m) * scale);
            gradient.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        let gradient_norm_squared = gradient.iter().map(|g| g * g).sum();
        Some(Measured { loss: None, gradient_norm_squared })
    }

    fn clock(&self) -> Clock {
        Clock::Virtual
    }

    fn place(&self, link: usize) -> String {
        format!("simulated board {}", self.boards[link] + 1)
    }
}

/// Remembers a frame for the eavesdropper.
fn hear(heard: &mut VecDeque<Vec<u8>>, frame: &[u8]) {
    let mut place = match heard.len() {
        HEARD_MAX => heard.pop_front().unwrap_or_default(),
        _ => Vec::new(),
    };
    place.clear();
    place.extend_from_slice(frame);
    heard.push_back(place);
}

/// A plain frame that anyone could send.
fn forged(up: bool) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
    let len = match up {
        true => Up::Ack { ticket: 1, value: 0 }.emit(&[], &Context::SETUP, &mut out),
        false => hello.emit(BROADCAST, &[], &Context::SETUP, &mut out),
    };
    out[..len].to_vec()
}

/// A worker that has just been switched on; `starts` counts its earlier starts.
fn start<R: ObjectiveSet>(
    index: usize,
    memory: Vec<u64>,
    key: Option<&Key>,
    starts: u32,
) -> Worker<Vec<u64>> {
    let board = Board { name: BOARD, identity: index as u64 + 1 };
    let mut worker = Worker::new::<R>(board, memory);
    if let Some(key) = key {
        let mut boot = [0; BOOT_LEN];
        boot[..8].copy_from_slice(&board.identity.to_le_bytes());
        boot[8..].copy_from_slice(&starts.to_le_bytes());
        worker.seal(WorkerSeal::new(key.clone(), boot));
    }
    worker
}
