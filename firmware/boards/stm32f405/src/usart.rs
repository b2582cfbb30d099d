//! USART 1, the line to the host, and USART 2, that of a sensor, by their registers.

use board_support::serial::{Bytes, Inlet};
use stm32f4xx_hal::{
    interrupt,
    pac::{self, NVIC, RCC, USART1, USART2, usart1::RegisterBlock},
    rcc::Enable,
};

/// Bytes of the host, buffered while the worker computes: more than two frames.
pub static RECEIVED: Inlet<2049> = Inlet::new();
/// Bytes of the sensor, buffered while a row is made: 20 ms on the line.
pub static SENSED: Bytes<256> = Bytes::new();

/// Alternate function that connects a pin to USART 1 or 2.
pub const ALTERNATE: u8 = 7;

const BAUD: u32 = 115_200;
/// Clock of the buses after reset.
const BUS_HZ: u32 = 16_000_000;
/// Clock cycles per bit, rounded to nearest.
const DIVISOR: u16 = ((BUS_HZ + BAUD / 2) / BAUD) as u16;

/// Enables both ports: both directions, eight bits without parity, and the receive interrupt.
pub fn open(host: USART1, sensor: USART2, rcc: &mut RCC) {
    USART1::enable(rcc);
    USART2::enable(rcc);
    for usart in [&*host, &*sensor] {
        // SAFETY: every value of this register is a valid baud rate.
        usart.brr().write(|w| unsafe { w.bits(DIVISOR) });
        usart.cr1().write(|w| w.ue().set_bit().te().set_bit().re().set_bit().rxneie().set_bit());
    }
}

/// Sends a byte, once there is room for it.
pub fn send(byte: u8) {
    let usart = registers();
    while usart.sr().read().txe().bit_is_clear() {}
    usart.dr().write(|w| w.dr().set(byte.into()));
}

#[interrupt]
fn USART1() {
    let (byte, is_overrun) = take_received(registers());
    if let Some(byte) = byte {
        RECEIVED.received(byte);
    }
    if is_overrun {
        RECEIVED.lost();
    }
}

#[interrupt]
fn USART2() {
    if !SENSED.has_room() {
        NVIC::mask(pac::Interrupt::USART2);
        return;
    }
    // SAFETY: `open` has consumed the port, and nothing else uses it.
    if let (Some(byte), _) = take_received(unsafe { &*USART2::ptr() }) {
        SENSED.received(byte);
        RECEIVED.call();
    }
}

/// The byte received, if there is one, and whether bytes before it were lost.
fn take_received(usart: &RegisterBlock) -> (Option<u8>, bool) {
    let status = usart.sr().read();
    // Reading the data after the status clears the flags.
    let byte = usart.dr().read().dr().bits() as u8;
    // A damaged byte is dropped; the checksum of its frame reveals that.
    let damaged = status.pe().bit() || status.fe().bit() || status.nf().bit();
    ((status.rxne().bit() && !damaged).then_some(byte), status.ore().bit())
}

/// USART 1.
fn registers() -> &'static RegisterBlock {
    // SAFETY: `open` has consumed the port. The interrupt reads bytes and `send` writes them; reading the status alone
    // has no effect.
    unsafe { &*USART1::ptr() }
}
