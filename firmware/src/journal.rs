//! Non-volatile storage for worker state in NOR flash: the data, so that the host need not send them again, after every
//! round the local state of methods that have one (e_i of EF14, v_i of SGDM), which no one else could restore, and the
//! model that a board is to keep for live windows.
//!
//! ```text
//!  poll_data_chunk, poll_local_state ─> [ rings of pages in flash ] ─> open: data, to the memory of a starting worker
//!                                                                  ─> load_local_state: for a restored worker
//! ```
//!
//! # Rings
//!
//! A record occupies consecutive pages of a ring. It starts on the page after the last one written, whether or not the
//! previous record was completed, so pages wear evenly. Only the pages of the last complete record are skipped, as long
//! as there is room beside them: that record stays intact until another one is complete.
//!
//! ```text
//! page = sequence ‖ length ‖ CRC-32 of content ‖ CRC-32 of these three and the number of the page ‖ content
//! ```
//!
//! # Failures
//!
//! Power may fail at any time. A page is erased just before it is written, head first. A record is complete if its
//! content has the CRC-32 in its first page; otherwise the previous record is used.
//!
//! Every write is read back, since a controller may not detect a worn page. After a failed write, a record is restarted
//! on the next page if all of it is available: the first chunk of data, or local state. Otherwise the next transfer of
//! the data writes it. A flash that accepts no writes is detected once after each start; the worker then continues as
//! without a journal.
//!
//! Stored data are used only if they have the checksum in `Configure`, local state only if it belongs to the requested
//! session, worker and round.
//!
//! # Reasons
//!
//! *Data are kept to save time.* On a line of 115200 baud a byte takes 87 µs; an nRF51 takes 33 µs to erase and write
//! it. Data are written once and save 1.36 s of the 1.71 s that a restart costs. x, g_i and Σ g_i change in every
//! round: keeping them would cost 1 kB and 57 ms a round at d = 64, and save the 480 bytes, 42 ms, of a restart. That
//! pays only if a board restarts in every round.
//!
//! *Local state is kept because nothing else has it.* Without a journal, a restart changes a run of EF14, EControl or
//! EF21-SGDM. The state is written in every round before the update leaves, under a name made of session, worker, data
//! and round. `Begin` t of a restored worker loads that of round t − 1, which is in flash, since the host has update
//! t − 1; it is moved to the present exponent as `Announce` would have moved it. Rounds of these methods wait for all
//! workers, so t − 1 was applied. This costs 26 ms a round on an nRF51, and nothing for other methods.
//!
//! *The machine knows no flash.* Data and local state are offered to the journal and loaded from it by name; nothing
//! was added to the wire for it.
//!
//! *The rings are our own.* No crate that we know can be in an image without a panic. `sequential-storage` 8.0.2, well
//! kept and otherwise suitable, left ten functions that can panic in the image of a micro:bit: every `async fn` can if
//! it is resumed after its end, and there are unwraps and indices. By their source, `tickv` 2.0.0 asserts and needs a
//! page of RAM as its buffer, `ekv` 1.0.0 is asynchronous and needs more of it, and `embedded-savegame` 0.3.0 says that
//! its format will change. Ours is short: content has a checksum already, a record is written once and in order, and
//! nothing is deleted.

use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::vector::Exponent;

/// Length of the longest chunk in bytes.
pub const CHUNK_LEN_MAX: usize = 512;
/// Alignment of chunks, and unit of writes to flash, in bytes.
pub const BLOCK_LEN: usize = 16;
/// Most pages for models: two models as large as the memory of a micro:bit, with some margin.
pub const MODEL_PAGES: u32 = 16;
/// Maximum number of attempts to write the local state of a round.
const ATTEMPTS_MAX: usize = 4;
/// Maximum number of attempts to write a model, for which nobody waits in a round.
const MODEL_ATTEMPTS_MAX: usize = MODEL_PAGES as usize;

