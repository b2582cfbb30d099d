//! Loading: bundled sets, generated functions, files.

use super::columns::{Columns, LabelColumn, Roles, Selection};
use super::data::Dataset;
use super::defect::{Defect, Place};
use super::error::DatasetError;
use super::labels::Labels;
use super::preparation::Preparation;
use super::quadratics::{self, Quadratics};
use super::table::Table;
use super::{bundled, csv, libsvm, npy};
use crate::units::shown::shown;
use crate::units::text::{self, Limits, MARK, TextError};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

/// Limits on files: data for boards are far smaller, and a row with all features has a few megabytes.
pub(super) const LIMITS: Limits = Limits { len: 512 << 20, line_len: 16 << 20 };

impl Dataset {
    /// Loads the bundled set of this name, or the file at this path, with two classes.
    pub fn load(name_or_path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        Self::load_with(name_or_path, Labels::Binary)
    }

    /// Like [`load`](Self::load), with labels of any kind, and also generated problems, see `quadratics`.
    pub fn load_with(name_or_path: impl AsRef<Path>, labels: Labels) -> Result<Self, DatasetError> {
        let raw = Self::load_raw(name_or_path, labels, Roles::default())?;
        let preparation = raw.preparation.clone();
        Ok(raw.prepared(&preparation))
    }

    /// Like [`load_with`](Self::load_with), with columns of a file that are not features. The rows of a bundled set
    /// are not yet scaled as its preparation says.
    pub fn load_raw(
        name_or_path: impl AsRef<Path>,
        labels: Labels,
        roles: Roles<'_>,
    ) -> Result<Self, DatasetError> {
        // A name that needs escaping is not one of a bundled set.
        let (path, name) = (name_or_path.as_ref(), shown(name_or_path.as_ref()).to_string());
        if Self::is_built_in(path) {
            roles.refuse(&name)?;
        }
        if let Some(set) = bundled::find(&name) {
            return set.load(labels);
        }
        match name.strip_prefix(quadratics::PREFIX).map(Quadratics::from_str) {
            Some(Ok(quadratics)) => quadratics.dataset(&name, labels),
            Some(Err(source)) => Err(DatasetError::Quadratics { name, source }),
            None => {
                let table = Content::read(path, &name)?.table(&name, roles)?;
                Self::of(&name, table, labels)
            }
        }
    }

    /// Interprets the content of a file like [`load_raw`](Self::load_raw).
    pub fn of_bytes(
        name: &str,
        bytes: &[u8],
        labels: Labels,
        roles: Roles<'_>,
    ) -> Result<Self, DatasetError> {
        Self::of(name, Content::of(bytes, name)?.table(name, roles)?, labels)
    }

    /// Returns whether data of this name are bundled or generated.
    pub fn is_built_in(name: &Path) -> bool {
        let name = name.to_str().unwrap_or_default();
        bundled::find(name).is_some() || name.starts_with(quadratics::PREFIX)
    }
}

impl Roles<'_> {
    /// Refuses roles for data without columns to choose from.
    pub(super) fn refuse(self, name: &str) -> Result<(), DatasetError> {
        let given = self.label.map(|_| "--label").or(self.owner.map(|_| "--split by=COLUMN"));
        given.map_or(Ok(()), |option| Err(Defect::NoColumns { option }.of(name, Place::Table)))
    }
}

/// The content of a file, by its format.
pub(super) enum Content {
    Libsvm(String),
    Csv(String),
    Npy(Vec<u8>),
}

impl Content {
    /// Opens and reads a file.
    pub(super) fn read(path: &Path, name: &str) -> Result<Self, DatasetError> {
        match File::open(path) {
            Ok(file) => Self::of(file, name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(DatasetError::Unknown { known: bundled::names(), name: name.into() })
            }
            Err(error) => Err(unreadable(name, error)),
        }
    }

