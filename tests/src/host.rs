//! A scripted host that leads one real worker, message by message.
//!
//! ```text
//!  stage      next message                     the worker has accepted
//!  Configure  Configure                        nothing
//!  Load       Data, as often as needed         its configuration
//!  Announce   Announce                         its data
//!  Begin      Begin                            exponents
//!  Round      Round, chosen by the test        the first round
//! ```
//!
//! [`training`] adds a model and its steps; the fuzz target `worker` draws messages instead.

pub mod training;
mod twin;

use crate::frames::{self, frame};
use crate::recording::ScriptedRecorder;
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::worker::Worker;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{
    BROADCAST, Configure, Down, Exponents, Known, Refusal, Ticket, Up,
};
use smidgen_protocol::round::{Start, Update};
use smidgen_protocol::sparse::{self, Decoder};
use smidgen_protocol::vector::Ratio;
use training::Model;
use twin::Twin;

/// Bytes of data in one message of the setup.
const CHUNK_LEN: usize = 200;

/// Progress of a worker, as the messages show that it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has no configuration.
    Configure,
    /// It lacks data.
    Load,
    /// It lacks exponents.
    Announce,
    /// It can begin its first round.
    Begin,
    /// It is in a round.
    Round,
}

/// The host's side of a line to one worker, and that worker.
#[derive(Debug)]
pub struct Host<R> {
    /// The worker under test.
    pub worker: Worker<Vec<u64>>,
    /// What computes its gradients.
    pub objectives: R,
    /// Its configuration, with the ticket of the last one that it accepted.
    pub configure: Configure<'static>,
    /// Its data.
    pub data: Vec<u8>,
    /// Its progress.
    pub stage: Stage,
    /// Bytes of its data that it has accepted.
    held: usize,
    /// Ticket of the latest request.
    pub ticket: Ticket,
    /// Its round, or the one to begin with.
    pub round: u32,
    /// The exponents to announce.
    pub exponents: Exponents,
    /// The factor γ/n to announce.
    pub gamma_n: Ratio,
    /// g_i as its updates define it.
    pub mirror: Vec<i32>,
    /// What else it holds that bodies refer to.
    pub twin: Twin,
    /// What both know at the start of the round, also after a restart.
    pub known: Known,
    /// Bytes sent since it was started.
    pub sent: u64,
    /// The model of a host that trains; empty otherwise.
    pub model: Model,
    /// The recorder of its board, if it has one.
    pub recorder: Option<ScriptedRecorder>,
}

impl<R: ObjectiveSet> Host<R> {
    /// The host of a newly started worker.
    pub fn of(
        worker: Worker<Vec<u64>>,
        objectives: R,
        configure: Configure<'static>,
        data: Vec<u8>,
    ) -> Self {
        Self {
            worker,
            objectives,
            configure,
            data,
            stage: Stage::Configure,
            held: 0,
            ticket: 0,
            round: 0,
            exponents: Exponents::default(),
            gamma_n: Ratio::default(),
            mirror: vec![],
            twin: Twin::new(),
            known: Twin::new().known,
            sent: 0,
            model: Model::default(),
            recorder: None,
        }
    }

    /// Replaces the worker by a newly started one.
    pub fn restart(&mut self, worker: Worker<Vec<u64>>) {
        self.worker = worker;
        (self.stage, self.sent) = (Stage::Configure, 0);
    }

    /// The next ticket, which counts as used.
    pub fn next_ticket(&mut self) -> Ticket {
        self.ticket = self.ticket.wrapping_add(1);
        self.ticket
    }

    /// The context of the session, downwards.
    pub fn session(&self) -> Context {
        Context::downlink(self.configure.session)
    }

    /// The context of the session, upwards.
    pub fn worker_context(&self) -> Context {
        Context { worker: self.configure.worker, ..self.session() }
    }

    /// The context in which the worker accepts a request now.
    pub fn context(&self, request: &Request) -> Context {
        let message = match request {
            Request::Start(_) => {
                return Context { round: self.round.wrapping_add(1), ..self.worker_context() };
            }
            Request::Message(message) => message,
        };
        let round = match message {
            Down::More { .. } => self.round,
            Down::Hello { .. } | Down::Configure(_) | Down::Record { .. } | Down::Live { .. } => {
                return Context::SETUP;
            }
            Down::Data { .. }
            | Down::Probe { .. }
            | Down::Announce { .. }
            | Down::Part { .. }
            | Down::Begin { .. }
            | Down::Curvature { .. }
            | Down::Score { .. }
            | Down::Keep { .. } => 0,
        };
        Context { round, ..self.session() }
    }

