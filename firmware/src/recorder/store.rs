//! Rows with their labels in flash, or in RAM: written once, read in place, and safe from power cuts.
//!
//! ```text
//! [ header | row 0 | row 1 | …  ──>            free            <──  … | entry 1 | entry 0 ]
//! ```
//!
//! The rows are contiguous, so an objective evaluates them where they are. The log grows towards them; its entries name
//! classes, say the class and the recording of each row, and discard recordings. See `store/log.rs` and
//! `store/header.rs` for the bytes.
//!
//! # Failures
//!
//! Power may fail at any time. A row counts once its entry is complete: a CRC-32 covers the entry and the row. Nothing
//! is written twice, and only [`Store::clear`] erases. What is found damaged is skipped: a place for a row or an entry
//! is used only if it is erased, and every write is read back and attempted again elsewhere. To clear a store, its
//! header is marked first and its first page erased last, so a power cut leaves either all rows or none. Content that
//! is not a store, or is one whose header is damaged, stays until [`Store::clear`] is called.
//!
//! # Limits
//!
//! * The region has whole pages, and more of them than the header takes: the content of a single page whose erasure was
//!   cut cannot be told from other content.
//! * The unit of writes divides 8 bytes, which excludes flash that is written in units of 16 or more.
//! * Reading a unit whose write was cut short must not fault, as it can where a flash has error correction.
//!
//! # Costs
//!
//! A row of n values takes 2 n bytes, rounded up to the unit of writes, and 8 for its entry. Opening a store, counting
//! and iterating check all rows, which takes about 13 instructions per byte on a Cortex-M0: 0.1 s for 96 KiB at 16 MHz.

mod flash;
mod header;
mod layout;
mod log;

pub use flash::{Mapped, RamFlash};
pub use log::{Row, Rows};

use embedded_storage::nor_flash::NorFlash;
use header::Header;
use layout::{BLOCK_LEN, HEADER_LEN, MARK, is_erased};
use log::{Entry, Log, Record};
use smidgen_protocol::message::CLASSES_MAX;
use smidgen_protocol::recipe::{Recipe, RecipeError};

/// Places of the log that only discards take, so that a full store can still discard recordings.
const RESERVED: usize = 16;
/// Maximum number of attempts to write a row or an entry.
const ATTEMPTS_MAX: usize = 4;

/// Reason why a store refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The recipe is invalid.
    Recipe(RecipeError),
    /// The store is new, or was not cleared to the end: it has no recipe.
    Blank,
    /// The store has rows of another recipe, which clearing it would lose.
    OtherRecipe,
    /// The region holds something that is not a store, or a store whose header is damaged.
    Foreign,
    /// The region has no whole pages, too few of them, or not the alignment of a row.
    Region,
    /// The region is too small for a row of the recipe.
    TooSmall,
    /// There is no room for another row.
    RowsFull,
    /// There is no room for another class.
    ClassesFull,
    /// There is no number for another recording.
    RecordingsFull,
    /// There is no room for another discard.
    DiscardsFull,
    /// The name of a class is empty or too long.
    ClassName,
    /// No recording was begun.
    NotRecording,
    /// The row is not as long as the recipe says.
    RowLength,
    /// There is no recording to discard.
    NoRecording,
    /// The flash does not hold what is written to it.
    Flash,
}

/// Numbers of rows of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To train on.
    pub training: u32,
    /// Held out.
    pub test: u32,
    /// Discarded.
    pub discarded: u32,
}

/// A recording that rows are added to.
#[derive(Clone, Copy, Debug)]
struct Recording {
    class: u8,
    is_test: bool,
    number: u16,
    rows: u32,
    /// The name of a new class, to be written before its first row: a name that was mistyped takes no room.
    name: Option<[u8; log::NAME_LEN]>,
}

/// A store in a flash that is read in place.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    recipe: Option<Recipe>,
    /// Number of places of the log in use.
    log_len: u32,
    /// Number of places up to the last row.
    row_count: u32,
    /// The next place for a row, beyond places that turned out not to be erased.
    next_row: u32,
    class_count: u8,
    /// Number of the latest recording with a row; 0 without one.
    last_recording: u16,
    recording: Option<Recording>,
}

