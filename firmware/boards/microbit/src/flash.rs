//! A region of the nRF51's flash as an `embedded_storage` device. The HAL has none for this chip.
//!
//! A page has 1024 bytes and endures 20,000 erasures. The processor stops while the flash works: up to 46 µs per word,
//! which is less than a byte takes on the line, and 22 ms per page.

use core::ptr::with_exposed_provenance_mut;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use nrf51_hal::pac::{NVMC, nvmc::config::WEN_A};

const PAGE_LEN: u32 = 1024;

unsafe extern "C" {
    static _journal_start: [u32; 0];
    static _journal_end: [u32; 0];
}

/// Address of the region.
fn start() -> usize {
    (&raw const _journal_start).expose_provenance()
}

/// The region `JOURNAL` of `memory.x`, addressed by offsets from its start.
pub struct Flash {
    controller: NVMC,
}

impl Flash {
    /// Creates the device from its controller.
    pub fn new(controller: NVMC) -> Self {
        Self { controller }
    }

    /// Pointer to the word at an offset.
    ///
    /// It is made from an address, as for a register: no object of the program is there, and the symbol has no length.
    fn word(offset: u32) -> *mut u32 {
        with_exposed_provenance_mut(start().wrapping_add(offset as usize))
    }

    /// Enables a mode, performs `work`, and waits until the controller is done.
    fn with(&mut self, mode: WEN_A, work: impl FnOnce(&NVMC)) {
        self.controller.config.write(|w| w.wen().variant(mode));
        work(&self.controller);
        while self.controller.ready.read().ready().is_busy() {}
        self.controller.config.write(|w| w.wen().ren());
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        for (offset, bytes) in (offset..).step_by(4).zip(bytes.chunks_exact_mut(4)) {
            // SAFETY: `check_read` ensures that the word is in the region, which nothing else in the program refers to;
            // all bit patterns are a valid u32. The read is volatile because the controller changes the content.
            let word = unsafe { Self::word(offset).read_volatile() };
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        (&raw const _journal_end).expose_provenance().wrapping_sub(start())
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_LEN as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for offset in (from..to).step_by(PAGE_LEN as usize) {
            let page = Self::word(offset) as u32;
            // SAFETY: `check_erase` ensures that the page is in the region, which contains no part of the program.
            self.with(WEN_A::EEN, |nvmc| nvmc.erasepage().write(|w| unsafe { w.bits(page) }));
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let (words, _) = bytes.as_chunks();
        for (offset, &word) in (offset..).step_by(4).zip(words) {
            // SAFETY: `check_write` ensures that the word is in the region, and writing is enabled.
            let write = || unsafe { Self::word(offset).write_volatile(u32::from_le_bytes(word)) };
            self.with(WEN_A::WEN, |_| write());
        }
        Ok(())
    }
}
