//! Rounds of a session: from a model to an update.

use super::memory::Buffers;
use super::session::{Answer, Pending, Session, Update};
use crate::method::{self, RoundCompressor, UpdateFormat, entries};
use smidgen_protocol::batch::Selection;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, Draft, FRAME_LEN_MAX};
use smidgen_protocol::message::{Exponents, Known, Loss};
use smidgen_protocol::method::{Compressor, draw};
use smidgen_protocol::round::{self, LossChange, Start};
use smidgen_protocol::sparse::{Form, encode};
use smidgen_protocol::step::{Grids, step};
use smidgen_protocol::vector::{self, Ratio, saturate};

impl Session {
    /// Exponents of the pending gradient after scaling.
    fn target_exponents(&self) -> Option<Exponents> {
        match self.pending? {
            Pending::Probe { exponents, .. } => Some(exponents),
            Pending::Update => Some(self.exponents),
            Pending::Rows { .. } | Pending::Curvature { .. } | Pending::Score { .. } => None,
        }
    }

    /// Exponents to request for the pending gradient, before it is multiplied by `scale`.
    pub(super) fn request_exponents(&self) -> Option<Exponents> {
        let wanted = self.target_exponents()?;
        let gradient = i32::from(wanted.gradient) + self.scale.magnitude();
        let gradient = gradient.clamp(i8::MIN.into(), i8::MAX.into()) as i8;
        Some(Exponents { gradient, ..wanted })
    }

    /// Rows of the pending gradient: the minibatch of its round, or all rows for a probe, which measures the range.
    pub(super) fn rows(&self) -> Selection {
        let of = |update: Update| self.batch.selection(self.worker, update.round);
        match self.pending {
            Some(Pending::Update) => self.update.map_or(Selection::ALL, of),
            Some(
                Pending::Probe { .. }
                | Pending::Rows { .. }
                | Pending::Curvature { .. }
                | Pending::Score { .. },
            )
            | None => Selection::ALL,
        }
    }

    /// Multiplies the gradient by `scale`, converting it from the requested to the target exponent.
    fn scale_gradient(&self, gradient: &mut [i32], saturated: &mut u32) {
        let exponents = self.request_exponents().zip(self.target_exponents());
        if let Some((from, to)) = exponents.filter(|_| self.scale != Ratio::ONE) {
            let shift = i32::from(from.gradient) - i32::from(to.gradient);
            for g in gradient {
                *g = saturate(self.scale.scale(i64::from(*g), shift), saturated);
            }
        }
    }

    /// Starts the next round: takes the model, or performs the step x^{t+1} = x^t − γ g^t at `pace`.
    pub(super) fn begin_next(
        &mut self,
        round: u32,
        Start { from, pace }: Start,
        body: &[u8],
        buffers: &mut Buffers,
        saturated: &mut u32,
    ) -> Result<(), Reject> {
        let current = self.round().ok_or(Reject::Unexpected)?;
        // The host has not received the update, or not in time: send the same bytes again.
        if round == current {
            if self.pending.is_none() {
                self.outbox = Some(Answer::Update { from: 0 });
            }
            return Err(Reject::Repeated);
        }
        if self.pending.is_some() {
            return Err(Reject::Unexpected);
        }
        let range = from..self.layout.dimension as u32;
        self.write_part(self.downlink.part(), range, body, buffers, saturated)?;
        if self.downlink.workers_step() {
            // The body was the change of the sum, so the sum is the host's, and so is the step.
            let grids = Grids { x: self.exponents.x, sum: self.exponents.gradient };
            step(buffers.x, buffers.sum, buffers.velocity, self.rule.paced(pace), grids, saturated);
        }
        if let Some(update) = self.update {
            (self.known.loss, self.known.shift) = update.after;
        }
        self.pending = Some(Pending::Update);
        self.begin(round, buffers);
        Ok(())
    }

