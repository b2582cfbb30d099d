//! Rows with labels.

use super::error::DatasetError;
use super::labels::Labelling;
use super::owners::Owners;
use super::preparation::Preparation;
use super::rows::Rows;
use smidgen_protocol::digest::Draws;
use std::iter;
use std::path::Path;

/// Rows in order, each with its nonzero entries and a label.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub(super) name: String,
    pub(super) rows: Rows,
    pub(super) labelling: Labelling,
    /// Who owns the rows, if a column says it.
    pub(super) owners: Option<Owners>,
    pub(super) preparation: Preparation,
    /// True if the rows were made for their smoothness constants, which other scales of columns would change.
    pub(super) is_synthetic: bool,
}

/// One row of a [`Dataset`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Columns of the nonzero entries, ascending from 0.
    pub columns: &'a [u16],
    /// Values of these entries.
    pub values: &'a [f64],
    /// The class, from 0, or the target.
    pub label: f64,
}

impl Dataset {
    /// Keeps the first `row_count` rows, without changing the dimension.
    pub fn take(mut self, row_count: usize) -> Result<Self, DatasetError> {
        let available = self.row_count();
        if !(1..=available).contains(&row_count) {
            return Err(DatasetError::Rows { name: self.name, available, asked: row_count });
        }
        self.split_off(row_count);
        Ok(self)
    }

    /// Puts the rows in an order that is drawn from `seed`, the same on every machine.
    #[must_use]
    pub fn shuffle(self, seed: u32) -> Self {
        let (mut draws, mut order) = (Draws::new(seed.into()), Vec::from_iter(0..self.row_count()));
        // Fisher and Yates. A file has far fewer than 2^32 rows.
        for last in (1..order.len()).rev() {
            order.swap(last, draws.below(last as u32 + 1) as usize);
        }
        let Labelling { values, classes } = self.labelling;
        let values = order.iter().map(|&row| values[row]).collect();
        Self {
            rows: self.rows.select(&order),
            labelling: Labelling { values, classes },
            owners: self.owners.map(|owners| owners.select(&order)),
            ..self
        }
    }

    /// Splits off the last `row_count` rows. Returns the other rows and these.
    pub fn hold_out(mut self, row_count: usize) -> Result<(Self, Self), DatasetError> {
        let available = self.row_count();
        if !(1..available).contains(&row_count) {
            return Err(DatasetError::TestRows { name: self.name, available, asked: row_count });
        }
        let held = self.split_off(available - row_count);
        Ok((self, held))
    }

    fn split_off(&mut self, row_count: usize) -> Self {
        Self {
            name: self.name.clone(),
            rows: self.rows.split_off(row_count),
            labelling: Labelling {
                values: self.labelling.values.split_off(row_count),
                classes: self.labelling.classes.clone(),
            },
            owners: self.owners.as_mut().map(|owners| owners.split_off(row_count)),
            preparation: self.preparation.clone(),
            is_synthetic: self.is_synthetic,
        }
    }

    /// Returns the same rows with an additional column of ones.
    pub fn with_ones(&self) -> Self {
        let mut dataset = Self { rows: Rows::new(), ..self.clone() };
        let one = u16::try_from(self.dimension()).expect("a dimension has 16 bits");
        for row in 0..self.row_count() {
            let row = self.row(row);
            iter::zip(row.columns, row.values).for_each(|(&k, &value)| dataset.rows.push(k, value));
            dataset.rows.push(one, 1.0);
            dataset.rows.end_row();
        }
        dataset
    }

    /// Returns the name of a bundled set, or the file name without directories.
    pub fn name(&self) -> &str {
        let file_name = Path::new(&self.name).file_name().and_then(|name| name.to_str());
        file_name.unwrap_or(&self.name)
    }

    /// Returns the dimension d, the number of columns.
    pub fn dimension(&self) -> usize {
        self.rows.dimension
    }

    /// Returns the number of classes, or 0 for real targets.
    pub fn class_count(&self) -> u8 {
        self.labelling.classes.len() as u8
    }

    /// Returns the labels of the classes as written in the file, by their numbers; none for real targets.
    pub fn class_names(&self) -> &[String] {
        &self.labelling.classes
    }

    /// Returns the names of the columns of the file that are features; none if it does not name them.
    pub fn column_names(&self) -> &[String] {
        &self.preparation.names
    }

    /// Returns the label of a row: the text of its class, or its target.
    pub fn label_text(&self, row: usize) -> String {
        let value = self.labelling.values[row];
        let class = self.labelling.classes.get(value as usize);
        class.cloned().unwrap_or_else(|| value.to_string())
    }

    /// Returns what turns rows of the file into features.
    pub const fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// Returns the value of the column that says who owns a row, if there is one.
    pub fn owner(&self, row: usize) -> Option<&str> {
        self.owners.as_ref().map(|owners| owners.of(row))
    }

    /// Returns the number of rows, at least 1.
    pub fn row_count(&self) -> usize {
        self.labelling.values.len()
    }

    /// Returns column, from 0, and value of the entry with the largest magnitude; the value is 0 if all entries are.
    pub fn largest_feature(&self) -> (usize, f64) {
        let entries = (0..self.row_count()).flat_map(|row| self.row(row).entries());
        entries.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap_or_default()
    }

    /// Returns the largest magnitude of a target, or the largest class.
    pub fn largest_label(&self) -> f64 {
        self.labelling.values.iter().fold(0.0, |max: f64, label| max.max(label.abs()))
    }

    /// Returns a row, counted from 0.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let entries = self.rows.starts[index]..self.rows.starts[index + 1];
        Row {
            columns: &self.rows.columns[entries.clone()],
            values: &self.rows.values[entries],
            label: self.labelling.values[index],
        }
    }
}

impl<'a> Row<'a> {
    /// Returns column and value of every nonzero entry, by ascending columns.
    #[inline]
    pub fn entries(self) -> impl Iterator<Item = (usize, f64)> + 'a {
        iter::zip(
            self.columns.iter().map(|&column| usize::from(column)),
            self.values.iter().copied(),
        )
    }

    /// Returns y = +1 for the positive one of two classes, otherwise −1.
    #[inline]
    pub fn sign(self) -> f64 {
        if self.label > 0.0 { 1.0 } else { -1.0 }
    }

    /// Returns aᵀx for a dense x of d entries.
    #[inline]
    pub fn dot(self, x: &[f64]) -> f64 {
        self.entries().map(|(column, value)| value * x[column]).sum()
    }

    /// Returns ‖a‖².
    pub fn norm_squared(self) -> f64 {
        self.values.iter().map(|value| value * value).sum()
    }
}
