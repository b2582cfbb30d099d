//! A channel: a key and the counters of the frames sealed under it.

use super::aead::Aead;
use super::key::{Key, Salt};
use crate::counters::Reject;
use crate::frame::{CHECKSUM_LEN, Draft, Frame, HEAD_LEN, SALT_LEN, TAG_LEN};

/// Flag in the head of a frame that carries a salt.
const SALTED: u8 = 0x80;

/// Direction of a frame. It is part of the nonce, so a reflected frame fails authentication.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Direction {
    /// To the worker.
    Down = 0,
    /// To the host.
    Up = 1,
}

impl Direction {
    fn nonce(self, number: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&(self as u32).to_le_bytes());
        nonce[4..].copy_from_slice(&number.to_le_bytes());
        nonce
    }
}

/// Number of counter values that the head distinguishes.
pub(super) const WINDOW: u64 = SALTED as u64;

/// One end of a channel.
#[derive(Debug)]
pub(super) struct Channel {
    key: Key,
    /// Number of the next frame to send, and the lowest acceptable number of the next frame to receive.
    next: u64,
    expected: u64,
}

impl Channel {
    /// Creates a channel on which nothing has been sent.
    pub(super) fn new(key: Key) -> Self {
        Self { key, next: 0, expected: 0 }
    }

    /// Creates a channel on which `next` frames have been sent.
    #[cfg(test)]
    pub(super) fn at(key: Key, next: u64) -> Self {
        Self { key, next, expected: 0 }
    }

    /// Number of frames sent.
    pub(super) fn sent(&self) -> u64 {
        self.next
    }

    /// Seals a frame; returns its length, or `None` once all numbers are used up.
    pub(super) fn seal(&mut self, direction: Direction, draft: Draft) -> Option<usize> {
        let head = [self.low_bits()];
        draft.seal_with(head, |head, content| self.encrypt(direction, head, content))
    }

    /// As [`seal`](Self::seal), with a salt in the head.
    pub(super) fn seal_greeting(
        &mut self,
        direction: Direction,
        salt: &Salt,
        draft: Draft,
    ) -> Option<usize> {
        let mut head = [self.low_bits() | SALTED; HEAD_LEN + SALT_LEN];
        head[HEAD_LEN..].copy_from_slice(salt);
        draft.seal_with(head, |head, content| self.encrypt(direction, head, content))
    }

    fn low_bits(&self) -> u8 {
        (self.next % WINDOW) as u8
    }

    pub(super) fn encrypt(
        &mut self,
        direction: Direction,
        head: &[u8],
        content: &mut [u8],
    ) -> Option<[u8; TAG_LEN]> {
        let number = self.next;
        // Advance first: whatever happens below, no other frame gets this number.
        self.next = number.checked_add(1)?;
        let nonce = direction.nonce(number);
        #[cfg(test)]
        super::nonce_log::record(self.key.bytes(), &nonce, head, content);
        Some(Aead::new(self.key.bytes(), &nonce).encrypt(head, content))
    }

    /// Decrypts a frame in place if it authenticates on this channel and is newer than all frames opened before;
    /// otherwise changes nothing.
    pub(super) fn open(&mut self, direction: Direction, sealed: &mut Sealed) -> bool {
        let Some((number, next)) = self.number(sealed.low_bits()) else { return false };
        let aead = Aead::new(self.key.bytes(), &direction.nonce(number));
        let opened = aead.decrypt(sealed.head, sealed.content, &sealed.tag);
        if opened {
            self.expected = next;
        }
        opened
    }

    /// The next acceptable number with these lowest bits, and its successor.
    fn number(&self, low_bits: u8) -> Option<(u64, u64)> {
        // The distance to the next number with these bits, modulo the window. A replay is thus taken for a later number
        // and fails authentication.
        let ahead = u64::from(low_bits).wrapping_sub(self.expected) % WINDOW;
        let number = self.expected.checked_add(ahead)?;
        Some((number, number.checked_add(1)?))
    }
}

/// A sealed frame, split into its fields.
pub(super) struct Sealed<'d> {
    /// Counter, and the salt of a greeting.
    head: &'d [u8],
    /// Payload and checksum, encrypted until a channel opens them.
    content: &'d mut [u8],
    tag: [u8; TAG_LEN],
    wire_len: usize,
}

impl<'d> Sealed<'d> {
    /// Splits a frame into its fields.
    pub(super) fn new(frame: Frame<'d>) -> Result<Self, Reject> {
        let Frame { content, wire_len } = frame;
        let salted = content.first().is_some_and(|head| head & SALTED != 0);
        let head_len = HEAD_LEN + if salted { SALT_LEN } else { 0 };
        let (head, content) = content.split_at_mut_checked(head_len).ok_or(Reject::Seal)?;
        let (content, &mut tag) = content.split_last_chunk_mut().ok_or(Reject::Seal)?;
        // An opened frame must have a payload besides its checksum.
        if content.len() <= CHECKSUM_LEN {
            return Err(Reject::Seal);
        }
        Ok(Self { head, content, tag, wire_len })
    }

    /// Salt of a greeting.
    pub(super) fn salt(&self) -> Option<Salt> {
        self.head.last_chunk().copied()
    }

    /// Returns the frame, whose content must have been decrypted.
    pub(super) fn into_frame(self) -> Frame<'d> {
        Frame { content: self.content, wire_len: self.wire_len }
    }

    fn low_bits(&self) -> u8 {
        self.head.first().map_or(0, |head| head & !SALTED)
    }
}