/// A chunk of a worker's data, to be stored in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataChunk<'d> {
    /// The data that the chunk is part of.
    pub data_id: DataId,
    /// Offset of the chunk in the data, a multiple of [`BLOCK_LEN`].
    pub offset: u32,
    /// At most [`CHUNK_LEN_MAX`] bytes; a multiple of [`BLOCK_LEN`] except at the end of the data.
    pub bytes: &'d [u8],
}

/// Checksum and length of data, as in `Configure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataId {
    /// CRC-32.
    pub checksum: u32,
    /// Length in bytes.
    pub len: u32,
}

/// Local state of a worker after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalState<'p> {
    /// Hash of session, worker, data and round.
    pub name: u64,
    /// Exponent of the mantissas.
    pub exponent: Exponent,
    /// Mantissas of all coordinates.
    pub mantissas: &'p [i32],
}

/// A model to keep, with the data that say what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredModel<'m> {
    /// Its form.
    pub head: ModelHead,
    /// Data and mantissas, each padded to eight bytes.
    pub bytes: &'m [u8],
}

/// Form of a stored model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelHead {
    /// CRC-32 of the objective's name.
    pub objective: u32,
    /// Dimension.
    pub dimension: u32,
    /// Length of the data in bytes.
    pub data_len: u32,
    /// Exponent of the model.
    pub x_exponent: Exponent,
}

/// Request of a restored worker for its local state.
#[derive(Debug)]
pub struct LocalStateRequest<'p> {
    /// Name under which it was stored.
    pub name: u64,
    /// Output: the mantissas.
    pub mantissas: &'p mut [i32],
}

/// Non-volatile storage for worker state.
///
/// Storing may fail silently: the host then sends the data again after a restart, and local state starts from zero.
pub trait Journal {
    /// Length of the data that it has, in bytes: those at the start of memory after a boot.
    fn data_len(&self) -> usize;

    /// Stores a chunk of the data, if possible.
    fn store_data(&mut self, chunk: &DataChunk);

    /// Stores local state, if possible.
    fn store_local_state(&mut self, local: &LocalState);

    /// Loads the latest local state stored under a name; returns its exponent. If it returns `None`, the content of the
    /// buffer is unspecified.
    fn load_local_state(&mut self, request: LocalStateRequest) -> Option<Exponent>;

    /// Stores a model in place of the one before, if possible. Returns whether it is there after a power cut; until
    /// then the one before is.
    fn store_model(&mut self, model: &StoredModel) -> bool;

    /// The form of the stored model.
    fn model_head(&mut self) -> Option<ModelHead>;

    /// Loads the bytes of the stored model; returns whether it did. If not, the content of the buffer is unspecified.
    fn load_model(&mut self, bytes: &mut [u8]) -> bool;
}

/// A journal that stores nothing.
impl Journal for () {
    fn data_len(&self) -> usize {
        0
    }

    fn store_data(&mut self, _: &DataChunk) {}

    fn store_local_state(&mut self, _: &LocalState) {}

    fn load_local_state(&mut self, _: LocalStateRequest) -> Option<Exponent> {
        None
    }

    fn store_model(&mut self, _: &StoredModel) -> bool {
        false
    }

    fn model_head(&mut self) -> Option<ModelHead> {
        None
    }

    fn load_model(&mut self, _: &mut [u8]) -> bool {
        false
    }
}

/// A journal in a flash memory, or a region of one.
#[derive(Debug)]
pub struct FlashJournal<F> {
    flash: F,
    data: Ring,
    local: Ring,
    model: Ring,
}

