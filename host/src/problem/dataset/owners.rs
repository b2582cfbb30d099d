//! Owners of rows: who holds which of them.

use super::texts::Texts;

/// The owner of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owners {
    /// Names of the owners, in order.
    pub names: Vec<String>,
    /// For each row the place of its owner among the names.
    pub places: Vec<u32>,
}

impl Owners {
    pub(super) fn read(texts: &Texts) -> Self {
        let (names, places) = texts.ranked();
        Self { names, places }
    }

    /// Returns the name of the owner of a row.
    pub(super) fn of(&self, row: usize) -> &str {
        &self.names[self.places[row] as usize]
    }

    pub(super) fn select(self, order: &[usize]) -> Self {
        Self { places: order.iter().map(|&row| self.places[row]).collect(), ..self }
    }

    pub(super) fn split_off(&mut self, row_count: usize) -> Self {
        Self { names: self.names.clone(), places: self.places.split_off(row_count) }
    }

    /// Returns the rows of each owner, without owners that have none.
    pub(super) fn shares(&self) -> Vec<Vec<usize>> {
        let mut shares = vec![Vec::new(); self.names.len()];
        self.places.iter().enumerate().for_each(|(row, &owner)| shares[owner as usize].push(row));
        shares.retain(|share| !share.is_empty());
        shares
    }
}
