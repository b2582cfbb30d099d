//! What a board still has when it lost power, in flash: the data of its worker, so that they need not be sent again, and
//! after every round what its worker alone keeps (e_i of EF14, v_i of SGDM), which nobody else could give back.
//!
//! ```text
//!  poll_data_chunk, poll_local_state ─> [ rings of pages in flash ] ─> open: data, to the memory of a worker that starts
//!                                                          ─> recall: what a restored worker asks for
//! ```
//!
//! A record is on pages that follow each other, and behind the last page comes the first one. It begins on the page behind the
//! one that was begun last, whether or not that record became whole: so pages wear alike. Only those of the last record that is
//! whole are passed over, while there is room beside them, so that it stays whole until another one is.
//!
//! ```text
//! page = sequence ‖ length ‖ CRC-32 of the content ‖ CRC-32 of these three and the number of the page in its record ‖ content
//! ```
//!
//! Power may fail at any moment. A page is erased just before it is written, its head first; a record whose content does not
//! have the CRC-32 that its first page names is not whole, and the one before it is taken.
//!
//! What is written is read back, since a controller need not know that a page is worn out. A record for which a page fails begins
//! anew on the next one, if all of it is at hand: its first chunk, or what a worker alone keeps. If not, the next load gets past it.
//!
//! Data that are found are used only if they have the check sum that the host names in `Configure`; what a worker alone kept only
//! if it is of the round, the session and the worker that are asked for. A flash that takes nothing any more is noticed once after
//! every start, and then costs what a board without a journal costs.

use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::vector::Exponent;

/// The longest chunk in bytes.
pub const CHUNK_LEN_MAX: usize = 512;
/// Pieces begin at multiples of this, and flash is written in units of it.
pub const BLOCK_LEN: usize = 16;
/// So often what a worker alone keeps is written anew in a round, if pages fail.
const ATTEMPTS_MAX: usize = 4;

/// Some of a worker's data, on their way to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataChunk<'d> {
    /// Which data.
    pub data_id: DataId,
    /// Bytes before this chunk, a multiple of [`BLOCK_LEN`].
    pub offset: u32,
    /// At most [`CHUNK_LEN_MAX`]; a multiple of [`BLOCK_LEN`], unless these are the last.
    pub bytes: &'d [u8],
}

/// All of a worker's data, as `Configure` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataId {
    /// Their CRC-32.
    pub checksum: u32,
    /// Their length in bytes.
    pub len: u32,
}

/// What a worker alone keeps after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalState<'p> {
    /// Says of which round, session and worker.
    pub name: u64,
    /// The exponent of the mantissas.
    pub exponent: Exponent,
    /// All coordinates.
    pub mantissas: &'p [i32],
}

/// The wish of a restored worker for what it kept alone.
#[derive(Debug)]
pub struct LocalStateRequest<'p> {
    /// Under which name.
    pub name: u64,
    /// Where it belongs.
    pub mantissas: &'p mut [i32],
}

/// What keeps for a worker what it would lose with its power.
pub trait Journal {
    /// Keeps a chunk of the data, if it can.
    fn store_data(&mut self, chunk: &DataChunk);

    /// Keeps what a worker alone keeps, if it can.
    fn store_local_state(&mut self, local: &LocalState);

    /// Brings back what was kept last under a name, and tells its exponent. If there is nothing, anything may be where it belongs.
    fn load_local_state(&mut self, request: LocalStateRequest) -> Option<Exponent>;
}

/// Keeps nothing.
impl Journal for () {
    fn store_data(&mut self, _: &DataChunk) {}

    fn store_local_state(&mut self, _: &LocalState) {}

    fn load_local_state(&mut self, _: LocalStateRequest) -> Option<Exponent> {
        None
    }
}

/// A journal that has a flash, or a part of one, for itself.
#[derive(Debug)]
pub struct FlashJournal<F> {
    flash: F,
    data: Ring,
    local: Ring,
}

impl<F: NorFlash> FlashJournal<F> {
    /// Opens a journal whose first pages, so many, are for data, and the others for what a worker alone keeps.
    ///
    /// Brings the data that were kept last, and wholly, to where a worker has its data: to the front of its memory. Other
    /// memory may be written to as well: a worker's session takes nothing but data from memory that it finds.
    #[inline(never)]
    pub fn open(mut flash: F, data_pages: u32, memory: &mut [u64]) -> Self {
        let pages = flash.capacity() as u32 / F::ERASE_SIZE as u32;
        let data_pages = data_pages.min(pages);
        let memory: &mut [u8] = bytemuck::cast_slice_mut(memory);
        // What is found last stays in memory.
        let local = Ring::open(&mut flash, data_pages..pages, memory, |content| {
            let (name, bytes) = content.split_first_chunk()?;
            Some(local_checksum(name, bytes))
        });
        let data = Ring::open(&mut flash, 0..data_pages, memory, |data| Some(checksum(data)));
        Self { flash, data, local }
    }

