//! The `.npy` format of NumPy: a header in a few words of Python, then the elements of an array.
//!
//! ```text
//! "\x93NUMPY"  version u8 u8  length of the header, u16 or from version 2 u32, little-endian
//! {'descr': '<f8', 'fortran_order': False, 'shape': (150, 5), }          spaces, line end
//! elements in C or Fortran order
//! ```
//!
//! The crates that read this bring a parser of Python literals, with far more code than this file.

use super::columns::{Columns, Selection};
use super::defect::{Defect, Place};
use super::error::DatasetError;
use super::rows::DIMENSION_MAX;
use super::table::Table;
use super::texts::excerpt;

/// The first bytes of every file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Maximum length of a header: NumPy writes about a hundred bytes.
const HEADER_MAX: usize = 1 << 16;

/// An array of rows and columns.
struct Array<'a> {
    element: Element,
    rows: usize,
    columns: usize,
    is_fortran: bool,
    bytes: &'a [u8],
}

/// Type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element {
    kind: Kind,
    /// Bytes per element.
    len: usize,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

/// Parses the array in `bytes`; `name` is only for messages. `select` chooses columns.
pub(super) fn parse(
    name: &str,
    bytes: &[u8],
    select: impl FnOnce(&Columns<'_>) -> Result<Selection, DatasetError>,
) -> Result<Table, DatasetError> {
    let refuse = |defect: Defect| defect.of(name, Place::Table);
    let array = Array::open(bytes).map_err(refuse)?;
    if array.rows == 0 {
        return Err(refuse(Defect::NoRows));
    }
    if array.columns > COLUMNS_MAX {
        return Err(refuse(Defect::Wide(array.columns)));
    }
    let names = (1..=array.columns).map(|column| column.to_string()).collect();
    let columns = Columns { table: name, names, has_header: false };
    let selection = select(&columns)?;
    let mut table = Table::new(&columns, &selection);
    for row in 0..array.rows {
        let element = |column: usize| {
            array.finite(row, column).map_err(|defect| {
                defect.of(name, Place::Element { row: row + 1, column: column + 1 })
            })
        };
        let text = |column: usize| element(column).map(|_| array.text(row, column));
        table.push_row(&selection, row + 1, element, text)?;
    }
    Ok(table)
}

/// Features, a label and an owner.
const COLUMNS_MAX: usize = DIMENSION_MAX + 2;

impl Table {
    /// Reads the labels of the rows from an array of one column.
    pub(super) fn read_labels(&mut self, name: &str, bytes: &[u8]) -> Result<(), DatasetError> {
        let refuse = |defect: Defect| defect.of(name, Place::Table);
        let array = Array::open(bytes).map_err(refuse)?;
        // An array of one dimension counts as a column; one row of labels is also meant so.
        let (count, is_row) = match (array.rows, array.columns) {
            (count, 1) => (count, false),
            (1, count) => (count, true),
            (rows, columns) => return Err(refuse(Defect::LabelShape { rows, columns })),
        };
        if count != self.rows.row_count() {
            let rows = self.rows.row_count();
            return Err(refuse(Defect::LabelCount { labels: count, rows }));
        }
        for label in 0..count {
            let (row, column) = if is_row { (0, label) } else { (label, 0) };
            array.finite(row, column).map_err(|defect| {
                defect.of(name, Place::Element { row: row + 1, column: column + 1 })
            })?;
            self.labels.push(&array.text(row, column), label + 1);
        }
        Ok(())
    }
}

impl<'a> Array<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Defect> {
        let (header, bytes) = split(bytes).ok_or(Defect::NpyHeader)?;
        let field = |key: &str| value(header, key).ok_or(Defect::NpyHeader);
        let element = element(field("descr")?)?;
        let is_fortran = match field("fortran_order")? {
            text if text.starts_with("True") => true,
            text if text.starts_with("False") => false,
            _ => return Err(Defect::NpyHeader),
        };
        let shape = shape(field("shape")?).ok_or(Defect::NpyHeader)?;
        let (rows, columns) = match shape[..] {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            _ => return Err(Defect::NpyShape(shape.len())),
        };
        let needed = rows.checked_mul(columns).and_then(|count| count.checked_mul(element.len));
        if needed != Some(bytes.len()) {
            return Err(Defect::NpyLength { rows, columns, found: bytes.len() });
        }
        Ok(Self { element, rows, columns, is_fortran, bytes })
    }

    fn bytes(&self, row: usize, column: usize) -> &'a [u8] {
        let index = match self.is_fortran {
            true => column * self.rows + row,
            false => row * self.columns + column,
        };
        let len = self.element.len;
        &self.bytes[index * len..][..len]
    }

    /// Returns the exact text of an element.
    fn text(&self, row: usize, column: usize) -> String {
        let bytes = self.bytes(row, column);
        let integer = self.element.integer(self.element.bits(bytes));
        integer.map_or_else(|| self.element.value(bytes).to_string(), |it| it.to_string())
    }

    /// Returns an element, which must be finite.
    fn finite(&self, row: usize, column: usize) -> Result<f64, Defect> {
        match self.element.value(self.bytes(row, column)) {
            value if value.is_nan() => Err(Defect::Missing),
            value if value.is_infinite() => Err(Defect::Infinite),
            value => Ok(value),
        }
    }
}

