//! Serial ports: those of F4, and those of L4, which have the same flags in other registers.

use crate::register::Register;

const BAUD: u32 = 115_200;
/// Control: both directions and the receive interrupt.
const BOTH_WAYS: u32 = 1 << 2 | 1 << 3 | 1 << 5;
const RECEIVED: u32 = 1 << 5;
const ROOM: u32 = 1 << 7;
const OVERRUN: u32 = 1 << 3;
/// Parity, framing, noise.
const DAMAGED: u32 = 0b111;

/// A port, with eight bits and no parity.
#[derive(Clone, Copy, Debug)]
pub struct Usart {
    control: Register,
    /// The flag in the control register that enables the port.
    enable: u32,
    divisor: Register,
    status: Register,
    /// Clears flags of the status. Without it, reading a byte after the status clears them.
    clear: Option<Register>,
    receive: Register,
    transmit: Register,
}

impl Usart {
    /// A port of an F4.
    ///
    /// # Safety
    /// The chip must have such a port at this address.
    pub const unsafe fn f4(address: usize) -> Self {
        // SAFETY: the registers of a port without DMA affect no memory.
        unsafe {
            Self {
                control: Register::at(address + 0x0C),
                enable: 1 << 13,
                divisor: Register::at(address + 0x08),
                status: Register::at(address),
                clear: None,
                receive: Register::at(address + 0x04),
                transmit: Register::at(address + 0x04),
            }
        }
    }

    /// A port of an L4.
    ///
    /// # Safety
    /// The chip must have such a port at this address.
    pub const unsafe fn l4(address: usize) -> Self {
        // SAFETY: as above.
        unsafe {
            Self {
                control: Register::at(address),
                enable: 1,
                divisor: Register::at(address + 0x0C),
                status: Register::at(address + 0x1C),
                clear: Some(Register::at(address + 0x20)),
                receive: Register::at(address + 0x24),
                transmit: Register::at(address + 0x28),
            }
        }
    }

    /// Sets the baud rate by the clock of the port, and enables both directions and the receive interrupt.
    pub fn open(&self, clock_hz: u32) {
        self.divisor.write((clock_hz + BAUD / 2) / BAUD);
        self.control.write(self.enable | BOTH_WAYS);
    }

    /// Sends a byte, once there is room for it.
    pub fn send(&self, byte: u8) {
        while self.status.read() & ROOM == 0 {}
        self.transmit.write(byte.into());
    }

    /// Takes the byte received, if there is one; returns also whether bytes before it were lost.
    pub fn take_received(&self) -> (Option<u8>, bool) {
        let status = self.status.read();
        let byte = self.receive.read() as u8;
        if let Some(clear) = self.clear {
            clear.write(status & (DAMAGED | OVERRUN));
        }
        // A damaged byte is dropped; the checksum of its frame reveals that.
        let is_whole = status & RECEIVED != 0 && status & DAMAGED == 0;
        (is_whole.then_some(byte), status & OVERRUN != 0)
    }
}
