//! smidgen's worker on the SiFive HiFive1 rev B (FE310-G002, RV32IMAC).
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit GPIO 17, receive GPIO 16); status LED: green (GPIO
//! 19), active low. Clocks are those of the 16 MHz crystal. The chip has no number of its own and no source of
//! randomness: boards of one run need an identity from an emulator, and an image with a key stays silent on hardware.
#![no_std]

mod registers;

use board_support::serial::{Inlet, Port};
use board_support::{identity, init_worker, memory, serve};
use registers::*;
use riscv::interrupt::{Interrupt, enable, enable_interrupt};
use smidgen_firmware::{objective::ObjectiveSet, worker::Board};

/// Clock cycles per bit, less one: 16 MHz / 115200.
const DIVISOR: u32 = 138;
const PINS: u32 = 1 << 16 | 1 << 17;
const LED: u32 = 1 << 19;

/// The longest frame, with some margin.
static RECEIVED: Inlet<576> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    let board = Board { name: "hifive1", identity: identity::injected_or_else(|| 0) };
    let worker = init_worker::<R>(board, memory::take(), identity::seed);
    // The core's clock from the crystal, past the PLL: the internal oscillator is too imprecise for a UART.
    HFXOSCCFG.write(HFXOSCCFG_ENABLE);
    while HFXOSCCFG.read() & HFXOSCCFG_READY == 0 {}
    PLLOUTDIV.write(PLLOUTDIV_BY_1);
    PLLCFG.write(PLLCFG_REFSEL | PLLCFG_BYPASS);
    PLLCFG.set(PLLCFG_SEL);
    GPIO_IOF_SEL.clear(PINS);
    GPIO_IOF_EN.set(PINS);
    GPIO_OUTPUT_EN.set(LED);
    UART_DIV.write(DIVISOR);
    UART_TXCTRL.write(UART_ENABLE);
    UART_RXCTRL.write(UART_ENABLE);
    UART_IE.write(UART_IE_RECEIVE);
    // A fault may have restarted the program between claim and completion of an interrupt.
    PLIC_CLAIM.write(PLIC_UART);
    PLIC_PRIORITY_UART.write(1);
    PLIC_ENABLE.write(1 << PLIC_UART);
    PLIC_THRESHOLD.write(0);
    // SAFETY: no critical section relies on this interrupt being masked.
    unsafe {
        enable_interrupt(Interrupt::MachineExternal);
        enable();
    }
    let light = |lit| GPIO_OUTPUT_VAL.write(if lit { 0 } else { LED });
    serve(Port::new(&RECEIVED, send, light), worker, objectives, &mut ())
}

fn send(byte: u8) {
    while UART_TXDATA.read() & UART_TXDATA_FULL != 0 {}
    UART_TXDATA.write(byte.into());
}

/// The only interrupt that is enabled is that of the receiver. Its queue of eight bytes does not tell if it has lost
/// some; the checksum of the frame does.
#[riscv_rt::core_interrupt(Interrupt::MachineExternal)]
fn receive() {
    let source = PLIC_CLAIM.read();
    let bytes = core::iter::repeat_with(|| UART_RXDATA.read());
    bytes
        .take_while(|received| received & UART_RXDATA_EMPTY == 0)
        .for_each(|received| RECEIVED.received(received as u8));
    PLIC_CLAIM.write(source);
}
