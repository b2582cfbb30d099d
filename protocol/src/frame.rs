//! Frames: `COBS(payload ‖ CRC-32) 0x00`, with a checksum that also covers context known to both sides.
//!
//! Both ends of an exchange know its session, worker, round and first coordinate, so these do not travel. The checksum
//! covers the payload followed by the [`Context`], as UDP's covers a pseudo-header: a frame of another session, worker
//! or round fails its check, at no cost in bytes. Frames of rounds have no tag either: their [`Kind`] is context as well.
//! An update thus costs 7 bytes around its body: 2 of COBS, 4 of the CRC and 1 of the loss; a downlink costs 6, or 8 at
//! a pace other than 0.
//!
//! With a key, COBS encodes a [sealed](crate::seal) payload: `head ‖ ciphertext(payload ‖ CRC-32) ‖ tag`. Sealing takes
//! place when a [`Draft`] is closed and opening before a [`Frame`] is checked; contexts and messages are the same.

use crate::counters::{Counters, Reject};
use cobs::{DecodeResult, DecoderState, EncoderState, PushResult};
use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

/// Length of the longest frame on the wire, delimiter included.
pub const FRAME_LEN_MAX: usize = 512;
/// Length of the longest payload, with or without a key. The rest of a frame is the delimiter, COBS overhead (one byte
/// at the start and one per 254), checksum and seal.
pub const PAYLOAD_LEN_MAX: usize = FRAME_LEN_MAX - 1 - COBS_LEN - HEAD_LEN - CHECKSUM_LEN - TAG_LEN;
/// Length of the longest payload of `Hello` and `Ready`, which may carry a salt.
pub const GREETING_LEN_MAX: usize = PAYLOAD_LEN_MAX - SALT_LEN;
/// Length of the longest body after a message.
pub const BODY_LEN_MAX: usize = PAYLOAD_LEN_MAX - HEAD_LEN_MAX;
/// Length of the longest address and message before a body.
pub const HEAD_LEN_MAX: usize = 24;

/// Bytes before the ciphertext of a sealed frame; a greeting has a salt in addition.
pub(crate) const HEAD_LEN: usize = 1;
pub(crate) const SALT_LEN: usize = 16;
/// Bytes after the ciphertext.
pub(crate) const TAG_LEN: usize = 16;

pub(crate) const CHECKSUM_LEN: usize = 4;
/// COBS overhead of the longest frame.
const COBS_LEN: usize = 3;
const DELIMITER: u8 = 0;

// Boards use a small table, other targets a fast one; the checksums are the same.
#[cfg(target_os = "none")]
type ChecksumTable = Table<1>;
#[cfg(not(target_os = "none"))]
type ChecksumTable = Table<16>;

static CHECKSUM: Crc<u32, ChecksumTable> = Crc::<u32, ChecksumTable>::new(&CRC_32_ISO_HDLC);

/// CRC-32 of `bytes`, the checksum of frames and data.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    CHECKSUM.checksum(bytes)
}

/// CRC-32 of parts that lie in separate places, as if they were contiguous.
#[must_use]
pub fn checksum_of<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let mut digest = CHECKSUM.digest();
    parts.into_iter().for_each(|part| digest.update(part));
    digest.finalize()
}

/// What a frame contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [message](crate::message), whose tag travels.
    #[default]
    Message,
    /// Down, body: starts the next round at pace 0; nothing of its downlink came before.
    Round,
    /// Down, [`Start`](crate::round::Start) and body: starts the next round.
    Start,
    /// Up, [`LossChange`](crate::round::LossChange) and body: the rest of an update.
    Update,
    /// Up, as [`Kind::Update`], with g_i set to zero before it is applied.
    Anew,
    /// Up, body: a part of an update; [`Down::More`](crate::message::Down::More) asks for the rest.
    Part,
}

