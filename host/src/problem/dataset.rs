//! Data sets: loading labelled rows, distributing them to workers, and quantising them for boards.
//!
//! ```text
//!  libsvm ── bundled        text -> Dataset
//!  quadratics               smoothness constants -> Dataset
//!  labels                   two classes, many classes, or real targets
//!  split                    Dataset -> one list of rows per worker
//!  quantise                 one such list -> the bytes of a shard
//! ```
//!
//! Theory and telemetry use the f64 rows of this module. Only the data sent to boards are quantised.

mod bundled;
mod labels;
mod libsvm;
mod quadratics;
pub mod quantise;
pub mod split;

pub use labels::Labels;
pub use libsvm::Syntax;
pub use quadratics::QuadraticsError;

use crate::units::quantity::counted;
use crate::units::shown::shown;
use crate::units::text::{self, Limits, TextError};
use labels::Labelling;
use quadratics::Quadratics;
use smidgen_firmware::softmax::CLASSES_MAX;
use std::{io, iter, path::Path, str::FromStr};

/// The largest dimension: a shard has two bytes for the number and the index of a row's entries.
pub const DIMENSION_MAX: usize = u16::MAX as usize;

/// Limits on files: data for boards are far smaller, and a row with all features has a few megabytes.
const LIMITS: Limits = Limits { len: 512 << 20, line_len: 16 << 20 };

/// Rows in order, each with its nonzero entries and a label.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    rows: Rows,
    labelling: Labelling,
}

/// Compressed sparse rows: row r has the entries `starts[r]..starts[r + 1]`.
#[derive(Clone, Debug)]
struct Rows {
    dimension: usize,
    starts: Vec<usize>,
    columns: Vec<u16>,
    values: Vec<f64>,
}

/// One row of a [`Dataset`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Columns of the nonzero entries, ascending from 0.
    pub columns: &'a [u16],
    /// Values of these entries.
    pub values: &'a [f64],
    /// The class, from 0, or the target.
    pub label: f64,
}

/// Reasons why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Neither a bundled set nor a file has this name.
    #[error(
        "{name} is neither a bundled data set nor a file: give {} or the path of a file in LIBSVM format",
        bundled::names()
    )]
    Unknown {
        /// The given name.
        name: String,
    },
    /// The file exists but is not text.
    #[error("{path} cannot be read as a data set in LIBSVM format: {source}")]
    Text {
        /// The path.
        path: String,
        /// The reason.
        source: TextError,
    },
    /// A line is not in LIBSVM format.
    #[error("{name}, line {line}, column {column}: {syntax}{}", truncation(*.at_end))]
    Syntax {
        /// The data set.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// The byte in the line, counted from 1.
        column: usize,
        /// The reason.
        syntax: Syntax,
        /// True if the text ends here.
        at_end: bool,
    },
    /// It has no features.
    #[error("{name} contains no features: the file is empty or the wrong one; download it again")]
    Empty {
        /// The data set.
        name: String,
    },
    /// There are not exactly two classes.
    #[error(
        "{name} has {count} distinct labels: give a file with exactly two, the larger is the positive class"
    )]
    Labels {
        /// The data set.
        name: String,
        /// Number of distinct labels.
        count: usize,
    },
    /// There is only one class, or there are too many.
    #[error(
        "{name} has {count} distinct labels: give a file with 2 to {CLASSES_MAX} classes, or choose --objective \
         least-squares if the labels are real targets"
    )]
    Classes {
        /// The data set.
        name: String,
        /// Number of distinct labels.
        count: usize,
    },
    /// No rows would remain for training, or none for the test.
    #[error(
        "--test-rows {asked} does not fit the {}, after --rows, of {name}: hold out at least 1, and leave at least 1 \
         for training",
        counted(*.available as u64, "row", "rows")
    )]
    TestRows {
        /// The data set.
        name: String,
        /// Its rows.
        available: usize,
        /// The rows asked for.
        asked: usize,
    },
    /// The constants of a generated problem are invalid.
    #[error("--dataset {name}: {source}")]
    Quadratics {
        /// The given name.
        name: String,
        /// The reason.
        source: QuadraticsError,
    },
    /// `--rows` is 0, or more than there are.
    #[error(
        "{name} has {}, so --rows {asked} is out of range: give 1 to {available}",
        counted(*.available as u64, "row", "rows")
    )]
    Rows {
        /// The data set.
        name: String,
        /// Its rows.
        available: usize,
        /// The rows asked for.
        asked: usize,
    },
}

fn truncation(at_end: bool) -> &'static str {
    if at_end { "; the file ends here, so download it again if it is truncated" } else { "" }
}

