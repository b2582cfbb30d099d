//! The model that a worker holds for live windows: that of its session, or the one that was kept.

use super::memory::Layout;
use crate::journal::ModelHead;
use crate::live::Model;
use crate::objective::ObjectiveInfo;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::vector::Exponent;

/// A model in a worker's memory, whose data are rows on the board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub objective: &'static ObjectiveInfo,
    pub layout: Layout,
    pub x_exponent: Exponent,
}

impl Held {
    /// The model of this form at the end of `room` words of memory, if it fits.
    pub(super) fn at_end(
        head: &ModelHead,
        objective: &'static ObjectiveInfo,
        room: usize,
    ) -> Option<Self> {
        let scratch_len = (objective.scratch_len)(head.dimension as usize);
        let layout = Layout::at_end(head.dimension, head.data_len, scratch_len, room)?;
        Some(Self { objective, layout, x_exponent: head.x_exponent })
    }

    /// Its form.
    pub(super) fn head(&self) -> Option<ModelHead> {
        Some(ModelHead {
            objective: checksum(self.objective.name.as_bytes()),
            dimension: u32::try_from(self.layout.dimension).ok()?,
            data_len: u32::try_from(self.layout.data_len).ok()?,
            x_exponent: self.x_exponent,
        })
    }

    pub(super) fn with(self, x: &[i32]) -> Model<'_> {
        Model { objective: self.objective, x, x_exponent: self.x_exponent }
    }
}
