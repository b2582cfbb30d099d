//! Layout of a worker's memory.
//!
//! The data come first, so that they stay in place when the next run has another dimension or method.

use bytemuck::{Pod, cast_slice, try_cast_slice_mut};
use smidgen_protocol::message::Configure;

/// Lengths of a worker's vectors, in items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Words before the first section.
    pub skipped: usize,
    /// Dimension d: length of x, g_i and the gradient.
    pub dimension: usize,
    /// Length of Σ g_i: d if the worker performs the step, else 0.
    pub sum_len: usize,
    /// Length of the velocity: d if the worker performs the step with momentum, else 0.
    pub velocity_len: usize,
    /// Length of the local state: d if the method has one, else 0.
    pub local_len: usize,
    /// Words of scratch for the objective, and for EF21+.
    pub scratch_len: usize,
    /// Bytes of data.
    pub data_len: usize,
    /// Labels of rows on the board, known once the data are there.
    pub labels_len: usize,
}

/// The parts of a worker's memory.
pub(super) struct Buffers<'m> {
    /// The model.
    pub x: &'m mut [i32],
    /// The estimator.
    pub g_i: &'m mut [i32],
    /// The gradient; then its difference from g_i; then the mantissas of the update.
    pub gradient: &'m mut [i32],
    /// Local state of the method.
    pub local: &'m mut [i32],
    /// Σ g_i.
    pub sum: &'m mut [i64],
    /// The velocity of heavy-ball momentum.
    pub velocity: &'m mut [i64],
    /// The objective's scratch.
    pub scratch: &'m mut [i64],
    /// The data.
    pub data: &'m mut [u8],
    /// Labels of rows on the board.
    pub labels: &'m mut [i8],
}

/// 64-bit words for `len` items of `size` bytes.
fn words(len: usize, size: usize) -> usize {
    (len as u64 * size as u64).div_ceil(8).try_into().unwrap_or(usize::MAX)
}

impl Layout {
    /// Layout for a configuration, with an objective that needs `scratch_len` words of scratch.
    pub(super) fn new(configure: &Configure, scratch_len: usize) -> Self {
        let d = configure.dimension as usize;
        let if_needed = |needed: bool| if needed { d } else { 0 };
        let steps = configure.downlink.workers_step();
        // EF21+ compares two candidates, in d mantissas of 32 bits: half as many words, shared with the scratch.
        let spare_len = if configure.method.needs_spare_vector() { d.div_ceil(2) } else { 0 };
        Self {
            skipped: 0,
            dimension: d,
            sum_len: if_needed(steps),
            velocity_len: if_needed(steps && configure.momentum.mantissa != 0),
            local_len: if_needed(configure.method.has_local_state()),
            scratch_len: scratch_len.max(spare_len),
            data_len: configure.data_len as usize,
            labels_len: 0,
        }
    }

    /// Layout of a model and its data at the end of `room` words, if they fit.
    pub(super) fn at_end(
        dimension: u32,
        data_len: u32,
        scratch_len: usize,
        room: usize,
    ) -> Option<Self> {
        let at_start = Self {
            skipped: 0,
            dimension: dimension as usize,
            sum_len: 0,
            velocity_len: 0,
            local_len: 0,
            scratch_len,
            data_len: data_len as usize,
            labels_len: 0,
        };
        Some(Self { skipped: room.checked_sub(at_start.len())?, ..at_start })
    }

    fn sections(&self) -> [usize; 10] {
        let vector = words(self.dimension, 4);
        [
            self.skipped,
            words(self.data_len, 1),
            vector,
            vector,
            vector,
            words(self.local_len, 4),
            self.sum_len,
            self.velocity_len,
            self.scratch_len,
            // Last, since their number becomes known when the other sections are in use.
            words(self.labels_len, 1),
        ]
    }

    /// Total length in words, saturating.
    pub(super) fn len(&self) -> usize {
        self.sections().into_iter().fold(0, usize::saturating_add)
    }

