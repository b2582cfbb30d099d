//! The log of a store: entries of 8 bytes, from the end of the region downwards.
//!
//! ```text
//! kind, test flag and class u8 | lowest byte of the place u8 | recording u16 | CRC-32 of these and the content
//! ```
//!
//! The content is that of the row, or the name of the class in the two places after the entry; a discard has none.
//! What has no valid checksum is not an entry: a name, or where power or a worn-out cell cut a write short. An entry
//! says the place of its row, so that no damage of another entry moves it.

use super::layout::{self, BLOCK_LEN};
use smidgen_protocol::frame::checksum_of;
use smidgen_protocol::message::CLASS_NAME_LEN_MAX;

/// Length of a class name with the byte of its length.
pub(super) const NAME_LEN: usize = CLASS_NAME_LEN_MAX + 1;

/// An entry without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A row, whose values are in place.
    Row {
        class: u8,
        is_test: bool,
        /// Lowest byte of the place.
        place: u8,
        recording: u16,
    },
    /// Discards a recording: the latest that was not discarded before.
    Discard {
        /// Its number.
        recording: u16,
    },
    /// Names a class.
    Class {
        /// Its number.
        class: u8,
    },
}

const ROW: u8 = 1 << 5;
const DISCARD: u8 = 2 << 5;
const CLASS: u8 = 3 << 5;
const KIND: u8 = 7 << 5;
const TEST: u8 = 1 << 4;

impl Entry {
    /// Number of places in the log.
    pub(super) const fn len(self) -> u32 {
        match self {
            Self::Row { .. } | Self::Discard { .. } => 1,
            Self::Class { .. } => 1 + (NAME_LEN / BLOCK_LEN) as u32,
        }
    }

    fn head(self) -> [u8; 4] {
        match self {
            Self::Row { class, is_test, place, recording } => {
                let [low, high] = recording.to_le_bytes();
                [ROW | if is_test { TEST } else { 0 } | class, place, low, high]
            }
            Self::Discard { recording } => {
                let [low, high] = recording.to_le_bytes();
                [DISCARD, 0, low, high]
            }
            Self::Class { class } => [CLASS | class, 0, 0, 0],
        }
    }

    fn of_head([tag, place, low, high]: [u8; 4]) -> Option<Self> {
        match tag & KIND {
            ROW => Some(Self::Row {
                class: tag & !(KIND | TEST),
                is_test: tag & TEST != 0,
                place,
                recording: u16::from_le_bytes([low, high]),
            }),
            DISCARD => Some(Self::Discard { recording: u16::from_le_bytes([low, high]) }),
            CLASS => Some(Self::Class { class: tag & !(KIND | TEST) }),
            _ => None,
        }
    }

    /// Encodes an entry with its content.
    pub(super) fn emit(self, content: &[u8]) -> [u8; BLOCK_LEN] {
        let head = self.head();
        bytemuck::cast([head, checksum_of([&head, content]).to_le_bytes()])
    }
}

/// A row without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index among [`Store::values`](super::Store::values).
    pub index: usize,
    /// Number of the class.
    pub class: u8,
    /// Number of the recording, from 1.
    pub recording: u16,
    /// The recording is held out: its rows are scored, never trained on.
    pub is_test: bool,
    /// The recording was discarded.
    pub is_discarded: bool,
}

/// A store as bytes, and how far it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log<'s> {
    pub bytes: &'s [u8],
    /// Bytes from a row to the next.
    pub stride: usize,
    /// Number of places of the log that are in use.
    pub len: u32,
}

/// A valid entry, with what it says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'s> {
    Row(Row),
    /// Of a recording.
    Discard(u16),
    Class(u8, &'s str),
}

impl<'s> Log<'s> {
    /// The bytes of an entry, which are the `nth` from the end of the region.
    pub(super) fn bytes_of(&self, nth: u32, len: u32) -> Option<&'s [u8]> {
        let start = layout::entry_offset(self.bytes.len(), nth.checked_add(len)?)?;
        self.bytes.get(start..)?.get(..len as usize * BLOCK_LEN)
    }

    /// The valid entry at a place. `place_of` completes the lowest byte of the place of a row.
    pub(super) fn record(&self, nth: u32, place_of: impl Fn(u8) -> u32) -> Option<Record<'s>> {
        let bytes = self.bytes_of(nth, 1)?;
        let entry = Entry::of_head(*bytes.first_chunk()?)?;
        match entry {
            Entry::Row { class, is_test, place, recording } => {
                let index = place_of(place);
                let values = layout::row(self.bytes, self.stride, index)?;
                let row =
                    Row { index: index as usize, class, recording, is_test, is_discarded: false };
                (entry.emit(values) == bytes).then_some(Record::Row(row))
            }
            Entry::Discard { recording } => {
                (entry.emit(&[]) == bytes).then_some(Record::Discard(recording))
            }
            Entry::Class { class } => {
                let name = self.bytes_of(nth + 1, entry.len() - 1)?;
                let is_valid = entry.emit(name) == bytes;
                is_valid.then_some(Record::Class(class, parse_name(name)?))
            }
        }
    }
}

/// Encodes the name of a class: its length, then the text.
pub(super) fn emit_name(name: &str) -> Option<[u8; NAME_LEN]> {
    let mut bytes = [0; NAME_LEN];
    let (len, text) = bytes.split_first_mut()?;
    *len = name.len() as u8;
    text.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    (!name.is_empty()).then_some(bytes)
}

fn parse_name(bytes: &[u8]) -> Option<&str> {
    let (&len, text) = bytes.split_first()?;
    core::str::from_utf8(text.get(..len.into())?).ok()
}

/// Rows from the latest to the first.
#[derive(Clone, Debug)]
pub struct Rows<'s> {
    log: Log<'s>,
    /// Places of the log that remain.
    left: u32,
    /// All remaining rows are before this one.
    bound: u32,
    /// Recordings from this one on are discarded.
    discarded_from: u32,
}

impl<'s> Rows<'s> {
    pub(super) fn new(log: Log<'s>, row_count: u32) -> Self {
        Self { left: log.len, log, bound: row_count, discarded_from: u32::MAX }
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        while let Some(nth) = self.left.checked_sub(1) {
            self.left = nth;
            // The largest index below the bound with that lowest byte.
            let last = self.bound.wrapping_sub(1);
            let place_of = |low: u8| last.wrapping_sub(u32::from((last as u8).wrapping_sub(low)));
            match self.log.record(nth, place_of) {
                Some(Record::Row(row)) => {
                    self.bound = row.index as u32;
                    let is_discarded = u32::from(row.recording) >= self.discarded_from;
                    return Some(Row { is_discarded, ..row });
                }
                // A discard is of the latest recording that remains, so later ones were discarded before it.
                Some(Record::Discard(recording)) => {
                    self.discarded_from = self.discarded_from.min(recording.into());
                }
                Some(Record::Class(..)) | None => {}
            }
        }
        None
    }
}