    /// Begins a round. A worker that does not take part in it answers at once, with an empty update.
    pub(super) fn begin(&mut self, round: u32, buffers: &mut Buffers) {
        // A pending repetition of the last update would be sent with the context of this round.
        self.outbox = None;
        // A worker that does not take part keeps the loss of its last round.
        let Known { loss, shift, .. } = self.known;
        let (format, after) = (UpdateFormat::default(), (loss, shift));
        self.update = Some(Update { round, loss: LossChange::default(), format, after });
        self.model_until = self.layout.dimension;
        if !self.participation.includes(self.worker, round) {
            // An empty update: g_i stays, as does its mirror.
            buffers.gradient.fill(0);
            self.local_state_dirty = true;
            self.pending = None;
            self.outbox = Some(Answer::Update { from: 0 });
        }
    }

    pub(super) fn resend_from(&mut self, round: u32, from: u32) -> Result<(), Reject> {
        if self.round() != Some(round) || self.pending.is_some() {
            return Err(Reject::Unexpected);
        }
        // `from` may equal the dimension: the rest of the update is then empty.
        if from > self.layout.dimension as u32 {
            return Err(Reject::Body);
        }
        self.outbox = Some(Answer::Update { from });
        Ok(())
    }

    /// Continues with the requested gradient.
    pub(super) fn gradient_ready(&mut self, loss: i64, buffers: Buffers, saturated: &mut u32) {
        if self.target_exponents().is_none() {
            return;
        }
        let loss = Loss::new(loss);
        self.scale_gradient(buffers.gradient, saturated);
        match self.pending.take() {
            Some(Pending::Probe { ticket, .. }) => {
                let gradient_max = vector::max_magnitude(buffers.gradient);
                self.answer = Some(Answer::Range { ticket, gradient_max, loss });
                self.outbox = self.answer;
            }
            Some(Pending::Update) => {
                let Some(round) = self.round() else { return };
                let compressor = self.round_compressor(round);
                // The objective is done with its scratch, so EF21+ may use it.
                let spare: &mut [i32] = bytemuck::cast_slice_mut(buffers.scratch);
                let spare_len = spare.len().min(self.layout.dimension);
                let mut vectors = method::Vectors {
                    gradient: buffers.gradient,
                    g_i: buffers.g_i,
                    local: buffers.local,
                    spare: &mut spare[..spare_len],
                };
                let first = round == 0;
                let format =
                    method::update(self.method, &mut vectors, compressor, first, saturated);
                let change = LossChange::between(self.known.loss.mantissa(), loss.mantissa());
                let loss = Loss::new(change.after(self.known.loss.mantissa()).into());
                let is_empty = entries(buffers.gradient, 0).next().is_none();
                let shift = if is_empty { self.known.shift } else { format.shift };
                self.update = Some(Update { round, loss: change, format, after: (loss, shift) });
                self.local_state_dirty = true;
                self.outbox = Some(Answer::Update { from: 0 });
            }
            // Not a gradient.
            Some(Pending::Rows { .. } | Pending::Curvature { .. } | Pending::Score { .. })
            | None => {}
        }
    }

    /// The compressor of a round.
    fn round_compressor(&self, round: u32) -> RoundCompressor {
        let budget = self.init.budget(round, self.layout.dimension as u32, self.budget);
        let draw = match budget.compressor {
            Compressor::RandK { seed } => draw(seed, self.worker, round),
            Compressor::TopK | Compressor::Natural | Compressor::Sign => 0,
        };
        RoundCompressor { budget, draw }
    }

    /// Writes a frame of the update, from coordinate `context.from` on; `sum` is Σ g_i.
    pub(super) fn emit_update<'o>(
        &self,
        update: &Update,
        (mantissas, sum): (&[i32], &[i64]),
        context: &Context,
        out: &'o mut [u8; FRAME_LEN_MAX],
    ) -> Draft<'o> {
        let mut body = [0; BODY_LEN_MAX];
        let (dimension, from) = (self.layout.dimension as u32, context.from);
        let budget = self.round_compressor(update.round).budget;
        let terms = budget.terms(dimension, from, sum, self.known.shift);
        let form = Form { shift: update.format.shift, ..terms.last };
        let written = encode(&mut body, &terms, form, entries(mantissas, from));
        // Only the last part carries the loss; it tells the host that the update is complete.
        let message = match (written.until == dimension, update.format.resets_estimator) {
            (false, _) => round::Update::Part,
            (true, false) => round::Update::Last(update.loss),
            (true, true) => round::Update::Anew(update.loss),
        };
        message.draft(body.get(..written.len).unwrap_or_default(), context, out)
    }
}
