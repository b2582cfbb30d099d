//! The worker's state machine: bytes in, frames out. It has no clock, no port and no heap.
//!
//! ```text
//!           receive(bytes) ──> [ machine ] ──> poll_transmit(out)
//!                                │    ▲
//!             gradient_request() ▼    │ gradient_ready(loss)
//!                              [ objective ]
//! ```
//!
//! A round of EF21 (paper, lines "worker"):
//!
//! ```text
//! x^{t+1}  from the downlink
//! c_i      = C(∇f_i(x^{t+1}) − g_i)       top_k::compress, in place of the gradient
//! g_i     += c_i                          sparse::apply, as the host does with the received update
//! send c_i                                as often as the host asks, computed once
//! ```
//!
//! A worker only answers, and it answers a repeated request with the same bytes. A frame that is damaged, late or
//! unexpected changes no state and is counted.

mod memory;
mod model;
mod on_board;
pub(crate) mod rows;
mod session;
mod stored;

use crate::data::Data;
use crate::journal::{DataChunk, Journal, LocalState, LocalStateRequest, ModelHead, StoredModel};
use crate::objective::{Classes, Evaluation, ObjectiveInfo, ObjectiveSet, lists_names};
use crate::recorder::store::{Mapped, Store};
use embedded_storage::nor_flash::NorFlash;
use memory::{Buffers, Layout};
use model::Held;
use rows::Source;
use session::Session;
use smidgen_protocol::counters::{Counters, Reject};
use smidgen_protocol::digest;
use smidgen_protocol::frame::{Context, Deframer, Draft, FRAME_LEN_MAX, Frame, checksum};
use smidgen_protocol::message::{
    BROADCAST, CLASS_NAME_LEN_MAX, Command, Configure, Down, Live, NAME_LEN_MAX, Ready, Records,
    Refusal, SCHEMA, Seen, Ticket, Up, VERSION,
};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::seal::WorkerSeal;
use smidgen_protocol::vector::Exponent;

/// Name and identity of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Kind of board.
    pub name: &'static str,
    /// Serial number, constant across reboots.
    pub identity: u64,
}

/// The state machine of a worker, on memory `M`: `&'static mut [u64]` on a board, `Vec<u64>` elsewhere.
///
/// Call [`receive`](Self::receive) with bytes from the line. Then exchange data and local state with a
/// [journal](crate::journal), if there is one, answer [`gradient_request`](Self::gradient_request), and send frames
/// until [`poll_transmit`](Self::poll_transmit) returns `None`. [`run`](crate::run::run) does this on a byte stream.
///
/// ```
/// use smidgen_firmware::logistic::Logistic;
/// use smidgen_firmware::objective::Objective;
/// use smidgen_firmware::worker::{Board, Worker};
/// use smidgen_protocol::counters::Counters;
/// use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX};
/// use smidgen_protocol::message::{BROADCAST, Down, SCHEMA, Up, VERSION};
///
/// let board = Board { name: "example", identity: 7 };
/// let mut worker = Worker::new::<Logistic>(board, vec![0; 1024]);
/// let mut frame = [0; FRAME_LEN_MAX];
///
/// // The host asks for the worker's identity.
/// let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
/// let len = hello.emit(BROADCAST, &[], &Context::SETUP, &mut frame);
/// worker.receive(&frame[..len]);
///
/// // `Hello` needs no gradient; a round does.
/// if let Some(request) = worker.gradient_request() {
///     let loss = Logistic.evaluate(request);
///     worker.gradient_ready(loss);
/// }
///
/// let len = worker.poll_transmit(&mut frame).expect("Hello is answered");
/// let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// let (_, answer) = deframer.feed(&frame[..len], &mut counters);
/// let answer = answer.expect("one frame");
/// let payload = answer.check(&Context::SETUP).expect("an intact frame");
/// let Ok((Up::Ready(ready), [])) = Up::parse(payload) else { panic!("not a Ready") };
/// assert_eq!((ready.board, ready.identity, ready.memory), ("example", 7, 8192));
/// ```
#[derive(Debug)]
pub struct Worker<M> {
    deframer: Deframer,
    /// If present, only sealed frames are accepted and sent.
    seal: Option<WorkerSeal>,
    counters: Counters,
    machine: Machine<M>,
}

