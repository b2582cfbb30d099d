//! Received data, layer by layer: bytes, frames, messages, bodies.

use crate::frames::{self, frame, framed};
use smidgen_protocol::counters::Counters;
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, Deframer, HEAD_LEN_MAX, PAYLOAD_LEN_MAX};
use smidgen_protocol::message::{Down, Up, greeting};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::sparse::{self, BodyError, Decoder, Form, Terms, encode};

/// A stream of bytes; the first byte is the length of the pieces in which the others arrive.
///
/// Every byte is counted, however the stream is cut, and a valid payload survives another frame.
pub fn deframer(input: &[u8]) {
    let Some((&piece, stream)) = input.split_first() else { return };
    let pieces = deframe(stream, usize::from(piece).max(1));
    assert_eq!(pieces, deframe(stream, stream.len().max(1)), "pieces make no difference");
}

/// Deframes a stream; returns the counters and a digest of the frames.
fn deframe(stream: &[u8], piece: usize) -> (Counters, u64) {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let mut frames = Transcript::default();
    for mut bytes in stream.chunks(piece) {
        while !bytes.is_empty() {
            let (rest, frame) = deframer.feed(bytes, &mut counters);
            assert!(rest.len() < bytes.len(), "every call takes something");
            bytes = rest;
            let Some(frame) = frame else { continue };
            frames.absorb_bytes(frame.unchecked());
            let checked = frame.check(&Context::SETUP);
            checked.into_iter().for_each(travels_again);
            let wire_len = frame.wire_len;
            counters.tally(checked.map(|_| ()), wire_len);
        }
    }
    assert_eq!(counters.bytes() + deframer.pending() as u64, stream.len() as u64);
    (counters, frames.value())
}

/// Asserts that a payload survives a frame.
fn travels_again(payload: &[u8]) {
    assert_eq!(received(&framed(&Context::SETUP, payload)), payload);
}

/// The payload of a valid frame.
fn received(wire: &[u8]) -> Vec<u8> {
    frames::payload(wire, &Context::SETUP).expect("a valid frame")
}

/// The payload of a valid frame, down and up: every message that can be parsed can be sent, and is parsed as the same.
pub fn message(payload: &[u8]) {
    let payload = &payload[..payload.len().min(PAYLOAD_LEN_MAX)];
    greeting(payload);
    if let Ok((address, down, body)) = Down::parse(payload)
        && can_be_sent(payload, body)
    {
        let again = received(&frame(|out| down.emit(address, body, &Context::SETUP, out)));
        assert_eq!(Down::parse(&again), Ok((address, down, body)));
    }
    if let Ok((up, body)) = Up::parse(payload)
        && can_be_sent(payload, body)
    {
        let again = received(&frame(|out| up.emit(body, &Context::SETUP, out)));
        assert_eq!(Up::parse(&again), Ok((up, body)));
    }
    if let Ok((Up::Records(records), _)) = Up::parse(payload) {
        let named = records.classes().map(|class| class.name.len() + 1).sum::<usize>();
        assert!(named <= records.classes.len(), "every class takes bytes");
        assert_eq!(records.columns().count(), 2 * records.columns.len());
    }
}

/// Data that are rows on the board: what can be opened is written as the same bytes, except for padding.
pub fn recorded(bytes: &[u8]) {
    let Ok(rows) = RecordedRows::open(bytes) else { return };
    let mut again = vec![u8::MAX; bytes.len()];
    assert_eq!(rows.write(&mut again), Some(bytes.len()));
    let words: Vec<u32> = again
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    assert_eq!(RecordedRows::open(bytemuck::cast_slice(&words)), Ok(rows));
}

/// Only a short message may have a body.
fn can_be_sent(payload: &[u8], body: &[u8]) -> bool {
    body.is_empty() || payload.len() - body.len() <= HEAD_LEN_MAX
}

/// Maximum dimension; larger ones take more time and find no more bugs.
const DIMENSION_MAX: u16 = 4097;

/// Length of the numbers before the body in the input of [`body`].
pub const TERMS_LEN: usize = 10;

/// A body, after the numbers that both sides know. A valid body is what an encoder writes, bit for bit, and can be
/// applied.
pub fn body(input: &[u8]) {
    let Some((&[d0, d1, k0, k1, bits, from0, from1, is_update, shift, sum], body)) =
        input.split_first_chunk()
    else {
        return;
    };
    let [dimension, k, from] = [[d0, d1], [k0, k1], [from0, from1]].map(u16::from_le_bytes);
    let [dimension, k, from] = [dimension % DIMENSION_MAX, k, from].map(u32::from);
    let body = &body[..body.len().min(BODY_LEN_MAX)];
    // Sums of many lengths and both signs, or none.
    let held =
        |j: u32| i64::from(j.wrapping_mul(0x9e37_79b9).cast_signed()) >> (j % 30) << (sum % 24);
    let held: Vec<i64> = if sum < 128 { (0..dimension).map(held).collect() } else { vec![] };
    let value_bits = bits % sparse::VALUE_BITS_MAX + 1;
    let last = Form { shift: shift % (sparse::SHIFT_MAX + 1), value_bits, count_bits: bits / 8 };
    let budget = (is_update % 2 == 1).then_some(k);
    let terms = Terms { dimension, from, sum: &held, last, budget };
    let Ok(decoder) = Decoder::new(body, &terms) else { return };
    if apply(&decoder, &terms).is_ok() {
        // Zeros at the end of a number do not travel, however many they are.
        let mut again = vec![0; 1 << 16];
        let entries: Vec<_> = decoder.clone().entries(&held).collect();
        let written = encode(&mut again, &terms, decoder.form(), entries.into_iter());
        // A body with a part of the entries has the number of all of them, which the entries do not tell.
        if decoder.is_whole() {
            assert_eq!(&again[..written.len], body, "entries, form and terms determine every bit");
        }
    }
}

/// Checks a body and applies it.
fn apply(decoder: &Decoder, terms: &Terms) -> Result<(), BodyError> {
    let entries = decoder.check(terms.sum, terms.dimension)?;
    let (mut estimator, mut applied) = (vec![i32::MAX - 1; terms.dimension as usize], 0);
    let shift = decoder.shift();
    let of = decoder.clone().entries(terms.sum);
    sparse::apply(&mut estimator, of, shift, &mut 0, |_, _, _| applied += 1);
    assert_eq!(applied, entries);
    Ok(())
}
