//! Rows that a board recorded, as the data of a configuration: everything but the rows, which do not travel.
//!
//! Little-endian, every section padded to a multiple of four bytes:
//!
//! ```text
//! rows u32 | dimension u32 | kind u32 | checksum u32
//! scale mantissas   (dimension + 1) x i32
//! scale exponents   (dimension + 1) x i16
//! classes           16 x i8
//! ```
//!
//! As in a [shard](crate::shard), whose header it has: dense rows in two bytes, with labels of one. Its second byte of
//! `kind` is 2. `classes` has the run's number of each class of the board, or -1 to leave its rows out.

use crate::message::CLASSES_MAX;
use crate::shard::{ShardError, words};
use core::ops::Range;

/// Kind of rows in the header, besides the number of classes: two bytes a value, on the board, one byte a label.
const KIND: [u8; 3] = [2, 2, 1];
const HEADER_LEN: usize = 16;

/// Rows that a board recorded, as data of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedRows<'a> {
    /// Number of rows to train on.
    pub rows: u32,
    /// Number of columns, at least 1.
    pub dimension: u32,
    /// Number of classes of the run, at least 1.
    pub classes: u8,
    /// Checksum of all rows of the board, see [`RowsChecksum`].
    pub checksum: u32,
    /// Scale mantissas of all columns, then that of labels, which have none.
    pub scale_mantissas: &'a [i32],
    /// Scale exponents, in the same order.
    pub scale_exponents: &'a [i16],
    /// The run's class for each class of the board, or -1.
    pub class_map: &'a [i8],
}

impl<'a> RecordedRows<'a> {
    /// Returns whether data are of this kind; they may be invalid.
    pub fn is_kind_of(bytes: &[u8]) -> bool {
        bytes.get(8..).is_some_and(|kind| kind.starts_with(&KIND))
    }

    /// Length in bytes for rows of `dimension` columns; `None` beyond `usize`.
    pub fn len_of(dimension: u32) -> Option<usize> {
        sections(dimension).map(|[.., classes]| classes.end)
    }

    /// Opens data in place, aligned to four bytes.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ShardError> {
        let (header, _) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(ShardError::Shape)?;
        let [rows, dimension, kind, checksum]: [u32; 4] = bytemuck::cast(*header);
        let [width, place, label_width, classes] = kind.to_le_bytes();
        let sections = sections(dimension).filter(|[.., last]| last.end == bytes.len());
        let [mantissas, exponents, map] = sections.ok_or(ShardError::Shape)?;
        if [width, place, label_width] != KIND || dimension == 0 || classes == 0 {
            return Err(ShardError::Shape);
        }
        let section = |range| bytes.get(range).ok_or(ShardError::Shape);
        let class_map: &[i8] = words(section(map)?)?;
        // The map says which rows are masked, so a wrong class in it is not a mask.
        if !class_map.iter().all(|&class| (-1..i16::from(classes)).contains(&class.into())) {
            return Err(ShardError::Label);
        }
        Ok(Self {
            rows,
            dimension,
            classes,
            checksum,
            scale_mantissas: words(section(mantissas)?)?,
            scale_exponents: words(section(exponents)?)?,
            class_map,
        })
    }

    /// Writes the data to the start of `out`; returns their length, or `None` if lists have another length than the
    /// dimension says or `out` is too short.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let [mantissas, exponents, map] = sections(self.dimension)?;
        let len = map.end;
        let out = out.get_mut(..len)?;
        out.fill(0);
        let [width, place, label_width] = KIND;
        let kind = u32::from_le_bytes([width, place, label_width, self.classes]);
        let header: [u8; HEADER_LEN] =
            bytemuck::cast([self.rows, self.dimension, kind, self.checksum]);
        let parts: [(Range<usize>, &[u8]); 4] = [
            (0..HEADER_LEN, &header),
            (mantissas, bytemuck::cast_slice(self.scale_mantissas)),
            (exponents, bytemuck::cast_slice(self.scale_exponents)),
            (map, bytemuck::cast_slice(self.class_map)),
        ];
        for (range, bytes) in parts {
            let section = out.get_mut(range)?;
            (section.len() == bytes.len()).then(|| section.copy_from_slice(bytes))?;
        }
        Some(len)
    }

    /// The run's class of a class of the board; -1 for none.
    pub fn class(&self, class: u8) -> i8 {
        self.class_map.get(usize::from(class)).copied().unwrap_or(-1)
    }
}