/// What both ends know about a frame without transmitting it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// What the frame contains.
    pub kind: Kind,
    /// The session, chosen by the host; 0 before a worker is configured.
    pub session: u32,
    /// The worker of a frame of a round, and of all frames of workers; 0 for messages of the host, which carry an
    /// address.
    pub worker: u16,
    /// The round that a frame belongs to; 0 for frames of no round.
    pub round: u32,
    /// The first coordinate that an update may contain; 0 for other messages.
    pub from: u32,
}

impl Context {
    /// Context of frames outside a session.
    pub const SETUP: Self = Self { kind: Kind::Message, session: 0, worker: 0, round: 0, from: 0 };

    /// Context of the host's frames in a session.
    pub const fn downlink(session: u32) -> Self {
        Self { session, ..Self::SETUP }
    }

    /// Adds the context to a digest of a payload.
    fn hash(&self, digest: &mut Digest<'static, u32, ChecksumTable>) {
        let mut bytes = [0; 15];
        bytes[..4].copy_from_slice(&self.session.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.worker.to_le_bytes());
        bytes[6..10].copy_from_slice(&self.round.to_le_bytes());
        bytes[10..14].copy_from_slice(&self.from.to_le_bytes());
        bytes[14] = self.kind as u8;
        // Messages are as in all versions, so that ends of different versions understand each other's greetings.
        let hashed = if self.kind == Kind::Message { &bytes[..14] } else { &bytes[..] };
        digest.update(hashed);
    }
}

/// Writes a plain frame with the payload that `write` pushes into `out`; returns its length.
pub fn emit(
    context: &Context,
    out: &mut [u8; FRAME_LEN_MAX],
    write: impl FnOnce(&mut Payload),
) -> usize {
    draft(context, false, out, write).close()
}

/// Writes the payload that `write` pushes, and its checksum, into `out` as a draft of a frame.
///
/// `is_greeting` reserves room for a salt.
pub fn draft<'o>(
    context: &Context,
    is_greeting: bool,
    out: &'o mut [u8; FRAME_LEN_MAX],
    write: impl FnOnce(&mut Payload),
) -> Draft<'o> {
    // Room at the front for what sealing and COBS add, so that closing moves no payload.
    let start = COBS_LEN + HEAD_LEN + if is_greeting { SALT_LEN } else { 0 };
    let mut payload = Payload { out, digest: CHECKSUM.digest(), start, end: start };
    write(&mut payload);
    let end = payload.finish(context);
    Draft { out, start, end, is_greeting }
}

/// The payload of a frame under construction, written in place.
pub struct Payload<'b> {
    out: &'b mut [u8; FRAME_LEN_MAX],
    digest: Digest<'static, u32, ChecksumTable>,
    start: usize,
    end: usize,
}

impl Payload<'_> {
    /// Appends bytes. The total is at most [`PAYLOAD_LEN_MAX`], or [`GREETING_LEN_MAX`] for a greeting; a longer
    /// payload is truncated and fails its check at the receiver.
    pub fn push(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        let room = self.out.get_mut(self.end..FRAME_LEN_MAX - 1 - CHECKSUM_LEN - TAG_LEN);
        let room = room.and_then(|room| room.get_mut(..bytes.len()));
        debug_assert!(room.is_some(), "a payload fits its frame");
        if let Some(room) = room {
            room.copy_from_slice(bytes);
            self.end += bytes.len();
        }
    }

    /// Number of bytes pushed so far.
    pub fn written(&self) -> usize {
        self.end - self.start
    }

    fn finish(mut self, context: &Context) -> usize {
        // Hashed, not written: the receiver adds its own view of the context.
        context.hash(&mut self.digest);
        let checksum = self.digest.finalize().to_le_bytes();
        if let Some(room) = self.out.get_mut(self.end..self.end + CHECKSUM_LEN) {
            room.copy_from_slice(&checksum);
            self.end += CHECKSUM_LEN;
        }
        self.end
    }
}

