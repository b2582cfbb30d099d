//! UART 0, a line to the host, and UART 1, that of a sensor. The HAL opens them; interrupts read their registers.

use crate::line::{self, RECEIVED};
use board_support::{serial::Bytes, take_or_restart};
use core::mem::forget;
use rp2040_hal::{
    fugit::RateExtU32,
    pac::{self, NVIC, RESETS, UART0, UART1, interrupt, uart0::RegisterBlock},
    uart::{DataBits, StopBits, UartConfig, UartDevice, UartPeripheral, ValidUartPinout},
};

/// Bytes of the sensor, buffered while a row is made: 20 ms on the line.
pub static SENSED: Bytes<256> = Bytes::new();

const BAUD: u32 = 115_200;
/// Frequency of clk_peri, that of the core.
const PERIPHERAL_HZ: u32 = 125_000_000;

/// Opens a port: eight bits without parity, FIFOs, and the interrupts of a FIFO that fills (UARTIMSC RXIM) or holds
/// bytes of a line that fell silent (RTIM).
pub fn open<D: UartDevice, P: ValidUartPinout<D>>(device: D, pins: P, resets: &mut RESETS) {
    let config = UartConfig::new(BAUD.Hz(), DataBits::Eight, None, StopBits::One);
    let uart = UartPeripheral::new(device, pins, resets).enable(config, PERIPHERAL_HZ.Hz());
    let mut uart = take_or_restart(uart.ok());
    uart.enable_rx_interrupt();
    // Nothing takes the port apart again.
    forget(uart);
}

/// Enables the interrupt of the sensor's port.
pub fn enable_sensor() {
    // SAFETY: no critical section relies on this interrupt being masked.
    unsafe { NVIC::unmask(pac::Interrupt::UART1_IRQ) };
}

/// Sends a byte to the host, once there is room for it.
pub fn send(byte: u8) {
    // SAFETY: `open` has consumed the port. The interrupt reads bytes and this function writes them.
    let uart = unsafe { &*UART0::ptr() };
    while uart.uartfr().read().txff().bit_is_set() {}
    uart.uartdr().write(|w| {
        // SAFETY: all values of these bits are valid.
        unsafe { w.data().bits(byte) }
    });
}

#[interrupt]
fn UART0_IRQ() {
    // SAFETY: `open` has consumed the port, and nothing else reads bytes from it.
    let uart = unsafe { &*UART0::ptr() };
    while let Some(received) = take_received(uart) {
        if let Some(byte) = received.byte {
            line::heard(false);
            RECEIVED.received(byte);
        }
        if received.is_overrun {
            RECEIVED.lost();
        }
    }
}

#[interrupt]
fn UART1_IRQ() {
    // SAFETY: `open` has consumed the port, and nothing else uses it.
    let uart = unsafe { &*UART1::ptr() };
    loop {
        if !SENSED.has_room() {
            // The bytes stay in the FIFO.
            NVIC::mask(pac::Interrupt::UART1_IRQ);
            return;
        }
        let Some(received) = take_received(uart) else { return };
        if let Some(byte) = received.byte {
            SENSED.received(byte);
            RECEIVED.call();
        }
    }
}

/// What the FIFO held.
struct Received {
    /// The byte, unless it was damaged; the checksum of its frame reveals that.
    byte: Option<u8>,
    /// Bytes before it were lost.
    is_overrun: bool,
}

/// Takes a byte out of the FIFO, if there is one. The interrupts end with the last one.
fn take_received(uart: &RegisterBlock) -> Option<Received> {
    if uart.uartfr().read().rxfe().bit_is_set() {
        return None;
    }
    let data = uart.uartdr().read();
    let damaged = data.fe().bit() || data.pe().bit() || data.be().bit();
    Some(Received { byte: (!damaged).then_some(data.data().bits()), is_overrun: data.oe().bit() })
}
