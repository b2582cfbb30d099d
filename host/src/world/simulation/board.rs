//! A board of a simulation, and the line to it.

use super::line::Line;
use super::recorder::{BoardRecorder, IDENTITY, recorded};
use super::wire::Wire;
use crate::problem::dataset::recordings::WorkerRecordings;
use crate::world::fault_injector::{Direction, FaultInjector};
use smidgen_aggregator::Setup;
use smidgen_firmware::objective::{Evaluation, Evaluator, ObjectiveSet, ObjectiveTable};
use smidgen_firmware::worker::{self, Worker};
use smidgen_protocol::frame::FRAME_LEN_MAX;
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::seal::{BOOT_LEN, Key, WorkerSeal};
use std::mem;
use std::time::Duration;

/// The name that simulated boards give.
pub const BOARD: &str = "simulated";
/// Time that a worker takes for a gradient.
pub const EVALUATION: Duration = Duration::from_millis(2);
const LATENCY: Duration = Duration::from_micros(200);

/// A board with its line. The tests implement it for boards that fail.
pub trait SimulatedBoard: Send {
    /// Sends a frame of the host; `deliver` gets the arriving pieces and their times, in order.
    fn send_down(&mut self, now: Duration, frame: &[u8], deliver: impl FnMut(Duration, Vec<u8>));

    /// Receives bytes. Returns when it will read them, unless a read is scheduled already.
    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Option<Duration>;

    /// Reads the received bytes, computes, and sends its answers; `deliver` as above.
    fn work(&mut self, now: Duration, deliver: impl FnMut(Duration, Vec<u8>));

    /// Returns whether bytes at the host's end of the line get through to the host.
    fn reaches_host(&mut self, _now: Duration, _len: usize) -> bool {
        true
    }

    /// The latest gradient and its exponent: telemetry.
    fn gradient(&self) -> (&[i32], i8);

    /// What it sends at a time arrives later than this after it. Without one, boards work one after the other.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    /// Bytes of its data, which show how long it works.
    fn data_len(&self) -> usize {
        0
    }
}

/// A healthy board with a worker.
#[derive(Debug)]
pub struct Board<R> {
    worker: Worker<Vec<u64>>,
    recorder: Option<BoardRecorder>,
    objectives: R,
    /// The line from the host.
    pub down: Wire,
    /// The line to the host.
    pub up: Wire,
    busy_until: Duration,
    /// Bytes that are not read yet.
    received: Vec<u8>,
    gradient: Vec<i32>,
    gradient_exponent: i8,
    data_len: usize,
}

impl<R: Evaluator> Board<R> {
    /// The board of the given index, with this many bytes of memory, at its first start.
    pub fn new(setup: &Setup, index: usize, memory_len: usize, objectives: R, line: Line) -> Self {
        let Line { baud, faults, seed } = line;
        let wire = |direction| {
            Wire::new(baud, LATENCY, FaultInjector::new(faults, seed, index, direction))
        };
        let key = setup.seal.as_ref().map(|sealing| &sealing.key);
        Self {
            worker: start_with(objectives.table(), index, vec![0; memory_len / 8], key, 0),
            recorder: None,
            objectives,
            down: wire(Direction::Down),
            up: wire(Direction::Up),
            busy_until: Duration::ZERO,
            received: vec![],
            gradient: vec![0; setup.dimension as usize],
            gradient_exponent: 0,
            data_len: setup.shares[index].data.len(),
        }
    }

    /// Records rows on it, as if a host had commanded it before the run.
    pub fn record(&mut self, recipe: &Recipe, recordings: &WorkerRecordings) {
        // Not the worker of the run: a key may guard that one, and its counters are about the run.
        let table = self.objectives.table();
        let worker = start_with(table, IDENTITY as usize - 1, vec![], None, 0);
        self.worker.enable_recorder();
        self.recorder = Some(recorded(recipe, recordings, worker, &mut self.objectives));
    }

    /// The worker.
    pub fn worker(&self) -> &Worker<Vec<u64>> {
        &self.worker
    }

    /// The worker, for a journal.
    pub fn worker_mut(&mut self) -> &mut Worker<Vec<u64>> {
        &mut self.worker
    }

    /// Restarts it with a new worker. Returns the number of bytes that the old worker received.
    pub fn restart(&mut self, now: Duration, worker: Worker<Vec<u64>>) -> u64 {
        let old = mem::replace(&mut self.worker, worker);
        self.busy_until = now;
        let unread = mem::take(&mut self.received).len() as u64;
        unread + old.counters().bytes() + old.pending() as u64
    }

