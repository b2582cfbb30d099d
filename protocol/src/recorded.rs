//! Rows that a board recorded, as the data of a configuration: everything but the rows, which do not travel.
//!
//! Little-endian, every section padded to a multiple of four bytes:
//!
//! ```text
//! rows u32 | dimension u32 | kind u32 | checksum u32
//! rate_millihertz u32 | window u16 | hop u16 | channels u8 | features u8 | length of names u16
//! scale mantissas   (dimension + 1) x i32
//! scale exponents   (dimension + 1) x i16
//! classes           16 x i8
//! names             for each class of the run: length u8, then that many bytes of UTF-8, 1 to 15
//! ```
//!
//! As in a [shard](crate::shard), whose header it has: dense rows in two bytes, with labels of one. Its second byte of
//! `kind` is 2. `classes` has the run's number of each class of the board, or -1 to leave its rows out. Recipe and names
//! are what a board needs to classify live windows; `dimension` is the length of a row of the recipe.
//!
//! With neither rows nor a checksum, the data are for a model alone: they fit any rows, and nothing is trained on them.

use crate::message::{CLASS_NAME_LEN_MAX, CLASSES_MAX};
use crate::recipe::{Features, Recipe};
use crate::shard::{ShardError, words};
use core::ops::Range;

/// Kind of rows in the header, besides the number of classes: two bytes a value, on the board, one byte a label.
const KIND: [u8; 3] = [2, 2, 1];
const HEADER_LEN: usize = 16;
const RECIPE_LEN: usize = 12;
/// Longest list of names in bytes.
pub const NAMES_LEN_MAX: usize = CLASSES_MAX * (1 + CLASS_NAME_LEN_MAX);

/// Rows that a board recorded, as data of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedRows<'a> {
    /// Number of rows to train on.
    pub rows: u32,
    /// Number of classes of the run, at least 1.
    pub classes: u8,
    /// Checksum of all rows of the board, see [`RowsChecksum`].
    pub checksum: u32,
    /// How a window becomes a row.
    pub recipe: Recipe,
    /// Scale mantissas of all columns, then that of labels, which have none.
    pub scale_mantissas: &'a [i32],
    /// Scale exponents, in the same order.
    pub scale_exponents: &'a [i16],
    /// The run's class for each class of the board, or -1.
    pub class_map: &'a [i8],
    /// Names of the run's classes, each appended by [`emit_name`].
    pub names: &'a [u8],
}

impl<'a> RecordedRows<'a> {
    /// Returns whether data are of this kind; they may be invalid.
    pub fn is_kind_of(bytes: &[u8]) -> bool {
        bytes.get(8..).is_some_and(|kind| kind.starts_with(&KIND))
    }

    /// Number of columns.
    pub fn dimension(&self) -> u32 {
        self.recipe.row_len() as u32
    }

    /// Length in bytes; `None` beyond `usize`.
    pub fn byte_len(&self) -> Option<usize> {
        let [.., names] = sections(self.recipe.row_len(), self.names.len())?;
        names.end.checked_next_multiple_of(4)
    }