/// Mantissas, exponents and classes.
fn sections(dimension: u32) -> Option<[Range<usize>; 3]> {
    let scales = (dimension as usize).checked_add(1)?;
    let mantissas_end = HEADER_LEN.checked_add(scales.checked_mul(4)?)?;
    let exponents_end = mantissas_end.checked_add(scales.checked_mul(2)?)?;
    let map = exponents_end.checked_next_multiple_of(4)?;
    Some([
        HEADER_LEN..mantissas_end,
        mantissas_end..exponents_end,
        map..map.checked_add(CLASSES_MAX)?,
    ])
}

/// Checksum of the rows of a board that are not discarded, from the latest to the first.
///
/// The lower word of the [digest](crate::digest::Transcript) of a word per row: CRC-32 of its values, then its class,
/// then 1 if it is held out.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowsChecksum(crate::digest::Transcript);

impl RowsChecksum {
    /// Adds the next row.
    pub fn add(&mut self, values: &[i16], class: u8, is_test: bool) {
        let values = crate::frame::checksum(bytemuck::cast_slice(values));
        self.0.absorb(u64::from(values) | u64::from(class) << 32 | u64::from(is_test) << 40);
    }

    /// The checksum of all rows added; 0 for none.
    pub const fn value(self) -> u32 {
        self.0.value() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_on_board_round_trip(
            rows: u32, dimension in 1u32..9, classes in 1u8..17, checksum: u32,
            mantissas in any::<[i32; 9]>(), exponents in any::<[i16; 9]>(), map in any::<[i8; CLASSES_MAX]>(),
        ) {
            let scales = dimension as usize + 1;
            let map = map.map(|class| class.rem_euclid(classes.cast_signed() + 1) - 1);
            let recorded = RecordedRows {
                rows, dimension, classes, checksum,
                scale_mantissas: &mantissas[..scales.min(9)],
                scale_exponents: &exponents[..scales.min(9)],
                class_map: &map,
            };
            let mut words = [u32::MAX; 40];
            let len = recorded.write(bytemuck::cast_slice_mut(&mut words));
            prop_assert_eq!(len.is_some(), scales <= 9);
            let Some(len) = len else { return Ok(()) };
            prop_assert_eq!(RecordedRows::len_of(dimension), Some(len));
            let bytes = &bytemuck::cast_slice::<u32, u8>(&words)[..len];
            prop_assert_eq!(RecordedRows::open(bytes), Ok(recorded));
            prop_assert!(RecordedRows::is_kind_of(bytes));
            prop_assert!(crate::shard::Shard::open(bytes).is_err());
            prop_assert!(RecordedRows::open(&bytes[..len - 4]).is_err());
        }

        #[test]
        fn arbitrary_words_open_or_are_rejected(
            mut words in prop::collection::vec(any::<u32>(), 0..40), dimension in 0u32..9, classes in 0u32..20, len in 0usize..40,
        ) {
            if let Some(kind) = words.get_mut(2) {
                *kind = u32::from_le_bytes([2, 2, 1, classes as u8]);
                words[1] = dimension;
            }
            words.truncate(RecordedRows::len_of(dimension).map_or(len, |len| len / 4));
            if let Ok(rows) = RecordedRows::open(bytemuck::cast_slice(&words)) {
                prop_assert!((0..=u8::MAX).all(|class| (-1..classes as i8).contains(&rows.class(class))));
            }
        }
    }

    #[test]
    fn every_change_of_rows_changes_the_checksum() {
        let of = |rows: &[(&[i16], u8, bool)]| {
            let mut checksum = RowsChecksum::default();
            rows.iter().for_each(|&(values, class, is_test)| checksum.add(values, class, is_test));
            checksum.value()
        };
        let (one, two): (&[i16], &[i16]) = (&[1, 2], &[1, 3]);
        let all = [
            of(&[]),
            of(&[(one, 0, false)]),
            of(&[(one, 1, false)]),
            of(&[(one, 0, true)]),
            of(&[(two, 0, false)]),
            of(&[(one, 0, false), (two, 0, false)]),
            of(&[(two, 0, false), (one, 0, false)]),
        ];
        assert_eq!(all[0], 0);
        assert!((1..all.len()).all(|nth| !all[..nth].contains(&all[nth])), "{all:?}");
    }
}
