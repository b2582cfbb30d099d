//! The model of a run as a file, `model.json`. `docs/model.md` describes its fields.

mod input;
mod lines;

pub use input::Input;
use input::Kind;
use lines::Lines;

use super::error::{RecordError, place, replace_file};
use super::names::MODEL;
use crate::options::{Choice, Method, Objective, Regulariser};
use crate::problem::dataset::Labels;
use crate::units::files;
use crate::units::shown::shown;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::ser::Serializer;
use smidgen_aggregator::{InitialModel, value};
use smidgen_firmware::softmax::CLASSES_MAX;
use smidgen_protocol::vector::{Exponent, MANTISSA_MAX};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Version of the format. A change that an older reader would misunderstand increments it.
pub const SCHEMA: u32 = 1;

/// Length of the largest file that is read: far more than the largest model has.
const LEN_MAX: u64 = 512 << 20;

/// A trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Version of the format, [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub smidgen: String,
    /// The objective that it minimises.
    pub objective: Objective,
    /// Names of the classes, by their numbers; empty for real targets.
    pub classes: Vec<String>,
    /// What turns a row of the user into the features of the objective.
    pub input: Input,
    /// The regulariser.
    pub regulariser: Regulariser,
    /// Weight λ of the regulariser.
    pub lambda: f64,
    /// The training method.
    pub method: Method,
    /// Its round.
    pub round: u32,
    /// Which of the models of a run it is.
    pub iterate: Iterate,
    /// f(x), if it is known and finite.
    pub loss: Option<f64>,
    /// Digest of the run up to its round, 16 hexadecimal digits.
    pub transcript: String,
    /// The rows that it was trained on.
    pub dataset: DatasetRecord,
    /// Dimension d, the number of coordinates.
    pub dimension: u32,
    /// Exponent of the mantissas: coordinate k is `mantissas[k] · 2^(−exponent)`.
    pub exponent: Exponent,
    /// The coordinates, exactly as boards hold them.
    pub mantissas: Vec<i32>,
    /// The same coordinates as real numbers.
    pub values: Vec<f64>,
}

/// Which of the models of a run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Iterate {
    /// The one with the least objective of all rounds in which the host knows that.
    Best,
    /// That of the last closed round, whose objective is not known.
    Last,
}

/// The rows that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Name of a bundled set, or file name.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
    /// CRC-64 of the rows as they were sent to the workers, 16 hexadecimal digits.
    pub checksum: String,
}

/// Reasons why a model cannot be read.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The directory has none.
    #[error(
        "{} contains no {MODEL}: no round of its run was closed, or an older smidgen wrote it; name another run, or \
         the file of a model",
        shown(.0)
    )]
    None(PathBuf),
    /// The file cannot be read.
    #[error(
        "cannot read the model {}: {source}; name the directory of a run, or its {MODEL}",
        shown(path)
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a model.
    #[error(
        "{}, line {line}: {reason}; the file is damaged, or not the {MODEL} of a run",
        shown(path)
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// Another version wrote it.
    #[error(
        "{} has version {schema} of the format of models, but this smidgen reads version {SCHEMA}; use the smidgen \
         that wrote it, or train again",
        shown(path)
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version.
        schema: u64,
    },
    /// A newer version added a name.
    #[error(
        "{} has the {field} `{}`, which this smidgen does not know: a newer one wrote it (its version is {}); use that \
         one, or train again",
        shown(path),
        shown(name),
        shown(version)
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// The unknown name.
        name: String,
        /// Version of the program that wrote it.
        version: String,
    },
    /// This program does not have its objective.
    #[error(
        "{} has the objective `{}`, which this program does not know: it knows {known}; use the program that trained \
         it, or a newer smidgen",
        shown(path),
        shown(name)
    )]
    Objective {
        /// The file.
        path: PathBuf,
        /// The unknown name.
        name: String,
        /// The known names.
        known: String,
    },
    /// Its fields contradict each other.
    #[error(
        "{} contradicts itself: {flaw}; it was edited or is damaged, so train again",
        shown(path)
    )]
    Flawed {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        flaw: Flaw,
    },
}