    /// Opens data in place, aligned to four bytes.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ShardError> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(ShardError::Shape)?;
        let [rows, dimension, kind, checksum]: [u32; 4] = bytemuck::cast(*header);
        let [width, place, label_width, classes] = kind.to_le_bytes();
        let recipe = rest.first_chunk::<RECIPE_LEN>().ok_or(ShardError::Shape)?;
        let (recipe, names_len) = parse_recipe(*recipe);
        let is_valid = [width, place, label_width] == KIND
            && recipe.check().is_ok()
            && recipe.row_len() == dimension as usize
            && (1..=CLASSES_MAX).contains(&classes.into());
        if !is_valid {
            return Err(ShardError::Shape);
        }
        let sections = sections(recipe.row_len(), names_len);
        let [mantissas, exponents, map, names] = sections
            .filter(|[.., names]| names.end.checked_next_multiple_of(4) == Some(bytes.len()))
            .ok_or(ShardError::Shape)?;
        let section = |range| bytes.get(range).ok_or(ShardError::Shape);
        let class_map: &[i8] = words(section(map)?)?;
        // The map says which rows are masked, so a wrong class in it is not a mask.
        if !class_map.iter().all(|&class| (-1..i16::from(classes)).contains(&class.into())) {
            return Err(ShardError::Label);
        }
        let opened = Self {
            rows,
            classes,
            checksum,
            recipe,
            scale_mantissas: words(section(mantissas)?)?,
            scale_exponents: words(section(exponents)?)?,
            class_map,
            names: section(names)?,
        };
        let named_len: usize = opened.names().map(|name| 1 + name.len()).sum();
        let has_names = opened.names().count() == classes.into() && named_len == names_len;
        if has_names { Ok(opened) } else { Err(ShardError::Label) }
    }

    /// Writes the data to the start of `out`; returns their length, or `None` if lists have another length than the
    /// recipe says or `out` is too short.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let [mantissas, exponents, map, names] = sections(self.recipe.row_len(), self.names.len())?;
        let len = self.byte_len()?;
        let out = out.get_mut(..len)?;
        out.fill(0);
        let [width, place, label_width] = KIND;
        let kind = u32::from_le_bytes([width, place, label_width, self.classes]);
        let header: [u8; HEADER_LEN] =
            bytemuck::cast([self.rows, self.dimension(), kind, self.checksum]);
        let recipe = emit_recipe(&self.recipe, self.names.len().try_into().ok()?);
        let parts: [(Range<usize>, &[u8]); 6] = [
            (0..HEADER_LEN, &header),
            (HEADER_LEN..HEADER_LEN + RECIPE_LEN, &recipe),
            (mantissas, bytemuck::cast_slice(self.scale_mantissas)),
            (exponents, bytemuck::cast_slice(self.scale_exponents)),
            (map, bytemuck::cast_slice(self.class_map)),
            (names, self.names),
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

    /// Names of the run's classes; ends at one that is invalid.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let mut rest = self.names;
        core::iter::from_fn(move || {
            let (&len, names) = rest.split_first()?;
            let (name, after) = names.split_at_checked(len.into())?;
            rest = after;
            let is_valid = (1..=CLASS_NAME_LEN_MAX).contains(&name.len());
            core::str::from_utf8(name).ok().filter(|_| is_valid)
        })
    }

    /// Returns whether the data are for a model alone.
    pub const fn is_without_rows(&self) -> bool {
        self.rows == 0 && self.checksum == 0
    }
}

/// Appends a name of 1 to [`CLASS_NAME_LEN_MAX`] bytes to a list; returns its length in the list, or `None` if it has
/// another length or does not fit.
pub fn emit_name(name: &str, out: &mut [u8]) -> Option<usize> {
    let len = 1 + name.len();
    if !(1..=CLASS_NAME_LEN_MAX).contains(&name.len()) {
        return None;
    }
    let (first, rest) = out.get_mut(..len)?.split_first_mut()?;
    *first = name.len() as u8;
    rest.copy_from_slice(name.as_bytes());
    Some(len)
}

fn emit_recipe(recipe: &Recipe, names_len: u16) -> [u8; RECIPE_LEN] {
    let [w0, w1] = recipe.window.to_le_bytes();
    let [h0, h1] = recipe.hop.to_le_bytes();
    let [n0, n1] = names_len.to_le_bytes();
    let [r0, r1, r2, r3] = recipe.rate_millihertz.to_le_bytes();
    [r0, r1, r2, r3, w0, w1, h0, h1, recipe.channels, recipe.features.bits(), n0, n1]
}

/// The recipe, and the length of the names.
fn parse_recipe(bytes: [u8; RECIPE_LEN]) -> (Recipe, usize) {
    let [r0, r1, r2, r3, w0, w1, h0, h1, channels, features, n0, n1] = bytes;
    let recipe = Recipe {
        channels,
        window: u16::from_le_bytes([w0, w1]),
        hop: u16::from_le_bytes([h0, h1]),
        features: Features::from_bits(features),
        rate_millihertz: u32::from_le_bytes([r0, r1, r2, r3]),
    };
    (recipe, u16::from_le_bytes([n0, n1]).into())
}

