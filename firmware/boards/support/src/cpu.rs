//! The processor: how it sleeps, and how it starts anew after a panic or a fault. The host then finds the worker in no
//! session and restores it.

#[cfg_attr(target_arch = "arm", path = "cpu/arm.rs")]
#[cfg_attr(target_arch = "riscv32", path = "cpu/riscv.rs")]
mod arch;

use crate::log;
pub use arch::{restart, sleep};
use core::panic::PanicInfo;

// Not inlined: a test shows that an image cannot panic by the absence of this function.
#[panic_handler]
#[inline(never)]
fn panic(info: &PanicInfo<'_>) -> ! {
    log::panicked(info);
    restart()
}
