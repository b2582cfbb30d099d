//! A session: a worker's configuration and its progress in a run.

use super::memory::{Buffers, Layout};
use super::model::Held;
use super::rows::Source;
use crate::data::Data;
use crate::method::UpdateFormat;
use crate::objective::ObjectiveInfo;
use core::ops::Range;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, Draft, FRAME_LEN_MAX, checksum};
use smidgen_protocol::message::{
    Configure, Down, Downlink, Exponents, Init, Known, Loss, Part, Refusal, Regulariser, Ticket, Up,
};
use smidgen_protocol::method::{Budget, Method, Participation};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::round::LossChange;
use smidgen_protocol::sparse::{Decoder, Form, Terms};
use smidgen_protocol::start;
use smidgen_protocol::step::Rule;
use smidgen_protocol::vector::{self, Ratio, round_shift, saturate};

/// Configuration and progress.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u32,
    /// Ticket of the configuration that opened the session.
    pub(super) opened: Ticket,
    pub(super) worker: u16,
    pub(super) layout: Layout,
    pub(super) objective: &'static ObjectiveInfo,
    pub(super) regulariser: Regulariser,
    pub(super) lambda: Ratio,
    pub(super) budget: Budget,
    pub(super) init: Init,
    pub(super) method: Method,
    pub(super) scale: Ratio,
    pub(super) participation: Participation,
    pub(super) batch: Batch,
    pub(super) downlink: Downlink,
    pub(super) rule: Rule,
    pub(super) data_checksum: u32,
    pub(super) data_held: usize,
    /// Bytes of data that were handed to a journal.
    pub(super) data_journaled: usize,
    /// Local state changed since it was last journaled.
    pub(super) local_state_dirty: bool,
    /// Local state is zero because the worker was restored.
    pub(super) local_state_missing: bool,
    pub(super) exponents: Exponents,
    /// Exponents were announced. A session opened by a late configuration has none.
    pub(super) announced: bool,
    /// Ticket of the latest request.
    pub(super) ticket: Ticket,
    pub(super) answer: Option<Answer>,
    /// Answer to send; its frame is written when the line accepts it.
    pub(super) outbox: Option<Answer>,
    pub(super) pending: Option<Pending>,
    /// The worker has a recorder, so its data may be rows on the board.
    pub(super) has_recorder: bool,
    pub(super) source: Source,
    /// Coordinates of x, from the first on, that are those of one model: all of them in a round.
    pub(super) model_until: usize,
    /// The request to keep the model, until a journal has done it.
    pub(super) keeps_model: Option<Ticket>,
    /// What the host knows as well, of the rounds before that of the update.
    pub(super) known: Known,
    /// The latest update, or the one being computed.
    pub(super) update: Option<Update>,
}

/// What the answer to a request awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// A gradient with these exponents.
    Probe { ticket: Ticket, exponents: Exponents },
    /// A gradient for an update.
    Update,
    /// A check of data that are rows on the board, after their last chunk or, without one, after a configuration.
    Rows { ticket: Ticket, is_chunk: bool },
    /// A bound of the curvature of rows on the board.
    Curvature { ticket: Ticket },
    /// Classes of the rows held out.
    Score { ticket: Ticket },
}

/// An update, except for its mantissas, which replace the gradient in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    pub round: u32,
    pub loss: LossChange,
    pub format: UpdateFormat,
    /// The worker's loss and the shift of its last entries, once the host has taken the update.
    pub after: (Loss, u8),
}

/// Rows held out, and those of them whose class is the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    pub rows: u32,
    pub right: u32,
}

/// An answer in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ack { ticket: Ticket, value: u32 },
    Range { ticket: Ticket, gradient_max: u32, loss: Loss },
    Refused { ticket: Ticket, refusal: Refusal },
    Curvature { ticket: Ticket, l_i: Ratio },
    Score { ticket: Ticket, score: Score },
    Update { from: u32 },
}

