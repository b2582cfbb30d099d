//! The model that a worker holds for live windows: that of its session, or the one that was kept.

use super::memory::{Buffers, Layout};
use super::session::Source;
use super::{Machine, Worker};
use crate::journal::{Journal, ModelHead, StoredModel};
use crate::live::Model;
use crate::objective::{Classes, ObjectiveInfo, ObjectiveSet};
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX, checksum};
use smidgen_protocol::message::{Live, Seen, Ticket, Up};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::vector::Exponent;

/// A model in a worker's memory, whose data are rows on the board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub objective: &'static ObjectiveInfo,
    pub layout: Layout,
    pub x_exponent: Exponent,
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
        let Held { layout, objective, x_exponent } = held;
        let head = ModelHead {
            objective: checksum(objective.name.as_bytes()),
            dimension: u32::try_from(layout.dimension).ok()?,
            data_len: u32::try_from(layout.data_len).ok()?,
            x_exponent,
        };
        let bytes = layout.model(self.machine.memory.as_mut());
        Some(StoredModel { head, bytes })
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
    pub(super) fn rows_changed(&mut self) {
        if let Some(session) = self.session.take_if(|session| session.source == Source::Store) {
            self.model = session.model();
        }
    }

    /// Where a model of this form goes, if its objective is known and it fits.
    fn place_for(&self, head: &ModelHead) -> Option<Held> {
        let is_meant = |name: &&str| checksum(name.as_bytes()) == head.objective;
        let name = self.objectives.names.split(' ').find(is_meant)?;
        let objective = (self.objectives.find)(name)?;
        let scratch_len = (objective.scratch_len)(head.dimension as usize);
        let room = self.memory.as_ref().len();
        let layout = Layout::at_end(head.dimension, head.data_len, scratch_len, room)?;
        Some(Held { objective, layout, x_exponent: head.x_exponent })
    }
}

impl Held {
    fn with(self, x: &[i32]) -> Model<'_> {
        Model { objective: self.objective, x, x_exponent: self.x_exponent }
    }
}
