//! A simulation with planned faults of boards and cables, and with an attacker, in addition to the faults of lines.

use crate::flash::{DATA_PAGES, Flash, PAGES};
use crate::frames::frame;
use smidgen::run::experiment::Experiment;
use smidgen::world::fault_injector::LineStatistics;
use smidgen::world::simulation::{self, Arrival, Board, EVALUATION, SimulatedBoard, Simulation};
use smidgen::world::{Clock, Measured, World, WorldError};
use smidgen_aggregator::{Aggregator, Event};
use smidgen_firmware::journal::FlashJournal;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::sync_journal;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{BROADCAST, Down, SCHEMA, Up, VERSION};
use smidgen_protocol::seal::Key;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Number of frames that an eavesdropper remembers.
const HEARD_MAX: usize = 256;

/// A fault of a board or its cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The board restarts and loses everything but its journal.
    Reboot,
    /// The board loses power after this many more writes to its flash, and restarts.
    PowerCut(u64),
    /// The link is unplugged for this long.
    Unplug(Duration),
    /// A gradient takes this long from now on.
    Slow(Duration),
    /// The board reads its line this long after bytes arrive, from now on, and reads all of them at once.
    Drowsy(Duration),
    /// The cables of two boards are exchanged at the host.
    Swap {
        /// The other board.
        with: usize,
        /// Whether the host notices that the lines were interrupted.
        noticed: bool,
    },
    /// Replays the frame heard `ago` frames before the latest, to this board or up to the host.
    Replay {
        /// Whether it is sent to the host.
        up: bool,
        /// Number of frames heard since.
        ago: usize,
    },
    /// A sender without the key sends a plain frame to this board or to the host.
    Forge {
        /// Whether it is sent to the host.
        up: bool,
    },
    /// The board is moved to the link of another board, which stays unplugged for this long and then gets the link of
    /// this one.
    Displace(usize, Duration),
}

/// A planned event of a board.
#[derive(Debug)]
enum Planned {
    Fault(Fault),
    /// The link is plugged in again.
    Replugged,
}

/// The latest frames on all lines, as an eavesdropper records them.
type Heard = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// A simulation with planned faults of boards.
#[derive(Debug)]
pub struct FaultySimulation {
    simulation: Simulation<FaultyBoard>,
    /// By time, then in the order of planning.
    planned: BTreeMap<(Duration, u64), (usize, Planned)>,
    sequence: u64,
    heard: Heard,
    occurred: Vec<Fault>,
}

impl FaultySimulation {
    /// The workers of an experiment.
    pub fn new(experiment: &Experiment) -> Self {
        let memory_len = simulation::memory_len::<Objectives>(&experiment.setup);
        Self::with_memory(experiment, vec![memory_len; experiment.setup.shares.len()])
    }

    /// Workers with this many bytes of memory each.
    pub fn with_memory(experiment: &Experiment, memory: Vec<usize>) -> Self {
        let heard = Heard::default();
        let boards = memory.into_iter().enumerate();
        let boards = boards.map(|(index, len)| FaultyBoard::new(experiment, index, len, &heard));
        let mut simulation = Simulation::with_boards(experiment.setup.clone(), boards.collect());
        if !experiment.setup.hears_all() {
            simulation =
                simulation.with_objective(experiment.objective().expect("the host has the rows"));
        }
        Self { simulation, planned: BTreeMap::new(), sequence: 0, heard, occurred: vec![] }
    }