impl Session {
    /// Opens a session with the initial state x = x⁰, g_i = 0. Data that an earlier session left in memory are kept if
    /// they match the configuration.
    ///
    /// Other memory may have any content (a [journal](crate::journal::FlashJournal::open) uses it as a buffer), so
    /// every vector that a round starts from is written here. Gradient and scratch are written before they are read.
    pub(super) fn open(
        configure: &Configure,
        objective: &'static ObjectiveInfo,
        layout: Layout,
        memory: &mut [u64],
        has_recorder: bool,
    ) -> Self {
        let buffers = layout.split(memory);
        // Every worker and the host start from the same x⁰, so it need not be sent.
        let x_exponent = start::fill(buffers.x, configure.start_seed);
        buffers.g_i.fill(0);
        buffers.local.fill(0);
        buffers.sum.fill(0);
        buffers.velocity.fill(0);
        // Data of an earlier run, or restored from a journal. Their checksum is that of the configuration by chance
        // with probability 2^-32; `check` keeps even those safe to read.
        let is_known = checksum(buffers.data) == configure.data_checksum;
        let awaits_rows = is_known && has_recorder && RecordedRows::is_kind_of(buffers.data);
        let has_data = awaits_rows
            || is_known && (objective.check)(Data::Sent(buffers.data), layout.dimension);
        let data_held = if has_data { layout.data_len } else { 0 };
        let ticket = configure.ticket;
        let pending = awaits_rows.then_some(Pending::Rows { ticket, is_chunk: false });
        let answer = (!awaits_rows).then_some(Answer::Ack { ticket, value: data_held as u32 });
        Self {
            id: configure.session,
            opened: ticket,
            worker: configure.worker,
            layout,
            objective,
            regulariser: configure.regulariser,
            lambda: configure.lambda,
            budget: configure.budget(),
            init: configure.init,
            method: configure.method,
            scale: configure.scale,
            participation: configure.participation,
            batch: configure.batch,
            downlink: configure.downlink,
            rule: Rule {
                gamma_n: Ratio::default(),
                momentum: configure.momentum,
                l1_n: configure.l1_n,
            },
            data_checksum: configure.data_checksum,
            data_held,
            data_journaled: data_held,
            local_state_dirty: false,
            local_state_missing: false,
            exponents: Exponents { x: x_exponent, ..Exponents::default() },
            announced: false,
            ticket,
            answer,
            outbox: answer,
            pending,
            has_recorder,
            source: Source::Data,
            model_until: 0,
            keeps_model: None,
            known: Known { loss: Loss::default(), shift: 0, downlink: Form::FIRST },
            update: None,
        }
    }

    /// Round of the latest update, or of the one being computed.
    pub(super) fn round(&self) -> Option<u32> {
        self.update.map(|update| update.round)
    }

    /// Returns whether there is a model for a recipe: that of a round, or the host sent all of another one.
    pub(super) fn has_model(&self) -> bool {
        self.is_model_whole() && self.source != Source::Data
    }

    fn is_model_whole(&self) -> bool {
        self.model_until == self.layout.dimension
    }

    /// Notes that coordinates of x are those of a model. With what is left of another one they are none.
    fn take_model_part(&mut self, part: &Range<usize>) {
        if part.start == 0 || self.is_model_whole() {
            self.model_until = 0;
        }
        if part.start <= self.model_until {
            self.model_until = self.model_until.max(part.end);
        }
    }

    /// The model, once there is one for a recipe.
    pub(super) fn model(&self) -> Option<Held> {
        self.has_model().then_some(Held {
            objective: self.objective,
            layout: self.layout,
            x_exponent: self.exponents.x,
        })
    }

    /// Bytes of data received or found in memory.
    pub(super) fn data_held(&self) -> u32 {
        self.data_held as u32
    }

    /// Returns whether a request is new; the latest one is answered again.
    pub(super) fn accept_ticket(&mut self, ticket: Ticket) -> bool {
        // Serial number arithmetic: tickets wrap around in long runs.
        let age = ticket.wrapping_sub(self.ticket).cast_signed();
        // A request that is still being computed is answered once, when it is done.
        if age == 0 && self.pending.is_none() {
            self.outbox = self.answer;
        }
        age > 0
    }