/// A payload with its checksum, placed so that it becomes a frame without moving.
#[derive(Debug)]
#[must_use = "a draft becomes a frame when it is closed"]
pub struct Draft<'o> {
    out: &'o mut [u8; FRAME_LEN_MAX],
    start: usize,
    end: usize,
    is_greeting: bool,
}

impl Draft<'_> {
    /// Closes the draft as a plain frame; returns its length.
    #[must_use = "the frame is the first bytes of the buffer, as many as returned"]
    pub fn close(self) -> usize {
        close(self.out, self.start, self.end)
    }

    /// Returns whether it is a greeting: a `Hello` or a `Ready`.
    pub(crate) fn is_greeting(&self) -> bool {
        self.is_greeting
    }

    /// Closes the draft as a sealed frame: `head`, then payload and checksum as encrypted by `seal`, then the returned
    /// tag. Returns the length of the frame.
    pub(crate) fn seal_with<const N: usize>(
        self,
        head: [u8; N],
        seal: impl FnOnce(&[u8], &mut [u8]) -> Option<[u8; TAG_LEN]>,
    ) -> Option<usize> {
        let start = self.start.checked_sub(N)?;
        self.out.get_mut(start..self.start)?.copy_from_slice(&head);
        let tag = seal(&head, self.out.get_mut(self.start..self.end)?)?;
        let end = self.end + TAG_LEN;
        self.out.get_mut(self.end..end)?.copy_from_slice(&tag);
        Some(close(self.out, start, end))
    }
}

/// COBS-encodes `start..end` in place to the front of `out` and appends the delimiter; returns the frame's length.
fn close(out: &mut [u8; FRAME_LEN_MAX], start: usize, end: usize) -> usize {
    // The encoder writes at most COBS_LEN bytes more than it has read, and `start` is at least that: it never overtakes
    // the reader.
    let (mut state, mut len, mut full) = (EncoderState::default(), 1, false);
    for place in start..end.min(FRAME_LEN_MAX) {
        // A full block is followed by another code byte, unless it was the last.
        len += usize::from(full);
        full = false;
        match state.push(out[place]) {
            PushResult::AddSingle(byte) => write(out, len, byte),
            PushResult::ModifyFromStartAndSkip((code, distance)) => write(out, code, distance),
            PushResult::ModifyFromStartAndPushAndSkip((code, distance, byte)) => {
                write(out, code, distance);
                write(out, len, byte);
                full = true;
            }
        }
        len += 1;
    }
    let (code, distance) = state.finalize();
    write(out, code, distance);
    write(out, len, DELIMITER);
    len + 1
}

fn write(out: &mut [u8; FRAME_LEN_MAX], place: usize, byte: u8) {
    if let Some(place) = out.get_mut(place) {
        *place = byte;
    }
}

/// The content between two delimiters, COBS-decoded but neither opened nor checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'d> {
    /// Payload and checksum; sealed with head and tag until it is opened.
    pub(crate) content: &'d mut [u8],
    /// Length on the wire, delimiter included.
    pub wire_len: usize,
}

impl Frame<'_> {
    /// The unchecked payload, to find the context in which to check it.
    pub fn unchecked(&self) -> &[u8] {
        self.split().0
    }

    /// Returns the payload if the checksum matches in `context`.
    pub fn check(&self, context: &Context) -> Result<&[u8], Reject> {
        let (payload, checksum) = self.split();
        let mut digest = CHECKSUM.digest();
        digest.update(payload);
        context.hash(&mut digest);
        if digest.finalize().to_le_bytes() == checksum {
            Ok(payload)
        } else {
            Err(Reject::Checksum)
        }
    }

    /// Returns the payload and the first of the contexts in which the checksum matches.
    pub fn check_any(
        &self,
        mut contexts: impl Iterator<Item = Context>,
    ) -> Result<(&[u8], Context), Reject> {
        let (payload, checksum) = self.split();
        // The payload is hashed once for all contexts.
        let mut of_payload = CHECKSUM.digest();
        of_payload.update(payload);
        let matches = |context: &Context| {
            let mut digest = of_payload.clone();
            context.hash(&mut digest);
            digest.finalize().to_le_bytes() == checksum
        };
        contexts.find(matches).map(|context| (payload, context)).ok_or(Reject::Checksum)
    }

    fn split(&self) -> (&[u8], [u8; CHECKSUM_LEN]) {
        match self.content.split_last_chunk() {
            Some((payload, &checksum)) => (payload, checksum),
            None => (&[], [0; CHECKSUM_LEN]),
        }
    }
}