impl<M: AsRef<[u64]> + AsMut<[u64]>> Worker<M> {
    /// Creates a worker after a boot that can compute `R`, one objective or several.
    ///
    /// The board's name has at most [`NAME_LEN_MAX`] bytes.
    pub fn new<R: ObjectiveSet>(board: Board, memory: M) -> Self {
        const { assert!(R::NAMES.len() <= NAME_LEN_MAX, "the names fit a message") };
        const { assert!(lists_names(R::NAMES, R::ALL), "NAMES lists the names of ALL") };
        debug_assert!(board.name.len() <= NAME_LEN_MAX);
        let objectives = ObjectiveTable { names: R::NAMES, find: R::find };
        Self {
            deframer: Deframer::new(),
            seal: None,
            counters: Counters::default(),
            machine: Machine {
                board,
                objectives,
                memory,
                overruns: 0,
                session: None,
                reply: None,
                has_recorder: false,
                record: None,
                live: None,
                model: None,
                model_number: 0,
            },
        }
    }

    /// Accepts and sends only sealed frames from now on.
    pub fn seal(&mut self, seal: WorkerSeal) {
        self.seal = Some(seal);
    }

    /// Accepts recorder commands and data that are rows on the board from now on. The caller serves them: see
    /// [`RemoteRecorder`](crate::remote::RemoteRecorder).
    pub fn enable_recorder(&mut self) {
        self.machine.has_recorder = true;
    }