    /// Handles a message; `round` is that of its frame's context.
    pub(super) fn handle(
        &mut self,
        message: &Down,
        body: &[u8],
        round: u32,
        mut buffers: Buffers,
        saturated: &mut u32,
    ) -> Result<(), Reject> {
        match *message {
            Down::More { from } => return self.resend_from(round, from),
            Down::Hello { .. }
            | Down::Configure(_)
            | Down::Data { .. }
            | Down::Probe { .. }
            | Down::Announce { .. }
            | Down::Part { .. }
            | Down::Begin { .. }
            | Down::Curvature { .. }
            | Down::Record { .. }
            | Down::Live { .. }
            | Down::Score { .. }
            | Down::Keep { .. } => {}
        }
        let ticket = message.ticket().ok_or(Reject::Unexpected)?;
        if !self.accept_ticket(ticket) {
            return Err(Reject::Repeated);
        }
        // The vectors are in use: a change would make the gradient one of no round.
        if self.pending.is_some() {
            return Err(Reject::Unexpected);
        }
        let answer = match *message {
            Down::Data { offset, .. } => self.take_data(ticket, offset, body, buffers.data)?,
            Down::Announce { exponents, gamma_n, .. } => {
                self.announce(exponents, gamma_n, buffers, saturated);
                Some(Answer::Ack { ticket, value: 0 })
            }
            Down::Part { part, from, until, .. } => {
                self.write_part(part, from..until, body, &mut buffers, saturated)?;
                Some(Answer::Ack { ticket, value: until })
            }
            // Without rows there is no gradient.
            Down::Curvature { .. }
            | Down::Probe { .. }
            | Down::Begin { .. }
            | Down::Score { .. }
                if self.source == Source::None =>
            {
                Some(Answer::Refused { ticket, refusal: Refusal::Data })
            }
            // Both would overwrite the mantissas of an update that the host may still ask for.
            Down::Curvature { .. } | Down::Probe { .. } if self.update.is_some() => {
                return Err(Reject::Unexpected);
            }
            Down::Curvature { .. } if self.source == Source::Store => {
                self.pending = Some(Pending::Curvature { ticket });
                None
            }
            Down::Curvature { .. } => {
                self.require_data()?;
                let Buffers { data, gradient, scratch, .. } = buffers;
                Some(self.bound_curvature(ticket, Data::Sent(data), gradient, scratch))
            }
            Down::Probe { exponents, .. } => {
                self.request_gradient(Pending::Probe { ticket, exponents })?;
                None
            }
            // Without exponents the gradient would be on no agreed scale.
            Down::Begin { .. } if !self.announced => return Err(Reject::Unexpected),
            Down::Begin { known, .. } if !known.is_valid() => return Err(Reject::Body),
            Down::Begin { round, known, .. } => {
                self.request_gradient(Pending::Update)?;
                self.known = known;
                self.begin(round, &mut buffers);
                // Round 0 starts from zero local state, which `open` has written.
                self.local_state_missing = round > 0;
                Some(Answer::Update { from: 0 })
            }
            Down::Score { .. } => {
                self.require_data()?;
                if self.source == Source::Store {
                    self.pending = Some(Pending::Score { ticket });
                    None
                } else {
                    Some(Answer::Refused { ticket, refusal: Refusal::Data })
                }
            }
            Down::Keep { .. } => Some(self.keep_model(ticket)?),
            Down::Hello { .. }
            | Down::Configure(_)
            | Down::Record { .. }
            | Down::Live { .. }
            | Down::More { .. } => return Err(Reject::Unexpected),
        };
        // Recorded only now: a rejected request may be sent again, with the same ticket.
        (self.ticket, self.answer) = (ticket, answer);
        if self.pending.is_none() {
            self.outbox = answer;
        }
        Ok(())
    }

    fn request_gradient(&mut self, pending: Pending) -> Result<(), Reject> {
        self.require_data()?;
        self.pending = Some(pending);
        Ok(())
    }

    pub(super) fn require_data(&self) -> Result<(), Reject> {
        let complete = self.data_held == self.layout.data_len;
        if complete { Ok(()) } else { Err(Reject::Unexpected) }
    }

    fn announce(&mut self, to: Exponents, gamma_n: Ratio, buffers: Buffers, saturated: &mut u32) {
        let from = self.exponents;
        vector::rescale(buffers.x, from.x, to.x, saturated);
        vector::rescale(buffers.g_i, from.gradient, to.gradient, saturated);
        vector::rescale(buffers.local, from.gradient, to.gradient, saturated);
        vector::rescale_sum(buffers.sum, from.gradient, to.gradient);
        vector::rescale_sum(buffers.velocity, from.gradient, to.gradient);
        // The host does the same to the loss that the next one is coded relative to.
        let known =
            [Some(&mut self.known.loss), self.update.as_mut().map(|update| &mut update.after.0)];
        known.into_iter().flatten().for_each(|loss| *loss = loss.rescaled(from.loss, to.loss));
        (self.exponents, self.rule.gamma_n) = (to, gamma_n);
        self.announced = true;
    }

