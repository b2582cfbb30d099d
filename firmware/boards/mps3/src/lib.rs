//! smidgen's worker on Arm's MPS3 board with a Cortex-M55, which QEMU emulates as `mps3-an547`.
//!
//! UART 0 at 115200 baud, FPGAIO LED 0; samples arrive at UART 1. The worker runs in the secure world.
#![no_std]

use board_support::{
    identity, init_worker, memory,
    mps::{Block, Fpgaio, Scc, SensorUart, Uart},
    nvic::Interrupt,
    rows,
    serial::{Inlet, Port},
    serve_recorder, take_or_restart,
};
use cortex_m_rt::exception;
use smidgen_firmware::{
    objective::ObjectiveSet,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::Board,
};
use static_cell::ConstStaticCell;

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

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

    take_or_restart(cortex_m::Peripherals::take());
    let identity = identity::injected_or_else(|| SCC.image().into());
    let board = Board { name: "mps3-m55", identity };
    let worker = init_worker::<R>(board, memory::take(), identity::seed);

    SENSOR_UART.open(CLOCK_HZ);
    let window = take_or_restart(WINDOW.try_take());
    let recorder = Recorder::new(rows::take(), window);
    let sensor =
        StreamSensor::with_interrupt(SensorUart(&SENSOR_UART), identity::sensor_channels());
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    UART.open(CLOCK_HZ);
    let port = Port::new(&RECEIVED, |byte| UART.transmit(byte), |lit| FPGAIO.light(lit));
    RECEIVE.unmask();
    SENSOR_RECEIVE.unmask();
    serve_recorder(port, worker, objectives, &mut (), &mut recorder, |_, _| ())
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
