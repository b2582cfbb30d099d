//! USART 1, by its registers.

use board_support::serial;
use stm32f4xx_hal::{
    interrupt,
    pac::{RCC, USART1, usart1::RegisterBlock},
    rcc::Enable,
};

/// Alternate function that connects a pin to USART 1.
pub const ALTERNATE: u8 = 7;

const BAUD: u32 = 115_200;
/// Clock of the bus after reset.
const BUS_HZ: u32 = 16_000_000;
/// Clock cycles per bit, rounded to nearest.
const DIVISOR: u16 = ((BUS_HZ + BAUD / 2) / BAUD) as u16;

/// Enables both directions, eight bits without parity, and the receive interrupt.
pub fn open(usart: USART1, rcc: &mut RCC) {
    USART1::enable(rcc);
    // SAFETY: every value of this register is a valid baud rate.
    usart.brr().write(|w| unsafe { w.bits(DIVISOR) });
    usart.cr1().write(|w| w.ue().set_bit().te().set_bit().re().set_bit().rxneie().set_bit());
}

/// Sends a byte, once there is room for it.
pub fn send(byte: u8) {
    let usart = registers();
    while usart.sr().read().txe().bit_is_clear() {}
    usart.dr().write(|w| w.dr().set(byte.into()));
}

#[interrupt]
fn USART1() {
    let usart = registers();
    let status = usart.sr().read();
    // Reading the data after the status clears the flags.
    let byte = usart.dr().read().dr().bits() as u8;
    // A damaged byte is dropped; the checksum of its frame reveals that.
    let damaged = status.pe().bit() || status.fe().bit() || status.nf().bit();
    if status.rxne().bit() && !damaged {
        serial::received(byte);
    }
    if status.ore().bit() {
        serial::lost();
    }
}

fn registers() -> &'static RegisterBlock {
    // SAFETY: `open` has consumed the port. The interrupt reads bytes and `send` writes them; reading the status alone
    // has no effect.
    unsafe { &*USART1::ptr() }
}
