//! smidgen's worker on the board template: UART at 115200 baud, no recorder and no journal.
#![no_std]

use board_support::serial::{Inlet, Port};
use board_support::{identity, init_worker, memory, serve};
use cortex_m_rt::exception;
use smidgen_firmware::{objective::ObjectiveSet, worker::Board};

// CHANGE 2: the registers of the UART and the number of its interrupt, or a HAL in their place.
board_support::registers! {
    DATA = 0x4000_4000;
    STATE = 0x4000_4004;
    CONTROL = 0x4000_4008;
    INTERRUPT = 0x4000_400C;
    DIVISOR = 0x4000_4010;
    // Of the core: which interrupts are enabled.
    ENABLE = 0xE000_E100;
}
const RECEIVE: i16 = 0;

/// What has arrived: the longest frame, with some margin.
static RECEIVED: Inlet<576> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    // CHANGE 3: the number of the chip in place of 0, so that boards of one kind differ.
    let board = Board { name: "template", identity: identity::injected_or_else(|| 0) };
    // CHANGE 4: random bytes of the chip, if it has any and images are to have keys.
    let worker = init_worker::<R>(board, memory::take(), identity::seed);
    // CHANGE 5: clocks, pins, 115200 baud, both directions, the receive interrupt.
    DIVISOR.write(25_000_000 / 115_200);
    CONTROL.write(0b1011);
    ENABLE.write(1 << RECEIVE);
    // CHANGE 6: an LED, lit while the worker works, in place of nothing.
    serve(Port::new(&RECEIVED, send, |_lit| ()), worker, objectives, &mut ())
}

/// Sends a byte once there is room for it.
fn send(byte: u8) {
    while STATE.read() & 1 != 0 {}
    DATA.write(byte.into());
}

/// CHANGE 7: the receive interrupt, by its name if the chip has a device crate.
#[exception]
unsafe fn DefaultHandler(_interrupt: i16) {
    INTERRUPT.write(0b10);
    while STATE.read() & 0b10 != 0 {
        RECEIVED.received(DATA.read() as u8);
    }
    if STATE.read() & 0b1000 != 0 {
        STATE.write(0b1000);
        RECEIVED.lost();
    }
}