    /// Splits the memory. If it is shorter than [`Layout::len`], the last parts are empty.
    pub(super) fn split<'m>(&self, mut memory: &'m mut [u64]) -> Buffers<'m> {
        let mut section = |len: usize| {
            // Never panics: after a failed split every further part is empty.
            let parts = core::mem::take(&mut memory).split_at_mut_checked(len);
            let (section, rest) = parts.unwrap_or_default();
            memory = rest;
            section
        };
        let [_, data, x, g_i, gradient, local, sum, velocity, scratch, labels] =
            self.sections().map(&mut section);
        let d = self.dimension;
        Buffers {
            x: items(x, d),
            g_i: items(g_i, d),
            gradient: items(gradient, d),
            local: items(local, self.local_len),
            sum: items(sum, self.sum_len),
            velocity: items(velocity, self.velocity_len),
            scratch: items(scratch, self.scratch_len),
            data: items(data, self.data_len),
            labels: items(labels, self.labels_len),
        }
    }

    /// The data, for reading.
    pub(super) fn data<'m>(&self, memory: &'m [u64]) -> &'m [u8] {
        let data: &[u8] = cast_slice(memory.get(self.skipped..).unwrap_or_default());
        data.get(..self.data_len).unwrap_or_default()
    }

    /// The data and the model, which are neighbours.
    pub(super) fn model<'m>(&self, memory: &'m mut [u64]) -> &'m mut [u8] {
        let [skipped, data, x, ..] = self.sections();
        let rest = memory.get_mut(skipped..).unwrap_or_default();
        bytemuck::cast_slice_mut(rest.get_mut(..data + x).unwrap_or_default())
    }

    /// Model and estimator, for reading.
    pub(super) fn state<'m>(&self, memory: &'m [u64]) -> (&'m [i32], &'m [i32]) {
        let vector = words(self.dimension, 4);
        let state = memory.get(self.skipped..).and_then(|rest| rest.get(words(self.data_len, 1)..));
        let state = state.unwrap_or_default();
        let (x, rest) = state.split_at_checked(vector).unwrap_or_default();
        let g_i = rest.get(..vector).unwrap_or_default();
        let of = |words| cast_slice(words).get(..self.dimension).unwrap_or_default();
        (of(x), of(g_i))
    }
}

/// The first `len` items in `words`.
fn items<T: Pod>(words: &mut [u64], len: usize) -> &mut [T] {
    let items: &mut [T] = try_cast_slice_mut(words).unwrap_or_default();
    items.get_mut(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_do_not_overlap() {
        let layout = Layout {
            skipped: 4,
            dimension: 3,
            sum_len: 3,
            velocity_len: 3,
            local_len: 3,
            scratch_len: 2,
            data_len: 9,
            labels_len: 5,
        };
        assert_eq!(layout.len(), 4 + 2 + 2 + 2 + 2 + 3 + 3 + 2 + 2 + 1);
        let mut memory = [0; 23];
        let buffers = layout.split(&mut memory);
        buffers.x.fill(1);
        buffers.g_i.fill(2);
        buffers.gradient.fill(3);
        buffers.local.fill(4);
        buffers.sum.fill(5);
        buffers.velocity.fill(6);
        buffers.scratch.fill(7);
        buffers.data.fill(8);
        buffers.labels.fill(9);
        assert_eq!((buffers.sum.len(), buffers.velocity.len(), buffers.scratch.len()), (3, 3, 2));
        assert_eq!(
            (buffers.x, buffers.g_i, buffers.gradient),
            (&mut [1; 3][..], &mut [2; 3][..], &mut [3; 3][..])
        );
        assert_eq!((buffers.local, buffers.data), (&mut [4; 3][..], &mut [8; 9][..]));
        assert_eq!(buffers.labels, &mut [9; 5]);
        assert_eq!(layout.state(&memory), (&[1; 3][..], &[2; 3][..]));
        assert_eq!(layout.data(&memory), [8; 9]);
        let model = layout.model(&mut memory);
        assert_eq!((model.len(), &model[..9], model[16]), (32, &[8; 9][..], 1));
        assert_eq!(memory[..4], [0; 4]);
    }
}
