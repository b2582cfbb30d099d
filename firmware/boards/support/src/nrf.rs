//! The registers that a worker uses on a Nordic nRF51 or nRF52, which have them at the same addresses: UART 0, timer 0
//! as a clock, port 0 for buttons, and an I²C bus. The HALs have no interrupts for these, and set up the rest.

pub mod twi;

use crate::serial::Inlet;
use core::{
    ptr::with_exposed_provenance,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
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

#[repr(C)]
struct TimerBlock {
    start: WO<u32>,
    _1: [u32; 0x40 / 4 - 1],
    capture: [WO<u32>; 4],
    _2: [u32; (0x504 - 0x050) / 4],
    mode: RW<u32>,
    bits: RW<u32>,
    _3: u32,
    prescaler: RW<u32>,
    _4: [u32; (0x540 - 0x514) / 4],
    captured: [RO<u32>; 4],
}

/// Timer 0: microseconds modulo 2^32.
pub struct Clock(());

/// Who looks at the clock: each has a register of its own.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// The main loop.
    Main,
    /// The interrupt of the buttons.
    Buttons,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Self {
        const BITS_32: u32 = 3;
        // SAFETY: the settings are those of the reference manual: 32 bits at 16 MHz / 2^4.
        unsafe {
            let timer = Self::block();
            timer.mode.write(0);
            timer.bits.write(BITS_32);
            timer.prescaler.write(4);
            timer.start.write(1);
        }
        Self(())
    }

    fn block() -> &'static TimerBlock {
        // SAFETY: the chips have these registers at this address, and accesses are volatile.
        unsafe { &*with_exposed_provenance(0x4000_8000) }
    }

    /// The time.
    pub fn micros(&self) -> u32 {
        Self::read(Reader::Main)
    }

    fn read(reader: Reader) -> u32 {
        let timer = Self::block();
        // SAFETY: the task copies the counter into a register.
        unsafe { timer.capture[reader as usize].write(1) };
        timer.captured[reader as usize].read()
    }
}

#[repr(C)]
struct PortBlock {
    _1: [u32; 0x510 / 4],
    input: RO<u32>,
    _2: [u32; (0x700 - 0x514) / 4],
    pins: [RW<u32>; 32],
}

#[repr(C)]
struct EventBlock {
    _1: [u32; 0x17C / 4],
    port: RW<u32>,
    _2: [u32; (0x304 - 0x180) / 4],
    interrupts_set: WO<u32>,
}

/// Two buttons at pins of port 0, which are low while pressed.
pub struct Buttons {
    /// Number of the button that was pressed, from 1; 0 if none was.
    pressed: AtomicU32,
    /// Time of the latest press.
    time: AtomicU32,
}

/// The buttons.
pub static BUTTONS: Buttons = Buttons { pressed: AtomicU32::new(0), time: AtomicU32::new(0) };

/// Configures a pin of port 0.
fn configure(pin: usize, configuration: u32) {
    if let Some(pin) = port().pins.get(pin) {
        // SAFETY: no configuration of a pin affects memory.
        unsafe { pin.write(configuration) };
    }
}

fn port() -> &'static PortBlock {
    // SAFETY: the chips have these registers at this address, and accesses are volatile.
    unsafe { &*with_exposed_provenance(0x5000_0000) }
}

impl Buttons {
    /// A contact bounces for less, and no one presses a button again within this time.
    const BOUNCE_MICROS: u32 = 200_000;

    fn events() -> &'static EventBlock {
        // SAFETY: the chips have these registers at this address, and accesses are volatile.
        unsafe { &*with_exposed_provenance(0x4000_6000) }
    }

    /// Enables the interrupt of the buttons. The clock must run.
    pub fn open(&self, pins: [usize; 2]) {
        const PULL_UP: u32 = 3 << 2;
        const SENSE_LOW: u32 = 3 << 16;
        const PORT_EVENT: u32 = 1 << 31;
        pins.into_iter().for_each(|pin| configure(pin, PULL_UP | SENSE_LOW));
        // SAFETY: the event of the port affects no memory.
        unsafe {
            Self::events().port.write(0);
            Self::events().interrupts_set.write(PORT_EVENT);
        }
    }

    /// Notes which button is pressed, and wakes the main loop; to be called by the interrupt.
    pub fn take_event<const N: usize>(&self, pins: [usize; 2], inlet: &Inlet<N>) {
        // SAFETY: clearing an event has no other effect.
        unsafe { Self::events().port.write(0) };
        let input = port().input.read();
        let pressed = pins.iter().position(|pin| input >> pin & 1 == 0);
        let now = Clock::read(Reader::Buttons);
        if let Some(pressed) = pressed
            && now.wrapping_sub(self.time.load(Relaxed)) > Self::BOUNCE_MICROS
        {
            self.time.store(now, Relaxed);
            self.pressed.store(pressed as u32 + 1, Relaxed);
            inlet.call();
        }
    }

    /// Number of the button that was pressed since the last call, from 0.
    pub fn take(&self) -> Option<usize> {
        let pressed = self.pressed.load(Relaxed).checked_sub(1)?;
        self.pressed.store(0, Relaxed);
        Some(pressed as usize)
    }
}