impl Dataset {
    /// Loads the bundled set of this name, or the file in LIBSVM format at this path, with two classes.
    pub fn load(name_or_path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        Self::load_with(name_or_path, Labels::Binary)
    }

    /// Like [`load`](Self::load), with labels of any kind, and also generated problems, see `quadratics`.
    pub fn load_with(name_or_path: impl AsRef<Path>, labels: Labels) -> Result<Self, DatasetError> {
        // A name that needs escaping is not one of a bundled set.
        let (path, name) = (name_or_path.as_ref(), shown(name_or_path.as_ref()).to_string());
        if let Some(set) = bundled::find(&name) {
            return set.load(labels);
        }
        match name.strip_prefix(quadratics::PREFIX).map(Quadratics::from_str) {
            Some(Ok(quadratics)) => quadratics.dataset(&name, labels),
            Some(Err(source)) => Err(DatasetError::Quadratics { name, source }),
            None => Self::read(path, name, labels),
        }
    }

    /// Returns whether data of this name are bundled or generated.
    pub fn is_built_in(name: &Path) -> bool {
        let name = name.to_str().unwrap_or_default();
        bundled::find(name).is_some() || name.starts_with(quadratics::PREFIX)
    }

    /// Reads a file that messages call `name`.
    fn read(path: &Path, name: String, labels: Labels) -> Result<Self, DatasetError> {
        match text::read(path, LIMITS) {
            Ok(text) => Self::parse_with(&name, &text, labels),
            Err(TextError::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(DatasetError::Unknown { name })
            }
            Err(source) => Err(DatasetError::Text { path: name, source }),
        }
    }

    /// Parses text in LIBSVM format with exactly two distinct labels, of which the larger is the positive class.
    ///
    /// The dimension is the largest index. Blank lines and comments after `#` are skipped.
    pub fn parse(name: &str, text: &str) -> Result<Self, DatasetError> {
        Self::parse_with(name, text, Labels::Binary)
    }

    /// Like [`parse`](Self::parse), with labels of any kind.
    pub fn parse_with(name: &str, text: &str, labels: Labels) -> Result<Self, DatasetError> {
        Self::label(name, libsvm::parse(name, text)?, labels)
    }

    fn label(name: &str, table: libsvm::Table, labels: Labels) -> Result<Self, DatasetError> {
        let labelling = labels.read(name, table.labels)?;
        Ok(Self { name: name.into(), rows: table.rows, labelling })
    }

    /// Keeps the first `row_count` rows, without changing the dimension.
    pub fn take(mut self, row_count: usize) -> Result<Self, DatasetError> {
        let available = self.row_count();
        if !(1..=available).contains(&row_count) {
            return Err(DatasetError::Rows { name: self.name, available, asked: row_count });
        }
        self.split_off(row_count);
        Ok(self)
    }

    /// Splits off the last `row_count` rows. Returns the other rows and these.
    pub fn hold_out(mut self, row_count: usize) -> Result<(Self, Self), DatasetError> {
        let available = self.row_count();
        if !(1..available).contains(&row_count) {
            return Err(DatasetError::TestRows { name: self.name, available, asked: row_count });
        }
        let held = self.split_off(available - row_count);
        Ok((self, held))
    }

    fn split_off(&mut self, row_count: usize) -> Self {
        Self {
            name: self.name.clone(),
            rows: self.rows.split_off(row_count),
            labelling: Labelling {
                values: self.labelling.values.split_off(row_count),
                class_count: self.labelling.class_count,
            },
        }
    }

    /// Returns the same rows with an additional column of ones.
    pub fn with_ones(&self) -> Self {
        let mut dataset = Self { rows: Rows::new(), ..self.clone() };
        let one = u16::try_from(self.dimension()).expect("a dimension has 16 bits");
        for row in 0..self.row_count() {
            let row = self.row(row);
            iter::zip(row.columns, row.values).for_each(|(&k, &value)| dataset.rows.push(k, value));
            dataset.rows.push(one, 1.0);
            dataset.rows.end_row();
        }
        dataset
    }

    /// Returns the name of a bundled set, or the file name without directories.
    pub fn name(&self) -> &str {
        let file_name = Path::new(&self.name).file_name().and_then(|name| name.to_str());
        file_name.unwrap_or(&self.name)
    }

    /// Returns the dimension d, the number of columns.
    pub fn dimension(&self) -> usize {
        self.rows.dimension
    }

    /// Returns the number of classes, or 0 for real targets.
    pub fn class_count(&self) -> u8 {
        self.labelling.class_count
    }

    /// Returns the number of rows, at least 1.
    pub fn row_count(&self) -> usize {
        self.labelling.values.len()
    }

    /// Returns column, from 0, and value of the entry with the largest magnitude; the value is 0 if all entries are.
    pub fn largest_feature(&self) -> (usize, f64) {
        let entries = (0..self.row_count()).flat_map(|row| self.row(row).entries());
        entries.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap_or_default()
    }

