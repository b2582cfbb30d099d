//! A Cortex-M.

use core::arch::naked_asm;
use cortex_m::peripheral::SCB;
// Its start-up code is part of every image.
use cortex_m_rt as _;

/// Sleeps until an interrupt is pending, also a masked one.
pub fn sleep() {
    cortex_m::asm::wfi();
}

/// Resets the chip.
pub fn restart() -> ! {
    SCB::sys_reset()
}

/// Handles a fault; found by its name in the vector table. The stack may be the cause, so it starts a new one.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn HardFault() -> ! {
    naked_asm!("ldr r0, =_stack_start", "mov sp, r0", "bl {}", sym restart)
}