/// Splits a byte stream into frames; resynchronises at the next delimiter after damage.
#[derive(Debug)]
pub struct Deframer {
    buffer: [u8; FRAME_LEN_MAX],
    /// Bytes since the last delimiter; exceeds the buffer for overlong input.
    len: usize,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// Creates an empty deframer.
    pub const fn new() -> Self {
        Self { buffer: [0; FRAME_LEN_MAX], len: 0 }
    }

    /// Consumes bytes up to the end of the first frame; returns the remaining bytes and the frame.
    ///
    /// Call it until no bytes remain. Everything dropped is counted.
    #[must_use]
    pub fn feed<'b>(
        &mut self,
        bytes: &'b [u8],
        counters: &mut Counters,
    ) -> (&'b [u8], Option<Frame<'_>>) {
        let Some(end) = bytes.iter().position(|&byte| byte == DELIMITER) else {
            self.store(bytes);
            return (&[], None);
        };
        let (head, rest) = bytes.split_at(end + 1);
        self.store(&head[..end]);
        (rest, self.close(counters))
    }

    /// Drops and counts a partial frame after an interruption of the stream.
    pub fn interrupt(&mut self, counters: &mut Counters) {
        let dropped = core::mem::take(&mut self.len);
        if dropped > 0 {
            counters.reject(Reject::Undecodable, dropped);
        }
    }

    /// Bytes of a partial frame, not counted yet.
    pub fn pending(&self) -> usize {
        self.len
    }

    fn store(&mut self, bytes: &[u8]) {
        // Overlong input is counted but not stored, which bounds the buffer.
        let rest = self.buffer.get_mut(self.len..);
        if let Some(room) = rest.and_then(|rest| rest.get_mut(..bytes.len())) {
            room.copy_from_slice(bytes);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    fn close(&mut self, counters: &mut Counters) -> Option<Frame<'_>> {
        let wire_len = core::mem::take(&mut self.len).saturating_add(1);
        if wire_len > FRAME_LEN_MAX {
            counters.reject(Reject::Overlong, wire_len);
            return None;
        }
        let content = decode(&mut self.buffer[..wire_len - 1]);
        // Too short for a checksum; an empty frame is a stray delimiter.
        if content.len() < CHECKSUM_LEN {
            counters.reject(Reject::Undecodable, wire_len);
            return None;
        }
        Some(Frame { content, wire_len })
    }
}

