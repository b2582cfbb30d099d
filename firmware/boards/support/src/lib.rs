//! What smidgen's boards share, so that a board package is pins, clocks and one interrupt.
//!
//! ```text
//!  interrupt ── serial::received ──> queue ── serial::Port ──> run        bytes
//!  serve                             the loop around the worker
//!  memory                            all RAM that is left, for the worker
//!  identity                          who the board is, in an emulator too
//!  key                               whom it talks to, if not to everybody
//!  reset                             after a panic or a fault: the host restores a rebooted board
//! ```
//!
//! A board's `memory.x` defines, beside `FLASH` and `RAM`, two regions and three symbols:
//! * `STACK` lies below everything else in RAM, so that an overflow leaves the RAM and faults instead of spoiling the
//!   worker's data; `_stack_start` is its upper end and `_stack_end` its lower one.
//! * `IDENTITY`, 32 bytes at `_identity`, is described in [`identity`].
//!
//! It also places the section `.smidgen_key` in `FLASH`, which [`key`] reads.
#![no_std]

pub mod identity;
pub mod key;
pub mod memory;
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

/// What can be taken once and is there; a board that wants it again starts anew.
///
/// It takes the place of `unwrap`, so that there is no panic in an image.
pub fn take_or_reset<T>(taken: Option<T>) -> T {
    taken.unwrap_or_else(|| SCB::sys_reset())
}

/// A worker in its place: a static, because a stack need not hold it.
///
/// It is sealed if the image holds a [`key`]. Not inlined: the stack would hold it all the same, on its way there.
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

/// Serves the host for as long as the board has power; without a journal `()` stands for one.
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
