//! Vectors for workers, cut into pieces that fit a frame.

use smidgen_protocol::frame::BODY_LEN_MAX;
use smidgen_protocol::sparse::{Encoder, Full, Packing, VALUE_BITS_MAX};

/// A piece of a vector for workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// First coordinate.
    pub from: u32,
    /// One past the last coordinate.
    pub until: u32,
    /// Its entries, as a self-describing body.
    pub body: Vec<u8>,
}

/// No more entries fit a body: each takes three bits at least.
const ENTRIES_MAX: usize = BODY_LEN_MAX * 8 / 3;

/// Cuts a vector into chunks that fit a frame, at least one.
pub(crate) fn chunks<T: Copy + Into<i64>>(vector: &[T]) -> Vec<Chunk> {
    let mut chunks = vec![chunk(vector, 0)];
    while let Some(from) = chunks.last().map(|c| c.until).filter(|&c| c < vector.len() as u32) {
        chunks.push(chunk(vector, from));
    }
    chunks
}

/// Fills a chunk with as many coordinates from `from` on as fit. Its entries share a shift and a width, so that bits
/// that none of them uses do not travel, as in a sum that was rescaled to a finer grid.
pub(crate) fn chunk<T: Copy + Into<i64>>(vector: &[T], from: u32) -> Chunk {
    let rest = (from..).zip(&vector[from as usize..]).map(|(j, &value)| (j, value.into()));
    let entries: Vec<(u32, i64)> = rest.filter(|&(_, v)| v != 0).take(ENTRIES_MAX).collect();
    let used = entries.iter().fold(0, |bits, (_, value)| bits | value);
    // Low bits that no entry uses need not travel.
    let shift = used.trailing_zeros().min(31);
    let largest = entries.iter().map(|(_, v)| v.unsigned_abs() >> shift).max().unwrap_or(1);
    // The sign, and the magnitude less 1, since zeros do not travel.
    let value_bits = (u64::BITS - (largest - 1).leading_zeros() + 1).max(2) as u8;
    assert!(value_bits <= VALUE_BITS_MAX, "wide vectors keep to 46 bits, their changes to 47");
    // Gaps between entries are coded for the density of this chunk, not of the whole vector.
    let span = entries.last().map_or(1, |(j, _)| j + 1 - from);
    let mut body = vec![0; BODY_LEN_MAX];
    let packing = packing(vector.len() as u32, entries.len() as u32, span, value_bits);
    let mut encoder = Encoder::described(&mut body, packing, shift as u8, from);
    let mut pushed = entries.iter().map(|&(j, value)| (j, encoder.push(j, value >> shift)));
    let stopped = pushed.find(|(_, outcome)| *outcome == Err(Full)).map(|(j, _)| j);
    // Entries beyond the limit have not been looked at.
    let unseen = (entries.len() == ENTRIES_MAX).then(|| from + span);
    let len = encoder.finish();
    body.truncate(len);
    Chunk { from, until: stopped.or(unseen).unwrap_or(vector.len() as u32), body }
}

/// The packing for entries that are as dense as `entries` of `span` coordinates.
fn packing(dimension: u32, entries: u32, span: u32, value_bits: u8) -> Packing {
    let k = u64::from(entries) * u64::from(dimension) / u64::from(span);
    Packing::new(dimension, k as u32, value_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smidgen_protocol::sparse::Decoder;
    use smidgen_protocol::vector::round_shift;

    /// The vector that a worker receives.
    fn received(dimension: usize, chunks: &[Chunk]) -> Vec<i64> {
        let (mut vector, mut next) = (vec![0; dimension], 0);
        for chunk in chunks {
            assert_eq!(chunk.from, next);
            let decoder = Decoder::described(&chunk.body, dimension as u32, chunk.from).unwrap();
            decoder.check(chunk.until).unwrap();
            let shift = -i32::from(decoder.shift());
            decoder.entries().for_each(|(j, m)| vector[j as usize] = round_shift(m, shift));
            next = chunk.until;
        }
        assert_eq!(next, dimension as u32);
        vector
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_pieces(
            values in prop::collection::vec(prop_oneof![3 => Just(0i64), 2 => -(1i64 << 46)..(1 << 46), 1 => -4i64..4], 1..3000),
            shift in 0u32..10,
        ) {
            let values: Vec<i64> = values.into_iter().map(|value| value >> shift << shift).collect();
            prop_assert_eq!(received(values.len(), &chunks(&values)), values);
        }
    }

    #[test]
    fn narrow_and_sparse_vectors_take_few_bytes() {
        let ones = chunks(&vec![1i32; 2000]);
        assert!(ones.len() <= 3, "{} chunks", ones.len());
        let mut sparse = vec![0i32; 60_000];
        (sparse[7], sparse[50_000]) = (1 << 20, -(1 << 21));
        let sparse = chunks(&sparse);
        assert!(sparse.len() == 1 && sparse[0].body.len() <= 9, "{} bytes", sparse[0].body.len());
    }
}
