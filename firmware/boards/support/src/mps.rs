//! The registers that a worker uses on Arm's MPS boards: two UARTs, the LEDs, and the number of the FPGA image. Their
//! addresses differ from image to image.

use crate::serial::Inlet;
use core::{convert::Infallible, ops::Deref};
use embedded_io::{ErrorType, Read, ReadReady};
use volatile_register::{RO, RW};

/// A block of registers at a fixed address.
#[derive(Debug)]
pub struct Block<T>(*const T);

impl<T> Block<T> {
    /// The block at an address.
    ///
    /// # Safety
    /// The hardware must have such a block there.
    pub const unsafe fn at(address: usize) -> Self {
        Self(address as *const T)
    }
}

// SAFETY: all accesses to registers are volatile and of whole words, and `T` consists of registers only.
unsafe impl<T> Sync for Block<T> {}

impl<T> Deref for Block<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `at` requires such a block at this address.
        unsafe { &*self.0 }
    }
}

/// The APB UART of the CMSDK.
#[repr(C)]
pub struct Uart {
    data: RW<u32>,
    state: RW<u32>,
    control: RW<u32>,
    interrupt: RW<u32>,
    divisor: RW<u32>,
}

impl Uart {
    const BAUD: u32 = 115_200;
    const STATE_TRANSMIT_FULL: u32 = 1;
    const STATE_RECEIVE_FULL: u32 = 1 << 1;
    const STATE_RECEIVE_OVERRUN: u32 = 1 << 3;
    const CONTROL_TRANSMIT: u32 = 1;
    const CONTROL_RECEIVE: u32 = 1 << 1;
    const CONTROL_RECEIVE_INTERRUPT: u32 = 1 << 3;
    const INTERRUPT_RECEIVE: u32 = 1 << 1;

    /// Sets the baud rate by the clock of the peripherals, and enables both directions.
    pub fn open(&self, clock_hz: u32) {
        let control =
            Self::CONTROL_TRANSMIT | Self::CONTROL_RECEIVE | Self::CONTROL_RECEIVE_INTERRUPT;
        // SAFETY: these registers hold settings; none of them affects memory.
        unsafe {
            self.divisor.write(clock_hz / Self::BAUD);
            self.control.write(control);
        }
        // Discard a byte received before. Reading it also makes QEMU look for new bytes at once.
        self.data.read();
    }

    /// Sends a byte, once there is room for it.
    pub fn transmit(&self, byte: u8) {
        while self.state.read() & Self::STATE_TRANSMIT_FULL != 0 {}
        // SAFETY: the register accepts any byte, and it is empty.
        unsafe { self.data.write(byte.into()) };
    }

    /// Passes received bytes on; to be called by the interrupt.
    pub fn take_each(&self, pass: impl FnMut(u8)) {
        // Clear the interrupt before taking the byte, so that a byte in between raises it again.
        // SAFETY: writing a flag back clears it and has no other effect.
        unsafe { self.interrupt.write(Self::INTERRUPT_RECEIVE) };
        core::iter::from_fn(|| self.take()).for_each(pass);
    }

    /// Passes received bytes on, and reports whether bytes were lost before them.
    pub fn take_received<const N: usize>(&self, inlet: &Inlet<N>) {
        self.take_each(|byte| inlet.received(byte));
        if self.state.read() & Self::STATE_RECEIVE_OVERRUN != 0 {
            // SAFETY: as above.
            unsafe { self.state.write(Self::STATE_RECEIVE_OVERRUN) };
            inlet.lost();
        }
    }

    /// Wakes the main loop, which takes the byte; to be called by the interrupt of a sensor's port.
    pub fn call<const N: usize>(&self, inlet: &Inlet<N>) {
        // SAFETY: as above.
        unsafe { self.interrupt.write(Self::INTERRUPT_RECEIVE) };
        inlet.call();
    }

    fn is_full(&self) -> bool {
        self.state.read() & Self::STATE_RECEIVE_FULL != 0
    }

    fn take(&self) -> Option<u8> {
        self.is_full().then(|| self.data.read() as u8)
    }
}

/// The UART of a sensor. It has no queue: an emulator holds bytes back until they are read.
pub struct SensorUart(pub &'static Block<Uart>);

impl ErrorType for SensorUart {
    type Error = Infallible;
}

impl ReadReady for SensorUart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.is_full())
    }
}

impl Read for SensorUart {
    /// Does not block: without a byte it reads none.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let bytes = core::iter::from_fn(|| self.0.take());
        Ok(buffer.iter_mut().zip(bytes).map(|(place, byte)| *place = byte).count())
    }
}

/// Serial configuration controller.
#[repr(C)]
pub struct Scc {
    _reserved: [u32; 0xFFC / 4],
    id: RO<u32>,
}

impl Scc {
    /// Number of the FPGA image. It differs between types of boards, not between boards, which have no number.
    pub fn image(&self) -> u32 {
        self.id.read()
    }
}

/// FPGA system control and I/O.
#[repr(C)]
pub struct Fpgaio {
    leds: RW<u32>,
}

impl Fpgaio {
    /// Switches LED 0.
    pub fn light(&self, lit: bool) {
        // SAFETY: the register drives LEDs only.
        unsafe { self.leds.write(lit.into()) };
    }
}