    /// Takes bytes from the line, in pieces of any size.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (rest, frame) = self.deframer.feed(bytes, &mut self.counters);
            bytes = rest;
            if let Some(frame) = frame {
                let wire_len = frame.wire_len;
                // Opening precedes everything else, so that unauthenticated bytes reach no parser of messages.
                let opened = match &mut self.seal {
                    Some(seal) => seal.open(frame),
                    None => Ok(frame),
                };
                let saturated = &mut self.counters.saturated;
                let outcome = opened.and_then(|frame| self.machine.handle(&frame, saturated));
                self.counters.tally(outcome, wire_len);
            }
        }
    }

    /// The pending evaluation, to be answered by [`Worker::gradient_ready`].
    #[must_use]
    pub fn gradient_request(&mut self) -> Option<Evaluation<'_>> {
        self.machine.gradient_request(&mut self.counters.saturated)
    }

    /// The pending recorder command, to be answered by [`Worker::records_ready`].
    #[must_use = "it is returned once"]
    pub fn record_request(&mut self) -> Option<RecordRequest> {
        self.machine.record.take()
    }

    /// Writes the answer to a recorder command into `out`; returns its length. If the rows have changed, a session on
    /// them is closed; its model stays.
    pub fn records_ready(
        &mut self,
        records: &Records,
        have_rows_changed: bool,
        out: &mut [u8; FRAME_LEN_MAX],
    ) -> Option<usize> {
        if have_rows_changed {
            self.machine.rows_changed();
        }
        let draft = Up::Records(*records).draft(&[], &Context::SETUP, out);
        match &mut self.seal {
            Some(seal) => seal.close(draft),
            None => Some(draft.close()),
        }
    }

    /// Notes that the rows on the board have changed, which closes a session on them.
    pub fn rows_changed(&mut self) {
        self.machine.rows_changed();
    }

    /// A request awaits [`Worker::serve_rows`].
    pub fn awaits_store(&self) -> bool {
        self.machine.session.as_ref().is_some_and(Session::awaits_store)
    }

    /// Carries out a request about the rows on the board: checks data, bounds curvature or scores.
    pub fn serve_rows<F: NorFlash + Mapped>(
        &mut self,
        store: &Store<F>,
        objectives: &mut impl ObjectiveSet,
    ) {
        self.machine.serve_rows(store, objectives);
    }

    /// Computes the pending gradient with `evaluate`, on rows of the store if they are the worker's data. Returns
    /// whether there was one.
    pub fn compute_with<F: NorFlash + Mapped>(
        &mut self,
        store: &Store<F>,
        evaluate: impl FnOnce(Evaluation<'_>) -> i64,
    ) -> bool {
        let saturated = &mut self.counters.saturated;
        let Some((mut request, labels)) = self.machine.evaluation(saturated) else { return false };
        let shard;
        if let (Data::Sent(data), Some(labels)) = (request.data, labels) {
            shard = Session::shard(store, data, labels);
            // Rows that were checked are a shard; without them an objective returns 0.
            request.data = shard.as_ref().map_or(Data::Sent(&[]), Data::Recorded);
        }
        let loss = evaluate(request);
        self.gradient_ready(loss);
        true
    }

    /// Continues after an evaluation: `loss` is the mantissa that the objective returned, and the gradient is where the
    /// request asked for it. Does nothing without a request.
    pub fn gradient_ready(&mut self, loss: i64) {
        self.machine.gradient_ready(loss, &mut self.counters.saturated);
    }

    /// The next chunk of received data that was not returned before, to be stored in a [journal](crate::journal).
    #[must_use = "it is returned once"]
    pub fn poll_data_chunk(&mut self) -> Option<DataChunk<'_>> {
        let session = self.machine.session.as_mut()?;
        session.poll_data_chunk(session.layout.split(self.machine.memory.as_mut()).data)
    }

    /// The local state after a round, once per round and before its update is sent, to be stored in a
    /// [journal](crate::journal).
    #[must_use = "it is returned once"]
    pub fn poll_local_state(&mut self) -> Option<LocalState<'_>> {
        let session = self.machine.session.as_mut()?;
        session.poll_local_state(session.layout.split(self.machine.memory.as_mut()).local)
    }

    /// The local state that a restored worker lacks, to be answered by [`Worker::local_state_ready`] before the
    /// gradient. Without an answer the local state is zero.
    pub fn local_state_request(&mut self) -> Option<LocalStateRequest<'_>> {
        let session = self.machine.session.as_ref()?;
        session.local_state_request(session.layout.split(self.machine.memory.as_mut()).local)
    }

    /// Continues after a request for local state, which is where the request asked for it: its exponent, or `None` if
    /// it was not found. Does nothing without a request.
    pub fn local_state_ready(&mut self, exponent: Option<Exponent>) {
        let Some(session) = &mut self.machine.session else { return };
        let local = session.layout.split(self.machine.memory.as_mut()).local;
        session.local_state_ready(exponent, local, &mut self.counters.saturated);
    }

    /// Writes the next frame to send into `out`; returns its length, or `None` if nothing is pending.
    #[must_use = "the frame is the first bytes of `out`, as many as returned"]
    pub fn poll_transmit(&mut self, out: &mut [u8; FRAME_LEN_MAX]) -> Option<usize> {
        let draft = self.machine.poll_transmit(&self.counters, out)?;
        match &mut self.seal {
            Some(seal) => seal.close(draft),
            None => Some(draft.close()),
        }
    }

    /// Counts a loss of bytes in the receiver.
    pub fn count_overrun(&mut self) {
        self.machine.overruns = self.machine.overruns.saturating_add(1);
    }

    /// Outcomes of all received bytes.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes received of an incomplete frame.
    pub fn pending(&self) -> usize {
        self.deframer.pending()
    }

    /// Round of the last update, or of the one being computed; `None` before the first.
    pub fn round(&self) -> Option<u32> {
        self.machine.session.as_ref().and_then(Session::round)
    }

    /// Model and estimator; `None` before a configuration.
    pub fn state(&self) -> Option<(&[i32], &[i32])> {
        let session = self.machine.session.as_ref()?;
        Some(session.layout.state(self.machine.memory.as_ref()))
    }
}

impl<M: AsRef<[u64]> + AsMut<[u64]>> Worker<M> {
    /// Number of the model that the worker holds for a recipe; another model has another number.
    pub fn model_number(&self) -> Option<u32> {
        self.machine.held().map(|_| self.machine.model_number)
    }

    /// The recipe of the model.
    pub fn recipe(&self) -> Option<Recipe> {
        self.machine.recorded().map(|recorded| recorded.recipe)
    }

    /// Name of a class of the model; empty if it has no such class.
    pub fn class_name(&self, class: u8) -> &str {
        let name = self.machine.recorded().and_then(|recorded| recorded.names().nth(class.into()));
        name.unwrap_or_default()
    }

