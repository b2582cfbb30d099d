//! Frames: `COBS(payload ‖ CRC-32) 0x00`, where the checksum also covers what both sides know.
//!
//! Both ends of an exchange know its session, worker, round and part, so these need not travel to be checked: the
//! checksum runs over the payload and then over the [`Context`], as UDP's runs over a pseudo-header. A frame of
//! another session, worker or round fails its check, at no cost in bytes.
//!
//! With a key, what COBS encodes is [sealed](crate::seal): `head ‖ ciphertext(payload ‖ CRC-32) ‖ tag`. That is decided
//! where a [`Draft`] is closed and where a [`Frame`] is opened; contexts and messages know nothing of it.

use crate::counters::{Counters, Reject};
use cobs::{DecodeResult, DecoderState, EncoderState, PushResult};
use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

/// The longest frame on the wire, delimiter included.
pub const FRAME_LEN_MAX: usize = 512;
/// The longest payload, whether there is a key or not: COBS adds a byte at the start and one per 254, the delimiter, the
/// checksum and the seal follow.
pub const PAYLOAD_LEN_MAX: usize = FRAME_LEN_MAX - 1 - COBS_LEN - HEAD_LEN - CHECKSUM_LEN - TAG_LEN;
/// The longest payload of a message that may carry a salt: `Hello` and `Ready`.
pub const GREETING_LEN_MAX: usize = PAYLOAD_LEN_MAX - SALT_LEN;
/// The longest body behind a message.
pub const BODY_LEN_MAX: usize = PAYLOAD_LEN_MAX - HEAD_LEN_MAX;
/// Room for the address and the message before a body.
pub const HEAD_LEN_MAX: usize = 24;

/// Bytes that a seal adds before what it covers: the head, and in a greeting a salt.
pub(crate) const HEAD_LEN: usize = 1;
pub(crate) const SALT_LEN: usize = 16;
/// Bytes that it adds behind.
pub(crate) const TAG_LEN: usize = 16;

pub(crate) const CHECKSUM_LEN: usize = 4;
/// Bytes that COBS adds to what fits a frame.
const COBS_LEN: usize = 3;
const DELIMITER: u8 = 0;

/// A small table on a board, the fast one elsewhere; the sums are the same.
#[cfg(target_os = "none")]
type ChecksumTable = Table<1>;
#[cfg(not(target_os = "none"))]
type ChecksumTable = Table<16>;

static CHECKSUM: Crc<u32, ChecksumTable> = Crc::<u32, ChecksumTable>::new(&CRC_32_ISO_HDLC);

/// CRC-32 of a block of bytes, as frames use it.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    CHECKSUM.checksum(bytes)
}

/// What both ends know of a frame without its telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The run, chosen by the host; 0 before a worker is configured.
    pub session: u32,
    /// The worker that speaks; 0 where the host speaks, whose frames carry an address.
    pub worker: u16,
    /// The round that an update answers; 0 elsewhere.
    pub round: u32,
    /// The first coordinate that an update may contain; 0 elsewhere.
    pub from: u32,
}

impl Context {
    /// Frames before there is a session.
    pub const SETUP: Self = Self { session: 0, worker: 0, round: 0, from: 0 };

    /// What the host says in a session.
    pub const fn downlink(session: u32) -> Self {
        Self { session, ..Self::SETUP }
    }

    fn bytes(&self) -> [u8; 14] {
        let mut bytes = [0; 14];
        bytes[..4].copy_from_slice(&self.session.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.worker.to_le_bytes());
        bytes[6..10].copy_from_slice(&self.round.to_le_bytes());
        bytes[10..].copy_from_slice(&self.from.to_le_bytes());
        bytes
    }
}

/// Writes a plain frame, with the payload that `write` pushes, into `out`; returns its length.
pub fn emit(
    context: &Context,
    out: &mut [u8; FRAME_LEN_MAX],
    write: impl FnOnce(&mut Payload),
) -> usize {
    draft(context, false, out, write).close()
}

/// Writes the payload that `write` pushes, and its checksum, to where it becomes a frame; `is_greeting` says that a salt may come
/// before it.
pub fn draft<'o>(
    context: &Context,
    is_greeting: bool,
    out: &'o mut [u8; FRAME_LEN_MAX],
    write: impl FnOnce(&mut Payload),
) -> Draft<'o> {
    let start = COBS_LEN + HEAD_LEN + if is_greeting { SALT_LEN } else { 0 };
    let mut payload = Payload { out, digest: CHECKSUM.digest(), start, end: start };
    write(&mut payload);
    let end = payload.finish(context);
    Draft { out, start, end, is_greeting }
}

/// The payload of a frame that is being written: it goes straight to its place, no second buffer is needed.
pub struct Payload<'b> {
    out: &'b mut [u8; FRAME_LEN_MAX],
    digest: Digest<'static, u32, ChecksumTable>,
    start: usize,
    end: usize,
}

