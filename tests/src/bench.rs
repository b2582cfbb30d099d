//! A real aggregator and real workers on lines where a test decides about every request, in virtual time.

pub mod slope;

use crate::frames::{compute, payload_of_any, transmitted, unchecked_payload};
use crate::recording::ScriptedRecorder;
use slope::Slope;
use smidgen_aggregator::{Aggregator, Closed, Event, Failure, Setup};
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::run::sync_journal;
use smidgen_firmware::worker::{Board, Worker, memory_len};
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX, Kind};
use smidgen_protocol::message::{Down, Ticket};
use smidgen_protocol::round::{Start, Update};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time that an answer takes.
const LATENCY: Duration = Duration::from_millis(1);
/// Maximum number of steps before an awaited event.
const STEPS_MAX: usize = 20_000;

/// Damage to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It arrives whole.
    None,
    /// It does not arrive.
    Lost,
    /// It arrives twice.
    Repeated,
    /// One of its bits is flipped.
    Corrupted,
    /// Its second half is lost.
    Cut,
}

impl Damage {
    /// The frames that arrive.
    fn of(self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut arriving = frame.to_vec();
        match self {
            Self::None => {}
            Self::Lost => return vec![],
            Self::Repeated => return vec![arriving; 2],
            Self::Corrupted => arriving[frame.len() / 2] ^= 0x10,
            Self::Cut => arriving.truncate(frame.len() / 2),
        }
        vec![arriving]
    }
}

/// A fault of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Damage to the request.
    Down(Damage),
    /// Damage to the answer.
    Up(Damage),
    /// The worker forgets everything before the request arrives.
    RebootBefore,
    /// The worker forgets everything once it has answered.
    RebootAfter,
    /// The link breaks within the answer and works again.
    Reconnect,
}

/// No fault.
pub const PASS: Fault = Fault::Down(Damage::None);

/// A request on its way down.
#[derive(Clone, Copy, Debug)]
pub struct Request<'f> {
    /// The worker that it is for.
    pub worker: usize,
    /// The link that it is sent on.
    pub link: usize,
    /// What it asks for; `None` is the start of a round after the first.
    pub message: Option<Down<'f>>,
    /// The round that is open.
    pub round: Option<u32>,
    /// The run is being ended.
    pub is_ending: bool,
    /// Its frame.
    pub frame: &'f [u8],
}

/// A request starts a round after the first.
pub fn is_round(message: &Option<Down>) -> bool {
    message.is_none()
}

/// Chooses the fault of every request.
pub type Rule = Box<dyn FnMut(Request) -> Fault>;

/// A worker, and the bytes that passed its line.
#[derive(Debug)]
pub struct Node<R> {
    /// The worker.
    pub worker: Worker<Vec<u64>>,
    /// What computes its gradients.
    pub objectives: R,
    /// The rows on its board.
    pub recorder: Option<ScriptedRecorder>,
    /// How long a gradient takes.
    pub takes: Duration,
    busy_until: Duration,
    /// Bytes that the host sent on the link of this number, that reached this worker since it was started, and that
    /// reached the host on the link of this number.
    sent: u64,
    arrived: u64,
    risen: u64,
}

/// What a worker was asked for, as its frames show.
#[derive(Debug, Default)]
struct Asked {
    /// Payload of the latest request; `None` if it starts a round.
    message: Option<Vec<u8>>,
    ticket: Ticket,
    opened: Ticket,
    /// The round of its latest update.
    updated: Option<u32>,
}

/// A host, its workers, and the lines between them.
pub struct Bench<R> {
    /// The host.
    pub host: Aggregator,
    /// The workers.
    pub nodes: Vec<Node<R>>,
    /// The node at the end of each link.
    pub cables: Vec<usize>,
    /// Time since the run began.
    pub now: Duration,
    /// Chooses faults.
    pub rule: Rule,
    /// Number of exchanges with a fault.
    pub faults: u32,
    memory_len: usize,
    session: u32,
    asked: Vec<Asked>,
    /// A frame that the host has sent and that has not been delivered.
    held: Option<(usize, Vec<u8>)>,
    is_ending: bool,
    /// Answers on their way: when they arrive, in which order, on which link.
    answers: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    answer_count: u64,
}

impl Bench<Slope> {
    /// Newly started workers that know the distance to a point, on lines without faults.
    pub fn new(setup: Setup) -> Self {
        Self::of(setup, || Slope(|x, b| x - b))
    }
}

