//! What a board still has when it lost power, in flash: the data of its worker, so that they need not be sent again, and
//! after every round what its worker alone keeps (e_i of EF14, v_i of SGDM), which nobody else could give back.
//!
//! ```text
//!  poll_piece, poll_private ─> [ rings of pages in flash ] ─> open: data, to the memory of a worker that starts
//!                                                          ─> recall: what a restored worker asks for
//! ```
//!
//! A record is on pages that follow each other. It begins on the page behind the last record that is whole, and behind
//! the last page comes the first one: so all pages wear alike, and what is whole stays so while something else is being written,
//! if there are pages for both.
//!
//! ```text
//! page = sequence ‖ length ‖ CRC-32 of the content ‖ CRC-32 of these three and the number of the page in its record ‖ content
//! ```
//!
//! Power may fail at any moment. A page is erased just before it is written, its head first; a record whose content does not
//! have the CRC-32 that its first page names is not whole, and the one before it is taken.
//!
//! Data that are found are used only if they have the check sum that the host names in `Configure`; what a worker alone kept only
//! if it is of the round, the session and the worker that are asked for. A flash that is worn out costs what a board without a
//! journal costs.

use crate::worker::Worker;
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::frame::checksum;
use smidgen_protocol::vector::Exponent;

/// The longest piece in bytes.
pub const PIECE_LEN_MAX: usize = 512;
/// Pieces begin at multiples of this, and flash is written in units of it.
pub const GRAIN: usize = 16;

/// Some of a worker's data, on their way to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'d> {
    /// Which data.
    pub whole: Whole,
    /// Bytes before this piece, a multiple of [`GRAIN`].
    pub offset: u32,
    /// At most [`PIECE_LEN_MAX`]; a multiple of [`GRAIN`], unless these are the last.
    pub bytes: &'d [u8],
}

/// All of a worker's data, as `Configure` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Their CRC-32.
    pub checksum: u32,
    /// Their length in bytes.
    pub len: u32,
}

/// What a worker alone keeps after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Private<'p> {
    /// Says of which round, session and worker.
    pub name: u64,
    /// The exponent of the mantissas.
    pub exponent: Exponent,
    /// All coordinates.
    pub mantissas: &'p [i32],
}

/// The wish of a restored worker for what it kept alone.
#[derive(Debug)]
pub struct Recall<'p> {
    /// Under which name.
    pub name: u64,
    /// Where it belongs.
    pub mantissas: &'p mut [i32],
}

/// What keeps for a worker what it would lose with its power.
pub trait Journal {
    /// Keeps a piece of the data, if it can.
    fn keep(&mut self, piece: &Piece);

    /// Keeps what a worker alone keeps, if it can.
    fn keep_private(&mut self, private: &Private);

    /// Brings back what was kept last under a name, and tells its exponent. If there is nothing, anything may be where it belongs.
    fn recall(&mut self, recall: Recall) -> Option<Exponent>;
}

/// Keeps nothing.
impl Journal for () {
    fn keep(&mut self, _: &Piece) {}

    fn keep_private(&mut self, _: &Private) {}

    fn recall(&mut self, _: Recall) -> Option<Exponent> {
        None
    }
}

/// Gives a worker what it wants of its journal, and the journal what is new: before the worker computes or sends anything.
pub fn attend<M: AsRef<[u64]> + AsMut<[u64]>>(worker: &mut Worker<M>, journal: &mut impl Journal) {
    while let Some(piece) = worker.poll_piece() {
        journal.keep(&piece);
    }
    if let Some(recall) = worker.recall_request() {
        let exponent = journal.recall(recall);
        worker.recalled(exponent);
    }
    if let Some(private) = worker.poll_private() {
        journal.keep_private(&private);
    }
}

/// A journal that has a flash, or a part of one, for itself.
#[derive(Debug)]
pub struct FlashJournal<F> {
    flash: F,
    data: Ring,
    private: Ring,
}

