//! Loading: bundled sets, generated functions, files.

use super::bundled;
use super::data::Dataset;
use super::error::DatasetError;
use super::labels::Labels;
use super::quadratics::{self, Quadratics};
use crate::units::shown::shown;
use crate::units::text::{self, Limits, TextError};
use std::io;
use std::path::Path;
use std::str::FromStr;

/// Limits on files: data for boards are far smaller, and a row with all features has a few megabytes.
const LIMITS: Limits = Limits { len: 512 << 20, line_len: 16 << 20 };

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
                Err(DatasetError::Unknown { known: bundled::names(), name })
            }
            Err(source) => Err(DatasetError::Text { path: name, source }),
        }
    }
}
