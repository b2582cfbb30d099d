//! Interpretation of the labels of a data set.

use super::error::DatasetError;
use super::texts::Texts;
use smidgen_firmware::softmax::CLASSES_MAX;

/// Interpretation of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Two classes, with 1 for the positive one, which has the larger label. Digits are odd or even.
    Binary,
    /// Classes, numbered from 0 in the order of their labels.
    Classes,
    /// Real targets, as in the file.
    Real,
}

/// The interpreted labels of rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labelling {
    /// Class or target of each row.
    pub values: Vec<f64>,
    /// Labels of the classes as in the file, by their numbers; empty for targets.
    pub classes: Vec<String>,
}

impl Labels {
    /// Interprets the labels of the data set `name`.
    pub(super) fn read(self, name: &str, labels: &Texts) -> Result<Labelling, DatasetError> {
        if self == Self::Real {
            let values = labels.numbers().map_err(|(line, text)| DatasetError::Target {
                name: name.into(),
                line,
                text,
            })?;
            return Ok(Labelling { values, classes: Vec::new() });
        }
        let (classes, ranks) = labels.ranked();
        let (name, count) = (name.to_owned(), classes.len());
        match (self, count) {
            (Self::Binary, 2) | (Self::Classes, 2..=CLASSES_MAX) => {}
            (Self::Binary, _) => return Err(DatasetError::Labels { name, count }),
            _ => return Err(DatasetError::Classes { name, count }),
        }
        Ok(Labelling { values: ranks.into_iter().map(f64::from).collect(), classes })
    }
}