/// Contradictions in a model.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Flaw {
    /// A list has another length than the dimension.
    #[error("it has {len} {name} but dimension {dimension}")]
    Length {
        /// The list.
        name: &'static str,
        /// Its length.
        len: usize,
        /// The dimension.
        dimension: u32,
    },
    /// The dimension is not that of the objective.
    #[error(
        "{objective} with {features} features and {classes} classes has {needed} coordinates, not {dimension}"
    )]
    Dimension {
        /// Name of the objective.
        objective: &'static str,
        /// Number of features.
        features: usize,
        /// Number of classes.
        classes: usize,
        /// The dimension of such a model.
        needed: usize,
        /// The dimension of this one.
        dimension: u32,
    },
    /// A coordinate differs from its mantissa, or is out of range.
    #[error("value {0} is not that of its mantissa and the exponent")]
    Value(usize),
    /// The objective cannot have these classes.
    #[error("{objective} cannot have {count} classes")]
    ClassCount {
        /// Name of the objective.
        objective: &'static str,
        /// Number of classes.
        count: usize,
    },
    /// Two classes have the same name.
    #[error("two classes have the same name")]
    SameClasses,
    /// Layers are missing, or have another number of inputs.
    #[error("the layers of its input are not those of its columns")]
    Layers,
    /// The columns are too many or none, or names or scales are missing.
    #[error("the columns of its input have no valid names or scales")]
    Columns,
    /// A field of the windows is invalid.
    #[error("the windows of its input have no valid {0}")]
    Windows(&'static str),
}

/// The fields by which the version is recognised.
#[derive(Deserialize)]
struct Head {
    schema: u64,
}

/// The field with the name of the objective.
const OBJECTIVE: &str = "objective";

/// The fields to whose names newer versions may add.
#[derive(Deserialize)]
struct Names {
    smidgen: String,
    objective: String,
    input: Tag,
    regulariser: String,
    method: String,
    iterate: String,
}

/// The tag of an [`Input`].
#[derive(Deserialize)]
struct Tag {
    kind: String,
}

impl Names {
    /// Returns the first field with an unknown name.
    fn unknown(self) -> Option<(&'static str, String)> {
        fn is_known<T: DeserializeOwned>(name: &str) -> bool {
            serde_json::from_value::<T>(name.into()).is_ok()
        }
        [
            (OBJECTIVE, is_known::<Objective>(&self.objective), self.objective),
            ("kind of input", is_known::<Kind>(&self.input.kind), self.input.kind),
            ("regulariser", is_known::<Regulariser>(&self.regulariser), self.regulariser),
            ("method", is_known::<Method>(&self.method), self.method),
            ("iterate", is_known::<Iterate>(&self.iterate), self.iterate),
        ]
        .into_iter()
        .find_map(|(field, is_known, name)| (!is_known).then_some((field, name)))
    }
}

