//! How a worker lays out the memory that it was lent.

use bytemuck::{cast_slice, cast_slice_mut};
use smidgen_protocol::message::Downlink;

/// The lengths of a worker's vectors, in items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Dimension d: lengths of x, g_i and the gradient.
    pub dimension: usize,
    /// Length of Σ g_i: d where the worker takes the step itself, else 0.
    pub sum_len: usize,
    /// Words of the objective's scratch.
    pub scratch_len: usize,
    /// Bytes of data.
    pub data_len: usize,
}

/// The vectors.
pub struct Vectors<'m> {
    /// The model.
    pub x: &'m mut [i32],
    /// The estimator.
    pub g_i: &'m mut [i32],
    /// The gradient, then its difference from g_i, then the mantissas of the update.
    pub gradient: &'m mut [i32],
    /// Σ g_i.
    pub sum: &'m mut [i64],
    /// The objective's scratch.
    pub scratch: &'m mut [i64],
    /// The data.
    pub data: &'m mut [u8],
}

/// Words of 64 bits that hold `len` items of `size` bytes.
fn words(len: usize, size: usize) -> usize {
    (len as u64 * size as u64).div_ceil(8).try_into().unwrap_or(usize::MAX)
}

impl Layout {
    /// The layout for d = `dimension`.
    pub fn new(dimension: usize, downlink: Downlink, scratch_len: usize, data_len: usize) -> Self {
        let sum_len = if downlink == Downlink::Sparse { dimension } else { 0 };
        Self { dimension, sum_len, scratch_len, data_len }
    }

    fn sections(&self) -> [usize; 6] {
        let vector = words(self.dimension, 4);
        [vector, vector, vector, self.sum_len, self.scratch_len, words(self.data_len, 1)]
    }

    /// Words of memory it takes, saturating.
    pub fn len(&self) -> usize {
        self.sections().into_iter().fold(0, usize::saturating_add)
    }

    /// Parts the memory.
    ///
    /// # Panics
    /// If `memory` is shorter than [`Layout::len`].
    pub fn split<'m>(&self, mut memory: &'m mut [u64]) -> Vectors<'m> {
        let mut section = |len: usize| {
            let (section, rest) = core::mem::take(&mut memory).split_at_mut(len);
            memory = rest;
            section
        };
        let [x, g_i, gradient, sum, scratch, data] = self.sections().map(&mut section);
        let d = self.dimension;
        Vectors {
            x: &mut cast_slice_mut(x)[..d],
            g_i: &mut cast_slice_mut(g_i)[..d],
            gradient: &mut cast_slice_mut(gradient)[..d],
            sum: cast_slice_mut(sum),
            scratch: cast_slice_mut(scratch),
            data: &mut cast_slice_mut(data)[..self.data_len],
        }
    }

    /// The model and the estimator, to look at.
    pub fn state<'m>(&self, memory: &'m [u64]) -> (&'m [i32], &'m [i32]) {
        let vector = words(self.dimension, 4);
        let (x, rest) = memory.split_at(vector);
        (&cast_slice(x)[..self.dimension], &cast_slice(&rest[..vector])[..self.dimension])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_their_lengths_and_do_not_overlap() {
        let layout = Layout { dimension: 3, sum_len: 3, scratch_len: 2, data_len: 9 };
        assert_eq!(layout.len(), 2 + 2 + 2 + 3 + 2 + 2);
        let mut memory = [0; 13];
        let at = layout.split(&mut memory);
        at.x.fill(1);
        at.g_i.fill(2);
        at.gradient.fill(3);
        at.sum.fill(4);
        at.scratch.fill(5);
        at.data.fill(6);
        assert_eq!((at.x.len(), at.sum.len(), at.scratch.len(), at.data.len()), (3, 3, 2, 9));
        assert!(at.x == [1; 3] && at.g_i == [2; 3] && at.gradient == [3; 3] && at.sum == [4; 3]);
        assert_eq!(layout.state(&memory), (&[1; 3][..], &[2; 3][..]));
    }
}
