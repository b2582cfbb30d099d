//! smidgen's worker on the Raspberry Pi Pico 2 (RP2350, its Arm cores).
//!
//! UART 0 (transmit GP0, receive GP1) at 115200 baud; status LED: that of the board (GP25). It records nothing.
//!
//! The HAL needs another version of the start-up code for RISC-V than `hifive1`, so the worker uses registers. No
//! emulator has this chip: the image is checked for panics and its stack, and is untested otherwise.
#![no_std]

mod chip;
mod registers;

use board_support::{
    identity, init_worker, memory,
    nvic::Interrupt,
    serial::{Inlet, Port},
    serve,
};
use cortex_m_rt::exception;
use registers::*;
use smidgen_firmware::{objective::ObjectiveSet, worker::Board};

const UART0_IRQ: Interrupt = Interrupt(33);
const LED: u32 = 1 << 25;
/// Clock cycles per bit / 16 = 150 MHz / 16 / 115200 = 81 + 24 / 64.
const DIVISOR: [u32; 2] = [81, 24];

/// Tells the boot ROM that this is a program for the Arm cores of an RP2350, in the secure world: one item, in a list
/// of one block.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEF: [u32; 5] = [0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0, 0xAB12_3579];

/// Bytes of the host, buffered while the worker computes: more than two frames.
static RECEIVED: Inlet<2049> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    let identity = identity::injected_or_else(chip::id);
    chip::start_clocks();
    chip::start(RESETS_IO_BANK0 | RESETS_PADS_BANK0 | RESETS_UART0 | RESETS_TRNG);
    // Lit until the worker waits for bytes: it stays lit on a board that has a key and fails to draw random bytes.
    chip::connect(PADS_GPIO25, GPIO25_CTRL, FUNCTION_SIO);
    GPIO_OE_SET.write(LED);
    GPIO_OUT_SET.write(LED);
    let boot = || identity::seed().or_else(chip::draw);
    let worker = init_worker::<R>(Board { name: "pico2", identity }, memory::take(), boot);

    chip::connect(PADS_GPIO0, GPIO0_CTRL, FUNCTION_UART);
    chip::connect(PADS_GPIO1, GPIO1_CTRL, FUNCTION_UART);
    let [whole, sixty_fourths] = DIVISOR;
    UARTIBRD.write(whole);
    UARTFBRD.write(sixty_fourths);
    UARTLCR_H.write(UARTLCR_H_8_BITS | UARTLCR_H_FIFOS);
    UARTIMSC.write(UARTIMSC_RECEIVE | UARTIMSC_TIME_OUT);
    UARTCR.write(UARTCR_ENABLE | UARTCR_TRANSMIT | UARTCR_RECEIVE);
    UART0_IRQ.unmask();
    let light = |lit| if lit { GPIO_OUT_SET.write(LED) } else { GPIO_OUT_CLR.write(LED) };
    serve(Port::new(&RECEIVED, send, light), worker, objectives, &mut ())
}

fn send(byte: u8) {
    while UARTFR.read() & UARTFR_TRANSMIT_FULL != 0 {}
    UARTDR.write(byte.into());
}

/// Takes received bytes; the interrupt of the UART is the only one that is enabled.
#[exception]
unsafe fn DefaultHandler(_: i16) {
    while UARTFR.read() & UARTFR_RECEIVE_EMPTY == 0 {
        let received = UARTDR.read();
        // A damaged byte is dropped; the checksum of its frame reveals that.
        if received & UARTDR_DAMAGED == 0 {
            RECEIVED.received(received as u8);
        }
        if received & UARTDR_OVERRUN != 0 {
            RECEIVED.lost();
        }
    }
}
