//! A region of the flash of a Nordic nRF51 or nRF52 as an `embedded_storage` device, which is read in place.
//!
//! The HALs have none for the nRF51, and one that can panic for the nRF52. The processor stops while the flash works:
//! on an nRF51 up to 46 µs per word, which is less than a byte takes on the line, and 22 ms per page; on an nRF52 up to
//! 41 µs and 85 ms.

use core::{ops::Range, ptr::with_exposed_provenance_mut, slice};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use smidgen_firmware::recorder::store::Mapped;
use static_cell::StaticCell;
use volatile_register::{RO, RW};

/// The controller of the flash.
#[repr(C)]
pub struct Nvmc {
    _reserved: [u32; 0x400 / 4],
    ready: RO<u32>,
    _reserved_2: [u32; 0x100 / 4],
    config: RW<u32>,
    erase_page: RW<u32>,
}

/// Address of the controller.
const NVMC: usize = 0x4001_E000;
const READ: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;

unsafe extern "C" {
    static _journal_start: [u32; 0];
    static _journal_end: [u32; 0];
    static _rows_start: [u32; 0];
    static _rows_end: [u32; 0];
}

/// A region of `memory.x`, addressed by offsets from its start, with pages of this many bytes.
#[derive(Debug)]
pub struct Flash<const PAGE_LEN: usize> {
    region: Range<usize>,
}

impl<const PAGE_LEN: usize> Flash<PAGE_LEN> {
    /// The regions `JOURNAL` and `ROWS`. A second call restarts the board.
    pub fn take() -> [Self; 2] {
        static TAKEN: StaticCell<()> = StaticCell::new();
        crate::take_or_restart(TAKEN.try_init(()));
        let journal = (&raw const _journal_start).expose_provenance()
            ..(&raw const _journal_end).expose_provenance();
        let rows = (&raw const _rows_start).expose_provenance()
            ..(&raw const _rows_end).expose_provenance();
        [journal, rows].map(|region| Self { region })
    }

    /// Pointer to the word at an offset.
    ///
    /// It is made from an address, as for a register: no object of the program is there, and the symbol has no length.
    fn word(&self, offset: u32) -> *mut u32 {
        with_exposed_provenance_mut(self.region.start.wrapping_add(offset as usize))
    }

    /// Enables a mode, performs `work`, and waits until the controller is done.
    fn with(mode: u32, work: impl FnOnce(&Nvmc)) {
        // SAFETY: the chip has the controller at this address, and only this module uses it.
        let nvmc = unsafe { &*with_exposed_provenance_mut::<Nvmc>(NVMC) };
        // SAFETY: the modes are those of the reference manual.
        unsafe { nvmc.config.write(mode) };
        work(nvmc);
        while nvmc.ready.read() & 1 == 0 {}
        // SAFETY: as above.
        unsafe { nvmc.config.write(READ) };
    }
}

impl<const PAGE_LEN: usize> Mapped for Flash<PAGE_LEN> {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the region is flash, which only `erase` and `write` change; these borrow it exclusively.
        unsafe { slice::from_raw_parts(self.word(0).cast(), self.region.len()) }
    }
}

impl<const PAGE_LEN: usize> ErrorType for Flash<PAGE_LEN> {
    type Error = NorFlashErrorKind;
}

impl<const PAGE_LEN: usize> ReadNorFlash for Flash<PAGE_LEN> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        for (offset, bytes) in (offset..).step_by(4).zip(bytes.chunks_exact_mut(4)) {
            // SAFETY: `check_read` ensures that the word is in the region, which nothing else in the program refers to;
            // all bit patterns are a valid u32. The read is volatile because the controller changes the content.
            let word = unsafe { self.word(offset).read_volatile() };
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.region.len()
    }
}

impl<const PAGE_LEN: usize> NorFlash for Flash<PAGE_LEN> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_LEN;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for offset in (from..to).step_by(PAGE_LEN) {
            let page = self.word(offset) as u32;
            // SAFETY: `check_erase` ensures that the page is in the region, which contains no part of the program.
            Self::with(ERASE, |nvmc| unsafe { nvmc.erase_page.write(page) });
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let (words, _) = bytes.as_chunks();
        for (offset, &word) in (offset..).step_by(4).zip(words) {
            // SAFETY: `check_write` ensures that the word is in the region, and writing is enabled.
            let write = || unsafe { self.word(offset).write_volatile(u32::from_le_bytes(word)) };
            Self::with(WRITE, |_| write());
        }
        Ok(())
    }
}