impl<F: NorFlash> FlashJournal<F> {
    /// Opens a journal whose first pages, so many, are for data, and the others for what a worker alone keeps.
    ///
    /// Brings the data that were kept last, and wholly, to where a worker has its data: to the front of its memory. Other
    /// memory may be written to as well.
    #[inline(never)]
    pub fn open(mut flash: F, data_pages: u32, memory: &mut [u64]) -> Self {
        let pages = flash.capacity() as u32 / F::ERASE_SIZE as u32;
        let data_pages = data_pages.min(pages);
        let memory: &mut [u8] = bytemuck::cast_slice_mut(memory);
        // What is found last stays in memory.
        let private = Ring::open(&mut flash, data_pages..pages, memory, |content| {
            let (name, bytes) = content.split_first_chunk()?;
            Some(sum(name, bytes))
        });
        let data = Ring::open(&mut flash, 0..data_pages, memory, |data| Some(checksum(data)));
        Self { flash, data, private }
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
    /// Writes a piece behind the one before it. Of data of which a piece is missing nothing more is written.
    #[inline(never)]
    fn keep(&mut self, piece: &Piece) {
        self.data.append(&mut self.flash, piece.whole, piece.offset, piece.bytes);
    }

    #[inline(never)]
    fn keep_private(&mut self, private: &Private) {
        let Self { flash, private: ring, .. } = self;
        let name = label(private.name, private.exponent);
        let bytes = bytemuck::cast_slice(private.mantissas);
        let whole = Whole { checksum: sum(&name, bytes), len: (GRAIN + bytes.len()) as u32 };
        ring.append(flash, whole, 0, &name);
        ring.append(flash, whole, GRAIN as u32, bytes);
    }

    #[inline(never)]
    fn recall(&mut self, recall: Recall) -> Option<Exponent> {
        let Self { flash, private: ring, .. } = self;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(recall.mantissas);
        let mut bound = u32::MAX;
        while let Some(record) = ring.newest(flash, bound) {
            bound = record.sequence;
            let name = ring.grain(flash, &record, 0).unwrap_or_default();
            let [.., exponent] = name;
            let exponent = exponent.cast_signed();
            if name == label(recall.name, exponent) {
                ring.load(flash, &record, GRAIN as u32, bytes);
                if sum(&name, bytes) == record.whole.checksum {
                    return Some(exponent);
                }
            }
        }
        None
    }
}

/// The first grain of what a worker alone keeps.
fn label(name: u64, exponent: Exponent) -> [u8; GRAIN] {
    let [low, high] = [name as u32, (name >> 32) as u32];
    bytes([low, high, 0, u32::from(exponent.cast_unsigned()) << 24])
}

/// The check sum of what a worker alone keeps, with its first grain.
fn sum(name: &[u8; GRAIN], bytes: &[u8]) -> u32 {
    checksum(name).rotate_left(1) ^ checksum(bytes)
}

/// Pages that are written in turn.
#[derive(Debug)]
struct Ring {
    first: u32,
    pages: u32,
    /// Where the record begins that is being written, or will be next; counted in the ring.
    page: u32,
    /// Its number.
    sequence: u32,
    /// Its content, and how many bytes of it are written.
    growing: Option<(Whole, u32)>,
}

/// Content and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    page: u32,
    sequence: u32,
    whole: Whole,
}

impl Record {
    /// The head of the page with this number in the record.
    fn head(&self, number: u32) -> [u8; GRAIN] {
        let Whole { checksum: content, len } = self.whole;
        let check = checksum(&bytes([self.sequence, len, content, number]));
        bytes([self.sequence, len, content, check])
    }

    /// The record that begins on a page with this head, if one does.
    fn parse(page: u32, head: [u8; GRAIN]) -> Option<Self> {
        let [sequence, len, checksum, _] = words(head);
        let record = Self { page, sequence, whole: Whole { checksum, len } };
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
        let mut ring = Self { first, pages: end - first, page: 0, sequence: 0, growing: None };
        let mut bound = u32::MAX;
        while let Some(record) = ring.newest(flash, bound) {
            bound = record.sequence;
            ring.sequence = ring.sequence.max(bound.saturating_add(1));
            let Some(content) = memory.get_mut(..record.whole.len as usize) else { continue };
            ring.load(flash, &record, 0, content);
            if checksum(content) == Some(record.whole.checksum) {
                ring.page = ring.end::<F>(&record);
                break;
            }
        }
        ring
    }

    /// Bytes of content in a page.
    const fn room<F: NorFlash>() -> u32 {
        const { assert!(GRAIN.is_multiple_of(F::WRITE_SIZE) && GRAIN.is_multiple_of(F::READ_SIZE)) };
        const { assert!(F::ERASE_SIZE.is_multiple_of(GRAIN) && F::ERASE_SIZE > GRAIN) };
        const { (F::ERASE_SIZE - GRAIN) as u32 }
    }