    /// Classifies a row by the model. This changes nothing in a session.
    pub fn classify(&mut self, row: &[i16], objectives: &mut impl ObjectiveSet) -> Option<Classes> {
        let held = self.machine.held()?;
        let Buffers { x, data, scratch, .. } = held.layout.split(self.machine.memory.as_mut());
        let recorded = RecordedRows::open(data).ok()?;
        held.with(x).classify(&recorded, row, objectives, scratch)
    }

    /// The pending question about live windows, to be answered by [`Worker::live_ready`].
    #[must_use = "it is returned once"]
    pub fn live_request(&mut self) -> Option<Ticket> {
        self.machine.live.take()
    }

    /// Writes the answer to a question about live windows into `out`; returns its length. The name of the class is that
    /// of the model.
    pub fn live_ready(&mut self, live: &Live, out: &mut [u8; FRAME_LEN_MAX]) -> Option<usize> {
        let Self { machine, seal, .. } = self;
        let names = machine.recorded().map(|recorded| recorded.names());
        let name = |class: u8| names.and_then(|mut names| names.nth(class.into()));
        let latest = live.latest.map(|seen| Seen { name: name(seen.class).unwrap_or(""), ..seen });
        let draft = Up::Live(Live { latest, ..*live }).draft(&[], &Context::SETUP, out);
        match seal {
            Some(seal) => seal.close(draft),
            None => Some(draft.close()),
        }
    }

    /// The model to keep, to be stored in a [journal](crate::journal) and answered by [`Worker::model_kept`].
    pub fn model_to_keep(&mut self) -> Option<StoredModel<'_>> {
        let held = self.machine.session.as_ref()?.model_to_keep()?;
        let bytes = held.layout.model(self.machine.memory.as_mut());
        Some(StoredModel { head: held.head()?, bytes })
    }

    /// Continues after a request to keep the model.
    pub fn model_kept(&mut self, is_kept: bool) {
        if let Some(session) = &mut self.machine.session {
            session.model_kept(is_kept);
        }
    }

    /// Takes the model that a journal kept, after a boot. Its place is at the end of memory, since data that the journal
    /// restored are at the start.
    pub fn restore_model(
        &mut self,
        journal: &mut impl Journal,
        objectives: &mut impl ObjectiveSet,
    ) {
        if self.machine.session.is_some() || self.machine.model.is_some() {
            return;
        }
        let Some(head) = journal.model_head() else { return };
        let Some(held) = self.machine.place_for(&head) else { return };
        let memory = self.machine.memory.as_mut();
        if !journal.load_model(held.layout.model(memory)) {
            return;
        }
        let Buffers { x, data, scratch, .. } = held.layout.split(memory);
        let is_valid = RecordedRows::open(data)
            .is_ok_and(|recorded| held.with(x).check(&recorded, objectives, scratch).is_ok());
        if is_valid {
            self.machine.model = Some(held);
            self.machine.model_number = self.machine.model_number.wrapping_add(1);
        }
    }
}

/// Memory in bytes that a worker needs for a configuration with an objective of `R`.
#[must_use]
pub fn memory_len<R: ObjectiveSet>(configure: &Configure) -> usize {
    let scratch_len =
        |objective: &ObjectiveInfo| (objective.scratch_len)(configure.dimension as usize);
    let scratch_len = R::find(configure.objective).map_or(0, scratch_len);
    Layout::new(configure, scratch_len).len().saturating_mul(8)
}

/// The objectives of a worker, without their type.
#[derive(Debug)]
struct ObjectiveTable {
    names: &'static str,
    find: fn(&str) -> Option<&'static ObjectiveInfo>,
}

#[derive(Debug)]
struct Machine<M> {
    board: Board,
    objectives: ObjectiveTable,
    memory: M,
    overruns: u32,
    session: Option<Session>,
    reply: Option<Reply>,
    has_recorder: bool,
    record: Option<RecordRequest>,
    /// A question about live windows.
    live: Option<Ticket>,
    /// The model for live windows without a session.
    model: Option<Held>,
    /// Changes with the model.
    model_number: u32,
}

/// A recorder command of the host.
#[derive(Clone, Copy, Debug)]
pub struct RecordRequest {
    /// To be returned in [`Records`].
    pub echo: Ticket,
    command: Command<'static>,
    /// The class of [`Command::Start`], with one more byte than it may have.
    class: [u8; CLASS_NAME_LEN_MAX + 1],
    class_len: usize,
}

