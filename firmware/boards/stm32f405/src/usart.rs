//! USART 1 by its registers.

use board_support::serial;
use stm32f4xx_hal::{
    interrupt,
    pac::{RCC, USART1, usart1::RegisterBlock},
    rcc::Enable,
};

/// The alternate function of a pin that makes it one of USART 1.
pub const ALTERNATE: u8 = 7;

const BAUD: u32 = 115_200;
/// Clock of the bus after a start.
const BUS_HZ: u32 = 16_000_000;
/// Sixteenths of a bit that the port is told to wait, to the nearest.
const DIVISOR: u16 = ((BUS_HZ + BAUD / 2) / BAUD) as u16;

/// Starts both directions, eight bits without parity, and the interrupt of the receiver.
pub fn open(usart: USART1, rcc: &mut RCC) {
    USART1::enable(rcc);
    // SAFETY: every value of the register is a speed.
    usart.brr().write(|w| unsafe { w.bits(DIVISOR) });
    usart.cr1().write(|w| w.ue().set_bit().te().set_bit().re().set_bit().rxneie().set_bit());
}

/// Sends a byte as soon as there is room for it.
pub fn send(byte: u8) {
    let usart = registers();
    while usart.sr().read().txe().bit_is_clear() {}
    usart.dr().write(|w| w.dr().set(byte.into()));
}

#[interrupt]
fn USART1() {
    let usart = registers();
    let status = usart.sr().read();
    // Reading the byte after the status clears the flags.
    let byte = usart.dr().read().dr().bits() as u8;
    // The checksum of its frame tells of a byte that arrived damaged.
    let damaged = status.pe().bit() || status.fe().bit() || status.nf().bit();
    if status.rxne().bit() && !damaged {
        serial::received(byte);
    }
    if status.ore().bit() {
        serial::lost();
    }
}

fn registers() -> &'static RegisterBlock {
    // SAFETY: `open` has consumed the port. The interrupt reads bytes, `send` writes them, and reading the status alone
    // changes nothing.
    unsafe { &*USART1::ptr() }
}