    /// Gives every board the journal of a micro:bit.
    pub fn with_journals(mut self) -> Self {
        for board in self.simulation.boards_mut() {
            board.journal = Some(FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []));
        }
        self
    }

    /// Restarts a worker in a round, after it has computed its update and before it sends it.
    pub fn reboot_in_round(&mut self, round: u32, worker: usize) {
        self.simulation.boards_mut()[worker].reboots.push(round);
    }

    /// Plans a fault of a board.
    pub fn plan(&mut self, at: Duration, board: usize, fault: Fault) {
        self.push(at, board, Planned::Fault(fault));
    }

    fn push(&mut self, at: Duration, board: usize, what: Planned) {
        self.sequence += 1;
        self.planned.insert((at, self.sequence), (board, what));
    }

    /// The faults that have occurred.
    pub fn occurred(&self) -> &[Fault] {
        &self.occurred
    }

    /// The number of power cuts during a write to flash.
    pub fn power_failures(&self) -> u64 {
        self.simulation.boards().iter().map(|board| board.power_failures).sum()
    }

    /// Ends all faults: lines are perfect, workers quick, and planned faults are cancelled.
    pub fn clear_faults(&mut self) {
        self.planned.retain(|_, (_, what)| matches!(what, Planned::Replugged));
        self.simulation.boards_mut().iter_mut().for_each(FaultyBoard::clear_faults);
    }

    /// The time since the run began.
    pub fn now(&self) -> Duration {
        self.simulation.now()
    }

    /// The worker on a board.
    pub fn worker(&self, board: usize) -> &Worker<Vec<u64>> {
        self.simulation.boards()[board].board.worker()
    }

    /// The board of a worker, once it has identified itself.
    pub fn board(&self, worker: usize) -> Option<usize> {
        self.simulation.board_of(worker)
    }

    /// Counts of the lines to a board and from it.
    pub fn line_statistics(&self, worker: usize) -> (LineStatistics, LineStatistics) {
        let board = &self.simulation.boards()[worker].board;
        (board.down.statistics(), board.up.statistics())
    }

    /// Bytes that reached a board and that its present worker does not count.
    pub fn forgotten(&self, worker: usize) -> u64 {
        self.simulation.boards()[worker].forgotten
    }

    /// Bytes from a board that were lost because it restarted or its link was unplugged.
    pub fn dropped(&self, worker: usize) -> u64 {
        self.simulation.boards()[worker].dropped
    }

    /// Delivers all bytes on their way and lets planned faults happen, without further transmissions of the host.
    pub fn drain(&mut self) {
        loop {
            let next = self.planned.first_key_value().map(|(&(at, _), _)| at);
            if self.simulation.deliver_before(next.unwrap_or(Duration::MAX)) {
                continue;
            }
            if next.is_none() {
                return;
            }
            self.let_planned_happen();
        }
    }

    /// Lets the first planned event happen.
    fn let_planned_happen(&mut self) {
        if let Some((_, (board, what))) = self.planned.pop_first() {
            match what {
                Planned::Fault(fault) => self.happen(board, fault),
                Planned::Replugged => self.reconnect(board),
            }
        }
    }

    fn happen(&mut self, board: usize, fault: Fault) {
        self.occurred.push(fault);
        let now = self.now();
        let struck = &mut self.simulation.boards_mut()[board];
        match fault {
            Fault::Reboot => struck.restart(now),
            Fault::PowerCut(words) => {
                struck.journal.iter_mut().for_each(|journal| journal.flash().cut_after(words));
            }
            Fault::Unplug(time) => self.unplug(board, time),
            Fault::Slow(evaluation) => struck.evaluation = evaluation,
            Fault::Drowsy(drowsiness) => struck.drowsiness = drowsiness,
            Fault::Swap { with, noticed } => {
                self.simulation.exchange(board, with);
                if noticed {
                    [board, with].into_iter().for_each(|board| self.reconnect(board));
                }
            }
            Fault::Replay { up, ago } => {
                let heard = self.heard.lock().expect("no thread panicked");
                let frame = heard.iter().rev().nth(ago).cloned();
                drop(heard);
                frame.into_iter().for_each(|frame| self.inject(board, up, frame));
            }
            Fault::Forge { up } => self.inject(board, up, forged(up)),
            Fault::Displace(other, time) => {
                self.simulation.exchange(board, other);
                self.reconnect(board);
                self.unplug(other, time);
            }
        }
    }

    /// Sends a frame of the attacker on a line of a board.
    fn inject(&mut self, board: usize, up: bool, frame: Vec<u8>) {
        let (now, ends) = (self.now(), &mut self.simulation.boards_mut()[board].board);
        let wire = if up { &mut ends.up } else { &mut ends.down };
        let at = wire.inject(now, &frame);
        let arrival = if up { Arrival::Up(frame) } else { Arrival::Down(frame) };
        self.simulation.schedule(at, board, arrival);
    }

    fn unplug(&mut self, board: usize, time: Duration) {
        let end = self.now() + time;
        let until = &mut self.simulation.boards_mut()[board].unplugged_until;
        *until = (*until).max(end);
        self.push(end, board, Planned::Replugged);
    }

    /// Tells the host that the link of a board was interrupted.
    fn reconnect(&mut self, board: usize) {
        let link = self.simulation.link(board);
        self.simulation.aggregator().handle_reconnect(link);
    }
}

impl World for FaultySimulation {
    fn advance(&mut self) -> Result<Option<Event>, WorldError> {
        let next = self.planned.first_key_value().map(|(&(at, _), _)| at);
        let event = self.simulation.advance_until(next.unwrap_or(Duration::MAX))?;
        if event.is_none() && next.is_some_and(|next| next <= self.now()) {
            self.let_planned_happen();
        }
        Ok(event)
    }

    fn aggregator(&mut self) -> &mut Aggregator {
        self.simulation.aggregator()
    }

    fn measure(&mut self) -> Option<Measured> {
        self.simulation.measure()
    }

    fn clock(&self) -> Clock {
        self.simulation.clock()
    }

    fn place(&self, link: usize) -> String {
        self.simulation.place(link)
    }
}

/// A board that may be slow, restarted or unplugged, and may have a journal.
#[derive(Debug)]
struct FaultyBoard {
    board: Board<Objectives>,
    index: usize,
    memory_len: usize,
    key: Option<Key>,
    /// Number of starts.
    starts: u32,
    /// The journal, which survives restarts.
    journal: Option<FlashJournal<Flash>>,
    /// Rounds in which it restarts once it has computed its update.
    reboots: Vec<u32>,
    /// Time between the arrival of bytes and their reading.
    drowsiness: Duration,
    /// Time for a gradient.
    evaluation: Duration,
    /// End of the time during which its link is unplugged.
    unplugged_until: Duration,
    /// Bytes that reached it and that its present worker does not count.
    forgotten: u64,
    /// Bytes from it that were lost because it restarted or was unplugged.
    dropped: u64,
    power_failures: u64,
    /// Until then only bytes arrive that it sent before it restarted, and they are lost.
    silent_until: Duration,
    heard: Heard,
}

