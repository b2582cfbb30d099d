//! Recorded rows in RAM that no program initialises, so that they survive a reset.

use crate::take_or_restart;
use core::slice;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use smidgen_firmware::recorder::store::{RamFlash, Store};
use static_cell::StaticCell;

unsafe extern "C" {
    static _rows_start: [u64; 0];
    static _rows_end: [u64; 0];
}

/// Opens the store in the region, empty if there is none. A second call restarts the board.
pub fn take() -> Store<RamFlash<'static>> {
    static TAKEN: StaticCell<()> = StaticCell::new();
    take_or_restart(TAKEN.try_init(()));
    let start = &raw const _rows_start as usize;
    let words = (&raw const _rows_end as usize - start) / size_of::<u64>();
    // SAFETY: `memory.x` reserves the region, aligned to eight, which nothing else in the program refers to, and the
    // singleton makes this the only reference. RAM has some content after power-on, and all of it is valid.
    let memory = unsafe { slice::from_raw_parts_mut(start as *mut u64, words) };
    open(memory)
}

/// Opens a store in memory of any content, empty if there is none. Restarts the board if that is impossible.
pub fn open(memory: &'static mut [u64]) -> Store<RamFlash<'static>> {
    take_or_restart(found_or_new(RamFlash::new(memory)))
}

fn found_or_new(flash: RamFlash<'static>) -> Option<Store<RamFlash<'static>>> {
    let store = Store::open(flash).ok()?;
    if store.recipe().is_some() {
        return Some(store);
    }
    let mut flash = store.close();
    flash.erase(0, flash.capacity() as u32).ok()?;
    Store::open(flash).ok()
}
