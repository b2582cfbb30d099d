//! A 32-bit RISC-V core in machine mode.

use core::arch::{asm, global_asm};
// Its start-up code is part of every image.
use riscv_rt as _;

/// Sleeps until an interrupt is pending, also a masked one.
pub fn sleep() {
    riscv::asm::wfi();
}

/// Starts the program anew. Chips differ in how they are reset; peripherals keep their settings, which the program makes
/// again.
pub fn restart() -> ! {
    // SAFETY: the start-up code expects nothing of registers or RAM, and nothing returns here.
    unsafe { asm!("csrci mstatus, 8", "j _start", options(noreturn)) }
}

// A fault may be due to the stack, which a handler needs, so the start-up code runs at once; it starts a new one.
global_asm!(
    ".section .trap.start, \"ax\"",
    ".balign 4",
    ".global _pre_default_start_trap",
    "_pre_default_start_trap:",
    "csrw mscratch, t0",
    "csrr t0, mcause",
    "bltz t0, 1f", // an interrupt
    "j {restart}",
    "1: csrr t0, mscratch",
    "j _pre_default_start_trap_ret",
    restart = sym restart,
);