impl Payload<'_> {
    /// Appends bytes, [`PAYLOAD_LEN_MAX`] in all and [`GREETING_LEN_MAX`] where a salt may come before them: of a longer
    /// payload the end is missing, and no one takes the frame.
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

    /// Bytes so far.
    pub fn written(&self) -> usize {
        self.end - self.start
    }

    fn finish(mut self, context: &Context) -> usize {
        self.digest.update(&context.bytes());
        let checksum = self.digest.finalize().to_le_bytes();
        if let Some(room) = self.out.get_mut(self.end..self.end + CHECKSUM_LEN) {
            room.copy_from_slice(&checksum);
            self.end += CHECKSUM_LEN;
        }
        self.end
    }
}

/// A payload with its checksum, in the place where it becomes a frame.
#[derive(Debug)]
#[must_use = "a draft becomes a frame when it is closed"]
pub struct Draft<'o> {
    out: &'o mut [u8; FRAME_LEN_MAX],
    start: usize,
    end: usize,
    is_greeting: bool,
}

impl Draft<'_> {
    /// Makes it a plain frame; returns its length.
    #[must_use = "the frame is the first bytes of the buffer, as many as returned"]
    pub fn close(self) -> usize {
        close(self.out, self.start, self.end)
    }

    /// Whether it is a greeting: a `Hello` or a `Ready`.
    pub(crate) fn is_greeting(&self) -> bool {
        self.is_greeting
    }

    /// Makes it a sealed frame: `head` comes before what `seal` does to payload and checksum, and the tag that it returns
    /// behind; returns the length of the frame.
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

/// Encodes `start..end` of a frame in its place, ends it with a delimiter, and returns its length.
///
/// What is read lies at least as far behind as COBS makes it longer.
fn close(out: &mut [u8; FRAME_LEN_MAX], start: usize, end: usize) -> usize {
    let (mut state, mut len, mut full) = (EncoderState::default(), 1, false);
    for place in start..end.min(FRAME_LEN_MAX) {
        // After a full block comes another code, unless it was the last.
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

/// What was between two delimiters, decoded but not yet checked, nor opened where it is sealed.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'d> {
    /// Payload and checksum; before it is opened, those and what seals them.
    pub(crate) content: &'d mut [u8],
    /// Bytes that it took on the wire, delimiter included.
    pub wire_len: usize,
}

impl Frame<'_> {
    /// The payload, not yet checked: good for finding out in which context to check it.
    pub fn unchecked(&self) -> &[u8] {
        self.split().0
    }

    /// The payload, if the checksum holds in `context`.
    pub fn check(&self, context: &Context) -> Result<&[u8], Reject> {
        let (payload, checksum) = self.split();
        let mut digest = CHECKSUM.digest();
        digest.update(payload);
        digest.update(&context.bytes());
        if digest.finalize().to_le_bytes() == checksum {
            Ok(payload)
        } else {
            Err(Reject::Checksum)
        }
    }

    fn split(&self) -> (&[u8], [u8; CHECKSUM_LEN]) {
        match self.content.split_last_chunk() {
            Some((payload, &checksum)) => (payload, checksum),
            None => (&[], [0; CHECKSUM_LEN]),
        }
    }
}

/// Finds frames in a stream of bytes and finds them again after any damage: the next delimiter is a new start.
#[derive(Debug)]
pub struct Deframer {
    buffer: [u8; FRAME_LEN_MAX],
    /// Bytes since the last delimiter; more than the buffer holds where they cannot be a frame.
    len: usize,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// An empty one.
    pub const fn new() -> Self {
        Self { buffer: [0; FRAME_LEN_MAX], len: 0 }
    }

    /// Takes bytes up to the end of the first frame; returns the rest and the frame.
    ///
    /// Call it with the rest until the rest is empty. Whatever is dropped on the way is counted.
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

    /// The stream was interrupted: what came of a frame is dropped and counted.
    pub fn interrupt(&mut self, counters: &mut Counters) {
        let dropped = core::mem::take(&mut self.len);
        if dropped > 0 {
            counters.reject(Reject::Undecodable, dropped);
        }
    }

    /// Bytes taken of a frame that has not ended: not in any counter yet.
    pub fn pending(&self) -> usize {
        self.len
    }

    fn store(&mut self, bytes: &[u8]) {
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
        if content.len() <= CHECKSUM_LEN {
            counters.reject(Reject::Undecodable, wire_len);
            return None;
        }
        Some(Frame { content, wire_len })
    }
}

/// Decodes COBS in its place; what is none becomes nothing.
///
/// Byte by byte, because the function that the crate has for whole slices cannot be seen not to panic.
fn decode(bytes: &mut [u8]) -> &mut [u8] {
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

    const CONTEXT: Context = Context { session: 7, worker: 1, round: 3, from: 0 };

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut out = [0; FRAME_LEN_MAX];
        let len = emit(&CONTEXT, &mut out, |frame| frame.push(payload));
        out[..len].to_vec()
    }

    /// All payloads whose checksum holds in a stream that arrives in pieces.
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
        // 64-byte USB packets and COBS blocks of 254 bytes are where serial stacks break.
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
