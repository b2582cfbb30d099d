//! Rows of a file, before labels are interpreted.

use super::columns::{Columns, Selection};
use super::data::Dataset;
use super::error::DatasetError;
use super::labels::{Labelling, Labels};
use super::owners::Owners;
use super::preparation::Preparation;
use super::rows::Rows;
use super::texts::Texts;

/// Rows with labels and owners as in the file.
#[derive(Default)]
pub(super) struct Table {
    pub rows: Rows,
    /// Empty if the table has no labels.
    pub labels: Texts,
    /// Empty if no column says who owns a row.
    pub owners: Texts,
    /// Names of the features; empty if the columns are in the order of the file.
    pub names: Vec<String>,
    /// Name of the column of the labels.
    pub label: Option<String>,
    /// Name of the column of the owners.
    pub owner: Option<String>,
}

impl Table {
    /// Creates a table without rows.
    pub(super) fn new(columns: &Columns<'_>, selection: &Selection) -> Self {
        let name = |column: usize| columns.names[column].clone();
        let Selection { features, label, owner } = selection;
        // Numbers in their order say nothing.
        let is_plain = !columns.has_header && features.iter().copied().eq(0..features.len());
        Self {
            names: if is_plain { vec![] } else { features.iter().copied().map(name).collect() },
            label: label.map(name),
            owner: owner.map(name),
            ..Self::default()
        }
    }

    /// Appends the row at `line`. `number` returns the value of a column, `text` that of a label or owner.
    pub(super) fn push_row<E, T: AsRef<str>>(
        &mut self,
        selection: &Selection,
        line: usize,
        number: impl Fn(usize) -> Result<f64, E>,
        text: impl Fn(usize) -> Result<T, E>,
    ) -> Result<(), E> {
        for (k, &column) in (0..).zip(&selection.features) {
            self.rows.push(k, number(column)?);
        }
        self.rows.end_row();
        let roles = [(selection.label, &mut self.labels), (selection.owner, &mut self.owners)];
        for (column, texts) in roles {
            if let Some(column) = column {
                texts.push(text(column)?.as_ref(), line);
            }
        }
        Ok(())
    }
}

impl Dataset {
    /// Interprets the labels of a table.
    pub(super) fn of(name: &str, table: Table, labels: Labels) -> Result<Self, DatasetError> {
        let labelling = labels.read(name, table.label.as_deref(), &table.labels)?;
        Ok(Self::labelled(name, table, labelling))
    }

    /// Gives the rows of a table interpreted labels.
    pub(super) fn labelled(name: &str, table: Table, labelling: Labelling) -> Self {
        let Table { rows, labels: _, owners, names, label, owner } = table;
        let owners = owner.as_ref().map(|_| Owners::read(&owners));
        let preparation = Preparation { names, label, owner, ..Preparation::of(rows.dimension) };
        Self { name: name.into(), rows, labelling, owners, preparation, is_synthetic: false }
    }
}
