//! A host, its workers, and lines on which a test decides about every exchange, in virtual time.

use super::*;
use smidgen_firmware::bound::Bound;
use smidgen_firmware::curvature::CurvatureRequest;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::worker::{Board, Worker, memory_len};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::method::Participation;
use smidgen_protocol::vector::saturate;
use std::collections::BTreeMap;

/// Time that an answer takes.
const LATENCY: Duration = Duration::from_millis(1);
/// Maximum number of steps before an awaited event.
const STEPS_MAX: usize = 20_000;

/// A separable f_i: ∂f_i/∂x_j = slope(x_j, b_j), the data being signed bytes b; the loss is ½‖∇f_i‖².
#[derive(Clone, Copy)]
pub(super) struct Slope(pub fn(f64, f64) -> f64);

impl Objective for Slope {
    const NAME: &'static str = "slope";

    fn scratch_len(_: usize) -> usize {
        0
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        data.bytes().len() == dimension
    }

    fn evaluate(&mut self, at: Evaluation<'_>) -> i64 {
        let mut loss = 0.0;
        for ((gradient, &x), &b) in at.gradient.iter_mut().zip(at.x).zip(at.data.bytes()) {
            let x = value(f64::from(x), at.x_exponent);
            let slope = (self.0)(x, f64::from(b.cast_signed()));
            let mantissa = value(slope, -at.gradient_exponent).round();
            *gradient = saturate(mantissa as i64, at.saturated);
            loss += slope * slope / 2.0;
        }
        value(loss, -at.loss_exponent).round() as i64
    }

    /// That of the distance to a point.
    fn curvature(_: CurvatureRequest<'_>) -> Option<Bound> {
        Some(Bound::new(1, 0))
    }
}

/// A run of plain EF21 with the distance to a point for each worker: ∇f_i = x − b_i.
pub(super) fn setup(dimension: u32, workers: usize) -> Setup {
    let share = |worker: u32| Share {
        data: (0..dimension).map(|j| (j * 37 + j / 7 + 11 * worker + 1) as u8).collect(),
        worker: WorkerSpec {
            scale: 1.0,
            weight: 1.0,
            loss_weight: 1.0 / workers as f64,
            k: dimension,
            participation: Participation::FULL,
        },
    };
    Setup {
        session: 0x5e55,
        objective: Slope::NAME,
        regulariser: Regulariser::Nonconvex,
        initial_model: InitialModel::Seed(0),
        lambda: 0.0,
        dimension,
        method: MethodSpec { value_bits: 16, ..MethodSpec::gradient_descent(0.9) },
        shares: (0..workers as u32).map(share).collect(),
        byte_time: Duration::ZERO,
        round_timeout: None,
        seal: None,
    }
}

/// The same with another method.
pub(super) fn with_method(setup: Setup, change: impl FnOnce(MethodSpec) -> MethodSpec) -> Setup {
    Setup { method: change(setup.method.clone()), ..setup }
}

/// The same with K for all workers.
pub(super) fn with_k(k: u32, mut setup: Setup) -> Setup {
    setup.shares.iter_mut().for_each(|share| share.worker.k = k);
    setup
}

/// Damage to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    Lost,
    Repeated,
    Corrupted,
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
pub(super) enum Fault {
    Down(Damage),
    Up(Damage),
    /// The worker forgets everything before the request arrives.
    RebootBefore,
    /// The worker forgets everything once it has answered.
    RebootAfter,
    /// The link breaks within the answer and works again.
    Reconnect,
}

/// No fault.
pub(super) const PASS: Fault = Fault::Down(Damage::None);

/// A request on its way down.
#[derive(Clone, Copy)]
pub(super) struct Request<'f> {
    pub worker: usize,
    pub link: usize,
    pub stage: Stage,
    /// The round that is open.
    pub round: Option<u32>,
    pub frame: &'f [u8],
}

/// Chooses the fault of every request.
pub(super) type Rule = Box<dyn FnMut(Request) -> Fault>;

/// A worker, and the bytes that passed its line.
pub(super) struct Node {
    pub worker: Worker<Vec<u64>>,
    pub objective: Slope,
    /// How long a gradient takes.
    pub takes: Duration,
    busy_until: Duration,
    /// Bytes that the host sent on the link of this number, that reached this worker since it was started, and that
    /// reached the host on the link of this number.
    sent: u64,
    arrived: u64,
    risen: u64,
}