    /// Returns the largest magnitude of a target, or the largest class.
    pub fn largest_label(&self) -> f64 {
        self.labelling.values.iter().fold(0.0, |max: f64, label| max.max(label.abs()))
    }

    /// Returns a row, counted from 0.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let entries = self.rows.starts[index]..self.rows.starts[index + 1];
        Row {
            columns: &self.rows.columns[entries.clone()],
            values: &self.rows.values[entries],
            label: self.labelling.values[index],
        }
    }
}

impl Rows {
    fn new() -> Self {
        Self { dimension: 0, starts: vec![0], columns: Vec::new(), values: Vec::new() }
    }

    /// Appends an entry to the last row. A zero only affects the dimension.
    fn push(&mut self, column: u16, value: f64) {
        self.dimension = self.dimension.max(usize::from(column) + 1);
        if value != 0.0 {
            self.columns.push(column);
            self.values.push(value);
        }
    }

    fn end_row(&mut self) {
        self.starts.push(self.values.len());
    }

    fn split_off(&mut self, row_count: usize) -> Self {
        let entries = self.starts[row_count];
        let starts = self.starts[row_count..].iter().map(|start| start - entries).collect();
        self.starts.truncate(row_count + 1);
        let (columns, values) = (self.columns.split_off(entries), self.values.split_off(entries));
        Self { dimension: self.dimension, starts, columns, values }
    }
}

