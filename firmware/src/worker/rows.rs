//! Rows on the board as a worker's data: the values stay in their store, the labels are in the worker's memory.

use crate::data::Data;
use crate::objective::ObjectiveInfo;
use crate::recorder::store::{Mapped, Store};
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::message::Refusal;
use smidgen_protocol::recorded::{RecordedRows, RowsChecksum};
use smidgen_protocol::shard::{Parts, Shard, ShardError};

/// Where the rows of a session are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the data, or the objective needs none.
    Data,
    /// On the board, checked.
    Store,
    /// Nowhere: the data are for a model alone.
    None,
}

/// Checksum of the rows of a store that are not discarded.
pub(crate) fn checksum<F: NorFlash + Mapped>(store: &Store<F>) -> u32 {
    let mut checksum = RowsChecksum::default();
    for row in store.rows().filter(|row| !row.is_discarded) {
        checksum.add(store.values_of(&row), row.class, row.is_test);
    }
    checksum.value()
}

/// Rows of a store as the data of a session.
pub(super) struct Rows<'a, F> {
    pub store: &'a Store<F>,
    pub recorded: RecordedRows<'a>,
}

impl<'a, F: NorFlash + Mapped> Rows<'a, F> {
    /// Opens data that were checked before.
    pub(super) fn open(store: &'a Store<F>, data: &'a [u8]) -> Result<Self, ShardError> {
        Ok(Self { store, recorded: RecordedRows::open(data)? })
    }

    /// Fills the labels of rows that are, or are not, held out; those of all others are −1.
    pub(super) fn fill(&self, labels: &mut [i8], is_test: bool) {
        self.store.fill_labels(labels, |row| {
            let is_of_run = row.is_test == is_test && !row.is_discarded;
            if is_of_run { self.recorded.class(row.class) } else { -1 }
        });
    }

    /// The rows with these labels.
    pub(super) fn shard(&self, labels: &'a [i8]) -> Result<Shard<'a>, ShardError> {
        let stride = self.store.value_stride();
        // Rows that were recorded after the check have no labels.
        let values = self.store.values().get(..labels.len().saturating_mul(stride));
        Shard::from_parts(&Parts {
            dimension: self.recorded.dimension(),
            classes: self.recorded.classes,
            values: values.unwrap_or_default(),
            stride,
            labels,
            scale_mantissas: self.recorded.scale_mantissas,
            scale_exponents: self.recorded.scale_exponents,
        })
    }
}

/// Returns whether data are for a model alone.
pub(super) fn are_missing(data: &[u8]) -> bool {
    RecordedRows::open(data).is_ok_and(|recorded| recorded.is_without_rows())
}

/// Checks data against the rows in a store and fills the labels of the rows to train on.
pub(super) fn check<F: NorFlash + Mapped>(
    store: &Store<F>,
    data: &[u8],
    labels: &mut [i8],
    objective: &ObjectiveInfo,
    dimension: usize,
) -> Result<(), Refusal> {
    let rows = Rows::open(store, data).map_err(|_| Refusal::Data)?;
    let is_known =
        Some(&rows.recorded.recipe) == store.recipe() && rows.recorded.checksum == checksum(store);
    if !is_known {
        return Err(Refusal::Data);
    }
    rows.fill(labels, false);
    let shard = rows.shard(labels).map_err(|_| Refusal::Data)?;
    let is_valid = shard.header.rows == rows.recorded.rows
        && (objective.check)(Data::Recorded(&shard), dimension);
    if is_valid { Ok(()) } else { Err(Refusal::Data) }
}
