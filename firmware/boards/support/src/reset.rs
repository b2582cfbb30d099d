//! Restarts a board after a panic or a fault. The host notices that it is in no session and restores it.

use core::{arch::naked_asm, panic::PanicInfo};
use cortex_m::peripheral::SCB;

// Not inlined: a test shows that an image cannot panic by the absence of this function.
#[panic_handler]
#[inline(never)]
fn panic(_info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("{}", defmt::Display2Format(_info));
    SCB::sys_reset()
}

/// Handles a fault; found by its name in the vector table. The stack may be the cause, so it starts a new one.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn HardFault() -> ! {
    naked_asm!("ldr r0, =_stack_start", "mov sp, r0", "bl {}", sym SCB::sys_reset)
}
