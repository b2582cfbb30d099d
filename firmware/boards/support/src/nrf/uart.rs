//! UART 0.

use crate::serial::Inlet;
use core::ptr::with_exposed_provenance;
use volatile_register::{RO, RW, WO};

#[repr(C)]
struct UartBlock {
    start_receive: WO<u32>,
    _1: u32,
    start_transmit: WO<u32>,
    _2: [u32; (0x108 - 0x00C) / 4],
    received: RW<u32>,
    _3: [u32; (0x11C - 0x10C) / 4],
    transmitted: RW<u32>,
    _4: u32,
    error: RW<u32>,
    _5: [u32; (0x304 - 0x128) / 4],
    interrupts_set: WO<u32>,
    _6: [u32; (0x480 - 0x308) / 4],
    error_source: RW<u32>,
    _7: [u32; (0x500 - 0x484) / 4],
    enable: RW<u32>,
    _8: [u32; 2],
    transmit_pin: RW<u32>,
    _9: u32,
    receive_pin: RW<u32>,
    receive: RO<u32>,
    transmit: WO<u32>,
    _10: u32,
    baud: RW<u32>,
}

/// UART 0 at 115200 baud, with eight bits and no parity. It buffers six bytes.
pub struct Uart(());

/// The UART.
pub static UART: Uart = Uart(());

impl Uart {
    const ENABLE: u32 = 4;
    const BAUD_115200: u32 = 0x01D7_E000;
    const RECEIVED: u32 = 1 << 2;
    const ERROR: u32 = 1 << 9;
    const OVERRUN: u32 = 1;

    fn block(&self) -> &'static UartBlock {
        // SAFETY: the chips have these registers at this address, and accesses are volatile.
        unsafe { &*with_exposed_provenance(0x4000_2000) }
    }

    /// Enables both directions and the receive interrupt. The transmitting pin must be an output, high while idle.
    pub fn open(&self, transmit_pin: u32, receive_pin: u32) {
        let uart = self.block();
        // SAFETY: these registers hold settings; none of them affects memory.
        unsafe {
            uart.transmit_pin.write(transmit_pin);
            uart.receive_pin.write(receive_pin);
            uart.baud.write(Self::BAUD_115200);
            uart.enable.write(Self::ENABLE);
            uart.start_receive.write(1);
            uart.start_transmit.write(1);
            uart.interrupts_set.write(Self::RECEIVED | Self::ERROR);
        }
    }

    /// Sends a byte.
    pub fn transmit(&self, byte: u8) {
        let uart = self.block();
        // SAFETY: as above.
        unsafe {
            uart.transmitted.write(0);
            uart.transmit.write(byte.into());
        }
        while uart.transmitted.read() == 0 {}
    }

    /// Passes received bytes on, and reports whether bytes were lost.
    pub fn take_received<const N: usize>(&self, inlet: &Inlet<N>) {
        let uart = self.block();
        while uart.received.read() != 0 {
            // Clear the event before taking the byte, since the next byte may raise it right after.
            // SAFETY: as above.
            unsafe { uart.received.write(0) };
            inlet.received(uart.receive.read() as u8);
        }
        if uart.error.read() != 0 {
            // SAFETY: writing flags back clears them and has no other effect.
            let source = unsafe {
                uart.error.write(0);
                let source = uart.error_source.read();
                uart.error_source.write(source);
                source
            };
            if source & Self::OVERRUN != 0 {
                inlet.lost();
            }
        }
    }
}
