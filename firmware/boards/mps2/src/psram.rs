//! Rows and journal in the PSRAM of the board. QEMU keeps it in a file, so that they survive the loss of power.

use crate::registers::{M7, part};
use board_support::{rows, take_or_restart};
use core::{ptr::with_exposed_provenance_mut, slice};
use cortex_m::peripheral::CPUID;
use smidgen_firmware::recorder::store::{RamFlash, Store};
use static_cell::StaticCell;

/// Bytes of a page of the journal.
const PAGE_LEN: usize = 4096;
/// Pages of the journal for data.
pub const DATA_PAGES: u32 = 192;

/// Where an AN500 has its PSRAM; the linker knows the place in the other images.
const AN500: usize = 0x6000_0000;

unsafe extern "C" {
    static _psram_start: [u64; 0];
    static _rows_start: [u64; 0];
    static _rows_end: [u64; 0];
    static _journal_start: [u64; 0];
    static _journal_end: [u64; 0];
}

/// What is in the PSRAM.
pub struct Psram {
    /// Recorded rows.
    pub rows: Store<RamFlash<'static>>,
    /// Pages of the journal.
    pub journal: RamFlash<'static, PAGE_LEN>,
}

impl Psram {
    /// Opens the PSRAM, whose content may be arbitrary. A second call resets the board.
    pub fn take(cpu: &CPUID) -> Self {
        static TAKEN: StaticCell<()> = StaticCell::new();
        take_or_restart(TAKEN.try_init(()));
        let linked = &raw const _psram_start as usize;
        let start = if part(cpu) == M7 { AN500 } else { linked };
        let region = |first: *const [u64; 0], end: *const [u64; 0]| {
            let words = (end as usize - first as usize) / size_of::<u64>();
            let place = with_exposed_provenance_mut(first as usize - linked + start);
            // SAFETY: the board has RAM there, aligned to eight, which nothing else in the program refers to, and the
            // singleton makes this the only reference. RAM has some content after power-on, and all of it is valid.
            unsafe { slice::from_raw_parts_mut(place, words) }
        };
        Self {
            rows: rows::open(region(&raw const _rows_start, &raw const _rows_end)),
            journal: RamFlash::with_pages(region(
                &raw const _journal_start,
                &raw const _journal_end,
            )),
        }
    }
}
