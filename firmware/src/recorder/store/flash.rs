//! Memory of a store: flash that is read in place, or RAM.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// A flash that the processor reads as memory. Writes and erasures show in [`Mapped::bytes`] once they return.
pub trait Mapped {
    /// All bytes of the region, aligned to two, as many as its capacity.
    fn bytes(&self) -> &[u8];
}

/// RAM as a flash with pages of this many bytes, for boards that have no flash to spare: its content survives a reset,
/// but not the loss of power.
#[derive(Debug)]
pub struct RamFlash<'m, const PAGE_LEN: usize = 8> {
    memory: &'m mut [u64],
}

impl<'m> RamFlash<'m> {
    /// Keeps the content of the memory, which may be that of a store before a reset. After power-on it is arbitrary, and
    /// [`Store::clear`](super::Store::clear) makes it a store.
    pub fn new(memory: &'m mut [u64]) -> Self {
        Self { memory }
    }
}

impl<'m, const PAGE_LEN: usize> RamFlash<'m, PAGE_LEN> {
    /// As [`RamFlash::new`], with pages of any length.
    pub fn with_pages(memory: &'m mut [u64]) -> Self {
        Self { memory }
    }

    fn range(&mut self, offset: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(self.memory);
        let range = bytes.get_mut(offset as usize..).and_then(|bytes| bytes.get_mut(..len));
        range.ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl<const PAGE_LEN: usize> Mapped for RamFlash<'_, PAGE_LEN> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.memory)
    }
}

impl<const PAGE_LEN: usize> ErrorType for RamFlash<'_, PAGE_LEN> {
    type Error = NorFlashErrorKind;
}

impl<const PAGE_LEN: usize> ReadNorFlash for RamFlash<'_, PAGE_LEN> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(self.range(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        size_of_val(&*self.memory)
    }
}

impl<const PAGE_LEN: usize> NorFlash for RamFlash<'_, PAGE_LEN> {
    const WRITE_SIZE: usize = 2;
    const ERASE_SIZE: usize = PAGE_LEN;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.range(from, (to - from) as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.range(offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}