impl<R: ObjectiveSet> Bench<R> {
    /// Newly started workers on lines without faults.
    pub fn of(setup: Setup, objectives: impl Fn() -> R) -> Self {
        let memory_len = memory_len::<R>(&setup.configuration(0, 0, 0));
        let count = setup.shares.len();
        let node = |worker| Node {
            worker: start::<R>(worker as u64 + 1, memory_len),
            objectives: objectives(),
            recorder: None,
            takes: Duration::ZERO,
            busy_until: Duration::ZERO,
            sent: 0,
            arrived: 0,
            risen: 0,
        };
        Self {
            nodes: (0..count).map(node).collect(),
            cables: (0..count).collect(),
            session: setup.session,
            host: Aggregator::new(setup),
            now: Duration::ZERO,
            rule: Box::new(|_| PASS),
            faults: 0,
            memory_len,
            asked: (0..count).map(|_| Asked::default()).collect(),
            held: None,
            is_ending: false,
            answers: BTreeMap::new(),
            answer_count: 0,
        }
    }

    /// Sets a rule that chooses faults.
    #[must_use]
    pub fn with_rule(self, rule: impl FnMut(Request) -> Fault + 'static) -> Self {
        Self { rule: Box::new(rule), ..self }
    }

    /// The worker that a link leads to.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn worker(&self, link: usize) -> usize {
        (0..self.nodes.len()).find(|&worker| self.host.link(worker) == link).expect("a link")
    }

    /// The latest request to a worker; `None` is the start of a round after the first.
    pub fn asked(&self, worker: usize) -> Option<Down<'_>> {
        self.asked[worker].message.as_deref().map(message)
    }

    /// The context of frames of the open round.
    fn of_round(&self, worker: usize) -> Context {
        let (session, worker) = (self.session, worker as u16 + 1);
        let round = self.host.open_round().unwrap_or(0);
        Context { session, worker, round, ..Context::SETUP }
    }

    /// The payload of a message; `None` if the frame starts a round.
    fn message_of(&self, worker: usize, frame: &[u8]) -> Option<Vec<u8>> {
        let starts = payload_of_any(frame, Start::contexts(self.of_round(worker))).is_some();
        (!starts).then(|| unchecked_payload(frame))
    }

    /// The latest ticket of a request to a worker.
    pub fn ticket(&self, worker: usize) -> Ticket {
        self.asked[worker].ticket
    }

    /// The ticket of the latest configuration of a worker.
    pub fn opened(&self, worker: usize) -> Ticket {
        self.asked[worker].opened
    }

    /// The next frame that the host sends, and its link.
    pub fn next_frame(&mut self) -> Option<(usize, Vec<u8>)> {
        if self.held.is_some() {
            return self.held.take();
        }
        let mut out = [0; FRAME_LEN_MAX];
        let (link, len) = self.host.poll_transmit(self.now, &mut out)?;
        let worker = self.worker(link);
        let payload = self.message_of(worker, &out[..len]);
        let asked = &mut self.asked[worker];
        if let Some(message) = payload.as_deref().map(message) {
            asked.ticket = message.ticket().unwrap_or(asked.ticket);
            if let Down::Configure(configure) = message {
                asked.opened = configure.ticket;
            }
        }
        asked.message = payload;
        Some((link, out[..len].to_vec()))
    }

    /// Sends the host's frames. Returns their number.
    pub fn transmit(&mut self) -> usize {
        let mut count = 0;
        while let Some((link, frame)) = self.next_frame() {
            self.exchange(link, &frame);
            count += 1;
        }
        count
    }

    /// Sends the host's frames; then delivers the next answer, or advances to the next time-out. Returns false
    /// if there is neither.
    pub fn step(&mut self) -> bool {
        self.transmit();
        let timeout = self.host.poll_timeout();
        let arrival = self.answers.keys().next().map(|(at, _)| *at);
        if arrival.is_some_and(|at| timeout.is_none_or(|timeout| at <= timeout)) {
            let ((at, _), (link, answer)) = self.answers.pop_first().expect("one was seen");
            self.now = self.now.max(at);
            self.take_answer(link, &answer);
            return true;
        }
        let Some(timeout) = timeout else { return false };
        self.now = self.now.max(timeout);
        self.host.handle_timeout(self.now);
        true
    }

    fn take_answer(&mut self, link: usize, answer: &[u8]) {
        let worker = self.worker(link);
        let (round, before) = (self.host.open_round(), self.host.counters(worker).accepted);
        let from = match self.asked(worker) {
            Some(Down::More { from }) => from,
            Some(_) | None => 0,
        };
        let context = Context { from, ..self.of_round(worker) };
        self.arrive(link, answer);
        if self.host.counters(worker).accepted != before && ends_update(answer, context) {
            self.asked[worker].updated = round;
        }
    }

    fn exchange(&mut self, link: usize, frame: &[u8]) {
        let (worker, node) = (self.worker(link), self.cables[link]);
        let (round, is_ending) = (self.host.open_round(), self.is_ending);
        let payload = self.message_of(worker, frame);
        let message = payload.as_deref().map(message);
        let fault = (self.rule)(Request { worker, link, message, round, is_ending, frame });
        self.faults += u32::from(fault != PASS);
        self.nodes[link].sent += frame.len() as u64;
        let (down, up) = match fault {
            Fault::Down(damage) => (damage, Damage::None),
            Fault::Up(damage) => (Damage::None, damage),
            _ => (Damage::None, Damage::None),
        };
        if fault == Fault::RebootBefore {
            self.reboot(node);
        }
        let arriving = down.of(frame);
        let answers: Vec<_> = arriving.iter().flat_map(|bytes| self.deliver(node, bytes)).collect();
        match fault {
            Fault::Reconnect => {
                answers.iter().for_each(|answer| self.arrive(link, &answer[..answer.len() / 2]));
                self.host.handle_reconnect(link);
                assert_eq!(self.host.pending(worker), 0, "no frame continues where it was cut");
            }
            _ => self.answer(link, &answers, up),
        }
        if fault == Fault::RebootAfter {
            self.reboot(node);
        }
    }

    fn answer(&mut self, link: usize, answers: &[Vec<u8>], damage: Damage) {
        let at = self.nodes[self.cables[link]].busy_until.max(self.now) + LATENCY;
        for bytes in answers.iter().flat_map(|answer| damage.of(answer)) {
            self.answer_count += 1;
            self.answers.insert((at, self.answer_count), (link, bytes));
        }
    }

    /// Delivers bytes to a worker. Returns its answers.
    pub fn deliver(&mut self, worker: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
        let node = &mut self.nodes[worker];
        node.arrived += bytes.len() as u64;
        node.worker.receive(bytes);
        let has_computed = match &mut node.recorder {
            Some(recorder) => {
                sync_journal(&mut node.worker, &mut ());
                recorder.serve(&mut node.worker, &mut node.objectives).1
            }
            None => compute(&mut node.worker, &mut node.objectives),
        };
        if has_computed {
            node.busy_until = node.busy_until.max(self.now) + node.takes;
        }
        transmitted(&mut node.worker)
    }

    /// Delivers bytes to the host, in pieces.
    pub fn arrive(&mut self, link: usize, bytes: &[u8]) {
        self.nodes[link].risen += bytes.len() as u64;
        for piece in bytes.chunks(100) {
            self.host.receive(self.now, link, piece);
        }
    }

    /// Restarts a node.
    pub fn reboot(&mut self, node: usize) {
        self.replace(node, node as u64 + 1);
    }

    /// Replaces the board of a node.
    pub fn replace(&mut self, node: usize, identity: u64) {
        self.nodes[node].worker = start::<R>(identity, self.memory_len);
        self.nodes[node].arrived = 0;
    }

    /// Replaces the host after a closed round by one that resumes the run in a new session.
    pub fn end_host(&mut self, setup: Setup) {
        let snapshot = self.host.snapshot().expect("a round is closed");
        let setup = Setup { session: setup.session + 1, ..setup };
        self.host = Aggregator::resume(setup, snapshot).expect("it is of this run");
        self.answers.clear();
        self.held = None;
    }

    /// The next event of the host; without one, a step.
    pub fn advance(&mut self) -> Option<Event> {
        let event = self.host.poll_event();
        assert!(event.is_some() || self.step(), "there is no further event");
        event
    }

    /// Runs until the awaited event; panics at an unexpected failure.
    pub fn until<T>(&mut self, awaited: impl Fn(&Event) -> Option<T>) -> T {
        for _ in 0..STEPS_MAX {
            let Some(event) = self.advance() else { continue };
            match (awaited(&event), event) {
                (Some(found), _) => return found,
                (None, Event::Failed(failure)) => panic!("{failure}"),
                (None, Event::Closed(_)) => self.host.proceed(),
                _ => {}
            }
        }
        panic!("nothing of the kind happened in {STEPS_MAX} steps");
    }

    /// Runs until the host has sent an awaited request to a worker, which is not delivered yet, while `round` is open.
    ///
    /// # Panics
    /// If it sends none.
    pub fn until_asked(
        &mut self,
        worker: usize,
        round: Option<u32>,
        is_awaited: impl Fn(&Option<Down>) -> bool,
    ) {
        for _ in 0..STEPS_MAX {
            while let Some(event) = self.host.poll_event() {
                if let Event::Closed(_) = event {
                    self.host.proceed();
                }
            }
            while let Some((link, frame)) = self.next_frame() {
                let found = self.worker(link) == worker
                    && self.host.open_round() == round
                    && is_awaited(&self.asked(worker));
                if found {
                    self.held = Some((link, frame));
                    return;
                }
                self.exchange(link, &frame);
            }
            assert!(self.step(), "there is no further event");
        }
        panic!("the request was not sent in {STEPS_MAX} steps");
    }

    /// Runs until the host has sent a worker the start of a round, which is not delivered yet.
    pub fn until_round(&mut self, worker: usize, round: u32) {
        self.until_asked(worker, Some(round), is_round);
    }

    /// Runs until the update of a worker in a round is taken, and the round waits for others.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn until_updated(&mut self, worker: usize, round: u32) {
        for _ in 0..STEPS_MAX {
            if self.asked[worker].updated == Some(round) && self.host.open_round() == Some(round) {
                return;
            }
            if let Some(Event::Closed(_)) = self.advance() {
                self.host.proceed();
            }
        }
        panic!("there was no such update in {STEPS_MAX} steps");
    }

    /// Runs until a round is closed.
    pub fn close(&mut self) -> Closed {
        self.until(|event| match event {
            Event::Closed(closed) => Some(*closed),
            _ => None,
        })
    }

    /// Runs rounds `0..rounds` and ends the run; returns the transcript.
    pub fn run(&mut self, rounds: u32) -> u64 {
        let mut closed = self.close();
        while closed.round + 1 < rounds {
            self.host.proceed();
            closed = self.close();
        }
        self.finish();
        closed.transcript
    }

    /// Ends the run after a closed round, and delivers the answers on their way.
    pub fn finish(&mut self) {
        self.is_ending = true;
        self.host.finish();
        self.until(|event| matches!(event, Event::Finished(_)).then_some(()));
        while let Some((_, (link, answer))) = self.answers.pop_first() {
            self.arrive(link, &answer);
        }
    }

    /// Runs until a failure.
    pub fn fail(&mut self) -> Failure {
        self.until(|event| match event {
            Event::Failed(failure) => Some(failure.clone()),
            _ => None,
        })
    }

    /// Asserts that both ends count every byte.
    pub fn check_bytes(&self) {
        self.check_bytes_up();
        for (worker, Node { worker: machine, sent, arrived, .. }) in self.nodes.iter().enumerate() {
            assert_eq!(machine.counters().bytes() + machine.pending() as u64, *arrived);
            assert_eq!(self.host.traffic(worker).1.wire_bytes, *sent);
        }
    }

    /// The same where links have led to several workers: sums over workers equal sums over links.
    pub fn check_bytes_in_all(&self) {
        let (mut up, mut down) = (0, 0);
        for (worker, node) in self.nodes.iter().enumerate() {
            let Node { worker: machine, arrived, .. } = node;
            assert_eq!(machine.counters().bytes() + machine.pending() as u64, *arrived);
            let traffic = self.host.traffic(worker);
            let explained = self.host.counters(worker).bytes() + self.host.pending(worker) as u64;
            assert_eq!(traffic.0.wire_bytes, explained);
            (up, down) = (up + explained, down + traffic.1.wire_bytes);
        }
        let sum = |of: fn(&Node<R>) -> u64| self.nodes.iter().map(of).sum::<u64>();
        assert_eq!((up, down), (sum(|node| node.risen), sum(|node| node.sent)));
    }

    /// Asserts that the host counts every byte.
    pub fn check_bytes_up(&self) {
        for (worker, Node { risen, .. }) in self.nodes.iter().enumerate() {
            let pending = self.host.pending(worker) as u64;
            assert_eq!(self.host.counters(worker).bytes() + pending, *risen);
            assert_eq!(self.host.traffic(worker).0.wire_bytes, *risen);
        }
    }

    /// Asserts that every worker holds the host's model and its mirror.
    pub fn check_states(&self) {
        for (worker, node) in self.nodes.iter().enumerate() {
            assert_eq!(self.host.identity(worker).map(|i| i.identity), Some(worker as u64 + 1));
            let state = (self.host.x(), self.host.mirror(worker).mantissas());
            assert_eq!(node.worker.state(), Some(state), "worker {worker}");
        }
    }
}

fn start<R: ObjectiveSet>(identity: u64, memory_len: usize) -> Worker<Vec<u64>> {
    let board = Board { name: "bench", identity };
    Worker::new::<R>(board, vec![u64::MAX; memory_len / 8])
}

/// The message in a payload.
fn message(payload: &[u8]) -> Down<'_> {
    Down::parse(payload).expect("the host sends messages, or starts rounds").1
}

/// An intact frame is the last one of an update.
fn ends_update(frame: &[u8], of_round: Context) -> bool {
    let found = payload_of_any(frame, Update::contexts(of_round));
    found.is_some_and(|(_, context)| context.kind != Kind::Part)
}