impl<F: NorFlash> FlashJournal<F> {
    /// Opens a journal with `data_pages` pages for data, followed by pages for local state, and up to [`MODEL_PAGES`]
    /// for models.
    ///
    /// Copies the last complete data to the start of `memory`, where a worker expects its data. Uses the rest of
    /// `memory` as a buffer: a worker takes nothing but data from memory that it finds.
    #[inline(never)]
    pub fn open(mut flash: F, data_pages: u32, memory: &mut [u64]) -> Self {
        let pages = flash.capacity() as u32 / F::ERASE_SIZE as u32;
        let data_pages = data_pages.min(pages);
        let memory: &mut [u8] = bytemuck::cast_slice_mut(memory);
        let models = pages - MODEL_PAGES.min((pages - data_pages) / 2);
        let headed = |content: &[u8]| {
            let (head, bytes) = content.split_first_chunk()?;
            Some(headed_checksum(head, bytes))
        };
        // The data must be the last that is copied to memory.
        let local = Ring::open(&mut flash, data_pages..models, memory, headed);
        let model = Ring::open(&mut flash, models..pages, memory, headed);
        let data = Ring::open(&mut flash, 0..data_pages, memory, |data| Some(checksum(data)));
        Self { flash, data, local, model }
    }

    /// Returns the flash, for inspection.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Closes the journal and returns the flash.
    pub fn close(self) -> F {
        self.flash
    }
}

impl<F: NorFlash> Journal for FlashJournal<F> {
    fn data_len(&self) -> usize {
        self.data.last.map_or(0, |record| record.data_id.len as usize)
    }

    /// Appends a chunk to its predecessor. If a chunk is missing, the rest of those data is not stored.
    #[inline(never)]
    fn store_data(&mut self, chunk: &DataChunk) {
        let _kept = self.data.append(&mut self.flash, chunk.data_id, chunk.offset, chunk.bytes);
    }

    #[inline(never)]
    fn store_local_state(&mut self, local: &LocalState) {
        // The name is part of the content, so a record found under another name is recognised before its content is
        // read.
        let name = header_block(local.name, local.exponent);
        let bytes = bytemuck::cast_slice(local.mantissas);
        let Self { flash, local: ring, .. } = self;
        let mut keep = || ring.append_headed(flash, &name, bytes);
        // After the last failed attempt the worker continues without stored state, as a board without a journal.
        let _kept = (0..ATTEMPTS_MAX).any(|_| keep().is_some());
    }

    #[inline(never)]
    fn load_local_state(&mut self, request: LocalStateRequest) -> Option<Exponent> {
        let Self { flash, local: ring, .. } = self;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(request.mantissas);
        // From the newest record to older ones: the newest may be incomplete, or of another round.
        let mut bound = u32::MAX;
        while let Some(record) = ring.newest(flash, bound) {
            bound = record.sequence;
            let name = ring.block(flash, &record, 0).unwrap_or_default();
            let [.., exponent] = name;
            let exponent = exponent.cast_signed();
            if name == header_block(request.name, exponent) {
                ring.load(flash, &record, BLOCK_LEN as u32, bytes);
                // The checksum covers the name too: a state is never returned for another round.
                if headed_checksum(&name, bytes) == record.data_id.checksum {
                    return Some(exponent);
                }
            }
        }
        None
    }

    #[inline(never)]
    fn store_model(&mut self, model: &StoredModel) -> bool {
        let Self { flash, model: ring, .. } = self;
        let pages = Ring::pages_of::<F>((BLOCK_LEN + model.bytes.len()) as u32);
        // Beside the one before, which is not overwritten.
        let has_room = 2 * pages <= ring.pages;
        let mut keep = || ring.append_headed(flash, &model.head.block(), model.bytes);
        has_room && (0..MODEL_ATTEMPTS_MAX).any(|_| keep().is_some())
    }

    fn model_head(&mut self) -> Option<ModelHead> {
        let block = self.model.block(&mut self.flash, &self.model.last?, 0)?;
        Some(ModelHead::parse(block))
    }

