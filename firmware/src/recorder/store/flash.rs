//! Memory of a store: flash that is read in place, or RAM.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// A flash that the processor reads as memory. Writes and erasures show in [`Mapped::bytes`] once they return.
pub trait Mapped {
    /// All bytes of the region, aligned to two, as many as its capacity.
    fn bytes(&self) -> &[u8];
}

/// RAM as a flash, for boards that have no flash to spare: rows survive a reset, but not the loss of power.
#[derive(Debug)]
pub struct RamFlash<'m> {
    memory: &'m mut [u64],
}

impl<'m> RamFlash<'m> {
    /// Keeps the content of the memory, which may be that of a store before a reset. After power-on it is arbitrary, and
    /// [`Store::clear`](super::Store::clear) makes it a store.
    pub fn new(memory: &'m mut [u64]) -> Self {
        Self { memory }
    }

    fn range(&mut self, offset: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(self.memory);
        let range = bytes.get_mut(offset as usize..).and_then(|bytes| bytes.get_mut(..len));
        range.ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl Mapped for RamFlash<'_> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.memory)
    }
}

impl ErrorType for RamFlash<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RamFlash<'_> {
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

impl NorFlash for RamFlash<'_> {
    const WRITE_SIZE: usize = 2;
    const ERASE_SIZE: usize = 8;

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