    /// The frame of a request in its context.
    pub fn frame<'a>(&self, request: impl Into<Request<'a>>, body: &[u8]) -> Vec<u8> {
        let request = request.into();
        let address = if request.is_setup() { BROADCAST } else { self.configure.worker };
        emit(request, address, body, self.context(&request))
    }

    /// The next message of the setup and its body; `None` after the setup.
    pub fn setup_message(&self, ticket: Ticket) -> Option<(Down<'static>, Vec<u8>)> {
        let Self { exponents, gamma_n, .. } = *self;
        Some(match self.stage {
            Stage::Configure => (Down::Configure(Configure { ticket, ..self.configure }), vec![]),
            Stage::Load => {
                let chunk = self.data[self.held..].iter().copied().take(CHUNK_LEN).collect();
                (Down::Data { ticket, offset: self.held as u32 }, chunk)
            }
            Stage::Announce => (Down::Announce { ticket, exponents, gamma_n }, vec![]),
            Stage::Begin | Stage::Round => return None,
        })
    }

    /// Notes what a request does that the worker accepted.
    pub fn note(&mut self, request: &Request, body: &[u8]) {
        let message = match request {
            Request::Start(start) => {
                self.twin.start(start, self.configure.downlink, body);
                self.known = self.twin.known;
                self.round = self.round.wrapping_add(1);
                return;
            }
            Request::Message(message) => message,
        };
        self.ticket = message.ticket().unwrap_or(self.ticket);
        match *message {
            Down::Configure(Configure { ticket, .. }) => {
                self.configure.ticket = ticket;
                self.twin = Twin::configured(&self.configure);
                self.hold(0);
            }
            Down::Data { offset, .. }
                if self.stage == Stage::Load && offset as usize == self.held =>
            {
                self.hold(self.held + body.len());
            }
            Down::Announce { exponents, .. } => {
                self.twin.announce(exponents);
                self.stage = Stage::Begin;
            }
            Down::Begin { round, known, .. } => {
                (self.twin.known, self.known) = (known, known);
                (self.round, self.stage) = (round, Stage::Round);
            }
            Down::Part { part, from, until, .. } => self.twin.part(part, from..until, body),
            Down::Hello { .. }
            | Down::Data { .. }
            | Down::Probe { .. }
            | Down::Curvature { .. }
            | Down::Record { .. }
            | Down::Score { .. }
            | Down::Live { .. }
            | Down::Keep { .. }
            | Down::More { .. } => {}
        }
    }

    fn hold(&mut self, held: usize) {
        self.held = held;
        self.stage = if held < self.data.len() { Stage::Load } else { Stage::Announce };
    }

    /// Sends bytes in pieces. Returns whether the worker accepted a frame.
    ///
    /// # Panics
    /// If the worker does not count every byte, or a frame that it rejects changes its state.
    pub fn send_in_pieces(&mut self, bytes: &[u8], piece_len: usize) -> bool {
        let before = (self.worker.counters().accepted, self.state());
        bytes.chunks(piece_len).for_each(|piece| self.worker.receive(piece));
        self.sent += bytes.len() as u64;
        let explained = self.worker.counters().bytes() + self.worker.pending() as u64;
        assert_eq!(explained, self.sent, "every byte is counted");
        let accepted = self.worker.counters().accepted != before.0;
        assert!(accepted || self.state() == before.1, "a rejected frame changes nothing");
        accepted
    }

    /// Sends bytes. Returns whether the worker accepted a frame.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.send_in_pieces(bytes, FRAME_LEN_MAX)
    }

    /// Sends bytes, and has the worker compute. Returns its answer.
    pub fn deliver(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.send(bytes);
        self.serve()
    }

    /// Runs the worker's main loop once. Returns its answer.
    ///
    /// # Panics
    /// If it sends several.
    pub fn serve(&mut self) -> Option<Vec<u8>> {
        let (mut answers, _) = self.compute();
        answers.extend(frames::transmitted(&mut self.worker));
        assert!(answers.len() <= 1, "one answer per message");
        answers.pop()
    }

    /// Computes what the worker requests. Returns the frames of its recorder, and whether there was a gradient.
    pub fn compute(&mut self) -> (Vec<Vec<u8>>, bool) {
        match &mut self.recorder {
            Some(recorder) => recorder.serve(&mut self.worker, &mut self.objectives),
            None => (vec![], frames::compute(&mut self.worker, &mut self.objectives)),
        }
    }

    /// Sends a request. Returns its answer.
    ///
    /// # Panics
    /// If there is none.
    pub fn ask<'a>(&mut self, request: impl Into<Request<'a>>, body: &[u8]) -> Vec<u8> {
        let request = request.into();
        let wire = self.frame(request, body);
        if self.send(&wire) {
            self.note(&request, body);
        }
        self.serve().expect("every message down is answered")
    }

    /// Makes a request. Returns the value of its acknowledgement.
    ///
    /// # Panics
    /// If the answer is another.
    pub fn acknowledged(&mut self, message: Down, body: &[u8]) -> u32 {
        let wire = self.ask(message, body);
        match Up::parse(&payload(&wire, &self.worker_context())) {
            Ok((Up::Ack { ticket, value }, [])) if Some(ticket) == message.ticket() => value,
            other => panic!("{message:?} is answered by {other:?}"),
        }
    }

    /// Makes a request. Returns why it was refused.
    ///
    /// # Panics
    /// If it was not.
    pub fn refused(&mut self, message: Down, body: &[u8]) -> Refusal {
        let wire = self.ask(message, body);
        match Up::parse(&payload(&wire, &self.worker_context())) {
            Ok((Up::Refused { ticket, refusal }, [])) if Some(ticket) == message.ticket() => {
                refusal
            }
            other => panic!("{message:?} is answered by {other:?}"),
        }
    }

    /// Configures the worker, sends the data that it lacks, and announces exponents.
    ///
    /// # Panics
    /// If the worker does not accept them.
    pub fn set_up(&mut self) {
        self.stage = Stage::Configure;
        self.finish_setup();
    }

    /// The same, from the present stage on.
    ///
    /// # Panics
    /// If the worker does not accept it.
    pub fn finish_setup(&mut self) {
        while let Some((message, body)) = self.setup_message(self.ticket.wrapping_add(1)) {
            let value = self.acknowledged(message, &body) as usize;
            match self.stage {
                _ if matches!(message, Down::Configure(_)) => {
                    assert!(value == 0 || value == self.data.len());
                    self.hold(value);
                }
                Stage::Load | Stage::Announce => assert_eq!(value, self.held),
                Stage::Configure | Stage::Begin | Stage::Round => assert_eq!(value, 0),
            }
        }
    }

    /// Applies an update of the open round to the mirror; `first` is its first frame, and the others are requested.
    /// Returns its frames, or `None` if `first` is of no such update.
    ///
    /// # Panics
    /// If the update is invalid, or its worker does not hold the mirror afterwards.
    pub fn take_update(&mut self, first: Vec<u8>) -> Option<Vec<Vec<u8>>> {
        let Configure { dimension, init, .. } = self.configure;
        let budget = init.budget(self.round, dimension, self.configure.budget());
        let context = Context { round: self.round, ..self.worker_context() };
        let (mut frames, mut entries, mut from, mut wire) = (vec![], vec![], 0, first);
        let mut shift = self.twin.known.shift;
        loop {
            let of = Context { from, ..context };
            let (payload, Context { kind, .. }) =
                frames::payload_of_any(&wire, Update::contexts(of))?;
            let (update, body) = Update::parse(kind, &payload).ok()?;
            frames.push(wire);
            let sum = self.twin.sum();
            let terms = budget.terms(dimension, from, sum, self.twin.known.shift);
            let decoder = Decoder::new(body, &terms).expect("a good body");
            if decoder.check(sum, dimension).expect("a good body") > 0 {
                shift = decoder.shift();
            }
            entries.extend(decoder.entries(sum).map(|(j, m)| (j, budget.compressor.expand(m))));
            let change = match update {
                Update::Part => None,
                Update::Last(change) => Some(change),
                Update::Anew(change) => {
                    self.mirror.fill(0);
                    Some(change)
                }
            };
            if let Some(change) = change {
                // Such an update holds all coordinates, whatever K is.
                let all = budget.compressor.sends_all_coordinates();
                let k = if all { dimension } else { budget.k };
                assert!(entries.len() <= k as usize, "an update holds no more than it may");
                sparse::apply(&mut self.mirror, entries.into_iter(), shift, &mut 0, |_, _, _| {});
                let g_i = self.worker.state().map(|(_, g_i)| g_i);
                assert_eq!(g_i, Some(&self.mirror[..]), "mirror equals worker");
                self.twin.after = Some((change.after(self.twin.known.loss.mantissa()), shift));
                return Some(frames);
            }
            from = entries.last().map_or(from, |(j, _)| j + 1);
            let more = self.frame(Down::More { from }, &[]);
            self.send(&more);
            wire = self.serve()?;
        }
    }

    /// Model and estimator of the worker.
    pub fn state(&self) -> Option<(Vec<i32>, Vec<i32>)> {
        self.worker.state().map(|(x, g_i)| (x.to_vec(), g_i.to_vec()))
    }

    /// Number of frames that the worker rejected for a reason.
    pub fn rejected(&self, reason: Reject) -> u32 {
        self.worker.counters().rejected(reason).frames
    }
}