    /// The newest record before that number of which there is a beginning.
    fn newest<F: NorFlash>(&self, flash: &mut F, bound: u32) -> Option<Record> {
        let address = |page| (self.first + page) * F::ERASE_SIZE as u32;
        let begins = |page| Record::parse(page, read(flash, address(page))?);
        let records = (0..self.pages).filter_map(begins);
        records.filter(|record| record.sequence < bound).max_by_key(|record| record.sequence)
    }

    /// The page behind a record.
    fn end<F: NorFlash>(&self, record: &Record) -> u32 {
        let pages = record.whole.len.div_ceil(Self::room::<F>());
        (record.page + pages).checked_rem(self.pages).unwrap_or(0)
    }

    /// Where a grain of a record's content lies.
    fn address<F: NorFlash>(&self, record: &Record, offset: u32) -> Option<u32> {
        let page = record.page + offset / Self::room::<F>();
        let page = self.first + page.checked_rem(self.pages)?;
        Some(page * F::ERASE_SIZE as u32 + GRAIN as u32 + offset % Self::room::<F>())
    }

    /// A grain of a record's content.
    fn grain<F: NorFlash>(
        &self,
        flash: &mut F,
        record: &Record,
        offset: u32,
    ) -> Option<[u8; GRAIN]> {
        read(flash, self.address::<F>(record, offset)?)
    }

    /// Copies the content of a record from `offset` on.
    fn load<F: NorFlash>(&self, flash: &mut F, record: &Record, offset: u32, content: &mut [u8]) {
        for (offset, place) in (offset..).step_by(GRAIN).zip(content.chunks_mut(GRAIN)) {
            let grain = self.grain(flash, record, offset).unwrap_or_default();
            place.iter_mut().zip(grain).for_each(|(place, byte)| *place = byte);
        }
    }

    /// Writes content behind that before it, or the beginning of a record.
    fn append<F: NorFlash>(&mut self, flash: &mut F, whole: Whole, offset: u32, content: &[u8]) {
        let follows = offset == 0 || self.growing == Some((whole, offset));
        self.growing = None;
        if !follows || whole.len > self.pages.saturating_mul(Self::room::<F>()) {
            return;
        }
        let record = Record { page: self.page, sequence: self.sequence, whole };
        let mut grains = (offset..).step_by(GRAIN).zip(content.chunks(GRAIN));
        if !grains.all(|(offset, grain)| self.write(flash, &record, offset, grain).is_some()) {
            return;
        }
        let written = offset + content.len() as u32;
        if written == whole.len {
            self.page = self.end::<F>(&record);
            self.sequence = self.sequence.saturating_add(1);
        }
        self.growing = Some((whole, written));
    }

    /// Writes a grain of a record's content, and before the first one of a page its head.
    fn write<F: NorFlash>(
        &self,
        flash: &mut F,
        record: &Record,
        offset: u32,
        grain: &[u8],
    ) -> Option<()> {
        let address = self.address::<F>(record, offset)?;
        if offset.is_multiple_of(Self::room::<F>()) {
            let page = address - GRAIN as u32;
            flash.erase(page, page + F::ERASE_SIZE as u32).ok()?;
            flash.write(page, &record.head(offset / Self::room::<F>())).ok()?;
        }
        let mut padded = [0xff; GRAIN];
        padded.iter_mut().zip(grain).for_each(|(place, &byte)| *place = byte);
        flash.write(address, &padded).ok()
    }
}

fn read<F: NorFlash>(flash: &mut F, address: u32) -> Option<[u8; GRAIN]> {
    let mut grain = [0; GRAIN];
    flash.read(address, &mut grain).ok()?;
    Some(grain)
}

fn bytes(words: [u32; 4]) -> [u8; GRAIN] {
    let mut bytes = [0; GRAIN];
    let (places, _) = bytes.as_chunks_mut();
    places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
    bytes
}

fn words(bytes: [u8; GRAIN]) -> [u32; 4] {
    let mut words = [0; 4];
    let (chunks, _) = bytes.as_chunks();
    words.iter_mut().zip(chunks).for_each(|(word, &chunk)| *word = u32::from_le_bytes(chunk));
    words
}
