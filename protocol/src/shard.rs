//! A worker's rows, on the wire and in memory: one block of bytes, read in place.
//!
//! Little-endian, every section padded to a multiple of four bytes:
//!
//! ```text
//! rows u32 | dimension u32 | kind u32 | nonzeros u32
//! scale mantissas   (dimension + 1) x i32
//! scale exponents   (dimension + 1) x i16
//! labels            rows x label width, or one bit per row, lowest bit first
//! dense rows:       values, rows x dimension
//! sparse rows:      entries per row, rows x u16; indices, nonzeros x u8 | u16; values, nonzeros x width
//! ```
//!
//! A feature is `value * scale[column]`. Labels form one more column with a width of their own and the last scale:
//! class numbers or real targets. If all stored values would be 1 (one-hot data), they are omitted.
//!
//! Rows that a board recorded itself are a shard too, made of [`Parts`] that lie in separate places.

use crate::batch::{Runs, Selection};
use crate::vector::Ratio;
use core::ops::Range;

/// Width of a stored feature or label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Width {
    /// No stored values: every feature is 1 (sparse rows only). One bit per label.
    Unit = 0,
    /// i8
    I8 = 1,
    /// i16
    I16 = 2,
    /// i32
    I32 = 4,
}

/// Shape of a shard: its first 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of rows, without masked ones.
    pub rows: u32,
    /// Number of columns d.
    pub dimension: u32,
    /// Rows list their non-zero columns.
    pub sparse: bool,
    /// Width of a stored feature.
    pub width: Width,
    /// Number of stored features; `rows * dimension` for dense rows.
    pub nonzeros: u32,
    /// Width of a stored label; [`Width::Unit`] is one bit.
    pub label_width: Width,
    /// Number of classes: labels are in `0..classes`. 0 for real targets.
    pub classes: u8,
}

/// Sections of a shard, as byte ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sections {
    /// Scale mantissas.
    pub scale_mantissas: Range<usize>,
    /// Scale exponents.
    pub scale_exponents: Range<usize>,
    /// Labels.
    pub labels: Range<usize>,
    /// Entries per row (sparse rows).
    pub counts: Range<usize>,
    /// Column indices (sparse rows).
    pub indices: Range<usize>,
    /// Features.
    pub values: Range<usize>,
    /// Length of the shard.
    pub len: usize,
}

/// Reason why bytes are not a valid shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardError {
    /// The header is inconsistent, or does not match the length.
    Shape,
    /// The bytes are not aligned to four.
    Alignment,
    /// A column index is out of range, or the entries per row do not add up.
    Index,
    /// A label is not a class.
    Label,
}

/// A shard of dense rows in two bytes, in parts that lie in separate places.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Number of columns, at least 1.
    pub dimension: u32,
    /// Number of classes, at least 1.
    pub classes: u8,
    /// Stored features, row by row.
    pub values: &'a [i16],
    /// Distance of rows in `values`, at least the number of columns.
    pub stride: usize,
    /// A class per row, or -1 for a masked row, which is in no evaluation.
    pub labels: &'a [i8],
    /// Scale mantissas of all columns, then that of labels.
    pub scale_mantissas: &'a [i32],
    /// Scale exponents, in the same order.
    pub scale_exponents: &'a [i16],
}

impl Width {
    /// Returns whether a feature takes bytes, so that rows can store zeros.
    pub const fn stores_features(self) -> bool {
        match self {
            Self::Unit => false,
            Self::I8 | Self::I16 | Self::I32 => true,
        }
    }

    fn parse(byte: u8) -> Result<Self, ShardError> {
        match byte {
            0 => Ok(Self::Unit),
            1 => Ok(Self::I8),
            2 => Ok(Self::I16),
            4 => Ok(Self::I32),
            _ => Err(ShardError::Shape),
        }
    }
}

impl Header {
    /// Length of the header in bytes.
    pub const LEN: usize = 16;

    /// Returns whether column indices take two bytes instead of one.
    pub const fn wide_index(&self) -> bool {
        self.dimension > 256
    }

