//! Data that arrive, and what of a session a journal stores: data, local state, and a model to keep.

use super::model::Held;
use super::rows::Source;
use super::session::{Answer, Pending, Session};
use crate::data::Data;
use crate::journal::{BLOCK_LEN, CHUNK_LEN_MAX, DataChunk, DataId, LocalState, LocalStateRequest};
use smidgen_protocol::counters::Reject;
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::message::{Refusal, Ticket};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::vector::{self, Exponent};

impl Session {
    /// Appends a chunk to the data; judges them when they are complete.
    pub(super) fn take_data(
        &mut self,
        ticket: Ticket,
        offset: u32,
        chunk: &[u8],
        data: &mut [u8],
    ) -> Result<Option<Answer>, Reject> {
        let held = self.data_held;
        if offset as usize == held && held < data.len() {
            let room = data.get_mut(held..).and_then(|room| room.get_mut(..chunk.len()));
            room.ok_or(Reject::Body)?.copy_from_slice(chunk);
            self.data_held += chunk.len();
            let complete = self.data_held == data.len();
            let is_known = complete && checksum(data) == self.data_checksum;
            if is_known && self.has_recorder && RecordedRows::is_kind_of(data) {
                self.pending = Some(Pending::Rows { ticket, is_chunk: true });
                return Ok(None);
            }
            if complete
                && !(is_known && (self.objective.check)(Data::Sent(data), self.layout.dimension))
            {
                // Start over: it is not known which chunk is wrong.
                (self.data_held, self.data_journaled) = (0, 0);
                return Ok(Some(Answer::Refused { ticket, refusal: Refusal::Data }));
            }
        }
        Ok(Some(Answer::Ack { ticket, value: self.data_held() }))
    }

    /// The next chunk of data that was not returned before: whole blocks, or the rest once the data are complete.
    pub(super) fn poll_data_chunk<'d>(&mut self, data: &'d [u8]) -> Option<DataChunk<'d>> {
        // Rows that the board may not have are not worth a place in a journal.
        if self.awaits_rows() {
            return None;
        }
        let offset = self.data_journaled;
        let complete = self.data_held == data.len();
        // A journal writes whole blocks; the rest of this chunk comes with the next one.
        let blocks_held = self.data_held - self.data_held % BLOCK_LEN;
        let until = if complete { self.data_held } else { blocks_held };
        let bytes = data.get(offset..until)?.chunks(CHUNK_LEN_MAX).next()?;
        self.data_journaled += bytes.len();
        // The checksum is that of the configuration, since the data may be incomplete.
        let data_id = DataId { checksum: self.data_checksum, len: data.len() as u32 };
        Some(DataChunk { data_id, offset: offset as u32, bytes })
    }

    /// Name of the local state after a round: a hash of session, worker, data and round.
    fn local_state_name(&self, round: u32) -> u64 {
        let mut name = Transcript::default();
        let [session, data] = [self.id, self.data_checksum].map(u64::from);
        name.absorb(session << 32 | u64::from(self.worker));
        name.absorb(data << 32 | u64::from(round));
        name.value()
    }

    /// The local state after the latest round, if it was not returned before.
    pub(super) fn poll_local_state<'p>(&mut self, mantissas: &'p [i32]) -> Option<LocalState<'p>> {
        let new = core::mem::take(&mut self.local_state_dirty) && !mantissas.is_empty();
        let name = self.local_state_name(self.round()?);
        new.then_some(LocalState { name, exponent: self.exponents.gradient, mantissas })
    }

    /// The local state after the previous round, if it is missing.
    pub(super) fn local_state_request<'p>(
        &self,
        mantissas: &'p mut [i32],
    ) -> Option<LocalStateRequest<'p>> {
        let before = self.round()?.checked_sub(1)?;
        let missing = self.local_state_missing && !mantissas.is_empty();
        missing.then(|| LocalStateRequest { name: self.local_state_name(before), mantissas })
    }

    /// Takes the missing local state and converts it to the current exponent, as an announcement would have.
    pub(super) fn local_state_ready(
        &mut self,
        exponent: Option<Exponent>,
        mantissas: &mut [i32],
        saturated: &mut u32,
    ) {
        if !core::mem::take(&mut self.local_state_missing) {
            return;
        }
        match exponent {
            Some(from) => {
                vector::rescale(mantissas, from, self.exponents.gradient, saturated);
            }
            None => mantissas.fill(0),
        }
    }

    /// Has the model kept, or refuses if its data have no recipe. Without a journal it is not.
    pub(super) fn keep_model(&mut self, ticket: Ticket) -> Result<Answer, Reject> {
        self.require_data()?;
        if self.source == Source::Data {
            return Ok(Answer::Refused { ticket, refusal: Refusal::Data });
        }
        if !self.has_model() {
            return Err(Reject::Unexpected);
        }
        self.keeps_model = Some(ticket);
        Ok(Answer::Ack { ticket, value: 0 })
    }

    /// The model to keep, until that is answered.
    pub(super) fn model_to_keep(&self) -> Option<Held> {
        self.keeps_model.and_then(|_| self.model())
    }

    /// Answers that the model is kept, or is not.
    pub(super) fn model_kept(&mut self, is_kept: bool) {
        let Some(ticket) = self.keeps_model.take() else { return };
        // A later request has an answer of its own.
        if ticket == self.ticket {
            self.answer = Some(Answer::Ack { ticket, value: is_kept.into() });
            self.outbox = self.answer;
        }
    }
}
