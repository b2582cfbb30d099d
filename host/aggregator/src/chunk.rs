//! Vectors for workers, cut into pieces that fit a frame.

use smidgen_protocol::frame::BODY_LEN_MAX;
use smidgen_protocol::sparse::{Form, SHIFT_MAX, Terms, VALUE_BITS_MAX, Written, encode};

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

/// Cuts a vector into chunks that fit a frame, at least one, for workers that need not know anything.
pub(crate) fn chunks<T: Copy + Into<i64>>(vector: &[T]) -> Vec<Chunk> {
    cut(|from| chunk(vector, from), vector.len())
}

/// Fills a chunk with as many coordinates from `from` on as fit.
pub(crate) fn chunk<T: Copy + Into<i64>>(vector: &[T], from: u32) -> Chunk {
    piece(vector, &Terms::plain(vector.len() as u32, from)).0
}

/// Cuts a change into chunks that fit a frame, at least one. Workers hold `sum`, before the change, if it is not empty,
/// and know the form of the `last` chunk, which becomes that of the last one of these.
pub(crate) fn changes(change: &[i64], sum: &[i64], last: &mut Form) -> Vec<Chunk> {
    let next = |from| {
        let terms = Terms { sum, last: *last, ..Terms::plain(change.len() as u32, from) };
        let (chunk, form) = piece(change, &terms);
        *last = form;
        chunk
    };
    cut(next, change.len())
}

/// Chunks until one has the end of the vector.
fn cut(mut next: impl FnMut(u32) -> Chunk, len: usize) -> Vec<Chunk> {
    let mut chunks = vec![next(0)];
    while let Some(from) = chunks.last().map(|c| c.until).filter(|&c| c < len as u32) {
        chunks.push(next(from));
    }
    chunks
}

/// The chunk for these terms, and its form. Its entries share a shift and a width, so that bits that none of them uses
/// do not travel, as in a sum that was rescaled to a finer grid.
fn piece<T: Copy + Into<i64>>(vector: &[T], terms: &Terms) -> (Chunk, Form) {
    let rest = (terms.from..).zip(&vector[terms.from as usize..]);
    let entries = rest.map(|(j, &value)| (j, value.into())).filter(|&(_, value)| value != 0);
    let used = entries.clone().fold(0, |bits, (_, value)| bits | value);
    // Low bits that no entry uses need not travel.
    let shift = used.trailing_zeros().min(SHIFT_MAX.into());
    let largest = entries.clone().map(|(_, v)| v.unsigned_abs() >> shift).max().unwrap_or(1);
    // The sign, and the magnitude less 1, since zeros do not travel.
    let value_bits = (u64::BITS - (largest - 1).leading_zeros() + 1) as u8;
    assert!(value_bits <= VALUE_BITS_MAX, "wide vectors keep to 46 bits, their changes to 47");
    let mut body = vec![0; BODY_LEN_MAX];
    let form = Form { shift: shift as u8, value_bits, count_bits: 0 };
    let mantissas = entries.map(|(j, value)| (j, value >> shift));
    let Written { len, until, form } = encode(&mut body, terms, form, mantissas);
    body.truncate(len);
    (Chunk { from: terms.from, until, body }, form)
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
            let decoder =
                Decoder::new(&chunk.body, &Terms::plain(dimension as u32, chunk.from)).unwrap();
            decoder.check(&[], chunk.until).unwrap();
            let shift = -i32::from(decoder.shift());
            decoder.entries(&[]).for_each(|(j, m)| vector[j as usize] = round_shift(m, shift));
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
