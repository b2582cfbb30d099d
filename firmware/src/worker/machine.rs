//! What a worker does with a frame, and what it answers.

use super::memory::Layout;
use super::model::Held;
use super::request::RecordRequest;
use super::rows::{self, Source};
use super::session::Session;
use crate::data::Data;
use crate::journal::ModelHead;
use crate::objective::{Evaluation, Evaluator, ObjectiveInfo, ObjectiveTable};
use crate::recorder::store::{Mapped, Store};
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::counters::{Counters, Reject};
use smidgen_protocol::digest;
use smidgen_protocol::frame::{Context, Draft, FRAME_LEN_MAX, Frame, Kind, checksum};
use smidgen_protocol::message::{
    BROADCAST, Command, Configure, Down, Live, Ready, Records, Refusal, SCHEMA, Ticket, Up, VERSION,
};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::round::Start;

/// Name and identity of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Kind of board.
    pub name: &'static str,
    /// Serial number, constant across reboots.
    pub identity: u64,
}

#[derive(Debug)]
pub(super) struct Machine<M> {
    pub board: Board,
    pub objectives: ObjectiveTable,
    pub memory: M,
    pub overruns: u32,
    pub session: Option<Session>,
    pub reply: Option<Reply>,
    pub has_recorder: bool,
    pub record: Option<RecordRequest>,
    /// A question about live windows.
    pub live: Option<Ticket>,
    /// The model for live windows without a session.
    pub model: Option<Held>,
    /// Changes with the model.
    pub model_number: u32,
}

/// An answer outside a session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Ready { echo: Ticket },
    CannotRecord { echo: Ticket },
    CannotWatch { echo: Ticket },
    Refused { context: Context, ticket: Ticket, refusal: Refusal },
}

impl<M: AsRef<[u64]> + AsMut<[u64]>> Machine<M> {
    /// Handles a frame. A repeated request is answered again and reported as [`Reject::Repeated`].
    pub(super) fn handle(&mut self, frame: &Frame, saturated: &mut u32) -> Result<(), Reject> {
        let (payload, context) = self.check(frame)?;
        if context.kind != Kind::Message {
            let (start, body) = Start::parse(context.kind, payload)?;
            let session = self.session.as_mut().ok_or(Reject::Unexpected)?;
            let mut buffers = session.layout.split(self.memory.as_mut());
            return session.begin_next(context.round, start, body, &mut buffers, saturated);
        }
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

    /// Checks a frame in the contexts that it may have; returns the payload and the matching context.
    fn check<'f>(&self, frame: &'f Frame) -> Result<(&'f [u8], Context), Reject> {
        let session = self.session.as_ref().map(|session| Context::downlink(session.id));
        // The next round, or a repetition of this one.
        let round = self.session.as_ref().and_then(Session::round);
        let [next, this] =
            [1, 0].map(|ahead| Some(Context { round: round?.wrapping_add(ahead), ..session? }));
        let worker = self.session.as_ref().map_or(BROADCAST, |session| session.worker);
        let start = |of_round: Option<Context>, kind| Some(Context { worker, kind, ..of_round? });
        // The message is parsed before it is checked, only to select the contexts; nothing else relies on it until
        // then.
        let [first, second] = match Down::parse(frame.unchecked()) {
            Ok((_, message, _)) if message.is_setup() => [Some(Context::SETUP), None],
            Ok((_, message, _)) if message.is_of_round() => [next, this],
            Ok(_) => [session, None],
            Err(_) => [session, Some(Context::SETUP)],
        };
        let [plain, headed] = Start::KINDS;
        let contexts = [
            start(next, plain),
            start(next, headed),
            start(this, plain),
            start(this, headed),
            first,
            second,
        ];
        frame.check_any(contexts.into_iter().flatten())
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
        let objective = self.objectives.find(configure.objective).ok_or(Refusal::Objective)?;
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

    pub(super) fn gradient_request<'a>(
        &'a mut self,
        saturated: &'a mut u32,
    ) -> Option<Evaluation<'a>> {
        self.evaluation(saturated).map(|(request, _)| request)
    }

    /// The pending evaluation, and the labels of rows on the board if they are the data.
    pub(super) fn evaluation<'a>(
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

    pub(super) fn serve_rows<F: NorFlash + Mapped>(
        &mut self,
        store: &Store<F>,
        objectives: &mut impl Evaluator,
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

    pub(super) fn gradient_ready(&mut self, loss: i64, saturated: &mut u32) {
        let Some(session) = &mut self.session else { return };
        let buffers = session.layout.split(self.memory.as_mut());
        session.gradient_ready(loss, buffers, saturated);
    }

    // Not inlined, so that its stack is free again before the frame is sealed.
    #[inline(never)]
    pub(super) fn poll_transmit<'o>(
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
                session.poll_transmit(buffers.gradient, buffers.sum, out)
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
    pub(super) fn held(&self) -> Option<Held> {
        match &self.session {
            Some(session) => session.model(),
            None => self.model,
        }
    }

    /// The data of the model.
    pub(super) fn recorded(&self) -> Option<RecordedRows<'_>> {
        let held = self.held()?;
        RecordedRows::open(held.layout.data(self.memory.as_ref())).ok()
    }

    /// Ends a session whose rows have changed; its model stays.
    pub(super) fn rows_changed(&mut self) {
        if let Some(session) = self.session.take_if(|session| session.source == Source::Store) {
            self.model = session.model();
        }
    }

    /// Where a model of this form goes, if its objective is known and it fits.
    pub(super) fn place_for(&self, head: &ModelHead) -> Option<Held> {
        let is_meant = |name: &&str| checksum(name.as_bytes()) == head.objective;
        let name = self.objectives.names.split(' ').find(is_meant)?;
        Held::at_end(head, self.objectives.find(name)?, self.memory.as_ref().len())
    }
}

/// Bytes of `words` 64-bit words, saturating.
fn bytes(words: usize) -> u32 {
    u32::try_from(words as u64 * 8).unwrap_or(u32::MAX)
}