/// Mantissas, exponents, classes and names; the last one is not padded.
fn sections(dimension: usize, names_len: usize) -> Option<[Range<usize>; 4]> {
    let scales = dimension.checked_add(1)?;
    let mantissas = HEADER_LEN + RECIPE_LEN;
    let exponents = mantissas.checked_add(scales.checked_mul(4)?)?;
    let exponents_end = exponents.checked_add(scales.checked_mul(2)?)?;
    let map = exponents_end.checked_next_multiple_of(4)?;
    let names = map.checked_add(CLASSES_MAX)?;
    let names_end = names.checked_add(names_len)?;
    Some([mantissas..exponents, exponents..exponents_end, map..names, names..names_end])
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

    fn names() -> impl Strategy<Value = Vec<&'static str>> {
        let name = prop::sample::select(vec!["rest", "a", "15 bytes at most", "gehört", "走"]);
        let name = name.prop_map(|name| name.get(..CLASS_NAME_LEN_MAX).unwrap_or(name));
        prop::collection::vec(name, 1..=CLASSES_MAX)
    }

    fn list(names: &[&str]) -> Vec<u8> {
        let (mut list, mut len) = (vec![0; NAMES_LEN_MAX], 0);
        for name in names {
            len += emit_name(name, &mut list[len..]).unwrap();
        }
        list.truncate(len);
        list
    }

    proptest! {
        #[test]
        fn rows_on_board_round_trip(
            (rows, checksum) in any::<(u32, u32)>(), (channels, features) in (1u8..5, 1u8..64), windows in (1u16.., 1u16.., 1u32..),
            mantissas in any::<[i32; 25]>(), exponents in any::<[i16; 25]>(), map in any::<[i8; CLASSES_MAX]>(),
            names in names(),
        ) {
            let (window, hop, rate_millihertz) = windows;
            let features = Features::from_bits(features);
            let recipe = Recipe { channels, window, hop, features, rate_millihertz };
            let (scales, classes) = (recipe.row_len() + 1, names.len() as u8);
            let map = map.map(|class| class.rem_euclid(classes.cast_signed() + 1) - 1);
            let list = list(&names);
            let recorded = RecordedRows {
                rows, classes, checksum, recipe,
                scale_mantissas: &mantissas[..scales],
                scale_exponents: &exponents[..scales],
                class_map: &map,
                names: &list,
            };
            let mut words = [u32::MAX; 140];
            let len = recorded.write(bytemuck::cast_slice_mut(&mut words)).unwrap();
            prop_assert_eq!(recorded.byte_len(), Some(len));
            let bytes = &bytemuck::cast_slice::<u32, u8>(&words)[..len];
            prop_assert_eq!(RecordedRows::open(bytes), Ok(recorded));
            prop_assert!(recorded.names().eq(names));
            prop_assert!(RecordedRows::is_kind_of(bytes));
            prop_assert!(crate::shard::Shard::open(bytes).is_err());
            prop_assert!(RecordedRows::open(&bytes[..len - 4]).is_err());
            prop_assert_eq!(recorded.write(&mut vec![0; len - 1]), None);
            let one_scale_less = RecordedRows { scale_exponents: &exponents[1..scales], ..recorded };
            prop_assert_eq!(one_scale_less.write(&mut vec![0; len]), None);
        }

        #[test]
        fn arbitrary_words_open_or_are_rejected(
            mut words in prop::collection::vec(any::<u32>(), 7..60),
            (channels, features, classes) in (0u8..4, 0u8..70, 0u8..20),
            names_len in 0u16..40,
        ) {
            let features = Features::from_bits(features);
            let recipe = Recipe { channels, window: 1, hop: 1, features, rate_millihertz: 1 };
            words[1] = recipe.row_len() as u32;
            words[2] = u32::from_le_bytes([2, 2, 1, classes]);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            bytes[HEADER_LEN..][..RECIPE_LEN].copy_from_slice(&emit_recipe(&recipe, names_len));
            let len = sections(recipe.row_len(), names_len.into()).map_or(0, |[.., names]| names.end.div_ceil(4));
            words.truncate(len);
            if let Ok(rows) = RecordedRows::open(bytemuck::cast_slice(&words)) {
                prop_assert!((0..=u8::MAX).all(|class| (-1..classes as i8).contains(&rows.class(class))));
                prop_assert_eq!(rows.names().count(), usize::from(classes));
            }
        }
    }

    #[test]
    fn names_that_are_too_few_too_long_or_not_text_are_rejected() {
        let recipe = Recipe {
            channels: 1,
            window: 1,
            hop: 1,
            features: Features::from_bits(1),
            rate_millihertz: 1,
        };
        let opens = |names: &[u8]| {
            let rows = RecordedRows {
                rows: 0,
                classes: 2,
                checksum: 0,
                recipe,
                scale_mantissas: &[1 << 30; 2],
                scale_exponents: &[30; 2],
                class_map: &[-1; CLASSES_MAX],
                names,
            };
            assert!(rows.is_without_rows());
            let mut words = [0; 40];
            let len = rows.write(bytemuck::cast_slice_mut(&mut words)).unwrap();
            RecordedRows::open(&bytemuck::cast_slice::<u32, u8>(&words)[..len]).is_ok()
        };
        assert!(opens(&[1, b'a', 2, b'b', b'c']));
        let too_long = [&[16; 17], &[1, b'b'][..]].concat();
        let wrong: [&[u8]; 8] = [
            &[],
            &[1, b'a'],
            &[1, b'a', 1, b'b', 1, b'c'],
            &[1, b'a', 0],
            &[1, b'a', 2, b'b'],
            &[1, b'a', 1, b'b', 0],
            &[1, b'a', 1, 0xff],
            &too_long,
        ];
        for names in wrong {
            assert!(!opens(names), "{names:?}");
        }
        for name in ["", "a name of 16 B.."] {
            assert_eq!(emit_name(name, &mut [0; 40]), None);
        }
        assert_eq!(emit_name("four", &mut [0; 4]), None);
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
