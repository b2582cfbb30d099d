//! The worker as a task of an async program, beside another task: Embassy's executor, on `mps2` as QEMU emulates it.
//!
//! The worker has no I/O of its own. Its task awaits bytes, passes them on, computes what is asked and sends what is
//! answered. While it computes, other tasks wait: give them an executor of a higher priority if they must not. A
//! test trains this program and compares its transcript with that of simulation:
//!
//! ```text
//! qemu-system-arm -M mps2-an385 -nographic -monitor none -serial tcp:127.0.0.1:4001,server=on,wait=off -kernel embassy
//! ```
#![no_std]
#![no_main]

#[path = "../src/registers.rs"]
#[expect(dead_code, reason = "it has no sensor")]
mod registers;

use board_support::{BoardWorker, Objectives, identity, init_worker, memory, take_or_restart};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use embassy_executor::{Executor, Spawner};
use embassy_sync::{
    blocking_mutex::raw::CriticalSectionRawMutex as Raw, pipe::Pipe, signal::Signal,
};
use registers::{CLOCK_HZ, FPGAIO, RECEIVE, UART};
use smidgen_firmware::{objective::ObjectiveSet, run::sync_journal, worker::Board};
use smidgen_protocol::frame::FRAME_LEN_MAX;
use static_cell::StaticCell;

/// Bytes of the host: more than two frames.
static RECEIVED: Pipe<Raw, 2048> = Pipe::new();
/// Bytes were lost because the pipe was full.
static LOST: Signal<Raw, ()> = Signal::new();
/// The timer has ticked.
static TICK: Signal<Raw, ()> = Signal::new();

/// Called by the start-up code.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    let mut core = take_or_restart(cortex_m::Peripherals::take());
    let board = Board { name: "embassy", identity: identity::injected_or_else(|| 1) };
    let worker = init_worker::<Objectives>(board, memory::take(), identity::seed);
    UART.open(CLOCK_HZ);
    RECEIVE.unmask();
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(CLOCK_HZ / 2);
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();
    let executor = take_or_restart(EXECUTOR.try_init_with(Executor::new));
    executor.run(|spawner| start(spawner, worker))
}

fn start(spawner: Spawner, worker: &'static mut BoardWorker) {
    spawner.spawn(take_or_restart(work(worker).ok()));
    spawner.spawn(take_or_restart(blink().ok()));
}

/// Serves the host.
#[embassy_executor::task]
async fn work(worker: &'static mut BoardWorker) {
    let (mut bytes, mut frame) = ([0; 64], [0; FRAME_LEN_MAX]);
    let mut objectives = Objectives;
    loop {
        // A board with a journal passes it here.
        sync_journal(worker, &mut ());
        while let Some(len) = worker.poll_transmit(&mut frame) {
            frame.iter().take(len).for_each(|&byte| UART.transmit(byte));
        }
        if let Some(request) = worker.gradient_request() {
            let loss = objectives.evaluate_named(request);
            worker.gradient_ready(loss);
            // The host waits for the update.
            continue;
        }
        let len = RECEIVED.read(&mut bytes).await;
        worker.receive(&bytes[..len.min(bytes.len())]);
        if LOST.try_take().is_some() {
            worker.count_overrun();
        }
    }
}

/// Blinks, also while the worker waits for the host.
#[embassy_executor::task]
async fn blink() {
    let mut is_lit = false;
    loop {
        TICK.wait().await;
        is_lit = !is_lit;
        FPGAIO.light(is_lit);
    }
}

#[exception]
fn SysTick() {
    TICK.signal(());
}

/// Handles the receive interrupt, the only one.
#[exception]
unsafe fn DefaultHandler(_: i16) {
    UART.take_each(|byte| {
        if RECEIVED.try_write(&[byte]).is_err() {
            LOST.signal(());
        }
    });
}
