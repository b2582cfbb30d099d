//! Reasons why a data set cannot be loaded.

use super::defect::{Defect, Place};
use super::rows::DIMENSION_MAX;
use crate::options::{Choice, Objective};
use crate::units::quantity::{counted, number};
use crate::units::shown::shown;
use crate::units::text::TextError;
use smidgen_firmware::softmax::CLASSES_MAX;

/// Maximum number of rows.
pub(super) const ROWS_MAX: u32 = 1 << 22;

/// Reasons why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Neither a bundled set nor a file has this name.
    #[error(
        "{name} is neither a bundled data set nor a file: give {} or the path of a file: CSV, .npy or LIBSVM",
        known
    )]
    Unknown {
        /// Names of the bundled sets.
        known: String,
        /// The given name.
        name: String,
    },
    /// The file exists but is neither text nor an array.
    #[error("{path} cannot be read as a data set: {source}")]
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
    /// A table cannot be used.
    #[error("{name}{place}: {defect}")]
    Table {
        /// The file.
        name: String,
        /// The place in it.
        place: Place,
        /// What is wrong there.
        defect: Defect,
    },
    /// It has no features.
    #[error("{name} contains no features: the file is empty or the wrong one; download it again")]
    Empty {
        /// The data set.
        name: String,
    },
    /// There are not exactly two classes.
    #[error(
        "{name} has {count} distinct labels{}: give a file with exactly two, the larger is the positive class, or choose \
         --objective softmax",
        in_column(column.as_deref())
    )]
    Labels {
        /// The data set.
        name: String,
        /// Column of the labels.
        column: Option<String>,
        /// Number of distinct labels.
        count: usize,
    },
    /// There is only one class, or there are too many.
    #[error(
        "{name} has {count} distinct labels{}: give a file with 2 to {CLASSES_MAX} classes, or choose --objective \
         least-squares if the labels are real targets", in_column(column.as_deref())
    )]
    Classes {
        /// The data set.
        name: String,
        /// Column of the labels.
        column: Option<String>,
        /// Number of distinct labels.
        count: usize,
    },
    /// A model on whose classes training continues does not know a class.
    #[error(
        "{name}: the model does not know the class `{}`, only {}; leave out its rows, or train a new model",
        shown(class),
        shown(known)
    )]
    UnknownClass {
        /// The data set.
        name: String,
        /// Name of the class.
        class: String,
        /// Names of the known classes.
        known: String,
    },
    /// A label is not a number.
    #[error(
        "{name}, line {line}: the label `{text}` is not a number, and {} needs real targets; choose another \
         objective if the labels are classes",
        Objective::LeastSquares.name()
    )]
    Target {
        /// The data set.
        name: String,
        /// The first line with this label, counted from 1.
        line: usize,
        /// The label.
        text: String,
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

impl Defect {
    /// Returns the error for this defect in a table.
    pub(super) fn of(self, table: &str, place: Place) -> DatasetError {
        DatasetError::Table { name: table.into(), place, defect: self }
    }
}

fn in_column(column: Option<&str>) -> String {
    let named = |column| format!(" in column `{}` (name another by --label)", shown(column));
    column.map_or_else(String::new, named)
}

fn truncation(at_end: bool) -> &'static str {
    if at_end { "; the file ends here, so download it again if it is truncated" } else { "" }
}

/// Syntax errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// A line does not start with a finite number.
    #[error(
        "`{0}` is not a label: a line of LIBSVM format reads `label index:value index:value …`"
    )]
    Label(String),
    /// A feature is not an index, a colon and a finite number.
    #[error("`{0}` is not a feature: write `index:value` with a finite value")]
    Feature(String),
    /// An index is not a whole number from 1 to [`DIMENSION_MAX`].
    #[error("`{0}` is not an index: indices are whole numbers from 1 to {DIMENSION_MAX}")]
    Index(String),
    /// Indices are counted from 0.
    #[error(
        "index 0: indices start at 1; add 1 to each, for instance with \
         `awk '{{for (i = 2; i <= NF; i++) {{split($i, f, \":\"); $i = f[1] + 1 \":\" f[2]}}; print}}'`"
    )]
    Zero,
    /// There is a byte-order mark after the beginning of the file.
    #[error(
        "there is an invisible byte-order mark in the middle of the file, perhaps because files were joined; remove \
         it, for instance with `sed 's/\\xef\\xbb\\xbf//g'`"
    )]
    Mark,
    /// An index is not larger than the one before.
    #[error(
        "index {index} does not ascend after {before}: sort the features of a row and name each once"
    )]
    Order {
        /// The index.
        index: usize,
        /// The index before it.
        before: usize,
    },
}

/// Reasons why such functions do not exist.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuadraticsError {
    /// A part is not one of the four, or its value is out of range.
    #[error(
        "`{0}` is not one of workers=N, dimension=N, l-am=F and l-var=F with numbers greater than 0, F from 1e-100 to \
         1e100"
    )]
    Part(String),
    /// There is only one worker.
    #[error("the L_i of a single worker have no variance; give workers=2 or more")]
    Alone,
    /// There are too many rows.
    #[error(
        "{workers} workers with {dimension} rows each are more than {ROWS_MAX} rows; give fewer"
    )]
    Rows {
        /// Number of workers.
        workers: u16,
        /// Rows per worker.
        dimension: u16,
    },
    /// The variance exceeds that of a single worker with all curvature.
    #[error(
        "the L_i of {workers} workers with mean {} have a variance below {}: give a smaller l-var",
        number(*l_am), number(*limit)
    )]
    Variance {
        /// Number of workers.
        workers: u16,
        /// Their mean.
        l_am: f64,
        /// Upper bound on the variance.
        limit: f64,
    },
}