impl Element {
    fn bits(self, bytes: &[u8]) -> u64 {
        let mut word = [0; 8];
        let significant = &mut word[..self.len];
        significant.copy_from_slice(bytes);
        if self.is_big_endian {
            significant.reverse();
        }
        u64::from_le_bytes(word)
    }

    /// Returns an element that is an integer.
    fn integer(self, bits: u64) -> Option<i128> {
        let unused = 64 - 8 * self.len as u32;
        match self.kind {
            Kind::Float => None,
            Kind::Signed => Some(((bits << unused).cast_signed() >> unused).into()),
            Kind::Unsigned => Some(bits.into()),
        }
    }

    /// Returns the value of the bytes of an element. Integers beyond 2^53 are rounded.
    fn value(self, bytes: &[u8]) -> f64 {
        let bits = self.bits(bytes);
        match self.integer(bits) {
            Some(integer) => integer as f64,
            None if self.len == 4 => f64::from(f32::from_bits(bits as u32)),
            None => f64::from_bits(bits),
        }
    }
}

/// Splits a file into its header and the elements.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (&[version, _], rest) = rest.split_first_chunk()?;
    let (len, rest) = match version {
        1 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
        _ => return None,
    };
    let (header, elements) = rest.split_at_checked(len).filter(|_| len <= HEADER_MAX)?;
    Some((str::from_utf8(header).ok()?, elements))
}

/// Returns the text after a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// Parses a type such as `'<f8'`.
fn element(text: &str) -> Result<Element, Defect> {
    let quoted = text.strip_prefix('\'').and_then(|text| text.split_once('\''));
    let name = quoted.map_or(text, |(name, _)| name);
    let unknown = || Defect::NpyType(excerpt(name));
    let mut chars = name.chars();
    let is_big_endian = match chars.next().ok_or_else(unknown)? {
        '<' | '|' => false,
        '>' => true,
        _ => return Err(unknown()),
    };
    let (kind, len) = match chars.as_str() {
        "f4" => (Kind::Float, 4),
        "f8" => (Kind::Float, 8),
        "i1" => (Kind::Signed, 1),
        "i2" => (Kind::Signed, 2),
        "i4" => (Kind::Signed, 4),
        "i8" => (Kind::Signed, 8),
        "b1" | "u1" => (Kind::Unsigned, 1),
        "u2" => (Kind::Unsigned, 2),
        "u4" => (Kind::Unsigned, 4),
        "u8" => (Kind::Unsigned, 8),
        _ => return Err(unknown()),
    };
    Ok(Element { kind, len, is_big_endian })
}