    #[inline(never)]
    fn load_model(&mut self, bytes: &mut [u8]) -> bool {
        let Self { flash, model: ring, .. } = self;
        let Some(record) = ring.last else { return false };
        let Some(head) = ring.block(flash, &record, 0) else { return false };
        ring.load(flash, &record, BLOCK_LEN as u32, bytes);
        headed_checksum(&head, bytes) == record.data_id.checksum
    }
}

/// First block of a local state: its name and exponent.
fn header_block(name: u64, exponent: Exponent) -> [u8; BLOCK_LEN] {
    let [low, high] = [name as u32, (name >> 32) as u32];
    bytes([low, high, 0, u32::from(exponent.cast_unsigned()) << 24])
}

impl ModelHead {
    fn block(&self) -> [u8; BLOCK_LEN] {
        let exponent = u32::from(self.x_exponent.cast_unsigned());
        bytes([self.objective, self.dimension, self.data_len, exponent])
    }

    fn parse(block: [u8; BLOCK_LEN]) -> Self {
        let [objective, dimension, data_len, exponent] = words(block);
        Self { objective, dimension, data_len, x_exponent: (exponent as u8).cast_signed() }
    }
}

/// Checksum of a record and its first block.
fn headed_checksum(first: &[u8; BLOCK_LEN], bytes: &[u8]) -> u32 {
    // Both parts separately, since they are not contiguous in memory. The rotation makes their order matter.
    checksum(first).rotate_left(1) ^ checksum(bytes)
}

/// Pages written in rotation.
#[derive(Debug)]
struct Ring {
    first: u32,
    /// Number of pages; 0 once all have failed.
    pages: u32,
    /// The page after the last one written, relative to `first`.
    page: u32,
    /// Sequence number of the next record.
    sequence: u32,
    /// The last complete record.
    last: Option<Record>,
    /// The record being written, and the bytes of its content so far.
    growing: Option<(Record, u32)>,
}

/// Location and identity of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    page: u32,
    sequence: u32,
    data_id: DataId,
}

impl Record {
    /// Head of page `number` of the record.
    fn head(&self, number: u32) -> [u8; BLOCK_LEN] {
        let DataId { checksum: content, len } = self.data_id;
        // The page number is part of the check, so a page left from an older record in another place is not taken for
        // this one.
        let check = checksum(&bytes([self.sequence, len, content, number]));
        bytes([self.sequence, len, content, check])
    }

    /// Parses the head of a record's first page.
    fn parse(page: u32, head: [u8; BLOCK_LEN]) -> Option<Self> {
        let [sequence, len, checksum, _] = words(head);
        let record = Self { page, sequence, data_id: DataId { checksum, len } };
        // Only a first page has the check of number 0.
        (record.head(0) == head).then_some(record)
    }
}

impl Ring {
    /// Finds the last complete record and copies its content to the start of `memory`.
    fn open<F: NorFlash>(
        flash: &mut F,
        pages: Range<u32>,
        memory: &mut [u8],
        checksum: fn(&[u8]) -> Option<u32>,
    ) -> Self {
        let Range { start: first, end } = pages;
        let pages = end - first;
        let mut ring = Self { first, pages, page: 0, sequence: 0, last: None, growing: None };
        let mut bound = u32::MAX;
        while let Some(record) = ring.newest(flash, bound) {
            bound = record.sequence;
            // The first iteration only: it finds where the next record is written, even if this one is incomplete.
            if bound >= ring.sequence {
                ring.sequence = bound.saturating_add(1);
                ring.page = ring.page_after(flash, &record);
            }
            let Some(content) = memory.get_mut(..record.data_id.len as usize) else { continue };
            ring.load(flash, &record, 0, content);
            if checksum(content) == Some(record.data_id.checksum) {
                ring.last = Some(record);
                break;
            }
        }
        ring
    }