impl<F: NorFlash + Mapped> Store<F> {
    /// Length of the pages with the header.
    const FIRST_LEN: usize = HEADER_LEN.next_multiple_of(F::ERASE_SIZE);

    /// Opens a store, and finds all rows that were complete before the last reset.
    pub fn open(flash: F) -> Result<Self, StoreError> {
        const {
            assert!(BLOCK_LEN.is_multiple_of(F::WRITE_SIZE), "writes fill whole units");
        };
        let bytes = flash.bytes();
        let is_whole = bytes.len() == flash.capacity()
            && bytes.len().is_multiple_of(F::ERASE_SIZE)
            && bytes.len().is_multiple_of(BLOCK_LEN);
        let is_aligned = bytemuck::try_cast_slice::<u8, i16>(bytes).is_ok();
        if !is_whole || !is_aligned || bytes.len() <= Self::FIRST_LEN {
            return Err(StoreError::Region);
        }
        let mut store = Self {
            flash,
            recipe: None,
            log_len: 0,
            row_count: 0,
            next_row: 0,
            class_count: 0,
            last_recording: 0,
            recording: None,
        };
        store.scan();
        Ok(store)
    }

    /// Closes the store and returns the flash.
    pub fn close(self) -> F {
        self.flash
    }

    /// The flash, for inspection.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// The recipe of the rows; `None` for a store that is new or was not cleared to the end.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref()
    }

    /// Returns whether the store has a recipe and nothing else, not even what is damaged.
    pub fn is_empty(&self) -> bool {
        self.recipe.is_some() && self.flash.bytes().get(HEADER_LEN..).is_some_and(is_erased)
    }

    /// Makes the store ready for rows of a recipe: clears it if it is blank, was not cleared to the end, or has no rows
    /// of another recipe but discarded ones.
    pub fn prepare(&mut self, recipe: &Recipe) -> Result<(), StoreError> {
        recipe.check().map_err(StoreError::Recipe)?;
        if self.recipe == Some(*recipe) {
            return Ok(());
        }
        if self.rows().any(|row| !row.is_discarded) {
            return Err(StoreError::OtherRecipe);
        }
        let is_marked = self.header().is_some_and(|header| header.is_marked);
        if self.recipe.is_none() && !is_marked && !self.is_erased_after_header() {
            return Err(StoreError::Foreign);
        }
        self.clear(recipe)
    }

    /// Erases all rows and classes, or whatever else the region holds, and sets the recipe.
    pub fn clear(&mut self, recipe: &Recipe) -> Result<(), StoreError> {
        recipe.check().map_err(StoreError::Recipe)?;
        let log_len = (1 + Entry::Class { class: 0 }.len() as usize + RESERVED) * BLOCK_LEN;
        if self.flash.bytes().len() < HEADER_LEN + Self::stride_of(recipe) + log_len {
            return Err(StoreError::TooSmall);
        }
        let cleared = self.erase().and_then(|()| self.write(0, &header::emit(recipe)));
        // What can be read counts, also after a failure.
        self.scan();
        cleared.filter(|()| self.recipe == Some(*recipe)).ok_or(StoreError::Flash)
    }

    /// Begins a recording of a class, which its first row adds if it is new; ends the recording before.
    pub fn begin(&mut self, class: &str, is_test: bool) -> Result<(), StoreError> {
        self.recording = None;
        self.recipe.ok_or(StoreError::Blank)?;
        let number = self.last_recording.checked_add(1).ok_or(StoreError::RecordingsFull)?;
        let (class, name) = match self.find_class(class) {
            Some(class) => (class, None),
            None => (self.class_count, Some(log::emit_name(class).ok_or(StoreError::ClassName)?)),
        };
        if usize::from(class) >= CLASSES_MAX {
            return Err(StoreError::ClassesFull);
        }
        self.recording = Some(Recording { class, is_test, number, rows: 0, name });
        if self.room() == 0 {
            self.recording = None;
            return Err(StoreError::RowsFull);
        }
        Ok(())
    }

    /// Adds a row to the recording. Once this returns, the row survives any power cut.
    pub fn push(&mut self, row: &[i16]) -> Result<(), StoreError> {
        let recipe = self.recipe.ok_or(StoreError::Blank)?;
        let Recording { class, is_test, number, name, .. } =
            self.recording.ok_or(StoreError::NotRecording)?;
        if row.len() != recipe.row_len() {
            return Err(StoreError::RowLength);
        }
        if self.room() == 0 {
            return Err(StoreError::RowsFull);
        }
        if let Some(name) = name {
            self.add_class(class, &name)?;
        }
        let place = self.write_row(row)?;
        let entry = Entry::Row { class, is_test, place: place as u8, recording: number };
        let values = layout::row(self.flash.bytes(), self.stride(), place);
        let bytes = entry.emit(values.unwrap_or_default());
        self.append(entry, &bytes, &[], StoreError::RowsFull)?;
        self.row_count = place + 1;
        self.last_recording = number;
        self.recording = self.recording.map(|open| Recording { rows: open.rows + 1, ..open });
        Ok(())
    }

    /// Ends the recording; returns its number of rows.
    pub fn end(&mut self) -> u32 {
        self.recording.take().map_or(0, |recording| recording.rows)
    }

    /// Discards the latest recording, also one that was not ended; returns its number of rows.
    pub fn discard(&mut self) -> Result<u32, StoreError> {
        if let Some(Recording { rows: 0, .. }) = self.recording.take() {
            return Ok(0);
        }
        let mut rows = self.rows().skip_while(|row| row.is_discarded);
        let last = rows.next().ok_or(StoreError::NoRecording)?;
        let more = rows.take_while(|row| row.recording == last.recording).count();
        let entry = Entry::Discard { recording: last.recording };
        self.append(entry, &entry.emit(&[]), &[], StoreError::DiscardsFull)?;
        Ok(more as u32 + 1)
    }

    /// Number of rows that still fit, in the recording if one was begun.
    pub fn room(&self) -> u32 {
        let name = self.recording.and_then(|recording| recording.name);
        let class = name.map_or(0, |_| Entry::Class { class: 0 }.len() as usize);
        let free = self.gap().saturating_sub((RESERVED + class) * BLOCK_LEN);
        match self.recipe {
            Some(_) => (free / (self.stride() + BLOCK_LEN)) as u32,
            None => 0,
        }
    }

    /// Number of places in [`Store::values`]: of rows, and of values that are no [`Row`] because a write was cut short.
    pub fn places(&self) -> usize {
        self.row_count as usize
    }

    /// The values of all places in order, [`Store::value_stride`] for each.
    pub fn values(&self) -> &[i16] {
        let rows = self.flash.bytes().get(HEADER_LEN..);
        let rows = rows.and_then(|rows| rows.get(..self.places() * self.stride()));
        rows.and_then(|rows| bytemuck::try_cast_slice(rows).ok()).unwrap_or_default()
    }

    /// The values of a row.
    pub fn values_of(&self, row: &Row) -> &[i16] {
        let len = self.recipe.as_ref().map_or(0, Recipe::row_len);
        let values = self.values().chunks_exact(self.value_stride().max(1)).nth(row.index);
        values.and_then(|values| values.get(..len)).unwrap_or_default()
    }

    /// Distance of rows in [`Store::values`].
    pub fn value_stride(&self) -> usize {
        self.stride() / size_of::<i16>()
    }

    /// All rows, from the latest to the first.
    pub fn rows(&self) -> Rows<'_> {
        Rows::new(self.log(), self.row_count)
    }

    /// Sets a label for each place of [`Store::values`]: that of `label`, or −1 where there is no row.
    pub fn fill_labels(&self, labels: &mut [i8], label: impl Fn(&Row) -> i8) {
        labels.fill(-1);
        for row in self.rows() {
            if let Some(place) = labels.get_mut(row.index) {
                *place = label(&row);
            }
        }
    }

    /// Numbers and names of the classes, in the order in which they were added.
    pub fn classes(&self) -> impl Iterator<Item = (u8, &str)> {
        let log = self.log();
        // A row out of range is no record, without reading its values.
        let records = (0..self.log_len).map(move |nth| log.record(nth, |_| u32::MAX));
        records.filter_map(|record| match record {
            Some(Record::Class(class, name)) => Some((class, name)),
            Some(Record::Row(_) | Record::Discard(_)) | None => None,
        })
    }

    /// Numbers of rows of each class.
    pub fn counts(&self) -> [Counts; CLASSES_MAX] {
        let mut counts = [Counts::default(); CLASSES_MAX];
        for row in self.rows() {
            let Some(counts) = counts.get_mut(usize::from(row.class)) else { continue };
            match (row.is_discarded, row.is_test) {
                (true, _) => counts.discarded += 1,
                (false, true) => counts.test += 1,
                (false, false) => counts.training += 1,
            }
        }
        counts
    }

    /// Finds recipe, rows and classes.
    fn scan(&mut self) {
        (self.log_len, self.row_count, self.next_row) = (0, 0, 0);
        (self.class_count, self.last_recording, self.recording) = (0, 0, None);
        let header = self.header().filter(|header| !header.is_marked);
        self.recipe = header.map(|header| header.recipe);
        while self.recipe.is_some() && self.gap() >= BLOCK_LEN {
            let nth = self.log_len;
            let log = self.log();
            // A write that was cut short leaves a damaged place, never an erased one before one in use.
            if log.bytes_of(nth, 1).is_none_or(is_erased) {
                break;
            }
            let next = self.row_count;
            let place_of = |low: u8| next.saturating_add(low.wrapping_sub(next as u8).into());
            self.log_len += match log.record(nth, place_of) {
                Some(Record::Row(row)) => {
                    self.row_count = row.index as u32 + 1;
                    self.next_row = self.row_count;
                    self.last_recording = self.last_recording.max(row.recording);
                    // Also if the entry that names it is damaged: another class must not get its rows.
                    self.class_count = self.class_count.max(row.class + 1);
                    1
                }
                Some(Record::Class(class, _)) => {
                    self.class_count = self.class_count.max(class + 1);
                    Entry::Class { class }.len()
                }
                Some(Record::Discard(recording)) => {
                    // Also if all rows of the recording are damaged: its number is not used again.
                    self.last_recording = self.last_recording.max(recording);
                    1
                }
                None => 1,
            };
        }
    }

    fn header(&self) -> Option<Header> {
        self.flash.bytes().first_chunk().and_then(header::parse)
    }

    /// Returns whether all pages after those with the header are erased, as in a blank region, and where a power cut
    /// ended a clear in its last erasure.
    fn is_erased_after_header(&self) -> bool {
        self.flash.bytes().get(Self::FIRST_LEN..).is_some_and(is_erased)
    }

    /// Erases all pages that may need it, the first one last.
    fn erase(&mut self) -> Option<()> {
        let was_whole = self.recipe.is_some();
        if was_whole {
            // From here on the rows do not count, so that no part of them is found if power fails below.
            let _ = self.write(MARK, &[0; BLOCK_LEN]);
            let is_marked = self.header().is_none_or(|header| header.is_marked);
            is_marked.then_some(())?;
        }
        // Erasures that a power cut may have interrupted are repeated, even if the page reads as erased. The first page
        // is erased after all others, so if it has no mark, theirs are complete.
        let is_last = self.header().is_none() && self.is_erased_after_header();
        let len = if is_last { Self::FIRST_LEN } else { self.flash.bytes().len() };
        for page in (0..len / F::ERASE_SIZE).rev() {
            let start = page * F::ERASE_SIZE;
            let bytes = self.flash.bytes().get(start..start + F::ERASE_SIZE);
            if !(was_whole && bytes.is_some_and(is_erased)) {
                self.flash.erase(start as u32, (start + F::ERASE_SIZE) as u32).ok()?;
            }
        }
        Some(())
    }

    /// Writes a row to the next place that holds it; returns the place.
    fn write_row(&mut self, row: &[i16]) -> Result<u32, StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let place = self.erased_place()?;
            // Before writing: whatever is there afterwards, the place is not used again.
            self.next_row = place + 1;
            let Some(offset) = layout::row_offset(self.stride(), place) else { break };
            if self.write(offset, bytemuck::cast_slice(row)).is_some() {
                return Ok(place);
            }
        }
        Err(StoreError::Flash)
    }

    /// The next place for a row that is erased, as one where a write was cut short is not.
    fn erased_place(&mut self) -> Result<u32, StoreError> {
        loop {
            if self.room() == 0 {
                return Err(StoreError::RowsFull);
            }
            // An entry has the lowest byte of its place, so it reaches no further.
            if self.next_row - self.row_count > u8::MAX.into() {
                return Err(StoreError::Flash);
            }
            let bytes = layout::row(self.flash.bytes(), self.stride(), self.next_row);
            if bytes.is_some_and(is_erased) {
                return Ok(self.next_row);
            }
            self.next_row += 1;
        }
    }

    /// Appends an entry and what follows it in the log; `full` is the error if there is no room.
    fn append(
        &mut self,
        entry: Entry,
        bytes: &[u8; BLOCK_LEN],
        name: &[u8],
        full: StoreError,
    ) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            while self.gap() >= BLOCK_LEN
                && self.log().bytes_of(self.log_len, 1).is_some_and(|place| !is_erased(place))
            {
                self.log_len += 1;
            }
            if self.gap() < entry.len() as usize * BLOCK_LEN {
                return Err(full);
            }
            // In the order of the log, so that a power cut leaves no erased place before one in use. A name is in the
            // order of its text, so its last block is the first in the log.
            let blocks = core::iter::once(&bytes[..]).chain(name.chunks(BLOCK_LEN).rev());
            if (1..).zip(blocks).all(|(nth, block)| self.write_entry(nth, block).is_some()) {
                self.log_len += entry.len();
                return Ok(());
            }
        }
        Err(StoreError::Flash)
    }

    /// Writes a place of the log, the `nth` after those in use.
    fn write_entry(&mut self, nth: u32, block: &[u8]) -> Option<()> {
        let offset = layout::entry_offset(self.flash.bytes().len(), self.log_len + nth)?;
        self.write(offset, block)
    }

    /// Writes bytes to an erased place and reads them back; `None` if they are not there.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Option<()> {
        for (offset, unit) in (offset..).step_by(F::WRITE_SIZE).zip(bytes.chunks(F::WRITE_SIZE)) {
            let mut padded = [0xff; BLOCK_LEN];
            padded.iter_mut().zip(unit).for_each(|(place, &byte)| *place = byte);
            // Ones are there already. Writing them would leave no trace, so the unit might be written again after a
            // power cut.
            if !is_erased(unit) {
                self.flash.write(offset as u32, padded.get(..F::WRITE_SIZE)?).ok()?;
            }
        }
        self.flash.bytes().get(offset..)?.starts_with(bytes).then_some(())
    }

    fn find_class(&self, name: &str) -> Option<u8> {
        self.classes().find(|class| class.1 == name).map(|class| class.0)
    }

    /// Names the class of the recording.
    fn add_class(&mut self, class: u8, name: &[u8; log::NAME_LEN]) -> Result<(), StoreError> {
        let entry = Entry::Class { class };
        self.append(entry, &entry.emit(name), name, StoreError::RowsFull)?;
        self.class_count = class + 1;
        self.recording = self.recording.map(|open| Recording { name: None, ..open });
        Ok(())
    }

    fn log(&self) -> Log<'_> {
        Log { bytes: self.flash.bytes(), stride: self.stride(), len: self.log_len }
    }

    /// Bytes between the rows and the log.
    fn gap(&self) -> usize {
        let log = layout::entry_offset(self.flash.bytes().len(), self.log_len).unwrap_or(0);
        log.saturating_sub(HEADER_LEN + self.next_row as usize * self.stride())
    }

    /// Bytes from a row to the next.
    fn stride(&self) -> usize {
        self.recipe.as_ref().map_or(0, Self::stride_of)
    }

    fn stride_of(recipe: &Recipe) -> usize {
        (recipe.row_len() * size_of::<i16>()).next_multiple_of(F::WRITE_SIZE)
    }
}

#[cfg(test)]
mod tests;
