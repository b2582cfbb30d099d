//! What can be wrong with a table: a file of columns.

use super::rows::DIMENSION_MAX;
use crate::units::shown::shown;
use std::fmt;

/// Number of columns that an error lists.
const LISTED_MAX: usize = 12;

/// A place in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole table.
    Table,
    /// A line of text, counted from 1.
    Line(usize),
    /// A field in a line of text.
    Field {
        /// The line, counted from 1.
        line: usize,
        /// Name of the column.
        column: String,
    },
    /// An element of an array.
    Element {
        /// The row, counted from 1.
        row: usize,
        /// The column, counted from 1.
        column: usize,
    },
}

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Defect {
    /// The first line is not a header.
    #[error(
        "`{number}` is a number, but the first line names the columns; add a line such as `{example}` before it, or \
         rename the column"
    )]
    NoHeader {
        /// The field.
        number: String,
        /// A header with as many names.
        example: String,
    },
    /// A column has no name.
    #[error("column {0} has no name; name it, or leave it out (in pandas: to_csv(…, index=False))")]
    Unnamed(usize),
    /// Two columns have the same name.
    #[error("columns {first} and {second} are both called `{}`; rename one", shown(name))]
    Duplicate {
        /// The name.
        name: String,
        /// The columns, counted from 1.
        first: usize,
        /// The second column.
        second: usize,
    },
    /// There is nothing to learn from.
    #[error(
        "there is no column of features besides the label; fields are separated by commas, semicolons or tabs"
    )]
    NoFeatures,
    /// There are too many features.
    #[error("{0} columns are features, but a model has at most {DIMENSION_MAX}; leave some out")]
    Wide(usize),
    /// There are no rows.
    #[error("it contains no rows; the file is incomplete or the wrong one")]
    NoRows,
    /// A row has too few or too many fields.
    #[error("{found} fields, but the header has {expected}{cause}")]
    Ragged {
        /// Number of fields of the row.
        found: usize,
        /// Number of columns.
        expected: usize,
        /// The likely cause.
        cause: RaggedCause,
    },
    /// The text is not CSV.
    #[error("{0}")]
    Csv(String),
    /// A field has a line end.
    #[error(
        "the field goes over more than one line; a quotation mark may not be closed, or remove the line end"
    )]
    LineEnd,
    /// A field is empty, or says that there is no value.
    #[error("the value is missing; fill it in, or leave out the row or the column")]
    Missing,
    /// A number is infinite.
    #[error("the value is not finite; leave out the row or the column")]
    Infinite,
    /// A number has a comma.
    #[error("`{0}` has a comma; write decimal points, and no separators of thousands")]
    Comma(String),
    /// A feature is not a number.
    #[error(
        "`{0}` is not a number, and features are numbers; leave out the column, replace it by one column of 0 and 1 \
         for each of its values, or name it by --label if it has the labels"
    )]
    Text(String),
    /// No column has this name.
    #[error("no column is called `{}`; the columns are {}", shown(name), listed(known))]
    UnknownColumn {
        /// The name.
        name: String,
        /// Names of the columns.
        known: Vec<String>,
    },
    /// No column has this number.
    #[error("`{}` is not a column; its columns have the numbers 1 to {count}", shown(name))]
    UnknownNumber {
        /// The given number.
        name: String,
        /// Number of columns.
        count: usize,
    },
    /// A column is for labels and for owners.
    #[error(
        "column `{}` cannot both have the labels and say who owns a row; name the column of the labels by --label",
        shown(.0)
    )]
    TwoRoles(String),
    /// Two columns may have the labels.
    #[error(
        "both `{}` and `{}` may have the labels; name the column by --label", shown(.0), shown(.1)
    )]
    TwoLabels(String, String),
    /// Shifting columns would replace too many zeros.
    #[error(
        "{percent:.1} % of the values are not 0, and --standardise would leave no zeros: {factor:.0} times the data on \
         every board; omit it, and scale columns in the file without shifting them"
    )]
    Sparse {
        /// Values that are not 0, in percent.
        percent: f64,
        /// Growth of the data.
        factor: f64,
    },
    /// The squares of values overflow.
    #[error("the values of column `{}` are too large to standardise; use another unit", shown(.0))]
    Huge(String),
    /// Another file has other columns than the one that a model was trained on.
    #[error("{found} columns are features, but the model has {expected}; give the same columns")]
    Features {
        /// Number of columns.
        found: usize,
        /// Number of columns of the model.
        expected: usize,
    },
    /// No column has the labels, without which nothing can be trained.
    #[error("no column has the labels; name it by --label")]
    NoLabels,
    /// The header of a `.npy` file cannot be read.
    #[error("its header is not that of a .npy file; write it again by numpy.save")]
    NpyHeader,
    /// The elements are not numbers of a known type.
    #[error(
        "its elements have the type `{0}`, but features are numbers; convert them by .astype('float32') before \
         numpy.save"
    )]
    NpyType(String),
    /// The array does not have rows and columns.
    #[error("the array has {0} dimensions; give one with two, rows and columns")]
    NpyShape(usize),
    /// The size of the file is not that of the array.
    #[error(
        "the header says {rows} rows of {columns} columns, but {found} bytes follow; the file is truncated or damaged"
    )]
    NpyLength {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// Number of bytes of the elements.
        found: usize,
    },
    /// Labels have more than one column.
    #[error("labels are one column, but this array has {rows} rows of {columns} columns")]
    LabelShape {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// There are too few or too many labels.
    #[error("it has {labels} labels, but the data have {rows} rows; give one label for each row")]
    LabelCount {
        /// Number of labels.
        labels: usize,
        /// Number of rows.
        rows: usize,
    },
    /// The format does not have columns that can be chosen.
    #[error(
        "{option} names a column of a CSV or .npy file, but these data are not in such a file; omit it, or convert them"
    )]
    NoColumns {
        /// The option.
        option: &'static str,
    },
}

/// The likely cause of too few or too many fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaggedCause {
    /// A field goes over more than one line.
    #[error("; a quotation mark before it is not closed")]
    OpenQuote,
    /// The file ends in this row.
    #[error("; the file ends here, so download it again if it is truncated")]
    Truncation,
    /// Any other.
    #[error("; complete the row, and quote fields that contain a separator")]
    Unknown,
}

fn listed(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(LISTED_MAX));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", shown(&first.join(", ")))
}

impl fmt::Display for Place {
    /// Writes what follows the name of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => Ok(()),
            Self::Line(line) => write!(f, ", line {line}"),
            Self::Field { line, column } => write!(f, ", line {line}, column `{}`", shown(column)),
            Self::Element { row, column } => write!(f, ", row {row}, column {column}"),
        }
    }
}