    /// Bytes of content per page.
    const fn room<F: NorFlash>() -> u32 {
        const {
            assert!(
                BLOCK_LEN.is_multiple_of(F::WRITE_SIZE) && BLOCK_LEN.is_multiple_of(F::READ_SIZE)
            )
        };
        const { assert!(F::ERASE_SIZE.is_multiple_of(BLOCK_LEN) && F::ERASE_SIZE > BLOCK_LEN) };
        const { (F::ERASE_SIZE - BLOCK_LEN) as u32 }
    }

    /// The newest record with a sequence number below `bound`, complete or not.
    fn newest<F: NorFlash>(&self, flash: &mut F, bound: u32) -> Option<Record> {
        let address = |page| (self.first + page) * F::ERASE_SIZE as u32;
        let begins = |page| Record::parse(page, read(flash, address(page))?);
        let records = (0..self.pages).filter_map(begins);
        records.filter(|record| record.sequence < bound).max_by_key(|record| record.sequence)
    }

    /// The page after those of a record that were written.
    fn page_after<F: NorFlash>(&self, flash: &mut F, record: &Record) -> u32 {
        let begun = |&number: &u32| {
            let content = self.address::<F>(record, number * Self::room::<F>());
            read(flash, content - BLOCK_LEN as u32) == Some(record.head(number))
        };
        let pages = (0..Self::pages_of::<F>(record.data_id.len)).take_while(begun).count();
        self.wrapped(record.page + pages as u32)
    }

    /// First page of the next record: the page after the last one written, unless the record would overwrite the last
    /// complete one although there is room beside it.
    fn next<F: NorFlash>(&self, data_id: DataId) -> u32 {
        let pages = Self::pages_of::<F>(data_id.len);
        let Some(last) = self.last else { return self.page };
        let last_pages = Self::pages_of::<F>(last.data_id.len);
        // Skipping is worth it only if both records fit the ring.
        let room = self.pages.saturating_sub(last_pages);
        let end = self.wrapped(last.page + last_pages);
        let passed = self.wrapped(self.pages + self.page - end);
        if pages <= room && passed + pages > room { end } else { self.page }
    }

    /// Page index modulo the number of pages.
    fn wrapped(&self, page: u32) -> u32 {
        page.checked_rem(self.pages).unwrap_or(0)
    }

    /// Number of pages of a record with this content.
    fn pages_of<F: NorFlash>(len: u32) -> u32 {
        len.div_ceil(Self::room::<F>())
    }

    /// Flash address of a block of a record's content.
    fn address<F: NorFlash>(&self, record: &Record, offset: u32) -> u32 {
        let page = self.first + self.wrapped(record.page + offset / Self::room::<F>());
        page * F::ERASE_SIZE as u32 + BLOCK_LEN as u32 + offset % Self::room::<F>()
    }

    /// Reads a block of a record's content.
    fn block<F: NorFlash>(
        &self,
        flash: &mut F,
        record: &Record,
        offset: u32,
    ) -> Option<[u8; BLOCK_LEN]> {
        read(flash, self.address::<F>(record, offset))
    }

    /// Copies a record's content from `offset` on.
    fn load<F: NorFlash>(&self, flash: &mut F, record: &Record, offset: u32, content: &mut [u8]) {
        for (offset, place) in (offset..).step_by(BLOCK_LEN).zip(content.chunks_mut(BLOCK_LEN)) {
            let block = self.block(flash, record, offset).unwrap_or_default();
            place.iter_mut().zip(block).for_each(|(place, byte)| *place = byte);
        }
    }

    /// Appends content to the record being written, or starts a record at offset 0; `None` if that fails.
    fn append<F: NorFlash>(
        &mut self,
        flash: &mut F,
        data_id: DataId,
        offset: u32,
        content: &[u8],
    ) -> Option<()> {
        // Cleared first: after a failure below the record is not continued.
        let growing = self.growing.take();
        if offset == 0 {
            return self.begin(flash, data_id, content);
        }
        let (record, written) = growing?;
        let follows = record.data_id == data_id && written == offset;
        follows.then_some(())?;
        self.extend(flash, record, offset, content)
    }