impl FaultyBoard {
    fn new(experiment: &Experiment, index: usize, memory_len: usize, heard: &Heard) -> Self {
        let (setup, line) = (&experiment.setup, experiment.line());
        Self {
            board: Board::new(setup, index, memory_len, Objectives, line),
            index,
            memory_len,
            key: setup.seal.as_ref().map(|sealing| sealing.key.clone()),
            starts: 1,
            journal: None,
            reboots: vec![],
            drowsiness: Duration::ZERO,
            evaluation: EVALUATION,
            unplugged_until: Duration::ZERO,
            forgotten: 0,
            dropped: 0,
            power_failures: 0,
            silent_until: Duration::ZERO,
            heard: Arc::clone(heard),
        }
    }

    fn clear_faults(&mut self) {
        self.board.down.clear_faults();
        self.board.up.clear_faults();
        self.journal.iter_mut().for_each(|journal| journal.flash().restore_power());
        (self.evaluation, self.drowsiness) = (EVALUATION, Duration::ZERO);
    }

    /// Restarts the worker.
    fn restart(&mut self, now: Duration) {
        let mut memory = vec![0; self.memory_len / 8];
        self.journal = self.journal.take().map(|journal| {
            let mut flash = journal.close();
            flash.restore_power();
            FlashJournal::open(flash, DATA_PAGES, &mut memory)
        });
        let key = self.key.as_ref();
        let worker = simulation::start::<Objectives>(self.index, memory, key, self.starts);
        self.starts += 1;
        self.forgotten += self.board.restart(now, worker);
        self.silent_until = self.board.up.clear_at();
    }

    /// Lets the journal store and load. Returns whether the power failed meanwhile, after which it is restarted.
    fn loses_power(&mut self, now: Duration) -> bool {
        let Some(journal) = &mut self.journal else { return false };
        sync_journal(self.board.worker_mut(), journal);
        self.board.occupy(now, journal.flash().take_time());
        let fails = journal.flash().is_cut();
        if fails {
            self.power_failures += 1;
            self.restart(now);
        }
        fails
    }

    /// Restarts the worker, which has just computed its update, if that was planned.
    fn restart_if_due(&mut self, now: Duration) {
        let round = self.board.worker().round();
        if let Some(due) = self.reboots.iter().position(|&at| Some(at) == round) {
            self.reboots.swap_remove(due);
            self.restart(now);
        }
    }
}

impl SimulatedBoard for FaultyBoard {
    fn send_down(&mut self, now: Duration, frame: &[u8], deliver: impl FnMut(Duration, Vec<u8>)) {
        hear(&self.heard, frame);
        self.board.send_down(now, frame, deliver);
    }

    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Option<Duration> {
        if now < self.unplugged_until {
            self.forgotten += bytes.len() as u64;
            return None;
        }
        let at = self.board.receive(now, bytes)?;
        Some(at.max(now + self.drowsiness))
    }

    fn work(&mut self, now: Duration, mut deliver: impl FnMut(Duration, Vec<u8>)) {
        self.board.read();
        if self.loses_power(now) {
            return;
        }
        if self.board.compute(now, self.evaluation) {
            self.restart_if_due(now);
        }
        if self.loses_power(now) {
            return;
        }
        let start = self.board.free_at(now);
        let mut frame = [0; FRAME_LEN_MAX];
        while let Some(len) = self.board.worker_mut().poll_transmit(&mut frame) {
            hear(&self.heard, &frame[..len]);
            self.board.up.send(start, &frame[..len], &mut deliver);
        }
    }

    fn reaches_host(&mut self, now: Duration, len: usize) -> bool {
        let passes = now >= self.unplugged_until && now > self.silent_until;
        self.dropped += if passes { 0 } else { len as u64 };
        passes
    }

    fn gradient(&self) -> (&[i32], i8) {
        self.board.gradient()
    }
}

/// Records a frame for the eavesdropper.
fn hear(heard: &Heard, frame: &[u8]) {
    let mut heard = heard.lock().expect("no thread panicked");
    let mut place = match heard.len() {
        HEARD_MAX => heard.pop_front().unwrap_or_default(),
        _ => Vec::new(),
    };
    place.clear();
    place.extend_from_slice(frame);
    heard.push_back(place);
}

/// A plain frame, as anyone could send.
fn forged(up: bool) -> Vec<u8> {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
    frame(|out| match up {
        true => Up::Ack { ticket: 1, value: 0 }.emit(&[], &Context::SETUP, out),
        false => hello.emit(BROADCAST, &[], &Context::SETUP, out),
    })
}