    /// Reads the content of a file that messages call `name`.
    pub(super) fn of(mut file: impl Read, name: &str) -> Result<Self, DatasetError> {
        let mut start = Vec::new();
        let magic = (&mut file).take(npy::MAGIC.len() as u64).read_to_end(&mut start);
        magic.map_err(|error| unreadable(name, error))?;
        let file = start.chain(file);
        if start == npy::MAGIC {
            return read_bytes(file, name).map(Self::Npy);
        }
        let text = text::read_from(file, LIMITS)
            .map_err(|source| DatasetError::Text { path: name.into(), source })?;
        Ok(match is_csv(name, &text) {
            true => Self::Csv(text),
            false => Self::Libsvm(text),
        })
    }

    /// Parses the rows of a data set to train on.
    fn table(&self, name: &str, roles: Roles<'_>) -> Result<Table, DatasetError> {
        if let Self::Libsvm(_) = self {
            roles.refuse(name)?;
        }
        self.parse(name, roles.label, |columns, label| columns.select(label, roles.owner))
    }

    /// Parses the rows of a data set with the columns of a preparation.
    pub(super) fn columns(
        &self,
        name: &str,
        preparation: &Preparation,
        roles: Roles<'_>,
    ) -> Result<Table, DatasetError> {
        if let Self::Libsvm(_) = self {
            roles.refuse(name)?;
        }
        let mut table = self.parse(name, roles.label, |columns, label| {
            columns.select_prepared(preparation, label, roles.owner)
        })?;
        // In LIBSVM format the last columns may have no entries.
        if table.rows.dimension > preparation.column_count {
            preparation.check_width(name, table.rows.dimension)?;
        }
        table.rows.dimension = preparation.column_count;
        Ok(table)
    }

    fn parse(
        &self,
        name: &str,
        label: Option<&OsStr>,
        select: impl FnOnce(&Columns<'_>, LabelColumn<'_>) -> Result<Selection, DatasetError>,
    ) -> Result<Table, DatasetError> {
        let text = label.map(|label| shown(label).to_string());
        let column = text.as_deref().map_or(LabelColumn::Default, LabelColumn::Named);
        match self {
            Self::Libsvm(text) => libsvm::parse(name, text),
            Self::Csv(text) => csv::parse(name, text, |columns| select(columns, column)),
            Self::Npy(bytes) => match label.and_then(label_file) {
                None => npy::parse(name, bytes, |columns| select(columns, column)),
                Some(path) => {
                    let select = |columns: &Columns<'_>| select(columns, LabelColumn::Elsewhere);
                    let mut table = npy::parse(name, bytes, select)?;
                    let name = shown(path).to_string();
                    let file = File::open(path).map_err(|error| unreadable(&name, error))?;
                    table.read_labels(&name, &read_bytes(file, &name)?)?;
                    Ok(table)
                }
            },
        }
    }
}

/// Returns whether a text has fields with separators.
fn is_csv(name: &str, text: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    let is_named = ["csv", "tsv"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    if is_named {
        return true;
    }
    let line = csv::first_line(text.trim_start_matches(MARK));
    let mut features = line.split_whitespace().skip(1).peekable();
    if features.peek().is_some() && features.all(|feature| feature.contains(':')) {
        return false;
    }
    csv::separator(line).is_some()
}

/// Returns the path of the file that `--label` names, if it does not name a column.
pub fn label_file(label: &OsStr) -> Option<&Path> {
    let path = Path::new(label);
    let extension = path.extension()?;
    extension.eq_ignore_ascii_case("npy").then_some(path)
}

fn read_bytes(file: impl Read, name: &str) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    let read = file.take(LIMITS.len + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(name, error))?;
    if bytes.len() as u64 > LIMITS.len {
        return Err(DatasetError::Text { path: name.into(), source: TextError::Long(LIMITS.len) });
    }
    Ok(bytes)
}

fn unreadable(name: &str, error: io::Error) -> DatasetError {
    DatasetError::Text { path: name.into(), source: error.into() }
}
