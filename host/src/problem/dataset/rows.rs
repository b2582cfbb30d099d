//! Rows in compressed form.

/// The largest dimension: a shard has two bytes for the number and the index of a row's entries.
pub const DIMENSION_MAX: usize = u16::MAX as usize;

/// Compressed sparse rows: row r has the entries `starts[r]..starts[r + 1]`.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) dimension: usize,
    pub(super) starts: Vec<usize>,
    pub(super) columns: Vec<u16>,
    pub(super) values: Vec<f64>,
}

impl Default for Rows {
    fn default() -> Self {
        Self { dimension: 0, starts: vec![0], columns: Vec::new(), values: Vec::new() }
    }
}

impl Rows {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Appends an entry to the last row. A zero only affects the dimension.
    pub(super) fn push(&mut self, column: u16, value: f64) {
        self.dimension = self.dimension.max(usize::from(column) + 1);
        if value != 0.0 {
            self.columns.push(column);
            self.values.push(value);
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn end_row(&mut self) {
        self.starts.push(self.values.len());
    }

    /// Returns rows in another order.
    pub(super) fn select(&self, order: &[usize]) -> Self {
        let mut rows = Self { dimension: self.dimension, ..Self::default() };
        for &row in order {
            let entries = self.starts[row]..self.starts[row + 1];
            rows.columns.extend_from_slice(&self.columns[entries.clone()]);
            rows.values.extend_from_slice(&self.values[entries]);
            rows.end_row();
        }
        rows
    }

    pub(super) fn split_off(&mut self, row_count: usize) -> Self {
        let entries = self.starts[row_count];
        let starts = self.starts[row_count..].iter().map(|start| start - entries).collect();
        self.starts.truncate(row_count + 1);
        let (columns, values) = (self.columns.split_off(entries), self.values.split_off(entries));
        Self { dimension: self.dimension, starts, columns, values }
    }
}
