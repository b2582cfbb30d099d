//! What a board still has when it lost power: the data of its worker, in flash, so that they need not be sent again.
//!
//! ```text
//! Data ─> worker ── poll_piece ─> keep ─> [ ring of pages in flash ] ─ open ─> memory of a worker that starts
//! ```
//!
//! A record is all data of a run, on pages that follow each other. It begins on the page behind the last record that is whole,
//! and behind the last page comes the first one: so all pages wear alike, and data that are whole stay so while others are being
//! written, if there are pages for both.
//!
//! ```text
//! page = sequence ‖ length ‖ CRC-32 of the data ‖ CRC-32 of these three and the number of the page in its record ‖ data
//! ```
//!
//! Power may fail at any moment. A page is erased just before it is written, its head first; a record whose data do not
//! have the CRC-32 that its first page names is not whole, and the one before it is taken.
//!
//! Nothing here must be right for a run to be right: what is found is used only if it has the check sum that the host names in
//! `Configure`. A flash that is worn out costs what a board without a journal costs: the data are sent.

use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::frame::checksum;

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

/// What keeps pieces.
pub trait Journal {
    /// Keeps a piece, if it can.
    fn keep(&mut self, piece: &Piece);
}

/// Keeps nothing.
impl Journal for () {
    fn keep(&mut self, _: &Piece) {}
}

/// A journal that has a flash, or a part of one, for itself.
#[derive(Debug)]
pub struct FlashJournal<F> {
    flash: F,
    /// Where the record begins that is being written, or will be next.
    page: u32,
    /// Its number.
    sequence: u32,
    /// Its data, and how many bytes of them are written.
    growing: Option<(Whole, u32)>,
}

/// Data and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    page: u32,
    sequence: u32,
    whole: Whole,
}

impl Record {
    /// The head of the page with this number in the record.
    fn head(&self, number: u32) -> [u8; GRAIN] {
        let Whole { checksum, len } = self.whole;
        let mut words = [self.sequence, len, checksum, number];
        words[3] = crc(&words);
        bytes(words)
    }

    /// The record that begins on a page with this head, if one does.
    fn parse(page: u32, head: [u8; GRAIN]) -> Option<Self> {
        let [sequence, len, checksum, _] = words(head);
        let record = Self { page, sequence, whole: Whole { checksum, len } };
        (record.head(0) == head).then_some(record)
    }
}

impl<F: NorFlash> FlashJournal<F> {
    const PAGE_LEN: u32 = F::ERASE_SIZE as u32;
    /// Bytes of data in a page.
    const ROOM: u32 = {
        assert!(GRAIN.is_multiple_of(F::WRITE_SIZE) && GRAIN.is_multiple_of(F::READ_SIZE));
        assert!(F::ERASE_SIZE.is_multiple_of(GRAIN) && F::ERASE_SIZE > GRAIN);
        (F::ERASE_SIZE - GRAIN) as u32
    };

    /// Opens the journal, and brings the data that were kept last, and wholly, to where a worker has its data: to the front of
    /// its memory. Other memory may be written to as well.
    #[inline(never)]
    pub fn open(flash: F, memory: &mut [u64]) -> Self {
        let mut journal = Self { flash, page: 0, sequence: 0, growing: None };
        let data: &mut [u8] = bytemuck::cast_slice_mut(memory);
        let mut bound = u32::MAX;
        while let Some(record) = journal.newest(bound) {
            bound = record.sequence;
            journal.sequence = journal.sequence.max(bound.saturating_add(1));
            if journal.load(&record, data) {
                journal.page = journal.end(&record);
                break;
            }
        }
        journal
    }

    fn pages(&self) -> u32 {
        self.flash.capacity() as u32 / Self::PAGE_LEN
    }

    /// The page behind a record.
    fn end(&self, record: &Record) -> u32 {
        (record.page + record.whole.len.div_ceil(Self::ROOM)).checked_rem(self.pages()).unwrap_or(0)
    }

    /// The newest record before that number of which there is a beginning.
    fn newest(&mut self, bound: u32) -> Option<Record> {
        let pages = 0..self.pages();
        let records = pages.filter_map(|p| Record::parse(p, self.read(p * Self::PAGE_LEN)?));
        records.filter(|record| record.sequence < bound).max_by_key(|record| record.sequence)
    }

    /// Copies the data of a record to where they belong; tells whether they are whole.
    fn load(&mut self, record: &Record, data: &mut [u8]) -> bool {
        let Some(data) = data.get_mut(..record.whole.len as usize) else { return false };
        for (offset, place) in (0..).step_by(GRAIN).zip(data.chunks_mut(GRAIN)) {
            let grain = self.address(record, offset).and_then(|address| self.read(address));
            place.iter_mut().zip(grain.unwrap_or_default()).for_each(|(place, byte)| *place = byte);
        }
        checksum(data) == record.whole.checksum
    }

    /// Where a grain of a record's data lies.
    fn address(&self, record: &Record, offset: u32) -> Option<u32> {
        let page = (record.page + offset / Self::ROOM).checked_rem(self.pages())?;
        Some(page * Self::PAGE_LEN + GRAIN as u32 + offset % Self::ROOM)
    }

    fn read(&mut self, address: u32) -> Option<[u8; GRAIN]> {
        let mut grain = [0; GRAIN];
        self.flash.read(address, &mut grain).ok()?;
        Some(grain)
    }

    /// Writes a grain of a record's data, and before the first one of a page its head.
    fn write(&mut self, record: &Record, offset: u32, grain: &[u8]) -> Option<()> {
        let address = self.address(record, offset)?;
        if offset.is_multiple_of(Self::ROOM) {
            let page = address - GRAIN as u32;
            self.flash.erase(page, page + Self::PAGE_LEN).ok()?;
            self.flash.write(page, &record.head(offset / Self::ROOM)).ok()?;
        }
        let mut padded = [0xff; GRAIN];
        padded.iter_mut().zip(grain).for_each(|(place, &byte)| *place = byte);
        self.flash.write(address, &padded).ok()
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
        let &Piece { whole, mut offset, bytes } = piece;
        let follows = offset == 0 || self.growing == Some((whole, offset));
        self.growing = None;
        if !follows || whole.len > self.pages().saturating_mul(Self::ROOM) {
            return;
        }
        let record = Record { page: self.page, sequence: self.sequence, whole };
        for grain in bytes.chunks(GRAIN) {
            if self.write(&record, offset, grain).is_none() {
                return;
            }
            offset += grain.len() as u32;
        }
        if offset == whole.len {
            self.page = self.end(&record);
            self.sequence = self.sequence.saturating_add(1);
        }
        self.growing = Some((whole, offset));
    }
}

fn crc(words: &[u32; 4]) -> u32 {
    checksum(&bytes(*words))
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
