//! What turns a row of a file into the features of a model.

use super::defect::{Defect, Place};
use super::error::DatasetError;
use super::layer::FrozenLayer;
use super::windows::Windows;
use serde::{Deserialize, Serialize};

/// What turns a row of a file into the features of a model, in this order: columns are chosen, scaled, and put
/// through the layers; then the constant of the intercept is appended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Number of columns that are features.
    pub column_count: usize,
    /// Their names in the order of the features, by which another file is read. A file without a header has numbers
    /// instead, from 1. If empty, the features are all columns in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The scaling of each column (`--standardise`, `--scale-columns`, or that of a bundled set); if empty, values stay
    /// as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<Scaling>,
    /// Layers of hidden units (`--features-from`), each with those before it as inputs; if empty, columns are features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<FrozenLayer>,
    /// True if a last feature is 1 in every row (`--intercept`).
    #[serde(default)]
    pub intercept: bool,
    /// Name of the column of the labels; absent if they are elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Name of the column that says which worker owns a row (`--split by=COLUMN`); it is not a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How windows of time series become the columns; absent if the columns are those of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

/// The scaling of a column: (value − centre) / scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Subtracted from a value.
    pub centre: f64,
    /// Divides the difference; not 0.
    pub scale: f64,
}

impl Scaling {
    /// Returns the scaled value.
    pub fn apply(self, value: f64) -> f64 {
        (value - self.centre) / self.scale
    }
}

/// Writes the entries of a row to `values`. Columns beyond them are ignored.
pub(super) fn dense(entries: impl Iterator<Item = (usize, f64)>, values: &mut [f64]) {
    values.fill(0.0);
    for (column, value) in entries {
        if let Some(place) = values.get_mut(column) {
            *place = value;
        }
    }
}

impl Preparation {
    /// Uses this number of columns as they are.
    pub(super) fn of(column_count: usize) -> Self {
        Self { column_count, ..Self::default() }
    }

    /// Uses rows of windows, scaled by powers of two with these bits.
    pub fn of_windows(windows: Windows, bits: &[u8]) -> Self {
        let scaling = |&bits: &u8| Scaling { centre: 0.0, scale: f64::from(bits).exp2() };
        Self {
            names: windows.column_names(),
            scaling: bits.iter().map(scaling).collect(),
            windows: Some(windows),
            ..Self::of(bits.len())
        }
    }

    /// Refuses the data set `name` if it does not have this number of columns.
    pub(super) fn check_width(&self, name: &str, found: usize) -> Result<(), DatasetError> {
        let expected = self.column_count;
        if found != expected {
            return Err(Defect::Features { found, expected }.of(name, Place::Table));
        }
        Ok(())
    }

    /// Returns the number of features of a prepared row.
    pub fn dimension(&self) -> usize {
        self.widths().last().unwrap_or(0) + usize::from(self.intercept)
    }

    /// Returns the number of columns, then the number of units of each layer.
    pub fn widths(&self) -> impl Iterator<Item = usize> {
        let units = self.layers.iter().scan(self.column_count, |inputs, layer| {
            *inputs = layer.units(*inputs);
            Some(*inputs)
        });
        std::iter::once(self.column_count).chain(units)
    }

    /// Returns whether features are the values of the columns as they are, besides an intercept.
    pub(super) fn keeps_values(&self) -> bool {
        self.scaling.is_empty() && self.layers.is_empty()
    }

    /// Returns whether a column is shifted.
    pub(super) fn is_shifted(&self) -> bool {
        self.scaling.iter().any(|scaling| scaling.centre != 0.0)
    }

    /// Returns the bits of the columns if their scales are those of boards: powers of two, without a shift.
    pub fn bits(&self) -> Option<Vec<u8>> {
        let bits = |&Scaling { centre, scale }: &Scaling| {
            (0u8..16).find(|&bits| centre == 0.0 && scale == f64::from(bits).exp2())
        };
        let is_plain =
            !self.intercept && self.layers.is_empty() && self.scaling.len() == self.column_count;
        self.scaling.iter().map(bits).collect::<Option<Vec<_>>>().filter(|_| is_plain)
    }

    /// Returns the features of a row from columns and values of its entries. Columns that are missing count as 0, as
    /// in a sparse format; others are ignored.
    pub fn features(&self, entries: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
        let mut features = vec![0.0; self.column_count];
        dense(entries, &mut features);
        features.iter_mut().zip(&self.scaling).for_each(|(value, scaling)| {
            *value = scaling.apply(*value);
        });
        let mut features = self.layers.iter().fold(features, |input, layer| layer.apply(&input));
        features.extend(self.intercept.then_some(1.0));
        features
    }
}