    /// Writes coordinates of a vector. An invalid body leaves it unchanged.
    pub(super) fn write_part(
        &mut self,
        part: Part,
        range: Range<u32>,
        body: &[u8],
        buffers: &mut Buffers,
        saturated: &mut u32,
    ) -> Result<(), Reject> {
        let dimension = self.layout.dimension as u32;
        if range.start > range.end || range.end > dimension {
            return Err(Reject::Body);
        }
        let mut terms = Terms::plain(dimension, range.start);
        if part.is_change() {
            terms.last = self.known.downlink;
        }
        if part.is_change_of_sum() {
            terms.sum = buffers.sum;
        }
        let mut decoder = Decoder::new(body, &terms).map_err(|_| Reject::Body)?;
        // The whole body is checked before the first write, so that an invalid one leaves the vector unchanged.
        decoder.check(terms.sum, range.end).map_err(|_| Reject::Body)?;
        self.prepare(part, &(range.start as usize..range.end as usize), buffers)?;
        let shift = -i32::from(decoder.shift());
        let mut next = |sum: &[i64]| decoder.next_entry(sum);
        // An entry of a change of the sum is read with the sum that it changes.
        while let Some((j, m)) = next(if part.is_change_of_sum() { buffers.sum } else { &[] }) {
            let (j, value) = (j as usize, round_shift(m, shift));
            match part {
                Part::Model => set(buffers.x, j, |_| saturate(value, saturated)),
                Part::Estimator => set(buffers.g_i, j, |_| saturate(value, saturated)),
                Part::Sum => set(buffers.sum, j, |_| value),
                Part::Velocity => set(buffers.velocity, j, |_| value),
                Part::SumChange => set(buffers.sum, j, |sum| sum.saturating_add(value)),
                Part::ModelChange => {
                    set(buffers.x, j, |x| saturate(i64::from(x).saturating_add(value), saturated))
                }
            }
        }
        if part.is_change() {
            self.known.downlink = decoder.form();
        }
        Ok(())
    }

    /// Clears the coordinates that are to be overwritten. Refuses a vector that this downlink or method does not have.
    fn prepare(
        &mut self,
        part: Part,
        range: &Range<usize>,
        buffers: &mut Buffers,
    ) -> Result<(), Reject> {
        match part {
            Part::Model => {
                self.take_model_part(range);
                clear(buffers.x, range);
            }
            Part::Estimator => clear(buffers.g_i, range),
            Part::Sum => clear(needed(buffers.sum)?, range),
            Part::Velocity => clear(needed(buffers.velocity)?, range),
            Part::SumChange => {
                needed(buffers.sum)?;
            }
            // The rest comes with the next round.
            Part::ModelChange => self.model_until = 0,
        }
        Ok(())
    }

    /// Writes the pending answer as a draft of a frame; `mantissas` are those of the update, `sum` is Σ g_i.
    pub(super) fn poll_transmit<'o>(
        &mut self,
        mantissas: &[i32],
        sum: &[i64],
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Option<Draft<'o>> {
        let context = Context { worker: self.worker, ..Context::downlink(self.id) };
        let message = match self.outbox.take()? {
            Answer::Update { from } => {
                let update = self.update?;
                let context = Context { round: update.round, from, ..context };
                return Some(self.emit_update(&update, (mantissas, sum), &context, out));
            }
            Answer::Ack { ticket, value } => Up::Ack { ticket, value },
            Answer::Range { ticket, gradient_max, loss } => {
                Up::Range { ticket, gradient_max, loss }
            }
            Answer::Refused { ticket, refusal } => Up::Refused { ticket, refusal },
            Answer::Curvature { ticket, l_i } => Up::Curvature { ticket, l_i },
            Answer::Score { ticket, score: Score { rows, right } } => {
                Up::Score { ticket, rows, right }
            }
        };
        Some(message.draft(&[], &context, out))
    }
}

/// Refuses a vector that this downlink or method does not have.
fn needed(vector: &mut [i64]) -> Result<&mut [i64], Reject> {
    if vector.is_empty() { Err(Reject::Unexpected) } else { Ok(vector) }
}

fn clear<T: Copy + Default>(vector: &mut [T], range: &Range<usize>) {
    vector.get_mut(range.clone()).unwrap_or_default().fill(T::default());
}

/// Sets a coordinate to `new(before)`.
fn set<T: Copy>(vector: &mut [T], j: usize, new: impl FnOnce(T) -> T) {
    if let Some(coordinate) = vector.get_mut(j) {
        *coordinate = new(*coordinate);
    }
}