    /// The flash, to look at.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives the flash back.
    pub fn close(self) -> F {
        self.flash
    }
}

impl<F: NorFlash> Journal for FlashJournal<F> {
    /// Writes a chunk behind the one before it. Of data of which a chunk is missing nothing more is written.
    #[inline(never)]
    fn store_data(&mut self, chunk: &DataChunk) {
        let _kept = self.data.append(&mut self.flash, chunk.data_id, chunk.offset, chunk.bytes);
    }

    #[inline(never)]
    fn store_local_state(&mut self, local: &LocalState) {
        let Self { flash, local: ring, .. } = self;
        let name = header_block(local.name, local.exponent);
        let bytes = bytemuck::cast_slice(local.mantissas);
        let data_id = DataId {
            checksum: local_checksum(&name, bytes),
            len: (BLOCK_LEN + bytes.len()) as u32,
        };
        let rest = BLOCK_LEN as u32;
        let mut keep = || {
            ring.append(flash, data_id, 0, &name)?;
            ring.append(flash, data_id, rest, bytes)
        };
        // If none succeeds, the worker goes on without: that is what a board without a journal does.
        let _kept = (0..ATTEMPTS_MAX).any(|_| keep().is_some());
    }

    #[inline(never)]
    fn load_local_state(&mut self, request: LocalStateRequest) -> Option<Exponent> {
        let Self { flash, local: ring, .. } = self;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(request.mantissas);
        let mut bound = u32::MAX;
        while let Some(record) = ring.newest(flash, bound) {
            bound = record.sequence;
            let name = ring.block(flash, &record, 0).unwrap_or_default();
            let [.., exponent] = name;
            let exponent = exponent.cast_signed();
            if name == header_block(request.name, exponent) {
                ring.load(flash, &record, BLOCK_LEN as u32, bytes);
                if local_checksum(&name, bytes) == record.data_id.checksum {
                    return Some(exponent);
                }
            }
        }
        None
    }
}

/// The first block of what a worker alone keeps.
fn header_block(name: u64, exponent: Exponent) -> [u8; BLOCK_LEN] {
    let [low, high] = [name as u32, (name >> 32) as u32];
    bytes([low, high, 0, u32::from(exponent.cast_unsigned()) << 24])
}

/// The check sum of what a worker alone keeps, with its first block.
fn local_checksum(name: &[u8; BLOCK_LEN], bytes: &[u8]) -> u32 {
    checksum(name).rotate_left(1) ^ checksum(bytes)
}

/// Pages that are written in turn.
#[derive(Debug)]
struct Ring {
    first: u32,
    /// How many; none once no page takes anything.
    pages: u32,
    /// The one behind that which was begun last; counted in the ring.
    page: u32,
    /// The number of the next record.
    sequence: u32,
    /// The last record that is whole.
    last: Option<Record>,
    /// The record that is being written, and how many bytes of its content are.
    growing: Option<(Record, u32)>,
}

/// Content and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    page: u32,
    sequence: u32,
    data_id: DataId,
}

impl Record {
    /// The head of the page with this number in the record.
    fn head(&self, number: u32) -> [u8; BLOCK_LEN] {
        let DataId { checksum: content, len } = self.data_id;
        let check = checksum(&bytes([self.sequence, len, content, number]));
        bytes([self.sequence, len, content, check])
    }

    /// The record that begins on a page with this head, if one does.
    fn parse(page: u32, head: [u8; BLOCK_LEN]) -> Option<Self> {
        let [sequence, len, checksum, _] = words(head);
        let record = Self { page, sequence, data_id: DataId { checksum, len } };
        (record.head(0) == head).then_some(record)
    }
}

impl Ring {
    /// Finds the record that was written last, and wholly, and brings its content to the front of memory.
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

    /// Bytes of content in a page.
    const fn room<F: NorFlash>() -> u32 {
        const {
            assert!(
                BLOCK_LEN.is_multiple_of(F::WRITE_SIZE) && BLOCK_LEN.is_multiple_of(F::READ_SIZE)
            )
        };
        const { assert!(F::ERASE_SIZE.is_multiple_of(BLOCK_LEN) && F::ERASE_SIZE > BLOCK_LEN) };
        const { (F::ERASE_SIZE - BLOCK_LEN) as u32 }
    }