impl Model {
    /// Reads the model at `path`, a file or the directory of a run.
    ///
    /// # Errors
    /// If there is none, or it is not whole, or another version wrote it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let file = Self::file(path);
        if path.is_dir() && !file.exists() {
            return Err(ModelError::None(path.into()));
        }
        let unreadable = |source| ModelError::Unreadable { path: file.clone(), source };
        let len = files::open(&file).and_then(|file| file.metadata()).map_err(unreadable)?.len();
        if len > LEN_MAX {
            let source = io::Error::other(format!("it has more than {LEN_MAX} bytes"));
            return Err(ModelError::Unreadable { path: file.clone(), source });
        }
        Self::parse(&files::read(&file).map_err(unreadable)?, &file)
    }

    /// Returns the file of the model at `path`, a file or the directory of a run.
    pub fn file(path: &Path) -> PathBuf {
        if path.is_dir() { path.join(MODEL) } else { path.into() }
    }

    /// Refuses a run in the directory `out` that builds on the model at `path`, if it would replace it.
    ///
    /// # Errors
    /// If it would.
    pub fn check_kept(path: &Path, out: &Path) -> Result<(), RecordError> {
        match files::is_same(&Self::file(path), &out.join(MODEL)) {
            true => Err(RecordError::Origin(out.into())),
            false => Ok(()),
        }
    }

    /// Parses the bytes of a file; `path` is only for messages.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let syntax = |error: serde_json::Error| {
            let (path, line, reason) = place(path, error.line(), &error);
            ModelError::Syntax { path, line, reason }
        };
        let Head { schema } = serde_json::from_slice(bytes).map_err(syntax)?;
        if schema != u64::from(SCHEMA) {
            return Err(ModelError::Schema { path: path.into(), schema });
        }
        let model: Self = serde_json::from_slice(bytes)
            .map_err(|error| newer(bytes, path).unwrap_or_else(|| syntax(error)))?;
        model.check().map_err(|flaw| ModelError::Flawed { path: path.into(), flaw })?;
        Ok(model)
    }

    /// Writes the model to the directory of a run, atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), RecordError> {
        replace_file(&directory.join(MODEL), &self.to_json())
    }

    /// Returns the content of its file: a line per field.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, Lines::default());
        self.serialize(&mut serializer).expect("models have no keys but strings");
        text.push(b'\n');
        text
    }

    /// Returns it as the initial model of a run.
    pub fn initial(&self) -> InitialModel {
        InitialModel::Given { mantissas: self.mantissas.clone(), exponent: self.exponent }
    }

    fn check(&self) -> Result<(), Flaw> {
        let dimension = self.dimension;
        for (name, len) in [("mantissas", self.mantissas.len()), ("values", self.values.len())] {
            if len != dimension as usize {
                return Err(Flaw::Length { name, len, dimension });
            }
        }
        self.check_classes()?;
        self.check_input()?;
        let (objective, classes) = (self.objective.name(), self.classes.len());
        let features = self.input.preparation().dimension();
        let needed = self.objective.dimension(features, classes as u8);
        if needed != dimension as usize {
            return Err(Flaw::Dimension { objective, features, classes, needed, dimension });
        }
        let pairs = self.mantissas.iter().zip(&self.values);
        let differs = |(mantissa, real): (&i32, &f64)| {
            *mantissa < -MANTISSA_MAX || value(f64::from(*mantissa), self.exponent) != *real
        };
        match pairs.map(differs).position(|differs| differs) {
            Some(index) => Err(Flaw::Value(index)),
            None => Ok(()),
        }
    }

    fn check_classes(&self) -> Result<(), Flaw> {
        let (objective, count) = (self.objective.name(), self.classes.len());
        let is_possible = match self.objective.info().labels {
            Labels::Real => count == 0,
            Labels::Binary => count == 2,
            Labels::Classes => (2..=CLASSES_MAX).contains(&count),
        };
        if !is_possible {
            return Err(Flaw::ClassCount { objective, count });
        }
        let distinct: HashSet<&String> = self.classes.iter().collect();
        if distinct.len() == count { Ok(()) } else { Err(Flaw::SameClasses) }
    }

    fn check_input(&self) -> Result<(), Flaw> {
        if let Some(field) = self.input.invalid_window_field() {
            return Err(Flaw::Windows(field));
        }
        match (self.input.has_valid_columns(), self.input.has_valid_layers()) {
            (false, _) => Err(Flaw::Columns),
            (true, false) => Err(Flaw::Layers),
            (true, true) => Ok(()),
        }
    }
}

/// Returns the error of a file with a name that a newer version added.
fn newer(bytes: &[u8], path: &Path) -> Option<ModelError> {
    let names: Names = serde_json::from_slice(bytes).ok()?;
    let version = names.smidgen.clone();
    let (path, (field, name)) = (path.to_path_buf(), names.unknown()?);
    Some(match field {
        OBJECTIVE => {
            let known = Objective::listed("and", |_| true);
            ModelError::Objective { path, name, known }
        }
        field => ModelError::Newer { path, field, name, version },
    })
}

#[cfg(test)]
mod tests;
