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

mod machine;
mod memory;
mod model;
mod on_board;
mod request;
mod rounds;
pub(crate) mod rows;
mod session;
mod stored;

use crate::data::Data;
use crate::journal::{DataChunk, Journal, LocalState, LocalStateRequest, StoredModel};
use crate::objective::{
    Classes, Evaluation, Evaluator, ObjectiveInfo, ObjectiveSet, ObjectiveTable,
};
use crate::recorder::store::{Mapped, Store};
use embedded_storage::nor_flash::NorFlash;
pub use machine::Board;
use machine::Machine;
use memory::{Buffers, Layout};
pub use request::RecordRequest;
use session::Session;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer, Draft, FRAME_LEN_MAX};
use smidgen_protocol::message::{Configure, Live, NAME_LEN_MAX, Records, Seen, Ticket, Up};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::seal::WorkerSeal;
use smidgen_protocol::vector::Exponent;

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
///     let loss = Logistic::default().evaluate(request);
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
        Self::with_table(ObjectiveTable::of::<R>(), board, memory)
    }

    /// As [`Worker::new`], for objectives that are known only at run time. The names have at most [`NAME_LEN_MAX`]
    /// bytes.
    pub fn with_table(objectives: ObjectiveTable, board: Board, memory: M) -> Self {
        debug_assert!(board.name.len() <= NAME_LEN_MAX);
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
        self.close(Up::Records(*records).draft(&[], &Context::SETUP, out))
    }

    fn close(&mut self, draft: Draft) -> Option<usize> {
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

    /// That request is about data that are rows on the board, not about a model alone.
    pub fn awaits_rows(&self) -> bool {
        let Machine { session, memory, .. } = &self.machine;
        session.as_ref().is_some_and(|session| {
            session.awaits_rows() && !rows::are_missing(session.layout.data(memory.as_ref()))
        })
    }

    /// Carries out a request about the rows on the board: checks data, bounds curvature or scores.
    pub fn serve_rows<F: NorFlash + Mapped>(
        &mut self,
        store: &Store<F>,
        objectives: &mut impl Evaluator,
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
        self.close(draft)
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
    fn class_name(&self, class: u8) -> &str {
        let name = self.machine.recorded().and_then(|recorded| recorded.names().nth(class.into()));
        name.unwrap_or_default()
    }

    /// Classifies a row by the model. This changes nothing in a session.
    pub fn classify(&mut self, row: &[i16], objectives: &mut impl Evaluator) -> Option<Classes> {
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
        let latest = live.latest.map(|seen| Seen { name: self.class_name(seen.class), ..seen });
        let draft = Up::Live(Live { latest, ..*live }).draft(&[], &Context::SETUP, out);
        self.close(draft)
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

    /// Takes the model that a journal kept; to be called once after a boot. Its place is at the end of memory, since
    /// data that the journal restored are at the start; it is not taken if they reach into its place.
    pub fn restore_model(&mut self, journal: &mut impl Journal, objectives: &mut impl Evaluator) {
        let Some(head) = journal.model_head() else { return };
        let Some(held) = self.machine.place_for(&head) else { return };
        // The data of a run, which the host would have to send again.
        if held.layout.skipped.saturating_mul(8) < journal.data_len() {
            return;
        }
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
    memory_len_of(ObjectiveTable::of::<R>(), configure)
}

/// As [`memory_len`], for objectives that are known only at run time.
#[must_use]
pub fn memory_len_of(objectives: ObjectiveTable, configure: &Configure) -> usize {
    let scratch_len =
        |objective: &ObjectiveInfo| (objective.scratch_len)(configure.dimension as usize);
    let scratch_len = objectives.find(configure.objective).map_or(0, scratch_len);
    Layout::new(configure, scratch_len).len().saturating_mul(8)
}
