//! The flash of a simulated board: modelled on an nRF51, with power cuts and worn-out bytes.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use smidgen_firmware::recorder::store::Mapped;
use std::collections::HashSet;
use std::time::Duration;

/// Pages of the journal of a micro:bit.
pub const PAGES: usize = 96;
/// Pages for data among them.
pub const DATA_PAGES: u32 = 32;
const PAGE_LEN: usize = 1024;
const WORD_LEN: usize = 4;
/// The longest time that a page takes to erase, and that a word takes to write (nRF51822 product specification 3.1).
const ERASURE: Duration = Duration::from_micros(22_300);
const WORD: Duration = Duration::from_nanos(46_300);

/// What a power cut leaves of the word or page that was being changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// What it was.
    Old,
    /// Bytes of both, and garbage.
    Mixed,
    /// What it was to become.
    New,
}

impl Tear {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Old, Self::Mixed, Self::New];
}

/// Pages of 1024 bytes, erased when new.
#[derive(Clone, Debug)]
pub struct Flash {
    bytes: Vec<u8>,
    /// Words written since they were erased.
    written: Vec<bool>,
    /// Number of erasures of each page.
    erasures: Vec<u64>,
    /// Worn-out bytes, which stay 0.
    worn: HashSet<usize>,
    /// Writes left until the power fails, an erasure counting as one; `None` without a planned power cut.
    left: Option<u64>,
    tear: Tear,
    /// Number of words written and of pages erased.
    changes: u64,
    /// Time spent writing and erasing since it was last taken.
    time: Duration,
}

impl Flash {
    /// A flash with this number of pages.
    pub fn new(pages: usize) -> Self {
        Self {
            bytes: vec![0xff; pages * PAGE_LEN],
            written: vec![false; pages * PAGE_LEN / WORD_LEN],
            erasures: vec![0; pages],
            worn: HashSet::new(),
            left: None,
            tear: Tear::Mixed,
            changes: 0,
            time: Duration::ZERO,
        }
    }

    /// Cuts power after `words` more writes; an erase counts as one. The last write or erasure leaves garbage.
    pub fn cut_after(&mut self, words: u64) {
        self.left = Some(words);
    }

    /// Sets what power cuts leave; without this call, garbage.
    pub fn set_tear(&mut self, tear: Tear) {
        self.tear = tear;
    }

    /// Number of words written and of pages erased so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns whether the power has failed.
    pub fn is_cut(&self) -> bool {
        self.left == Some(0)
    }

    /// Restores the power and cancels a planned power cut.
    pub fn restore_power(&mut self) {
        self.left = None;
    }

    /// Wears out a byte: it stays 0 from now on, without an error, as on an nRF51.
    pub fn wear_out(&mut self, offset: usize) {
        self.worn.insert(offset);
    }

    /// The number of erasures of each page.
    pub fn erasures(&self) -> &[u64] {
        &self.erasures
    }

    /// Takes the time spent writing and erasing since the last call.
    pub fn take_time(&mut self) -> Duration {
        std::mem::take(&mut self.time)
    }

    /// Writes bytes: none without power, and what the [`Tear`] says where the power fails.
    fn change(
        &mut self,
        offset: usize,
        new: &[u8],
        time: Duration,
    ) -> Result<(), NorFlashErrorKind> {
        if self.is_cut() {
            return Err(NorFlashErrorKind::Other);
        }
        self.left = self.left.map(|left| left - 1);
        self.time += time;
        self.changes += 1;
        let cut = self.is_cut();
        for (at, (byte, &new)) in self.bytes[offset..].iter_mut().zip(new).enumerate() {
            *byte = match () {
                () if self.worn.contains(&(offset + at)) => 0,
                () if !cut || self.tear == Tear::New => new,
                () if self.tear == Tear::Old => *byte,
                () if at % 3 > 0 => 0xa5 ^ *byte,
                () => new,
            };
        }
        if cut { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = WORD_LEN;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD_LEN;
    const ERASE_SIZE: usize = PAGE_LEN;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for offset in (from as usize..to as usize).step_by(PAGE_LEN) {
            self.erasures[offset / PAGE_LEN] += u64::from(!self.is_cut());
            let erased = self.change(offset, &[0xff; PAGE_LEN], ERASURE);
            let is_blank = self.bytes[offset..][..PAGE_LEN].iter().all(|&byte| byte == 0xff);
            if erased.is_ok() || is_blank {
                self.written[offset / WORD_LEN..][..PAGE_LEN / WORD_LEN].fill(false);
            }
            erased?;
        }
        Ok(())
    }

    /// # Panics
    /// If a word was not erased before, or was written since, even with ones.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        for (offset, word) in (offset as usize..).step_by(WORD_LEN).zip(bytes.chunks(WORD_LEN)) {
            let erased = |at| self.bytes[at] == 0xff || self.worn.contains(&at);
            let erased =
                (offset..offset + WORD_LEN).all(erased) && !self.written[offset / WORD_LEN];
            assert!(erased || self.is_cut(), "the word at {offset} was not erased");
            self.change(offset, word, WORD)?;
            self.written[offset / WORD_LEN] = true;
        }
        Ok(())
    }
}

impl Mapped for Flash {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