impl RecordRequest {
    fn new(echo: Ticket, command: Command) -> Self {
        let (mut class, mut class_len) = ([0; CLASS_NAME_LEN_MAX + 1], 0);
        let command = match command {
            Command::Status => Command::Status,
            Command::Start { recording, recipe, class: name, is_test, samples } => {
                // A longer name does not fit and remains invalid: the whole of it is left out.
                if let Some(place) = class.get_mut(..name.len()) {
                    place.copy_from_slice(name.as_bytes());
                    class_len = name.len();
                }
                Command::Start { recording, recipe, class: "", is_test, samples }
            }
            Command::Stop { recording } => Command::Stop { recording },
            Command::Discard { recording } => Command::Discard { recording },
            Command::Clear { recording } => Command::Clear { recording },
        };
        Self { echo, command, class, class_len }
    }

    /// The command.
    pub fn command(&self) -> Command<'_> {
        let name =
            self.class.get(..self.class_len).and_then(|name| core::str::from_utf8(name).ok());
        match self.command {
            Command::Start { recording, recipe, class: _, is_test, samples } => {
                let class = name.unwrap_or_default();
                Command::Start { recording, recipe, class, is_test, samples }
            }
            other @ (Command::Status
            | Command::Stop { .. }
            | Command::Discard { .. }
            | Command::Clear { .. }) => other,
        }
    }
}

/// An answer outside a session.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Ready { echo: Ticket },
    CannotRecord { echo: Ticket },
    CannotWatch { echo: Ticket },
    Refused { context: Context, ticket: Ticket, refusal: Refusal },
}

impl<M: AsRef<[u64]> + AsMut<[u64]>> Machine<M> {
    /// Handles a frame. A repeated request is answered again and reported as [`Reject::Repeated`].
    fn handle(&mut self, frame: &Frame, saturated: &mut u32) -> Result<(), Reject> {
        let (payload, context) = self.check(frame)?;
        let (address, message, body) = Down::parse(payload)?;
        let own = self.session.as_ref().map(|session| session.worker);
        // The context does not contain the address, so another worker's frame of the same session passes the checksum.
        if address != BROADCAST && Some(address) != own {
            return Err(Reject::Address);
        }
        match message {
            Down::Hello { echo, .. } => {
                self.reply = Some(Reply::Ready { echo });
                Ok(())
            }
            Down::Configure(configure) => self.configure(&configure),
            Down::Record { echo, identity, command } => self.record(echo, identity, command),
            Down::Live { echo, identity } => self.watch(echo, identity),
            Down::Data { .. }
            | Down::Probe { .. }
            | Down::Announce { .. }
            | Down::Part { .. }
            | Down::Begin { .. }
            | Down::Round { .. }
            | Down::Paced { .. }
            | Down::More { .. }
            | Down::Curvature { .. }
            | Down::Score { .. }
            | Down::Keep { .. } => {
                let session = self.session.as_mut().ok_or(Reject::Unexpected)?;
                let buffers = session.layout.split(self.memory.as_mut());
                session.handle(&message, body, context.round, buffers, saturated)
            }
        }
    }

