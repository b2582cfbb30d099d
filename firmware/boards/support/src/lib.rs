//! Code shared by smidgen's boards. A board package adds pins, clocks and interrupts.
//!
//! ```text
//!  interrupt ── serial::Inlet ──> queue ── serial::Port ──> run_recorder  bytes
//!  serve                             the main loop
//!  memory                            the remaining RAM, for the worker
//!  rows                              recorded rows in RAM, on boards that have no flash for them
//!  identity                          the board's identity, from hardware or emulator
//!  key                               the key of the fleet, if the image has one
//!  mps, nrf, nvmc, stm32             registers of Arm's MPS boards, of Nordic's chips and of ST's, for those packages
//!  register                          a register by its address
//!  cpu, nvic                         sleep, a new start after a panic or a fault; interrupts by number
//!  log                               what is logged by defmt
//! ```
//!
//! A board's `memory.x` defines, besides `FLASH` and `RAM`, symbols:
//! * `_stack_start` is the upper end of the stack and `_stack_end` its lower one. It is below everything else in RAM, so
//!   that an overflow leaves the RAM and faults instead of overwriting the worker's data.
//! * `_rows_start` and `_rows_end` are the ends of the memory for rows: flash, or RAM as [`rows`] describes it.
//! * `_journal_start` and `_journal_end` are those of the journal, if there is one.
//! * `_identity` are 32 bytes that [`identity`] describes.
//!
//! `board.x`, which it includes, derives all but those of rows and journal from the regions `FLASH`, `STACK`, `RAM` and
//! `IDENTITY`, and places the section `.smidgen_key` in `FLASH`, which [`key`] reads.
#![no_std]

pub mod cpu;
pub mod identity;
pub mod key;
mod log;
pub mod memory;
#[cfg(target_arch = "arm")]
pub mod mps;
#[cfg(target_arch = "arm")]
pub mod nrf;
#[cfg(target_arch = "arm")]
pub mod nvic;
#[cfg(target_arch = "arm")]
pub mod nvmc;
pub mod register;
pub mod rows;
pub mod serial;
#[cfg(target_arch = "arm")]
pub mod stm32;

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use serial::Overrun;
use smidgen_firmware::{
    journal::Journal,
    objective::ObjectiveSet,
    recorder::{sensor::Sensor, store::Mapped},
    remote::{Indicator, RemoteRecorder},
    run::{run, run_recorder},
    worker::{Board, Worker},
};
use smidgen_protocol::seal::BOOT_LEN;
use static_cell::StaticCell;

#[doc(hidden)]
pub use smidgen_firmware::objectives::Objectives;

/// A worker in the memory of a board.
pub type BoardWorker = Worker<&'static mut [u64]>;

/// Makes the program of an image: `image!(BOARD::run)`, or `image!(BOARD::run, OBJECTIVES)` with a set of your own.
#[macro_export]
macro_rules! image {
    ($run:path) => {
        $crate::image!($run, $crate::Objectives);
    };
    ($run:path, $objectives:expr) => {
        /// Called by the start-up code.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ! {
            $run($objectives)
        }
    };
}

/// Unwraps an object that exists once; restarts the board if it was taken before.
///
/// Images use this instead of `unwrap`, which can panic.
pub fn take_or_restart<T>(taken: Option<T>) -> T {
    taken.unwrap_or_else(|| cpu::restart())
}

/// Creates the worker in a static, to save stack, and seals its line if the image has a [`key`].
// Not inlined: the worker would be on the stack of its caller on the way to the static.
#[inline(never)]
pub fn init_worker<R: ObjectiveSet>(
    board: Board,
    memory: &'static mut [u64],
    boot: impl FnOnce() -> Option<[u8; BOOT_LEN]>,
) -> &'static mut BoardWorker {
    static WORKER: StaticCell<BoardWorker> = StaticCell::new();
    log::started(&board, memory.len(), key::held().is_some());
    let worker = take_or_restart(WORKER.try_init_with(|| Worker::new::<R>(board, memory)));
    key::seal(worker, boot);
    worker
}

/// Serves the host for ever, on a board without a recorder. One without a journal passes `()`.
pub fn serve<P, R>(
    mut port: P,
    worker: &mut BoardWorker,
    #[cfg_attr(feature = "defmt", allow(unused_mut))] mut objectives: R,
    journal: &mut impl Journal,
) -> !
where
    P: Read + ReadReady + Write<Error = Overrun>,
    R: ObjectiveSet,
{
    #[cfg(feature = "defmt")]
    let mut objectives = log::Logged(objectives);
    worker.restore_model(journal, &mut objectives);
    loop {
        if let Err(Overrun) = run(&mut port, worker, &mut objectives, journal) {
            count_overrun(worker);
        }
    }
}

/// Serves the host for ever, on a board that records. One without a journal passes `()`.
///
/// `look` is called when an interrupt has [called](serial::Inlet::call) the main loop.
pub fn serve_recorder<P, R, F, S, I>(
    mut port: P,
    worker: &mut BoardWorker,
    #[cfg_attr(feature = "defmt", allow(unused_mut))] mut objectives: R,
    journal: &mut impl Journal,
    recorder: &mut RemoteRecorder<'_, F, S, I>,
    mut look: impl FnMut(&mut BoardWorker, &mut RemoteRecorder<'_, F, S, I>),
) -> !
where
    P: Read + ReadReady + Write<Error = Overrun>,
    R: ObjectiveSet,
    F: NorFlash + Mapped,
    S: Sensor,
    I: Indicator,
{
    #[cfg(feature = "defmt")]
    let mut objectives = log::Logged(objectives);
    worker.restore_model(journal, &mut objectives);
    loop {
        match run_recorder(&mut port, worker, &mut objectives, journal, recorder) {
            Ok(()) => look(worker, recorder),
            Err(Overrun) => count_overrun(worker),
        }
    }
}

fn count_overrun(worker: &mut BoardWorker) {
    worker.count_overrun();
    log::lost_bytes();
}
