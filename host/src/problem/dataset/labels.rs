//! Interpretation of the labels of a data set.

use super::error::DatasetError;
use super::texts::{Texts, finite, is_exact};
pub use crate::objective::Labels;
use smidgen_firmware::softmax::CLASSES_MAX;
use std::ops::RangeInclusive;

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

impl Labels {
    /// Interprets the labels of the data set `name`, with the classes of a model.
    pub(super) fn read_as(
        self,
        name: &str,
        classes: &[String],
        labels: &Texts,
    ) -> Result<Labelling, DatasetError> {
        match self {
            Self::Real => self.read(name, None, labels),
            Self::Binary | Self::Classes => {
                let (found, ranks) = labels.ranked();
                let values = ranks.into_iter().map(f64::from).collect();
                Labelling { values, classes: found }.renumbered(name, classes)
            }
        }
    }
}

impl Labelling {
    /// Numbers the classes, if there are any, as a model does.
    pub(super) fn renumbered(
        mut self,
        name: &str,
        classes: &[String],
    ) -> Result<Self, DatasetError> {
        let number = |class: &String| {
            class_number(classes, class).ok_or_else(|| DatasetError::UnknownClass {
                name: name.into(),
                class: class.clone(),
                known: classes.join(", "),
            })
        };
        let numbers = self.classes.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        if !numbers.is_empty() {
            self.values.iter_mut().for_each(|label| *label = numbers[*label as usize] as f64);
            self.classes = classes.to_vec();
        }
        Ok(self)
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

/// Returns the number of the class with this label: the same text, or an equal number.
pub fn class_number(classes: &[String], label: &str) -> Option<usize> {
    let is_equal = |class: &String| {
        finite(class).is_some_and(|class| is_exact(class) && Some(class) == finite(label))
    };
    let by_text = classes.iter().position(|class| class == label);
    by_text.or_else(|| classes.iter().position(is_equal))
}
