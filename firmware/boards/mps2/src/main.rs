//! smidgen's worker on Arm's MPS2 board, which QEMU emulates: `mps2-an385` (Cortex-M3), `mps2-an386` (M4),
//! `mps2-an500` (M7) and `mps2-an505` (M33, in the secure world).
//!
//! UART 0 at 115200 baud, FPGAIO LED 0; samples arrive at UART 1. Rows and journal are in the PSRAM. The first three
//! share a memory map but for its address, so M4 and M7 run one image; the program reads the type of its core.
#![no_std]
#![no_main]

mod psram;
mod registers;

use board_support::{
    identity, init_worker, memory,
    mps::SensorUart,
    serial::{Inlet, Port},
    serve, take_or_reset,
};
use cortex_m::peripheral::{CPUID, NVIC};
use cortex_m_rt::{entry, exception};
use psram::Psram;
use registers::{CLOCK_HZ, FPGAIO, RECEIVE, SCC, SENSOR_RECEIVE, SENSOR_UART, UART};
use smidgen_firmware::{
    journal::FlashJournal,
    objectives::Objectives,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::{Board, Worker},
};

/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;
/// Values in the longest window.
const WINDOW_LEN: usize = 8192;

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

#[entry]
fn main() -> ! {
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;
    static mut WINDOW: [i16; WINDOW_LEN] = [0; WINDOW_LEN];

    let core = take_or_reset(cortex_m::Peripherals::take());
    let identity = identity::injected_or_else(|| SCC.image().into());
    let board = Board { name: name(&core.CPUID), identity };
    let memory = memory::take();
    let Psram { rows, journal } = Psram::take(&core.CPUID);
    let mut journal = FlashJournal::open(journal, psram::DATA_PAGES, memory);
    let worker = init_worker::<Objectives>(WORKER, board, memory, identity::seed);

    SENSOR_UART.open(CLOCK_HZ);
    let recorder = Recorder::new(rows, WINDOW);
    let sensor =
        StreamSensor::with_interrupt(SensorUart(&SENSOR_UART), identity::sensor_channels());
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    UART.open(CLOCK_HZ);
    let port = Port::new(&RECEIVED, |byte| UART.transmit(byte), |lit| FPGAIO.light(lit));
    // SAFETY: no critical section relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(RECEIVE);
        NVIC::unmask(SENSOR_RECEIVE);
    }
    serve(port, worker, &mut Objectives, &mut journal, &mut recorder, |_, _| ())
}

/// Name of the board, from the part number of its core.
fn name(cpu: &CPUID) -> &'static str {
    match registers::part(cpu) {
        0xC23 => "mps2-m3",
        0xC24 => "mps2-m4",
        registers::M7 => "mps2-m7",
        0xD21 => "mps2-m33",
        _ => "mps2",
    }
}

/// Handles the receive interrupts, which have no names for lack of a device crate.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    if interrupt == SENSOR_RECEIVE.0 as i16 {
        SENSOR_UART.call(&RECEIVED);
    } else {
        UART.take_received(&RECEIVED);
    }
}
