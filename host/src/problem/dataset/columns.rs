//! The columns of a table, and what each is for.

use super::defect::{Defect, Place};
use super::error::DatasetError;
use super::preparation::Preparation;
use super::rows::DIMENSION_MAX;
use std::ffi::OsStr;

/// Columns that are not features, as a user names them: by the header, or by number from 1 if there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Roles<'a> {
    /// The column of the labels, or for a `.npy` file the path of another one with them.
    pub label: Option<&'a OsStr>,
    /// The column of the owners of rows.
    pub owner: Option<&'a str>,
}

/// Where the labels of a table are.
#[derive(Clone, Copy, Debug)]
pub(super) enum LabelColumn<'a> {
    /// In the column called label, class or target; otherwise in the last one.
    Default,
    /// In this column.
    Named(&'a str),
    /// In another file.
    Elsewhere,
}

/// The columns of a table.
pub(super) struct Columns<'a> {
    /// Name of the table, for messages.
    pub table: &'a str,
    /// Their names; numbers from 1 if the table has no header.
    pub names: Vec<String>,
    /// True if the table has a header.
    pub has_header: bool,
}

/// Places of the columns in use, from 0.
pub(super) struct Selection {
    pub features: Vec<usize>,
    pub label: Option<usize>,
    pub owner: Option<usize>,
}

/// Names by which a label column is recognised, in lower case.
const LABELS: [&str; 3] = ["label", "class", "target"];

fn is_label(name: &str) -> bool {
    LABELS.contains(&name.to_lowercase().as_str())
}

impl Columns<'_> {
    /// Selects columns to train on: all columns without a role are features.
    pub(super) fn select(
        &self,
        label: LabelColumn<'_>,
        owner: Option<&str>,
    ) -> Result<Selection, DatasetError> {
        let owner = owner.map(|name| self.find(name)).transpose()?;
        let label = match label {
            LabelColumn::Named(name) => Some(self.find(name)?),
            LabelColumn::Default => Some(self.default_label(owner)?),
            LabelColumn::Elsewhere => None,
        };
        if let (Some(owner), Some(label)) = (owner, label)
            && owner == label
        {
            return Err(self.refuse(Defect::TwoRoles(self.names[label].clone())));
        }
        let features = self.others(label, owner);
        match features.len() {
            0 => Err(self.refuse(Defect::NoFeatures)),
            1..=DIMENSION_MAX => Ok(Selection { features, label, owner }),
            count => Err(self.refuse(Defect::Wide(count))),
        }
    }

    /// Selects the columns of a preparation, that of the labels if it is there, and that of the owners if it is named.
    pub(super) fn select_prepared(
        &self,
        preparation: &Preparation,
        label: LabelColumn<'_>,
        owner: Option<&str>,
    ) -> Result<Selection, DatasetError> {
        let owner = owner.map(|name| self.find(name)).transpose()?;
        let Preparation { column_count, names, .. } = preparation;
        let is_default = matches!(label, LabelColumn::Default);
        let label = match label {
            LabelColumn::Named(name) => Some(self.find(name)?),
            LabelColumn::Elsewhere => None,
            LabelColumn::Default => preparation.label.as_ref().and_then(|name| self.position(name)),
        };
        let are_numbers = names.iter().all(|name| name.parse::<usize>().is_ok());
        // A header has no numbers for names, so one of both is of another kind of file.
        if !names.is_empty() && self.has_header != are_numbers {
            let features = names.iter().map(|name| self.find(name));
            let features = features.collect::<Result<Vec<_>, _>>()?;
            return Ok(Selection { features, label, owner });
        }
        let label = match label {
            None if is_default
                && self.names.len() == column_count + usize::from(owner.is_some()) + 1 =>
            {
                Some(self.default_label(owner)?)
            }
            label => label,
        };
        let features = self.others(label, owner);
        preparation.check_width(self.table, features.len())?;
        Ok(Selection { features, label, owner })
    }

    /// Returns the columns that have no role.
    fn others(&self, label: Option<usize>, owner: Option<usize>) -> Vec<usize> {
        let is_other = |column: &usize| Some(*column) != label && Some(*column) != owner;
        (0..self.names.len()).filter(is_other).collect()
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    /// Returns whether a column is recognised as that of the labels by its name.
    pub(super) fn have_label(&self) -> bool {
        self.names.iter().any(|name| is_label(name))
    }

    fn find(&self, name: &str) -> Result<usize, DatasetError> {
        self.position(name).ok_or_else(|| {
            let name = name.into();
            self.refuse(match self.has_header {
                true => Defect::UnknownColumn { name, known: self.names.clone() },
                false => Defect::UnknownNumber { name, count: self.names.len() },
            })
        })
    }

    fn default_label(&self, owner: Option<usize>) -> Result<usize, DatasetError> {
        let others = self.others(None, owner);
        let mut named = others.iter().copied().filter(|&column| is_label(&self.names[column]));
        match (named.next(), named.next()) {
            (Some(one), Some(other)) => {
                let [one, other] = [one, other].map(|column| self.names[column].clone());
                Err(self.refuse(Defect::TwoLabels(one, other)))
            }
            (Some(one), None) => Ok(one),
            (None, _) => others.last().copied().ok_or_else(|| self.refuse(Defect::NoFeatures)),
        }
    }

    fn refuse(&self, defect: Defect) -> DatasetError {
        defect.of(self.table, Place::Table)
    }
}
