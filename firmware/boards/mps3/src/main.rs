//! smidgen's worker on Arm's MPS3 board with a Cortex-M55, which QEMU emulates as `mps3-an547`.
//!
//! UART 0 at 115200 baud, FPGAIO LED 0; samples arrive at UART 1. The worker runs in the secure world.
#![no_std]
#![no_main]

use board_support::{
    identity, init_worker, memory,
    mps::{Block, Fpgaio, Interrupt, Scc, SensorUart, Uart},
    rows,
    serial::{Inlet, Port},
    serve, take_or_reset,
};
use cortex_m::peripheral::NVIC;
use cortex_m_rt::{entry, exception};
use smidgen_firmware::{
    objectives::Objectives,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::{Board, Worker},
};

// SAFETY: these are the addresses of such blocks in the hardware, by their secure aliases.
static UART: Block<Uart> = unsafe { Block::at(0x5930_3000) };
// SAFETY: as above.
static SENSOR_UART: Block<Uart> = unsafe { Block::at(0x5930_4000) };
// SAFETY: as above.
static SCC: Block<Scc> = unsafe { Block::at(0x5930_0000) };
// SAFETY: as above.
static FPGAIO: Block<Fpgaio> = unsafe { Block::at(0x5930_2000) };
/// Receive interrupt of UART 0.
const RECEIVE: Interrupt = Interrupt(33);
/// Receive interrupt of UART 1.
const SENSOR_RECEIVE: Interrupt = Interrupt(35);
/// Clock of the UARTs.
const CLOCK_HZ: u32 = 25_000_000;
/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;
/// Values in the longest window.
const WINDOW_LEN: usize = 8192;

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

#[entry]
fn main() -> ! {
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;
    static mut WINDOW: [i16; WINDOW_LEN] = [0; WINDOW_LEN];

    take_or_reset(cortex_m::Peripherals::take());
    let identity = identity::injected_or_else(|| SCC.image().into());
    let board = Board { name: "mps3-m55", identity };
    let worker = init_worker::<Objectives>(WORKER, board, memory::take(), identity::seed);

    SENSOR_UART.open(CLOCK_HZ);
    let recorder = Recorder::new(rows::take(), WINDOW);
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
    serve(port, worker, &mut Objectives, &mut (), &mut recorder, |_, _| ())
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
