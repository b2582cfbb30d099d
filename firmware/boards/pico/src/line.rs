//! The line to the host: USB or UART 0, whichever the host spoke on last.

use crate::{uart, usb};
use board_support::serial::{Inlet, Overrun, Port, Sleep};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use embedded_io::{ErrorType, Read, ReadReady, Write};
use rp2040_hal::{
    gpio::{FunctionSioOutput, Pin, PullDown, bank0::Gpio25},
    pac::{Interrupt, NVIC},
};

/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;

/// Bytes of the host from either line.
pub static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

/// The host spoke last over USB.
static IS_USB: AtomicBool = AtomicBool::new(true);

/// The pin of the LED.
pub type Led = Pin<Gpio25, FunctionSioOutput, PullDown>;

/// Switches the LED.
pub fn light(led: &mut Led, lit: bool) {
    // The operation of the pin cannot fail.
    let _ = embedded_hal::digital::OutputPin::set_state(led, lit.into());
}

/// Notes on which line the host speaks; called by the interrupts.
pub fn heard(is_usb: bool) {
    IS_USB.store(is_usb, Relaxed);
}

/// The port of the worker.
pub struct Line<L>(Port<fn(u8), L, Sleep, { QUEUE_LEN + 1 }>);

impl Line<()> {
    /// Enables the interrupts of both lines.
    pub fn open(mut led: Led) -> Line<impl FnMut(bool)> {
        let port = Port::new(&RECEIVED, uart::send as fn(u8), move |lit| light(&mut led, lit));
        // SAFETY: no critical section relies on these interrupts being masked.
        unsafe {
            NVIC::unmask(Interrupt::UART0_IRQ);
            NVIC::unmask(Interrupt::USBCTRL_IRQ);
        }
        Line(port)
    }
}

impl<L> ErrorType for Line<L> {
    type Error = Overrun;
}

impl<L: FnMut(bool)> Read for Line<L> {
    /// As that of the [`Port`]. What USB held back has room afterwards.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Overrun> {
        let len = self.0.read(buffer);
        usb::resume();
        len
    }
}

impl<L: FnMut(bool)> ReadReady for Line<L> {
    fn read_ready(&mut self) -> Result<bool, Overrun> {
        self.0.read_ready()
    }
}

impl<L: FnMut(bool)> Write for Line<L> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Overrun> {
        if IS_USB.load(Relaxed) {
            usb::send(bytes);
        } else {
            self.0.write(bytes)?;
        }
        Ok(bytes.len())
    }

    /// Does nothing: interrupts send what is buffered.
    fn flush(&mut self) -> Result<(), Overrun> {
        Ok(())
    }
}
