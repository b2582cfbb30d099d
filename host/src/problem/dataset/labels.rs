//! Interpretation of the labels of a data set.

use super::error::DatasetError;
use super::texts::Texts;
use smidgen_firmware::softmax::CLASSES_MAX;
use std::ops::RangeInclusive;

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
    /// Interprets the labels of the data set `name`, which has them in `column`.
    pub(super) fn read(
        self,
        name: &str,
        column: Option<&str>,
        labels: &Texts,
    ) -> Result<Labelling, DatasetError> {
        let (name, column) = (|| name.to_owned(), || column.map(Into::into));
        match self {
            Self::Real => {
                let target = |(line, text)| DatasetError::Target { name: name(), line, text };
                Ok(Labelling { values: labels.numbers().map_err(target)?, classes: Vec::new() })
            }
            Self::Binary => numbered(labels, 2..=2, |count| DatasetError::Labels {
                name: name(),
                column: column(),
                count,
            }),
            Self::Classes => numbered(labels, 2..=CLASSES_MAX, |count| DatasetError::Classes {
                name: name(),
                column: column(),
                count,
            }),
        }
    }
}

/// Numbers the classes of labels, if their number is legal.
fn numbered(
    labels: &Texts,
    legal: RangeInclusive<usize>,
    refusal: impl FnOnce(usize) -> DatasetError,
) -> Result<Labelling, DatasetError> {
    let (classes, ranks) = labels.ranked();
    if !legal.contains(&classes.len()) {
        return Err(refusal(classes.len()));
    }
    Ok(Labelling { values: ranks.into_iter().map(f64::from).collect(), classes })
}