/// COBS-decodes `bytes` in place; returns an empty slice for invalid input.
fn decode(bytes: &mut [u8]) -> &mut [u8] {
    // Byte by byte: the crate's function for slices contains code that can panic, and images of boards must not.
    let (mut state, mut len) = (DecoderState::Idle, 0);
    for place in 0..bytes.len() {
        match state.feed(bytes[place]) {
            Ok(DecodeResult::DataContinue(byte)) => {
                if let Some(decoded) = bytes.get_mut(len) {
                    (*decoded, len) = (byte, len + 1);
                }
            }
            Ok(_) => {}
            Err(_) => return &mut [],
        }
    }
    match state.feed(DELIMITER) {
        Ok(DecodeResult::DataComplete) => bytes.get_mut(..len).unwrap_or_default(),
        _ => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Tally;
    use proptest::prelude::*;

    const CONTEXT: Context = Context { session: 7, worker: 1, round: 3, ..Context::SETUP };

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut out = [0; FRAME_LEN_MAX];
        let len = emit(&CONTEXT, &mut out, |frame| frame.push(payload));
        out[..len].to_vec()
    }

    /// All valid payloads of a stream that arrives in pieces, the counters, and the bytes pending at the end.
    fn payloads(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Counters, usize) {
        let (mut deframer, mut counters, mut found) =
            (Deframer::new(), Counters::default(), vec![]);
        for mut bytes in stream.chunks(piece) {
            while !bytes.is_empty() {
                let (rest, frame) = deframer.feed(bytes, &mut counters);
                bytes = rest;
                if let Some(frame) = frame {
                    let checked = frame.check(&CONTEXT).map(<[u8]>::to_vec);
                    let wire_len = frame.wire_len;
                    counters
                        .tally(checked.as_ref().map(|_| ()).map_err(|&reject| reject), wire_len);
                    found.extend(checked);
                }
            }
        }
        (found, counters, deframer.pending())
    }

    proptest! {
        #[test]
        fn frames_survive_noise_and_all_bytes_are_counted(
            payload in prop::collection::vec(any::<u8>(), 1..PAYLOAD_LEN_MAX),
            noise in prop::collection::vec(any::<u8>(), 0..1500), piece in 1usize..700,
        ) {
            let stream = [&noise[..], &[0], &frame(&payload), &noise].concat();
            let (found, counters, pending) = payloads(&stream, piece);
            prop_assert!(found.contains(&payload));
            prop_assert_eq!(counters.bytes() + pending as u64, stream.len() as u64);
        }

        #[test]
        fn bit_flip_is_rejected(payload in prop::collection::vec(any::<u8>(), 1..300), bit: prop::sample::Index) {
            let mut stream = frame(&payload);
            let bit = bit.index(stream.len() * 8);
            stream[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(payloads(&stream, 64).0.is_empty());
        }
    }

    #[test]
    fn wrong_context_fails_checksum() {
        let stream = frame(b"smidgen");
        let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
        let frame = deframer.feed(&stream, &mut counters).1.unwrap();
        assert_eq!(frame.check(&CONTEXT), Ok(&b"smidgen"[..]));
        for other in [
            Context { session: 8, ..CONTEXT },
            Context { worker: 2, ..CONTEXT },
            Context { round: 4, ..CONTEXT },
            Context { from: 1, ..CONTEXT },
        ] {
            assert_eq!(frame.check(&other), Err(Reject::Checksum));
        }
    }

    #[test]
    fn lengths_at_packet_boundaries_round_trip() {
        // 64-byte USB packets and COBS blocks of 254 bytes are typical boundaries of errors in serial stacks.
        for len in [
            1,
            55,
            56,
            57,
            58,
            59,
            63,
            64,
            65,
            120,
            121,
            122,
            128,
            249,
            250,
            251,
            254,
            PAYLOAD_LEN_MAX,
        ] {
            for byte in [0, 1, 255] {
                let payload = vec![byte; len];
                assert!(frame(&payload).len() <= FRAME_LEN_MAX);
                assert_eq!(payloads(&frame(&payload), 64).0, [payload]);
            }
        }
    }

    #[test]
    fn overlong_input_counts_as_one_reject() {
        let stream = [&[1; 3 * FRAME_LEN_MAX][..], &[0], &frame(b"smidgen")].concat();
        for piece in [1, 7, FRAME_LEN_MAX - 1, FRAME_LEN_MAX, stream.len()] {
            let (found, counters, _) = payloads(&stream, piece);
            assert_eq!(found, [b"smidgen"]);
            let expected = Tally { frames: 1, bytes: 3 * FRAME_LEN_MAX as u64 + 1 };
            assert_eq!(counters.rejected(Reject::Overlong), expected);
        }
    }

    #[test]
    fn short_payload_has_six_bytes_of_overhead() {
        assert_eq!(frame(b"12345678").len(), 8 + 6);
    }
}