pub(super) struct Bench {
    pub host: Aggregator,
    pub nodes: Vec<Node>,
    /// The node at the end of each link.
    pub cables: Vec<usize>,
    pub now: Duration,
    pub rule: Rule,
    /// Number of exchanges with a fault.
    pub faults: u32,
    memory_len: usize,
    /// Answers on their way: when they arrive, in which order, on which link.
    answers: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    answer_count: u64,
}

impl Bench {
    /// Newly started workers on lines without faults.
    pub(super) fn new(setup: Setup) -> Self {
        let memory_len = memory_len::<Slope>(&setup.configuration(0, 0, 0));
        let node = |worker| Node {
            worker: start(worker as u64 + 1, memory_len),
            objective: Slope(|x, b| x - b),
            takes: Duration::ZERO,
            busy_until: Duration::ZERO,
            sent: 0,
            arrived: 0,
            risen: 0,
        };
        Self {
            nodes: (0..setup.shares.len()).map(node).collect(),
            cables: (0..setup.shares.len()).collect(),
            host: Aggregator::new(setup),
            now: Duration::ZERO,
            rule: Box::new(|_| PASS),
            faults: 0,
            memory_len,
            answers: BTreeMap::new(),
            answer_count: 0,
        }
    }

    /// Sets a rule that chooses faults.
    pub(super) fn with_rule(self, rule: impl FnMut(Request) -> Fault + 'static) -> Self {
        Self { rule: Box::new(rule), ..self }
    }

    /// The stage of a worker.
    pub(super) fn stage(&self, worker: usize) -> Stage {
        self.host.machine.peers[worker].exchange.stage()
    }

    /// Sends the host's frames; then delivers the next answer, or advances to the next time-out. Returns false
    /// if there is neither.
    pub(super) fn step(&mut self) -> bool {
        let mut out = [0; FRAME_LEN_MAX];
        while let Some((link, len)) = self.host.poll_transmit(self.now, &mut out) {
            self.exchange(link, &out[..len]);
        }
        let timeout = self.host.poll_timeout();
        let arrival = self.answers.keys().next().map(|(at, _)| *at);
        if arrival.is_some_and(|at| timeout.is_none_or(|timeout| at <= timeout)) {
            let ((at, _), (link, answer)) = self.answers.pop_first().expect("one was seen");
            self.now = self.now.max(at);
            self.arrive(link, &answer);
            return true;
        }
        let Some(timeout) = timeout else { return false };
        self.now = self.now.max(timeout);
        self.host.handle_timeout(self.now);
        true
    }