/// The frame of a request in any context, at any address, which a start of a round has in its context.
pub fn emit<'a>(
    request: impl Into<Request<'a>>,
    address: u16,
    body: &[u8],
    context: Context,
) -> Vec<u8> {
    frame(|out| match request.into() {
        Request::Message(message) => message.emit(address, body, &context, out),
        Request::Start(start) => {
            start.draft(body, &Context { worker: address, ..context }, out).close()
        }
    })
}

/// What a host asks a worker.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// A message.
    Message(Down<'a>),
    /// The start of a round.
    Start(Start),
}

impl<'a> From<Down<'a>> for Request<'a> {
    fn from(message: Down<'a>) -> Self {
        Self::Message(message)
    }
}

impl From<Start> for Request<'_> {
    fn from(start: Start) -> Self {
        Self::Start(start)
    }
}

impl Request<'_> {
    /// See [`Down::is_setup`].
    pub fn is_setup(&self) -> bool {
        match self {
            Self::Message(message) => message.is_setup(),
            Self::Start(_) => false,
        }
    }
}

/// The payload of the only frame in `wire`.
///
/// # Panics
/// If it is not valid in the context.
pub fn payload(wire: &[u8], context: &Context) -> Vec<u8> {
    frames::payload(wire, context).expect("a valid checksum")
}