impl<'a> Row<'a> {
    /// Returns column and value of every nonzero entry, by ascending columns.
    #[inline]
    pub fn entries(self) -> impl Iterator<Item = (usize, f64)> + 'a {
        iter::zip(
            self.columns.iter().map(|&column| usize::from(column)),
            self.values.iter().copied(),
        )
    }

    /// Returns y = +1 for the positive one of two classes, otherwise −1.
    #[inline]
    pub fn sign(self) -> f64 {
        if self.label > 0.0 { 1.0 } else { -1.0 }
    }

    /// Returns aᵀx for a dense x of d entries.
    #[inline]
    pub fn dot(self, x: &[f64]) -> f64 {
        self.entries().map(|(column, value)| value * x[column]).sum()
    }

    /// Returns ‖a‖².
    pub fn norm_squared(self) -> f64 {
        self.values.iter().map(|value| value * value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Returns the error of loading a file with this content.
    fn complaint(content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        let error = Dataset::load(path.to_str().unwrap()).unwrap_err().to_string();
        error.replace(path.to_str().unwrap(), "file")
    }

    #[test]
    fn every_valid_form_of_a_line_is_parsed() {
        let text = "\u{feff}# heading\r\n+1 1:0.5\t3:-2e-3 # note\r\n\n-1 2:0 4:0\n  1.0\t2:1";
        let dataset = Dataset::parse("folder/set", text).unwrap();
        assert_eq!((dataset.name(), dataset.row_count(), dataset.dimension()), ("set", 3, 4));
        let rows: Vec<_> = (0..3).map(|row| dataset.row(row)).collect();
        assert_eq!(rows[0].entries().collect::<Vec<_>>(), [(0, 0.5), (2, -0.002)]);
        assert_eq!(rows[1].entries().count(), 0, "a zero only affects the dimension");
        assert_eq!([rows[0].sign(), rows[1].sign(), rows[2].sign()], [1.0, -1.0, 1.0]);
    }

    #[test]
    fn invalid_file_is_refused_with_one_sentence() {
        let refused = "the file is empty or the wrong one; download it again";
        assert_eq!(complaint(b""), format!("file contains no features: {refused}"));
        assert_eq!(complaint(b"# a comment\n\n"), format!("file contains no features: {refused}"));
        assert_eq!(complaint(b"1\n-1\n"), format!("file contains no features: {refused}"));
        for binary in [&b"\x1f\x8b\x08\0"[..], b"1 1:1\n\0\0"] {
            let advice = "it is not text; if it is compressed, decompress it first";
            assert_eq!(
                complaint(binary),
                format!("file cannot be read as a data set in LIBSVM format: {advice}")
            );
        }
        let advice = "give a file with exactly two, the larger is the positive class";
        for (count, text) in [(1, "1 1:1\n1 1:2\n"), (3, "1 1:1\n2 1:1\n3 1:1\n")] {
            let expected = format!("file has {count} distinct labels: {advice}");
            assert_eq!(complaint(text.as_bytes()), expected);
        }
        let error = Dataset::load("no/such/file").unwrap_err().to_string();
        assert!(
            error.starts_with("no/such/file is neither") && error.contains("digits, "),
            "{error}"
        );
        let folder = tempfile::tempdir().unwrap();
        let error = Dataset::load(folder.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn invalid_line_is_reported_with_line_and_column() {
        let cases: [(&str, &str); 11] = [
            ("1 1:1\n<html> 1:2\n", "line 2, column 1: `<html>` is not a label"),
            ("1 1:1\nnan 1:2\n", "line 2, column 1: `nan` is not a label"),
            ("1 1:1  2\n", "line 1, column 8: `2` is not a feature"),
            ("1 1:x\n", "line 1, column 3: `1:x` is not a feature"),
            ("1 1:inf\n", "line 1, column 3: `1:inf` is not a feature"),
            ("1 0:1\n", "line 1, column 3: index 0: indices start at 1; add 1 to each"),
            ("1 1:1\n\u{feff}-1 1:2\n", "line 2, column 1: there is an invisible byte-order mark"),
            ("1 00:1\n", "line 1, column 3: index 0: indices start at 1"),
            ("1 65536:1\n", "line 1, column 3: `65536` is not an index"),
            ("1 2:1 2:1\n", "line 1, column 7: index 2 does not ascend after 2"),
            ("1 5:1\n-1 1:1 2:1 1:1\n", "line 2, column 12: index 1 does not ascend after 2"),
        ];
        for (text, expected) in cases {
            let error = complaint(text.as_bytes());
            assert!(error.starts_with(&format!("file, {expected}")), "{error}");
            assert!(!error.contains("breaks off"), "{error}");
        }
    }

    #[test]
    fn truncated_file_is_reported() {
        for text in ["1 1:1 2:1\n-1 1:1 2:", "1 1:1 2:1\n-1 1:1 2", "1 1:1 2:1\n-"] {
            let error = complaint(text.as_bytes());
            assert!(
                error.ends_with("the file ends here, so download it again if it is truncated"),
                "{error}"
            );
        }
    }

    #[test]
    fn first_rows_are_kept() {
        let dataset = Dataset::load("digits").unwrap().take(400).unwrap();
        assert_eq!((dataset.row_count(), dataset.dimension()), (400, 64));
        assert_eq!(dataset.rows.values.len(), dataset.rows.starts[400]);
        let error = dataset.clone().take(401).unwrap_err().to_string();
        assert_eq!(error, "digits has 400 rows, so --rows 401 is out of range: give 1 to 400");
        assert!(dataset.take(0).is_err());
    }

    #[test]
    fn labels_are_classes_or_targets() {
        let text = "3 1:1\n-1.5 1:2\n7 1:3\n3 1:4\n";
        let labels = |labels| {
            let dataset = Dataset::parse_with("text", text, labels).unwrap();
            let rows = (0..4).map(|row| dataset.row(row).label).collect::<Vec<_>>();
            (rows, dataset.class_count())
        };
        assert_eq!(labels(Labels::Classes), (vec![1.0, 0.0, 2.0, 1.0], 3));
        assert_eq!(labels(Labels::Real), (vec![3.0, -1.5, 7.0, 3.0], 0));
        let error = |text: &str| {
            Dataset::parse_with("text", text, Labels::Classes).unwrap_err().to_string()
        };
        assert!(error("1 1:1\n").starts_with("text has 1 distinct labels: give"));
        let many: String = (0..100).map(|row| format!("{row} 1:1\n")).collect();
        assert!(error(&many).starts_with("text has 100 distinct labels: give a file with 2 to"));
    }

    #[test]
    fn last_rows_are_held_out() {
        let digits = Dataset::load_with("digits", Labels::Classes).unwrap();
        let (training, test) = digits.clone().hold_out(300).unwrap();
        assert_eq!((training.row_count(), test.row_count(), test.dimension()), (1497, 300, 64));
        for (row, held) in (1497..1797).zip(0..) {
            let (row, held) = (digits.row(row), test.row(held));
            assert_eq!(
                (row.columns, row.values, row.label),
                (held.columns, held.values, held.label)
            );
        }
        assert_eq!(training.rows.values.len(), training.rows.starts[1497]);
        let error = digits.hold_out(1797).unwrap_err().to_string();
        assert!(error.contains("--test-rows 1797 does not fit the 1\u{202f}797 rows"), "{error}");
    }

    #[test]
    fn column_of_ones_is_last() {
        let dataset = Dataset::parse("two", "1 1:3 4:4\n0 3:0\n").unwrap().with_ones();
        assert_eq!((dataset.dimension(), dataset.row_count()), (5, 2));
        assert_eq!(dataset.row(0).entries().collect::<Vec<_>>(), [(0, 3.0), (3, 4.0), (4, 1.0)]);
        assert_eq!(dataset.row(1).entries().collect::<Vec<_>>(), [(4, 1.0)]);
    }
}
