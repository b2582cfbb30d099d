//! The RAM that stack and statics leave to the worker.

use crate::take_or_restart;
use core::{mem::MaybeUninit, slice};
use static_cell::StaticCell;

unsafe extern "C" {
    /// End of the statics, from the linker script of the start-up code.
    static __sheap: u8;
    /// End of the region `RAM`.
    static _ram_end: u8;
}

/// Returns all of the region `RAM` after the statics, zeroed. A second call restarts the board.
pub fn take() -> &'static mut [u64] {
    static TAKEN: StaticCell<()> = StaticCell::new();
    take_or_restart(TAKEN.try_init(()));
    let start = &raw const __sheap as usize;
    let start = start.next_multiple_of(align_of::<u64>());
    let end = &raw const _ram_end as usize;
    let words = (end - start) / size_of::<u64>();
    // SAFETY: the linker places nothing between the end of the statics and the end of the region, the stack has a
    // region of its own, and the singleton above makes this the only reference.
    let memory = unsafe { slice::from_raw_parts_mut(start as *mut MaybeUninit<u64>, words) };
    memory.fill(MaybeUninit::new(0));
    // SAFETY: all words were just initialised.
    unsafe { &mut *(memory as *mut [MaybeUninit<u64>] as *mut [u64]) }
}