    /// The newest record before that number of which there is a beginning.
    fn newest<F: NorFlash>(&self, flash: &mut F, bound: u32) -> Option<Record> {
        let address = |page| (self.first + page) * F::ERASE_SIZE as u32;
        let begins = |page| Record::parse(page, read(flash, address(page))?);
        let records = (0..self.pages).filter_map(begins);
        records.filter(|record| record.sequence < bound).max_by_key(|record| record.sequence)
    }

    /// The page behind those of a record that were begun.
    fn page_after<F: NorFlash>(&self, flash: &mut F, record: &Record) -> u32 {
        let begun = |&number: &u32| {
            let content = self.address::<F>(record, number * Self::room::<F>());
            read(flash, content - BLOCK_LEN as u32) == Some(record.head(number))
        };
        let pages = (0..Self::pages_of::<F>(record.data_id)).take_while(begun).count();
        self.wrapped(record.page + pages as u32)
    }

    /// Where the next record begins.
    ///
    /// That is the next page, unless the last record that is whole would lose its own for it and need not.
    fn next<F: NorFlash>(&self, data_id: DataId) -> u32 {
        let pages = Self::pages_of::<F>(data_id);
        let Some(last) = self.last else { return self.page };
        let last_pages = Self::pages_of::<F>(last.data_id);
        let room = self.pages.saturating_sub(last_pages);
        let end = self.wrapped(last.page + last_pages);
        let passed = self.wrapped(self.pages + self.page - end);
        if pages <= room && passed + pages > room { end } else { self.page }
    }

    /// A page, counted on from the last one to the first.
    fn wrapped(&self, page: u32) -> u32 {
        page.checked_rem(self.pages).unwrap_or(0)
    }

    /// Pages of a record with this content.
    fn pages_of<F: NorFlash>(data_id: DataId) -> u32 {
        data_id.len.div_ceil(Self::room::<F>())
    }

    /// Where a block of a record's content lies.
    fn address<F: NorFlash>(&self, record: &Record, offset: u32) -> u32 {
        let page = self.first + self.wrapped(record.page + offset / Self::room::<F>());
        page * F::ERASE_SIZE as u32 + BLOCK_LEN as u32 + offset % Self::room::<F>()
    }

    /// A block of a record's content.
    fn block<F: NorFlash>(
        &self,
        flash: &mut F,
        record: &Record,
        offset: u32,
    ) -> Option<[u8; BLOCK_LEN]> {
        read(flash, self.address::<F>(record, offset))
    }

    /// Copies the content of a record from `offset` on.
    fn load<F: NorFlash>(&self, flash: &mut F, record: &Record, offset: u32, content: &mut [u8]) {
        for (offset, place) in (offset..).step_by(BLOCK_LEN).zip(content.chunks_mut(BLOCK_LEN)) {
            let block = self.block(flash, record, offset).unwrap_or_default();
            place.iter_mut().zip(block).for_each(|(place, byte)| *place = byte);
        }
    }

    /// Writes content behind that before it, or the beginning of a record; nothing if it has not become what it should be.
    fn append<F: NorFlash>(
        &mut self,
        flash: &mut F,
        data_id: DataId,
        offset: u32,
        content: &[u8],
    ) -> Option<()> {
        let growing = self.growing.take();
        if offset == 0 {
            return self.begin(flash, data_id, content);
        }
        let (record, written) = growing?;
        let follows = record.data_id == data_id && written == offset;
        follows.then_some(())?;
        self.extend(flash, record, offset, content)
    }

    /// Begins a record, on the first page that takes its beginning.
    fn begin<F: NorFlash>(&mut self, flash: &mut F, data_id: DataId, content: &[u8]) -> Option<()> {
        if Self::pages_of::<F>(data_id) > self.pages {
            return None;
        }
        for _ in 0..self.pages {
            let record = Record { page: self.next::<F>(data_id), sequence: self.sequence, data_id };
            self.sequence = self.sequence.saturating_add(1);
            if self.extend(flash, record, 0, content).is_some() {
                return Some(());
            }
        }
        // Every page has been tried: that takes its time, and is not done again before the board restarts.
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
        if written == record.data_id.len {
            self.last = Some(record);
        }
        self.growing = Some((record, written));
        Some(())
    }

    /// Writes a block of a record's content, and before the first one of a page its head.
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
            self.page = self.wrapped(record.page + number + 1);
            flash.erase(page, page + F::ERASE_SIZE as u32).ok()?;
            write(flash, page, &record.head(number))?;
        }
        let mut padded = [0xff; BLOCK_LEN];
        padded.iter_mut().zip(block).for_each(|(place, &byte)| *place = byte);
        write(flash, address, &padded)
    }
}

/// Writes a block; nothing if it is not there then.
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