    /// Checks a frame in the contexts that are possible for its message; returns the payload and the matching context.
    fn check<'f>(&self, frame: &'f Frame) -> Result<(&'f [u8], Context), Reject> {
        let session = self.session.as_ref().map(|session| Context::downlink(session.id));
        let round = self.session.as_ref().and_then(Session::round).unwrap_or(0);
        let of = |round| session.map(|context| Context { round, ..context });
        // The message is parsed before it is checked, only to select the contexts; nothing else relies on it until
        // then.
        let contexts = match Down::parse(frame.unchecked()) {
            Ok((_, message, _)) if message.is_setup() => [Some(Context::SETUP), None],
            Ok((_, message, _)) if message.is_of_round() => [of(round.wrapping_add(1)), of(round)],
            Ok(_) => [session, None],
            Err(_) => [session, Some(Context::SETUP)],
        };
        let checked = |context| Some((frame.check(&context).ok()?, context));
        contexts.into_iter().flatten().find_map(checked).ok_or(Reject::Checksum)
    }

    fn configure(&mut self, configure: &Configure) -> Result<(), Reject> {
        // `Configure` is broadcast, since an unconfigured worker has no address.
        if configure.identity != self.board.identity {
            return Err(Reject::Address);
        }
        if let Some(session) = &mut self.session
            && session.id == configure.session
            // A late repetition must not reset a session that has progressed.
            && !session.accept_ticket(configure.ticket)
        {
            return Err(Reject::Repeated);
        }
        match self.resolve(configure) {
            Ok((objective, layout)) => {
                let memory = self.memory.as_mut();
                self.session =
                    Some(Session::open(configure, objective, layout, memory, self.has_recorder));
                // Its place is the session's.
                self.model = None;
                self.model_number = self.model_number.wrapping_add(1);
            }
            Err(refusal) => {
                // The refusing worker has no session; it answers in the context of the one that was to be opened.
                let context =
                    Context { worker: configure.worker, ..Context::downlink(configure.session) };
                self.reply = Some(Reply::Refused { context, ticket: configure.ticket, refusal });
            }
        }
        Ok(())
    }

    fn record(&mut self, echo: Ticket, identity: u64, command: Command) -> Result<(), Reject> {
        // Broadcast like `Configure`, since recording needs no session.
        if identity != self.board.identity {
            return Err(Reject::Address);
        }
        if self.has_recorder {
            self.record = Some(RecordRequest::new(echo, command));
        } else {
            self.reply = Some(Reply::CannotRecord { echo });
        }
        Ok(())
    }

    fn watch(&mut self, echo: Ticket, identity: u64) -> Result<(), Reject> {
        if identity != self.board.identity {
            return Err(Reject::Address);
        }
        if self.has_recorder {
            self.live = Some(echo);
        } else {
            self.reply = Some(Reply::CannotWatch { echo });
        }
        Ok(())
    }

    /// Objective and layout for a configuration, or the reason to refuse it.
    fn resolve(&self, configure: &Configure) -> Result<(&'static ObjectiveInfo, Layout), Refusal> {
        let &Configure { dimension, k, value_bits, .. } = configure;
        let objective = (self.objectives.find)(configure.objective).ok_or(Refusal::Objective)?;
        let numbers_fit = configure.session != 0
            && configure.worker != BROADCAST
            && (1..=dimension).contains(&k)
            && (2..=32).contains(&value_bits);
        if !numbers_fit {
            return Err(Refusal::Configuration);
        }
        let dimension = dimension as usize;
        // Without data to receive there is no later occasion to check.
        if configure.data_len == 0 && !(objective.check)(Data::Sent(&[]), dimension) {
            return Err(Refusal::Data);
        }
        let layout = Layout::new(configure, (objective.scratch_len)(dimension));
        let room = self.memory.as_ref().len();
        // Before a session opens: a refused configuration leaves the current one intact.
        if layout.len() > room {
            return Err(Refusal::Memory { need: bytes(layout.len()), room: bytes(room) });
        }
        Ok((objective, layout))
    }

    fn gradient_request<'a>(&'a mut self, saturated: &'a mut u32) -> Option<Evaluation<'a>> {
        self.evaluation(saturated).map(|(request, _)| request)
    }

    /// The pending evaluation, and the labels of rows on the board if they are the data.
    fn evaluation<'a>(
        &'a mut self,
        saturated: &'a mut u32,
    ) -> Option<(Evaluation<'a>, Option<&'a [i8]>)> {
        let session = self.session.as_ref()?;
        let exponents = session.request_exponents()?;
        let buffers = session.layout.split(self.memory.as_mut());
        let labels: Option<&[i8]> = (session.source == Source::Store).then_some(buffers.labels);
        let request = Evaluation {
            objective: session.objective.name,
            x: buffers.x,
            x_exponent: exponents.x,
            gradient: buffers.gradient,
            gradient_exponent: exponents.gradient,
            loss_exponent: exponents.loss,
            regulariser: session.regulariser,
            lambda: session.lambda,
            data: Data::Sent(buffers.data),
            rows: session.rows(),
            scratch: buffers.scratch,
            saturated,
        };
        Some((request, labels))
    }

    fn serve_rows<F: NorFlash + Mapped>(
        &mut self,
        store: &Store<F>,
        objectives: &mut impl ObjectiveSet,
    ) {
        let Some(session) = &mut self.session else { return };
        if !session.awaits_rows() {
            session.look_at(store, objectives, session.layout.split(self.memory.as_mut()));
            return;
        }
        let without_rows = rows::are_missing(session.layout.data(self.memory.as_ref()));
        session.layout.labels_len = if without_rows { 0 } else { store.places() };
        let (need, room) = (session.layout.len(), self.memory.as_ref().len());
        let outcome = if need > room {
            Err(Refusal::Memory { need: bytes(need), room: bytes(room) })
        } else {
            let buffers = session.layout.split(self.memory.as_mut());
            session.check_rows(store, objectives, buffers, without_rows)
        };
        session.rows_checked(outcome);
    }

    fn gradient_ready(&mut self, loss: i64, saturated: &mut u32) {
        let Some(session) = &mut self.session else { return };
        let buffers = session.layout.split(self.memory.as_mut());
        session.gradient_ready(loss, buffers, saturated);
    }

    // Not inlined, so that its stack is free again before the frame is sealed.
    #[inline(never)]
    fn poll_transmit<'o>(
        &mut self,
        counters: &Counters,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Option<Draft<'o>> {
        match self.reply.take() {
            Some(Reply::Ready { echo }) => {
                Some(Up::Ready(self.ready(echo, counters)).draft(&[], &Context::SETUP, out))
            }
            Some(Reply::CannotRecord { echo }) => {
                Some(Up::Records(Records::none(echo)).draft(&[], &Context::SETUP, out))
            }
            Some(Reply::CannotWatch { echo }) => {
                Some(Up::Live(Live::none(echo)).draft(&[], &Context::SETUP, out))
            }
            Some(Reply::Refused { context, ticket, refusal }) => {
                Some(Up::Refused { ticket, refusal }.draft(&[], &context, out))
            }
            None => {
                let session = self.session.as_mut()?;
                let buffers = session.layout.split(self.memory.as_mut());
                session.poll_transmit(buffers.gradient, out)
            }
        }
    }

    fn ready(&self, echo: Ticket, counters: &Counters) -> Ready<'static> {
        let session = self.session.as_ref();
        let digests = session.map(|session| {
            let (x, g_i) = session.layout.state(self.memory.as_ref());
            (digest::vector(x), digest::vector(g_i))
        });
        let (model_digest, estimator_digest) = digests.unwrap_or_default();
        Ready {
            version: VERSION,
            schema: SCHEMA,
            echo,
            board: self.board.name,
            identity: self.board.identity,
            memory: bytes(self.memory.as_ref().len()),
            objectives: self.objectives.names,
            session: session.map_or(0, |session| session.id),
            opened: session.map_or(0, |session| session.opened),
            model_digest,
            estimator_digest,
            rejected: counters.rejected_frames(),
            overruns: self.overruns,
            saturated: counters.saturated,
        }
    }
}

impl<M: AsRef<[u64]> + AsMut<[u64]>> Machine<M> {
    /// The model of the session, or the one before it.
    fn held(&self) -> Option<Held> {
        match &self.session {
            Some(session) => session.model(),
            None => self.model,
        }
    }

    /// The data of the model.
    fn recorded(&self) -> Option<RecordedRows<'_>> {
        let held = self.held()?;
        RecordedRows::open(held.layout.data(self.memory.as_ref())).ok()
    }

    /// Ends a session whose rows have changed; its model stays.
    fn rows_changed(&mut self) {
        if let Some(session) = self.session.take_if(|session| session.source == Source::Store) {
            self.model = session.model();
        }
    }

    /// Where a model of this form goes, if its objective is known and it fits.
    fn place_for(&self, head: &ModelHead) -> Option<Held> {
        let is_meant = |name: &&str| checksum(name.as_bytes()) == head.objective;
        let name = self.objectives.names.split(' ').find(is_meant)?;
        Held::at_end(head, (self.objectives.find)(name)?, self.memory.as_ref().len())
    }
}

/// Bytes of `words` 64-bit words, saturating.
fn bytes(words: usize) -> u32 {
    u32::try_from(words as u64 * 8).unwrap_or(u32::MAX)
}
