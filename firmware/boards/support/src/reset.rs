//! A board that cannot go on starts again: the host notices that it is in no session and restores it.

use core::{arch::naked_asm, panic::PanicInfo};
use cortex_m::peripheral::SCB;

/// Not inlined: an image that has no function of this name cannot panic, which is how a test knows.
#[panic_handler]
#[inline(never)]
fn panic(_info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("{}", defmt::Display2Format(_info));
    SCB::sys_reset()
}

/// Stands in the vector table by its name. What went wrong may have been the stack, so it takes a fresh one.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn HardFault() -> ! {
    naked_asm!("ldr r0, =_stack_start", "mov sp, r0", "bl {}", sym SCB::sys_reset)
}
