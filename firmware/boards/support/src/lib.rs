//! Code shared by smidgen's boards. A board package adds pins, clocks and interrupts.
//!
//! ```text
//!  interrupt ── serial::Inlet ──> queue ── serial::Port ──> run_recorder  bytes
//!  serve                             the main loop
//!  memory                            the remaining RAM, for the worker
//!  rows                              recorded rows in RAM, on boards that have no flash for them
//!  identity                          the board's identity, from hardware or emulator
//!  key                               the key of the fleet, if the image has one
//!  mps, nrf, nvmc                    registers of Arm's MPS boards, and of Nordic's chips, for those packages
//!  reset                             restart after a panic or a fault; the host then restores the worker
//! ```
//!
//! A board's `memory.x` defines, besides `FLASH` and `RAM`, symbols:
//! * `_stack_start` is the upper end of the stack and `_stack_end` its lower one. It is below everything else in RAM, so
//!   that an overflow leaves the RAM and faults instead of overwriting the worker's data.
//! * `_rows_start` and `_rows_end` are the ends of the memory for rows: flash, or RAM as [`rows`] describes it.
//! * `_journal_start` and `_journal_end` are those of the journal, if there is one.
//! * `_identity` are 32 bytes that [`identity`] describes.
//!
//! It also places the section `.smidgen_key` in `FLASH`, which [`key`] reads.
#![no_std]

pub mod identity;
pub mod key;
pub mod memory;
pub mod mps;
pub mod nrf;
pub mod nvmc;
mod reset;
pub mod rows;
pub mod serial;

use cortex_m::peripheral::SCB;
use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use serial::Overrun;
use smidgen_firmware::{
    journal::Journal,
    objective::ObjectiveSet,
    recorder::{sensor::Sensor, store::Mapped},
    remote::{Indicator, RemoteRecorder},
    run::run_recorder,
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

/// Serves the host for ever, after a boot. A board without a journal passes `()`.
///
/// `look` is called when an interrupt has [called](serial::Inlet::call) the main loop.
pub fn serve<P, R, F, S, I>(
    mut port: P,
    worker: &mut Worker<&'static mut [u64]>,
    objectives: &mut R,
    journal: &mut impl Journal,
    recorder: &mut RemoteRecorder<'_, F, S, I>,
    mut look: impl FnMut(&mut Worker<&'static mut [u64]>, &mut RemoteRecorder<'_, F, S, I>),
) -> !
where
    P: Read + ReadReady + Write<Error = Overrun>,
    R: ObjectiveSet,
    F: NorFlash + Mapped,
    S: Sensor,
    I: Indicator,
{
    worker.restore_model(journal, objectives);
    loop {
        match run_recorder(&mut port, worker, objectives, journal, recorder) {
            Ok(()) => look(worker, recorder),
            Err(Overrun) => {
                worker.count_overrun();
                #[cfg(feature = "defmt")]
                defmt::warn!("the receiver lost bytes");
            }
        }
    }
}