    /// Writes a record that starts with a block of its own; `None` if that fails.
    fn append_headed<F: NorFlash>(
        &mut self,
        flash: &mut F,
        head: &[u8; BLOCK_LEN],
        bytes: &[u8],
    ) -> Option<()> {
        let len = (BLOCK_LEN + bytes.len()) as u32;
        let data_id = DataId { checksum: headed_checksum(head, bytes), len };
        self.append(flash, data_id, 0, head)?;
        self.append(flash, data_id, BLOCK_LEN as u32, bytes)
    }

    /// Starts a record on the first page that accepts it.
    fn begin<F: NorFlash>(&mut self, flash: &mut F, data_id: DataId, content: &[u8]) -> Option<()> {
        if Self::pages_of::<F>(data_id.len) > self.pages {
            return None;
        }
        for _ in 0..self.pages {
            // A new sequence number per attempt: the abandoned pages must not be taken for the newest record.
            let record = Record { page: self.next::<F>(data_id), sequence: self.sequence, data_id };
            self.sequence = self.sequence.saturating_add(1);
            if self.extend(flash, record, 0, content).is_some() {
                return Some(());
            }
        }
        // All pages have failed. Do not spend that time again before the next start.
        self.pages = 0;
        None
    }

    /// Writes content of a record.
    fn extend<F: NorFlash>(
        &mut self,
        flash: &mut F,
        record: Record,
        offset: u32,
        content: &[u8],
    ) -> Option<()> {
        let mut blocks = (offset..).step_by(BLOCK_LEN).zip(content.chunks(BLOCK_LEN));
        blocks.try_for_each(|(offset, block)| self.write(flash, &record, offset, block))?;
        let written = offset + content.len() as u32;
        // From here on this record is protected instead of the previous one.
        if written == record.data_id.len {
            self.last = Some(record);
        }
        self.growing = Some((record, written));
        Some(())
    }

    /// Writes a block of a record's content, after erasing and writing the head of a new page.
    fn write<F: NorFlash>(
        &mut self,
        flash: &mut F,
        record: &Record,
        offset: u32,
        block: &[u8],
    ) -> Option<()> {
        let address = self.address::<F>(record, offset);
        if offset.is_multiple_of(Self::room::<F>()) {
            let (number, page) = (offset / Self::room::<F>(), address - BLOCK_LEN as u32);
            // Advance before erasing: if the page fails, the next attempt uses another one.
            self.page = self.wrapped(record.page + number + 1);
            flash.erase(page, page + F::ERASE_SIZE as u32).ok()?;
            write(flash, page, &record.head(number))?;
        }
        let mut padded = [0xff; BLOCK_LEN];
        padded.iter_mut().zip(block).for_each(|(place, &byte)| *place = byte);
        write(flash, address, &padded)
    }
}

/// Writes a block; `None` if reading it back does not return it.
fn write<F: NorFlash>(flash: &mut F, address: u32, block: &[u8; BLOCK_LEN]) -> Option<()> {
    flash.write(address, block).ok()?;
    (read(flash, address)? == *block).then_some(())
}

fn read<F: NorFlash>(flash: &mut F, address: u32) -> Option<[u8; BLOCK_LEN]> {
    let mut block = [0; BLOCK_LEN];
    flash.read(address, &mut block).ok()?;
    Some(block)
}

fn bytes(words: [u32; 4]) -> [u8; BLOCK_LEN] {
    let mut bytes = [0; BLOCK_LEN];
    let (places, _) = bytes.as_chunks_mut();
    places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
    bytes
}

fn words(bytes: [u8; BLOCK_LEN]) -> [u32; 4] {
    let mut words = [0; 4];
    let (chunks, _) = bytes.as_chunks();
    words.iter_mut().zip(chunks).for_each(|(word, &chunk)| *word = u32::from_le_bytes(chunk));
    words
}