    /// Encodes the header.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let kind = [self.width as u8, u8::from(self.sparse), self.label_width as u8, self.classes];
        bytemuck::cast([self.rows, self.dimension, bytemuck::cast(kind), self.nonzeros])
    }

    /// Decodes a header and checks its consistency.
    pub fn parse(bytes: &[u8]) -> Result<Self, ShardError> {
        let bytes: [u8; Self::LEN] =
            bytes.get(..Self::LEN).and_then(|b| b.try_into().ok()).ok_or(ShardError::Shape)?;
        let [rows, dimension, kind, nonzeros]: [u32; 4] = bytemuck::cast(bytes);
        let [width, sparse, label_width, classes]: [u8; 4] = bytemuck::cast(kind);
        let (width, label_width) = (Width::parse(width)?, Width::parse(label_width)?);
        let sparse = match sparse {
            0 => false,
            1 => true,
            _ => return Err(ShardError::Shape),
        };
        // 64 bits, since both come from outside and may be large.
        let full = u64::from(rows) * u64::from(dimension);
        let consistent = if sparse {
            u64::from(nonzeros) <= full && dimension <= 1 << 16
        } else {
            u64::from(nonzeros) == full && width.stores_features()
        };
        if !consistent {
            return Err(ShardError::Shape);
        }
        Ok(Self { rows, dimension, sparse, width, nonzeros, label_width, classes })
    }

    /// The sections of the shard; `None` if its length overflows `usize`.
    pub fn sections(&self) -> Option<Sections> {
        let mut end = Self::LEN;
        let mut section = |items: u32, size: usize| -> Option<Range<usize>> {
            let start = end;
            let stop = start.checked_add((items as usize).checked_mul(size)?)?;
            end = stop.checked_next_multiple_of(4)?;
            Some(start..stop)
        };
        let (listed, rows) = if self.sparse { (self.nonzeros, self.rows) } else { (0, 0) };
        // One more for the labels.
        let scales = self.dimension.checked_add(1)?;
        Some(Sections {
            scale_mantissas: section(scales, 4)?,
            scale_exponents: section(scales, 2)?,
            labels: match self.label_width {
                Width::Unit => section(self.rows.div_ceil(8), 1)?,
                width => section(self.rows, width as usize)?,
            },
            counts: section(rows, 2)?,
            indices: section(listed, if self.wide_index() { 2 } else { 1 })?,
            values: section(self.nonzeros, self.width as usize)?,
            len: end,
        })
    }
}

