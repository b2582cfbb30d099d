//! Interpretation of the labels of a data set.

use super::error::DatasetError;
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
    /// Number of classes, 0 for targets.
    pub class_count: u8,
}

impl Labels {
    /// Interprets the labels of the data set `name`.
    pub(super) fn read(self, name: &str, labels: Vec<f64>) -> Result<Labelling, DatasetError> {
        if self == Self::Real {
            return Ok(Labelling { values: labels, class_count: 0 });
        }
        let mut classes = labels.clone();
        classes.sort_by(f64::total_cmp);
        classes.dedup();
        let (name, count) = (name.to_owned(), classes.len());
        match (self, count) {
            (Self::Binary, 2) | (Self::Classes, 2..=CLASSES_MAX) => {}
            (Self::Binary, _) => return Err(DatasetError::Labels { name, count }),
            _ => return Err(DatasetError::Classes { name, count }),
        }
        let class = |label: f64| classes.partition_point(|&class| class < label) as f64;
        let values = labels.into_iter().map(class).collect();
        Ok(Labelling { values, class_count: count as u8 })
    }
}