    fn exchange(&mut self, link: usize, frame: &[u8]) {
        let (worker, node) = (self.host.machine.routes.worker(link), self.cables[link]);
        let stage = self.host.machine.peers[worker].exchange.asked();
        let round = self.host.open_round();
        let fault = (self.rule)(Request { worker, link, stage, round, frame });
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

    /// Delivers bytes to a worker; returns its answers.
    pub(super) fn deliver(&mut self, worker: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
        let node = &mut self.nodes[worker];
        node.arrived += bytes.len() as u64;
        node.worker.receive(bytes);
        if let Some(request) = node.worker.gradient_request() {
            let loss = node.objective.evaluate(request);
            node.worker.gradient_ready(loss);
            node.busy_until = node.busy_until.max(self.now) + node.takes;
        }
        let mut out = [0; FRAME_LEN_MAX];
        let frame = || node.worker.poll_transmit(&mut out).map(|len| out[..len].to_vec());
        std::iter::from_fn(frame).collect()
    }

    /// Delivers bytes to the host, in pieces.
    pub(super) fn arrive(&mut self, link: usize, bytes: &[u8]) {
        self.nodes[link].risen += bytes.len() as u64;
        for piece in bytes.chunks(100) {
            self.host.receive(self.now, link, piece);
        }
    }

    /// Restarts a node.
    pub(super) fn reboot(&mut self, node: usize) {
        self.replace(node, node as u64 + 1);
    }

    /// Replaces the board of a node.
    pub(super) fn replace(&mut self, node: usize, identity: u64) {
        self.nodes[node].worker = start(identity, self.memory_len);
        self.nodes[node].arrived = 0;
    }

    /// Replaces the host after a closed round by one that resumes the run in a new session.
    pub(super) fn end_host(&mut self, setup: Setup) {
        let snapshot = self.host.snapshot().expect("a round is closed");
        let setup = Setup { session: setup.session + 1, ..setup };
        self.host = Aggregator::resume(setup, snapshot).expect("it is of this run");
        self.answers.clear();
    }

    /// The next event of the host; without one, a step.
    pub(super) fn advance(&mut self) -> Option<Event> {
        let event = self.host.poll_event();
        assert!(event.is_some() || self.step(), "there is no further event");
        event
    }

    /// Runs until the awaited event; panics at an unexpected failure.
    pub(super) fn until<T>(&mut self, awaited: impl Fn(&Event) -> Option<T>) -> T {
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

    /// Runs until a worker is at a stage in a round.
    pub(super) fn until_stage(&mut self, worker: usize, stage: Stage, round: Option<u32>) {
        for _ in 0..STEPS_MAX {
            if self.stage(worker) == stage && self.host.open_round() == round {
                return;
            }
            if let Some(Event::Closed(_)) = self.advance() {
                self.host.proceed();
            }
        }
        panic!("{stage:?} was not reached in {STEPS_MAX} steps");
    }

    /// Runs until a round is closed.
    pub(super) fn close(&mut self) -> Closed {
        self.until(|event| match event {
            Event::Closed(closed) => Some(*closed),
            _ => None,
        })
    }

    /// Runs rounds `0..rounds` and ends the run; returns the transcript.
    pub(super) fn run(&mut self, rounds: u32) -> u64 {
        let mut closed = self.close();
        while closed.round + 1 < rounds {
            self.host.proceed();
            closed = self.close();
        }
        self.finish();
        closed.transcript
    }

    /// Ends the run after a closed round, and delivers the answers on their way.
    pub(super) fn finish(&mut self) {
        self.host.finish();
        self.until(|event| matches!(event, Event::Finished(_)).then_some(()));
        while let Some((_, (link, answer))) = self.answers.pop_first() {
            self.arrive(link, &answer);
        }
    }

    /// Runs until a failure.
    pub(super) fn fail(&mut self) -> Failure {
        self.until(|event| match event {
            Event::Failed(failure) => Some(failure.clone()),
            _ => None,
        })
    }

    /// Asserts that both ends count every byte.
    pub(super) fn check_bytes(&self) {
        self.check_bytes_up();
        for (worker, Node { worker: machine, sent, arrived, .. }) in self.nodes.iter().enumerate() {
            assert_eq!(machine.counters().bytes() + machine.pending() as u64, *arrived);
            assert_eq!(self.host.traffic(worker).1.wire_bytes, *sent);
        }
    }

    /// The same where links have led to several workers: sums over workers equal sums over links.
    pub(super) fn check_bytes_in_all(&self) {
        let (mut up, mut down) = (0, 0);
        for (worker, node) in self.nodes.iter().enumerate() {
            let Node { worker: machine, arrived, .. } = node;
            assert_eq!(machine.counters().bytes() + machine.pending() as u64, *arrived);
            let traffic = self.host.traffic(worker);
            let explained = self.host.counters(worker).bytes() + self.host.pending(worker) as u64;
            assert_eq!(traffic.0.wire_bytes, explained);
            (up, down) = (up + explained, down + traffic.1.wire_bytes);
        }
        let sum = |of: fn(&Node) -> u64| self.nodes.iter().map(of).sum::<u64>();
        assert_eq!((up, down), (sum(|node| node.risen), sum(|node| node.sent)));
    }

    /// Asserts that the host counts every byte.
    pub(super) fn check_bytes_up(&self) {
        for (worker, Node { risen, .. }) in self.nodes.iter().enumerate() {
            let pending = self.host.pending(worker) as u64;
            assert_eq!(self.host.counters(worker).bytes() + pending, *risen);
            assert_eq!(self.host.traffic(worker).0.wire_bytes, *risen);
        }
    }

    /// Asserts that every worker holds the host's model and its mirror.
    pub(super) fn check_states(&self) {
        for (worker, node) in self.nodes.iter().enumerate() {
            assert_eq!(self.host.identity(worker).map(|i| i.identity), Some(worker as u64 + 1));
            let state = (self.host.x(), self.host.mirror(worker).mantissas());
            assert_eq!(node.worker.state(), Some(state), "worker {worker}");
        }
    }
}

fn start(identity: u64, memory_len: usize) -> Worker<Vec<u64>> {
    let board = Board { name: "bench", identity };
    Worker::new::<Slope>(board, vec![u64::MAX; memory_len / 8])
}