/// Stored features, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// All 1.
    Unit,
    /// One byte each.
    I8(&'a [i8]),
    /// Two bytes each.
    I16(&'a [i16]),
    /// Four bytes each.
    I32(&'a [i32]),
}

/// Stored labels, one per row.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// One bit each, lowest first.
    Bits(&'a [u8]),
    /// One byte each.
    I8(&'a [i8]),
    /// Two bytes each.
    I16(&'a [i16]),
    /// Four bytes each.
    I32(&'a [i32]),
    /// One byte each; rows with a negative one are masked.
    Masked(&'a [i8]),
}

/// Columns of the stored features.
#[derive(Clone, Copy, Debug)]
pub enum Columns<'a> {
    /// Every column of every row.
    Dense,
    /// Entries per row, and one-byte indices.
    U8(&'a [u16], &'a [u8]),
    /// Entries per row, and two-byte indices.
    U16(&'a [u16], &'a [u16]),
}

/// A shard, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a> {
    /// Shape.
    pub header: Header,
    /// Stored features.
    pub values: Values<'a>,
    /// Columns of the stored features.
    pub columns: Columns<'a>,
    /// Stored labels.
    pub labels: Labels<'a>,
    /// Distance of dense rows in the stored features.
    pub stride: usize,
    scale_mantissas: &'a [i32],
    scale_exponents: &'a [i16],
}

impl<'a> Shard<'a> {
    /// Opens a shard in constant time. [`Shard::check`] checks its content.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ShardError> {
        let header = Header::parse(bytes)?;
        let sections = header
            .sections()
            .filter(|sections| sections.len == bytes.len())
            .ok_or(ShardError::Shape)?;
        let section = |range| bytes.get(range).ok_or(ShardError::Shape);
        let (indices, counts) = (section(sections.indices)?, words(section(sections.counts)?)?);
        let (values, labels) = (section(sections.values)?, section(sections.labels)?);
        Ok(Self {
            header,
            values: match header.width {
                Width::Unit => Values::Unit,
                Width::I8 => Values::I8(words(values)?),
                Width::I16 => Values::I16(words(values)?),
                Width::I32 => Values::I32(words(values)?),
            },
            columns: match (header.sparse, header.wide_index()) {
                (false, _) => Columns::Dense,
                (true, false) => Columns::U8(counts, indices),
                (true, true) => Columns::U16(counts, words(indices)?),
            },
            scale_mantissas: words(section(sections.scale_mantissas)?)?,
            scale_exponents: words(section(sections.scale_exponents)?)?,
            labels: match header.label_width {
                Width::Unit => Labels::Bits(labels),
                Width::I8 => Labels::I8(words(labels)?),
                Width::I16 => Labels::I16(words(labels)?),
                Width::I32 => Labels::I32(words(labels)?),
            },
            stride: header.dimension as usize,
        })
    }

    /// Makes a shard of separate parts and checks it.
    pub fn from_parts(parts: &Parts<'a>) -> Result<Self, ShardError> {
        let Parts { dimension, classes, values, stride, labels, .. } = *parts;
        let scales = Some(parts.scale_mantissas.len());
        let consistent = stride >= dimension as usize
            && dimension > 0
            && labels.len().checked_mul(stride) == Some(values.len())
            && scales == (dimension as usize).checked_add(1)
            && parts.scale_exponents.len() == parts.scale_mantissas.len();
        if !consistent {
            return Err(ShardError::Shape);
        }
        let live = labels.iter().filter(|&&label| label >= 0).count();
        let rows = u32::try_from(live).map_err(|_| ShardError::Shape)?;
        let header = Header {
            rows,
            dimension,
            sparse: false,
            width: Width::I16,
            nonzeros: rows.checked_mul(dimension).ok_or(ShardError::Shape)?,
            label_width: Width::I8,
            classes,
        };
        let shard = Self {
            header,
            values: Values::I16(values),
            columns: Columns::Dense,
            labels: Labels::Masked(labels),
            stride,
            scale_mantissas: parts.scale_mantissas,
            scale_exponents: parts.scale_exponents,
        };
        // Targets are real numbers; a mask takes the sign of a class.
        if classes == 0 { Err(ShardError::Label) } else { shard.check().map(|()| shard) }
    }

    /// Checks all indices, counts and classes, in one pass.
    pub fn check(&self) -> Result<(), ShardError> {
        let classes = i32::from(self.header.classes);
        let is_class = |row| (0..classes).contains(&self.label(row as usize));
        if classes > 0 && !self.runs(Selection::ALL).flatten().all(is_class) {
            return Err(ShardError::Label);
        }
        self.check_indices()
    }

    /// The selected rows as ascending runs. Masked rows have indices but are neither counted nor selected.
    pub fn runs(&self, selection: Selection) -> RowRuns<'a> {
        let mask = match self.labels {
            Labels::Masked(labels) => Some(labels),
            Labels::Bits(_) | Labels::I8(_) | Labels::I16(_) | Labels::I32(_) => None,
        };
        RowRuns { runs: selection.runs(self.header.rows), mask, pending: 0..0, row: 0, live: 0 }
    }

    fn check_indices(&self) -> Result<(), ShardError> {
        let dimension = self.header.dimension;
        let (counts, in_range) = match self.columns {
            Columns::Dense => return Ok(()),
            Columns::U8(counts, indices) => {
                (counts, indices.iter().all(|&index| u32::from(index) < dimension))
            }
            Columns::U16(counts, indices) => {
                (counts, indices.iter().all(|&index| u32::from(index) < dimension))
            }
        };
        let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        let good = in_range && total == u64::from(self.header.nonzeros);
        if good { Ok(()) } else { Err(ShardError::Index) }
    }

    /// Factor of a column's stored values; 0 for a column that does not exist.
    #[inline]
    pub fn scale(&self, column: usize) -> Ratio {
        let scale = self.scale_mantissas.get(column).zip(self.scale_exponents.get(column));
        scale.map_or(Ratio::default(), |(&mantissa, &exponent)| Ratio { mantissa, exponent })
    }

    /// Factor of stored labels.
    pub fn label_scale(&self) -> Ratio {
        self.scale(self.header.dimension as usize)
    }

    /// Stored label of a row: a class, or a target before scaling; 0 for a row that does not exist.
    #[inline]
    pub fn label(&self, row: usize) -> i32 {
        let label = match self.labels {
            Labels::Bits(bits) => bits.get(row / 8).map(|&bits| i32::from(bits >> (row % 8) & 1)),
            Labels::I8(labels) | Labels::Masked(labels) => {
                labels.get(row).map(|&label| label.into())
            }
            Labels::I16(labels) => labels.get(row).map(|&label| label.into()),
            Labels::I32(labels) => labels.get(row).copied(),
        };
        label.unwrap_or(0)
    }
}

/// Runs of selected rows of a [`Shard`].
#[derive(Clone, Debug)]
pub struct RowRuns<'a> {
    /// The selection among live rows.
    runs: Runs,
    mask: Option<&'a [i8]>,
    /// Rest of a run, in numbers of live rows.
    pending: Range<u32>,
    /// The next row to look at.
    row: u32,
    /// Number of live rows before it.
    live: u32,
}

impl RowRuns<'_> {
    /// The next run among rows of which some may be masked.
    // Not inlined: the pass over rows is compiled once per kind of row and would repeat it.
    #[inline(never)]
    fn next_live(&mut self, mask: &[i8]) -> Option<Range<u32>> {
        let run = match core::mem::take(&mut self.pending) {
            rest if rest.is_empty() => self.runs.next()?,
            rest => rest,
        };
        let mut labels = mask.get(self.row as usize..)?.iter().map(|&label| label >= 0);
        // Up to the first selected row, which is live.
        while self.live < run.start || !labels.clone().next()? {
            self.live += u32::from(labels.next()?);
            self.row += 1;
        }
        let alive = labels.take((run.end - run.start) as usize).take_while(|&live| live).count();
        let start = self.row;
        self.row += alive as u32;
        self.live += alive as u32;
        self.pending = self.live..run.end;
        Some(start..self.row)
    }
}

