//! The serial port as an embedded-io byte stream: the receive interrupt fills a queue, which [`Port`] empties.
//!
//! A board has one port. Its interrupt handler calls [`received`] for every byte, and [`lost`] if the hardware reports
//! that bytes were dropped. The worker may compute for as long as the queue has room for what arrives.

use core::{
    cell::RefCell,
    fmt,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use critical_section::Mutex;
use embedded_io::{ErrorKind, ErrorType, Read, Write};
use heapless::spsc::{Consumer, Producer, Queue};

/// The interrupt's end of the queue.
static INLET: Mutex<RefCell<Option<Producer<'static, u8>>>> = Mutex::new(RefCell::new(None));

/// Number of overruns of the queue or the hardware.
static OVERRUNS: AtomicU32 = AtomicU32::new(0);

/// Queues a received byte; to be called by the receive interrupt.
pub fn received(byte: u8) {
    critical_section::with(|section| {
        let stored = match INLET.borrow(section).try_borrow_mut().as_deref_mut() {
            Ok(Some(inlet)) => inlet.enqueue(byte),
            _ => Err(byte),
        };
        if stored.is_err() {
            lost();
        }
    });
}

/// Counts an overrun; to be called by the receive interrupt alone.
pub fn lost() {
    // Cortex-M0 has no atomic addition. A load and a store suffice, since there is a single writer.
    OVERRUNS.store(OVERRUNS.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Received bytes were lost because the queue or the hardware buffer was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("received bytes were lost because the buffer was full")
    }
}

impl core::error::Error for Overrun {}

impl embedded_io::Error for Overrun {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The board's end of the serial line.
pub struct Port<T, L> {
    queue: Consumer<'static, u8>,
    transmit: T,
    light: L,
    overruns_reported: u32,
}

impl<T: FnMut(u8), L: FnMut(bool)> Port<T, L> {
    /// Opens the port; the interrupt may be enabled afterwards.
    ///
    /// `queue` should hold a whole frame. `transmit` sends a byte and may block until there is room for it. `light`
    /// switches the status LED, which is lit while the worker works and dark while it waits for bytes.
    pub fn open<const N: usize>(queue: &'static mut Queue<u8, N>, transmit: T, light: L) -> Self {
        let (producer, consumer) = queue.split();
        critical_section::with(|section| {
            if let Ok(mut inlet) = INLET.borrow(section).try_borrow_mut() {
                *inlet = Some(producer);
            }
        });
        Self { queue: consumer, transmit, light, overruns_reported: 0 }
    }

    /// Sleeps until a byte arrives.
    fn wait(&mut self) {
        (self.light)(false);
        while !self.queue.ready() {
            // The interrupt may occur between the check and the sleep. A masked interrupt still ends the sleep, and its
            // handler runs as soon as the section ends.
            critical_section::with(|_| {
                if !self.queue.ready() {
                    cortex_m::asm::wfi();
                }
            });
        }
        (self.light)(true);
    }

    /// Reports each overrun once.
    fn report_overrun(&mut self) -> Result<(), Overrun> {
        let overruns = OVERRUNS.load(Relaxed);
        if overruns == self.overruns_reported {
            return Ok(());
        }
        self.overruns_reported = self.overruns_reported.wrapping_add(1);
        Err(Overrun)
    }
}

impl<T, L> ErrorType for Port<T, L> {
    type Error = Overrun;
}

impl<T: FnMut(u8), L: FnMut(bool)> Read for Port<T, L> {
    /// Blocks until a byte arrives. An error reports one overrun and consumes no byte.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Overrun> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.report_overrun()?;
        self.wait();
        let mut len = 0;
        for slot in buffer {
            let Some(byte) = self.queue.dequeue() else { break };
            *slot = byte;
            len += 1;
        }
        Ok(len)
    }
}

impl<T: FnMut(u8), L: FnMut(bool)> Write for Port<T, L> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Overrun> {
        bytes.iter().for_each(|&byte| (self.transmit)(byte));
        Ok(bytes.len())
    }

    /// Does nothing, since `write` has passed all bytes to the hardware.
    fn flush(&mut self) -> Result<(), Overrun> {
        Ok(())
    }
}
