//! Code shared by smidgen's boards. A board package adds pins, clocks and one interrupt.
//!
//! ```text
//!  interrupt ── serial::received ──> queue ── serial::Port ──> run        bytes
//!  serve                             the main loop
//!  memory                            the remaining RAM, for the worker
//!  identity                          the board's identity, from hardware or emulator
//!  key                               the key of the fleet, if the image has one
//!  mps                               registers of Arm's MPS boards, for those packages
//!  reset                             restart after a panic or a fault; the host then restores the worker
//! ```
//!
//! A board's `memory.x` defines, besides `FLASH` and `RAM`, two regions and three symbols:
//! * `STACK` is below everything else in RAM, so that an overflow leaves the RAM and faults instead of overwriting the
//!   worker's data; `_stack_start` is its upper end and `_stack_end` its lower one.
//! * `IDENTITY`, 32 bytes at `_identity`, is described in [`identity`].
//!
//! It also places the section `.smidgen_key` in `FLASH`, which [`key`] reads.
#![no_std]

pub mod identity;
pub mod key;
pub mod memory;
pub mod mps;
mod reset;
pub mod serial;

use cortex_m::peripheral::SCB;
use embedded_io::{Read, Write};
use serial::Overrun;
use smidgen_firmware::{
    journal::Journal,
    objective::ObjectiveSet,
    run::run,
    worker::{Board, Worker},
};
use smidgen_protocol::seal::BOOT_LEN;

#[cfg(feature = "defmt")]
use defmt_rtt as _;

/// Unwraps an object that exists once; resets the board if it was taken before.
///
/// Images use this instead of `unwrap`, which can panic.
pub fn take_or_reset<T>(taken: Option<T>) -> T {
    taken.unwrap_or_else(|| SCB::sys_reset())
}

/// Creates the worker in a static, to save stack, and seals its line if the image has a [`key`].
// Not inlined: the worker would be on the stack of `main` on its way to the static.
#[inline(never)]
pub fn init_worker<R: ObjectiveSet>(
    place: &'static mut Option<Worker<&'static mut [u64]>>,
    board: Board,
    memory: &'static mut [u64],
    boot: impl FnOnce() -> Option<[u8; BOOT_LEN]>,
) -> &'static mut Worker<&'static mut [u64]> {
    let worker = place.insert(Worker::new::<R>(board, memory));
    key::seal(worker, boot);
    worker
}

/// Serves the host for ever. A board without a journal passes `()`.
pub fn serve<P, R>(
    mut port: P,
    worker: &mut Worker<&'static mut [u64]>,
    objectives: &mut R,
    journal: &mut impl Journal,
) -> !
where
    P: Read + Write<Error = Overrun>,
    R: ObjectiveSet,
{
    loop {
        if run(&mut port, worker, objectives, journal).is_err() {
            worker.count_overrun();
            #[cfg(feature = "defmt")]
            defmt::warn!("the receiver lost bytes");
        }
    }
}