impl Iterator for RowRuns<'_> {
    type Item = Range<u32>;

    // Not inlined: a branch ahead of one of two calls, whose caller needs its registers for the pass.
    #[inline(never)]
    fn next(&mut self) -> Option<Range<u32>> {
        match self.mask {
            Some(mask) => self.next_live(mask),
            None => self.runs.next(),
        }
    }
}

pub(crate) fn words<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Result<&[T], ShardError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| ShardError::Alignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two one-hot rows over three columns: {0, 2} and {1}.
    fn one_hot() -> Vec<u32> {
        let header = Header {
            rows: 2,
            dimension: 3,
            sparse: true,
            width: Width::Unit,
            nonzeros: 3,
            label_width: Width::Unit,
            classes: 2,
        };
        let sections = header.sections().unwrap();
        let mut words = vec![0u32; sections.len / 4];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        bytes[..Header::LEN].copy_from_slice(&header.emit());
        bytes[sections.scale_mantissas].copy_from_slice(bytemuck::cast_slice(&[1i32 << 30; 4]));
        bytes[sections.scale_exponents].copy_from_slice(bytemuck::cast_slice(&[30i16; 4]));
        bytes[sections.labels].copy_from_slice(&[0b10]);
        bytes[sections.counts].copy_from_slice(bytemuck::cast_slice(&[2u16, 1]));
        bytes[sections.indices].copy_from_slice(&[0, 2, 1]);
        words
    }

    #[test]
    fn one_hot_shard_is_read_in_place() {
        let words = one_hot();
        let shard = Shard::open(bytemuck::cast_slice(&words)).unwrap();
        assert_eq!(shard.check(), Ok(()));
        assert_eq!(shard.scale(1), Ratio { mantissa: 1 << 30, exponent: 30 });
        assert_eq!([shard.label(0), shard.label(1)], [0, 1]);
        assert!(matches!(shard.columns, Columns::U8([2, 1], [0, 2, 1])));
    }

    #[test]
    fn bad_index_count_and_length_are_rejected() {
        let mut words = one_hot();
        let last = words.len() - 1;
        words[last] ^= 0xf0 << 8;
        let check = |words: &[u32]| Shard::open(bytemuck::cast_slice(words))?.check();
        assert_eq!(check(&words), Err(ShardError::Index));
        words[last] ^= 0xf0 << 8;
        words[last - 1] += 1;
        assert_eq!(check(&words), Err(ShardError::Index));
        assert_eq!(check(&words[..last]), Err(ShardError::Shape));
    }

    /// Two columns with one value of padding, and three rows, the second masked.
    const PARTS: Parts<'static> = Parts {
        dimension: 2,
        classes: 3,
        values: &[1, 2, -1, 3, 4, -1, 5, 6, -1],
        stride: 3,
        labels: &[2, -1, 0],
        scale_mantissas: &[1 << 30; 3],
        scale_exponents: &[30; 3],
    };

    #[test]
    fn masked_row_is_neither_counted_nor_selected() {
        let shard = Shard::from_parts(&PARTS).unwrap();
        assert_eq!((shard.header.rows, shard.header.nonzeros), (2, 4));
        assert!(shard.runs(Selection::ALL).eq([0..1, 2..3]));
        assert_eq!([shard.label(0), shard.label(2)], [2, 0]);
    }

    #[test]
    fn inconsistent_parts_are_rejected() {
        let error = |parts: Parts| Shard::from_parts(&parts).err();
        let shape = Some(ShardError::Shape);
        assert_eq!(error(Parts { dimension: 0, ..PARTS }), shape);
        assert_eq!(error(Parts { dimension: u32::MAX, stride: usize::MAX, ..PARTS }), shape);
        assert_eq!(error(Parts { stride: 1, values: &[1, 2, 3], ..PARTS }), shape);
        assert_eq!(error(Parts { values: &[0; 8], ..PARTS }), shape);
        assert_eq!(error(Parts { scale_mantissas: &[1; 2], ..PARTS }), shape);
        assert_eq!(error(Parts { scale_exponents: &[1; 4], ..PARTS }), shape);
        for classes in [0, 2] {
            assert_eq!(error(Parts { classes, ..PARTS }), Some(ShardError::Label));
        }
        assert_eq!(error(PARTS), None);
    }

    proptest! {
        #[test]
        fn runs_cover_the_selected_live_rows(
            labels in prop::collection::vec(-1i8..2, 0..60), size in 0u32..40, seed: u32,
        ) {
            let values = vec![0; 2 * labels.len()];
            let parts = Parts { values: &values, stride: 2, labels: &labels, ..PARTS };
            let shard = Shard::from_parts(&parts).unwrap();
            let live: Vec<u32> = (0..).zip(&labels).filter(|row| *row.1 >= 0).map(|row| row.0).collect();
            let selection = crate::batch::Batch { size, seed }.selection(1, 1);
            let chosen = selection.runs(live.len() as u32).flatten().map(|nth| live[nth as usize]);
            prop_assert!(shard.runs(selection).flatten().eq(chosen));
            prop_assert!(shard.runs(selection).all(|run| !run.is_empty()));
            prop_assert_eq!(shard.header.rows as usize, live.len());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_words_open_or_are_rejected(mut words in prop::collection::vec(any::<u32>(), 0..64), kind in 0u32..5, sparse: bool, label_width in 0u32..5, classes in 0u32..4, rows in 0u32..9, dimension in 0u32..9) {
            for (word, value) in words.iter_mut().zip([rows, dimension, kind | u32::from(sparse) << 8 | label_width << 16 | classes << 24]) {
                *word = value;
            }
            if let Ok(shard) = Shard::open(bytemuck::cast_slice(&words)) {
                let _ = shard.check();
                (0..shard.header.dimension as usize).for_each(|column| { shard.scale(column); });
                (0..shard.header.rows as usize).for_each(|row| { shard.label(row); });
            }
        }
    }
}
