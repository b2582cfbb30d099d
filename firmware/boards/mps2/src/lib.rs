//! smidgen's worker on Arm's MPS2 board, which QEMU emulates: `mps2-an385` (Cortex-M3), `mps2-an386` (M4),
//! `mps2-an500` (M7) and `mps2-an505` (M33, in the secure world).
//!
//! UART 0 at 115200 baud, FPGAIO LED 0; samples arrive at UART 1. Rows and journal are in the PSRAM. The first three
//! share a memory map but for its address, so M4 and M7 run one image; the program reads the type of its core.
#![no_std]

mod psram;
mod registers;

use board_support::{
    identity, init_worker, memory,
    mps::SensorUart,
    serial::{Inlet, Port},
    serve_recorder, take_or_restart,
};
use cortex_m::peripheral::CPUID;
use cortex_m_rt::exception;
use psram::Psram;
use registers::{CLOCK_HZ, FPGAIO, RECEIVE, SCC, SENSOR_RECEIVE, SENSOR_UART, UART};
use smidgen_firmware::{
    journal::FlashJournal,
    objective::ObjectiveSet,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::Board,
};
use static_cell::ConstStaticCell;

/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;
/// Values in the longest window.
const WINDOW_LEN: usize = 8192;

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

    let core = take_or_restart(cortex_m::Peripherals::take());
    let identity = identity::injected_or_else(|| SCC.image().into());
    let board = Board { name: name(&core.CPUID), identity };
    let memory = memory::take();
    let Psram { rows, journal } = Psram::take(&core.CPUID);
    let mut journal = FlashJournal::open(journal, psram::DATA_PAGES, memory);
    let worker = init_worker::<R>(board, memory, identity::seed);

    SENSOR_UART.open(CLOCK_HZ);
    let window = take_or_restart(WINDOW.try_take());
    let recorder = Recorder::new(rows, window);
    let sensor =
        StreamSensor::with_interrupt(SensorUart(&SENSOR_UART), identity::sensor_channels());
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    UART.open(CLOCK_HZ);
    let port = Port::new(&RECEIVED, |byte| UART.transmit(byte), |lit| FPGAIO.light(lit));
    RECEIVE.unmask();
    SENSOR_RECEIVE.unmask();
    serve_recorder(port, worker, objectives, &mut journal, &mut recorder, |_, _| ())
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
