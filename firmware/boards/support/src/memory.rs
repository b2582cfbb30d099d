//! The RAM that stack and statics leave to the worker.

use crate::take_or_reset;
use core::{mem::MaybeUninit, slice};

unsafe extern "C" {
    /// End of the region `RAM`, from cortex-m-rt's linker script.
    static _ram_end: u8;
}

/// Returns all of the region `RAM` after the statics, zeroed. A second call resets the board.
pub fn take() -> &'static mut [u64] {
    take_or_reset(cortex_m::singleton!(TAKEN: () = ()));
    let start = cortex_m_rt::heap_start() as usize;
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