    /// Keeps it busy for this long, after its current work.
    pub fn occupy(&mut self, now: Duration, time: Duration) {
        self.busy_until = self.free_at(now) + time;
    }

    /// Passes the received bytes to the worker.
    pub fn read(&mut self) {
        let bytes = mem::take(&mut self.received);
        self.worker.receive(&bytes);
    }

    /// Computes the gradient that the worker requests. Returns whether it requested one.
    pub fn compute(&mut self, now: Duration, evaluation: Duration) -> bool {
        let Self { worker, recorder, objectives, gradient, gradient_exponent, .. } = self;
        let evaluate = |mut request: Evaluation<'_>| {
            let loss = objectives.evaluate_named(request.reborrow());
            gradient.copy_from_slice(request.gradient);
            *gradient_exponent = request.gradient_exponent;
            loss
        };
        let computed = match recorder {
            Some(recorder) => worker.compute_with(recorder.store(), evaluate),
            None => {
                let loss = worker.gradient_request().map(evaluate);
                loss.inspect(|&loss| worker.gradient_ready(loss)).is_some()
            }
        };
        if computed {
            self.occupy(now, evaluation);
        }
        computed
    }

    /// When it is free to send.
    pub fn free_at(&self, now: Duration) -> Duration {
        self.busy_until.max(now)
    }
}

impl<R: Evaluator + Send> SimulatedBoard for Board<R> {
    fn send_down(&mut self, now: Duration, frame: &[u8], deliver: impl FnMut(Duration, Vec<u8>)) {
        self.down.send(now, frame, deliver);
    }

    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Option<Duration> {
        let first = self.received.is_empty();
        self.received.extend(bytes);
        first.then(|| self.free_at(now))
    }

    fn work(&mut self, now: Duration, mut deliver: impl FnMut(Duration, Vec<u8>)) {
        self.read();
        let mut frame = [0; FRAME_LEN_MAX];
        let Self { worker, recorder, objectives, .. } = self;
        let answer = recorder.as_mut().and_then(|it| it.serve(worker, objectives, &mut frame));
        if let Some(len) = answer {
            self.up.send(self.free_at(now), &frame[..len], &mut deliver);
        }
        self.compute(now, EVALUATION);
        let start = self.free_at(now);
        while let Some(len) = self.worker.poll_transmit(&mut frame) {
            self.up.send(start, &frame[..len], &mut deliver);
        }
    }

    fn gradient(&self) -> (&[i32], i8) {
        (&self.gradient, self.gradient_exponent)
    }

    fn latency(&self) -> Duration {
        LATENCY
    }

    fn data_len(&self) -> usize {
        self.data_len
    }
}

/// The memory in bytes that the largest worker of a run needs.
pub fn memory_len<R: ObjectiveSet>(setup: &Setup) -> usize {
    memory_len_of(ObjectiveTable::of::<R>(), setup)
}

/// As [`memory_len`], for objectives that are known only at run time.
pub fn memory_len_of(objectives: ObjectiveTable, setup: &Setup) -> usize {
    let need = |worker| worker::memory_len_of(objectives, &setup.configuration(worker, 0, 0));
    (0..setup.shares.len()).map(need).max().unwrap_or(0)
}

/// A worker that has just been switched on, on the board of the given index; `starts` counts its earlier starts.
pub fn start<R: ObjectiveSet>(
    index: usize,
    memory: Vec<u64>,
    key: Option<&Key>,
    starts: u32,
) -> Worker<Vec<u64>> {
    start_with(ObjectiveTable::of::<R>(), index, memory, key, starts)
}

/// As [`start`], for objectives that are known only at run time.
fn start_with(
    objectives: ObjectiveTable,
    index: usize,
    memory: Vec<u64>,
    key: Option<&Key>,
    starts: u32,
) -> Worker<Vec<u64>> {
    let board = worker::Board { name: BOARD, identity: index as u64 + 1 };
    let mut worker = Worker::with_table(objectives, board, memory);
    if let Some(key) = key {
        let mut boot = [0; BOOT_LEN];
        boot[..8].copy_from_slice(&board.identity.to_le_bytes());
        boot[8..].copy_from_slice(&starts.to_le_bytes());
        worker.seal(WorkerSeal::new(key.clone(), boot));
    }
    worker
}