/// Parses a shape such as `(150, 5)` or `(150,)`.
fn shape(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim().trim_end_matches(',');
    let lengths = inside.split(',').filter(|_| !inside.is_empty());
    lengths.map(|length| length.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::columns::Roles;
    use super::super::data::Dataset;
    use super::super::labels::Labels;
    use super::*;
    use std::ffi::OsStr;
    use std::fs;

    /// A file as numpy.save writes it.
    fn file(version: u8, header: &str, elements: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        [&bytes[..], header.as_bytes(), elements].concat()
    }

    fn array(descr: &str, is_fortran: bool, shape: &str, elements: &[u8]) -> Vec<u8> {
        let order = if is_fortran { "True" } else { "False" };
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}    \n");
        file(1, &header, elements)
    }

    fn read_with(
        bytes: Vec<u8>,
        label: Option<&OsStr>,
        owner: Option<&str>,
    ) -> Result<Dataset, String> {
        let dataset = Dataset::of_bytes("set.npy", &bytes, Labels::Binary, Roles { label, owner });
        dataset.map_err(|error| error.to_string())
    }

    fn read(bytes: Vec<u8>) -> Result<Dataset, String> {
        read_with(bytes, None, None)
    }

    fn elements<const N: usize>(values: [i8; 6], to: impl Fn(i8) -> [u8; N]) -> Vec<u8> {
        values.into_iter().flat_map(to).collect()
    }

    #[test]
    fn large_integers_are_different_owners_and_labels() {
        let large = 1u64 << 53;
        let values = [5, large, large, 6, large + 1, large + 1];
        for is_fortran in [false, true] {
            let order = if is_fortran { [0, 3, 1, 4, 2, 5] } else { [0, 1, 2, 3, 4, 5] };
            let elements: Vec<u8> = order.iter().flat_map(|&k| values[k].to_le_bytes()).collect();
            let bytes = array("<u8", is_fortran, "(2, 3)", &elements);
            let dataset = read_with(bytes, None, Some("2")).unwrap();
            let names = ["9007199254740992", "9007199254740993"];
            assert_eq!(dataset.class_names(), names);
            assert_eq!([0, 1].map(|row| dataset.owner(row).unwrap()), names);
        }
    }

    #[test]
    fn every_type_and_order_is_read() {
        let values = [7, -2, 0, 1, 5, 1];
        let float = |value: i8| f64::from(value);
        let arrays = [
            ("<f8", elements(values, |value| float(value).to_le_bytes())),
            (">f8", elements(values, |value| float(value).to_be_bytes())),
            ("<f4", elements(values, |value| f32::from(value).to_le_bytes())),
            (">f4", elements(values, |value| f32::from(value).to_be_bytes())),
            ("|i1", elements(values, |value| value.to_le_bytes())),
            ("<i2", elements(values, |value| i16::from(value).to_le_bytes())),
            (">i4", elements(values, |value| i32::from(value).to_be_bytes())),
            ("<i8", elements(values, |value| i64::from(value).to_le_bytes())),
        ];
        for (descr, bytes) in arrays {
            for (is_fortran, first, second, classes) in [
                (false, vec![(0, 7.0), (1, -2.0)], vec![(0, 1.0), (1, 5.0)], ["0", "1"]),
                (true, vec![(0, 7.0)], vec![(0, -2.0), (1, 1.0)], ["1", "5"]),
            ] {
                let dataset = read(array(descr, is_fortran, "(2, 3)", &bytes)).unwrap();
                let rows = [0, 1].map(|row| dataset.row(row).entries().collect::<Vec<_>>());
                assert_eq!(rows, [first, second], "{descr}");
                let mut names = classes;
                names.sort_unstable();
                assert_eq!(dataset.class_names(), names);
                assert!(dataset.column_names().is_empty());
            }
        }
        let unsigned = elements(values, |value| u16::from(value.cast_unsigned()).to_le_bytes());
        let dataset = read(array("<u2", false, "(2, 3)", &unsigned)).unwrap();
        assert_eq!(dataset.row(0).values, [7.0, 254.0]);
    }

    #[test]
    fn columns_are_chosen_by_number() {
        let bytes = array("|u1", false, "(3, 3)", &[1, 9, 2, 0, 8, 3, 1, 9, 4]);
        let one = Some(OsStr::new("1"));
        let dataset = read_with(bytes.clone(), one, Some("2")).unwrap();
        assert_eq!(dataset.column_names(), ["3"]);
        assert_eq!(dataset.row(2).values, [4.0]);
        let split = crate::options::Split::By("2".into());
        assert_eq!(dataset.deal(&split, 0).unwrap(), [vec![1], vec![0, 2]]);
        for (label, owner) in [(Some(OsStr::new("4")), None), (None, Some("0"))] {
            let error = read_with(bytes.clone(), label, owner).unwrap_err();
            assert!(
                error.ends_with("is not a column; its columns have the numbers 1 to 3"),
                "{error}"
            );
        }
    }

    #[test]
    fn labels_are_read_from_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.npy");
        let features = array("|u1", false, "(2, 2)", &[1, 9, 2, 0]);
        let read = |labels: &[u8]| {
            fs::write(&path, labels).unwrap();
            let dataset = read_with(features.clone(), Some(path.as_os_str()), None);
            dataset.map_err(|error| error.replace(path.to_str().unwrap(), "labels.npy"))
        };
        for shape in ["(2,)", "(2, 1)", "(1, 2)"] {
            let dataset = read(&array("|i1", false, shape, &[5, 255])).unwrap();
            assert_eq!((dataset.dimension(), dataset.row(0).label), (2, 1.0));
            assert_eq!(dataset.class_names(), ["-1", "5"]);
        }
        let few = read(&array("|i1", false, "(1,)", &[5])).unwrap_err();
        assert!(few.starts_with("labels.npy: it has 1 labels, but the data have 2 rows"), "{few}");
        let wide = read(&features).unwrap_err();
        assert!(
            wide.starts_with("labels.npy: labels are one column, but this array has 2"),
            "{wide}"
        );
        let text = read(b"1\n2\n").unwrap_err();
        assert!(text.starts_with("labels.npy: its header is not that of a .npy file"), "{text}");
        fs::remove_file(&path).unwrap();
        let error = read_with(features.clone(), Some(path.as_os_str()), None).unwrap_err();
        assert!(error.contains("labels.npy cannot be read as a data set: No such file"), "{error}");
    }

    #[test]
    fn invalid_array_is_refused() {
        let nan = [1.0, f64::NAN, 1.0, 2.0].map(f64::to_le_bytes).concat();
        let infinite = [1.0, 3.0, 1.0, f64::INFINITY].map(f64::to_le_bytes).concat();
        let header = "its header is not that of a .npy file";
        let cases = [
            (array("<f8", false, "(2, 2)", &nan), ", row 1, column 2: the value is missing"),
            (
                array("<f8", false, "(2, 2)", &infinite),
                ", row 2, column 2: the value is not finite",
            ),
            (array("<U5", false, "(2,)", &[0; 40]), ": its elements have the type `<U5`"),
            (array("<f2", false, "(2, 2)", &[0; 8]), ": its elements have the type `<f2`"),
            (array("|O", false, "(2, 2)", &[0; 8]), ": its elements have the type `|O`"),
            (array("<f4", false, "(2, 2, 2)", &[0; 32]), ": the array has 3 dimensions"),
            (array("<f4", false, "()", &[0; 4]), ": the array has 0 dimensions"),
            (array("<f4", false, "(0, 2)", &[]), ": it contains no rows"),
            (array("<f4", false, "(9999999999, 0)", &[]), ": there is no column of features"),
            (array("<f4", false, "(2,)", &[0; 8]), ": there is no column of features"),
            (
                array("<f4", false, "(2, 2)", &[0; 15]),
                ": the header says 2 rows of 2 columns, but 15 bytes",
            ),
            (
                array("<f8", false, "(4611686018427387904, 4)", &[0; 15]),
                ": the header says 4611686018427387904 rows of 4 columns",
            ),
            (array("|u1", false, "(1, 65538)", &[1; 65_538]), ": 65538 columns are features"),
            (array("|u1", false, "(1, 65537)", &[1; 65_537]), ": 65536 columns are features"),
            (array("<f4", false, "(-2, 2)", &[]), header),
            (array("<f4", false, "2, 2", &[]), header),
            (file(9, "{}", &[]), header),
            (file(1, "{'descr': '<f4'}", &[]), header),
            (array("<f4", false, "(2, 2)", &[0; 16])[..40].to_vec(), header),
            (MAGIC.to_vec(), header),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).unwrap_err();
            assert!(
                error
                    .trim_start_matches("set.npy: ")
                    .trim_start_matches("set.npy")
                    .starts_with(expected.trim_start_matches(": ")),
                "{expected}: {error}"
            );
        }
    }

    #[test]
    fn later_versions_are_read() {
        let header =
            "{\"descr\": \"<i2\", \"fortran_order\": False, \"shape\": (2, 2)}\n".replace('"', "'");
        for version in [1, 2, 3] {
            let bytes = file(version, &header, &[1, 0, 2, 0, 3, 0, 4, 0]);
            assert_eq!(read(bytes).unwrap().class_names(), ["2", "4"]);
        }
    }
}
