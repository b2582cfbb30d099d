//! Serial ports as embedded-io byte streams: a receive interrupt fills a queue, which [`Port`] or [`SensorPort`]
//! empties.
//!
//! The interrupt handler of a port passes every byte to its queue, and reports if the hardware dropped bytes. The
//! worker may compute for as long as the queue has room for what arrives.

use crate::cpu;
use core::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};
use critical_section::Mutex;
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write};
use heapless::spsc::Queue;

/// A queue of received bytes, which holds N − 1 of them; a static of a board for the port of a sensor.
pub struct Bytes<const N: usize>(Mutex<RefCell<Queue<u8, N>>>);

impl<const N: usize> Bytes<N> {
    /// Creates an empty queue.
    pub const fn new() -> Self {
        Self(Mutex::new(RefCell::new(Queue::new())))
    }

    /// Queues a received byte, to be called by the receive interrupt; returns `None` if there is no room.
    pub fn received(&self, byte: u8) -> Option<()> {
        self.with(|queue| queue.enqueue(byte).ok())
    }

    /// Returns whether the queue has room for a byte.
    pub fn has_room(&self) -> bool {
        self.with(|queue| (!queue.is_full()).then_some(())).is_some()
    }

    /// Returns whether the queue has room for this many bytes.
    pub fn has_room_for(&self, count: usize) -> bool {
        self.with(|queue| (queue.capacity() - queue.len() >= count).then_some(())).is_some()
    }

    fn is_ready(&self) -> bool {
        self.with(|queue| queue.peek().map(|_| ())).is_some()
    }

    /// Moves bytes into `buffer`; returns their number.
    fn drain(&self, buffer: &mut [u8]) -> usize {
        let bytes = core::iter::from_fn(|| self.with(Queue::dequeue));
        buffer.iter_mut().zip(bytes).map(|(slot, byte)| *slot = byte).count()
    }

    fn with<T>(&self, access: impl FnOnce(&mut Queue<u8, N>) -> Option<T>) -> Option<T> {
        critical_section::with(|section| {
            access(&mut *self.0.borrow(section).try_borrow_mut().ok()?)
        })
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What arrives from the host, in a queue for at least a frame; a static of a board. It wakes the main loop.
pub struct Inlet<const N: usize> {
    bytes: Bytes<N>,
    /// Number of overruns of the queue or the hardware.
    overruns: AtomicU32,
    /// The main loop is to return from the next read.
    is_called: AtomicBool,
}

impl<const N: usize> Inlet<N> {
    /// Creates an empty queue.
    pub const fn new() -> Self {
        Self { bytes: Bytes::new(), overruns: AtomicU32::new(0), is_called: AtomicBool::new(false) }
    }

    /// Queues a received byte; to be called by the receive interrupt.
    pub fn received(&self, byte: u8) {
        if self.bytes.received(byte).is_none() {
            self.lost();
        }
    }

    /// Returns whether the queue has room for this many bytes: a port that can make its host wait need not lose any.
    pub fn has_room_for(&self, count: usize) -> bool {
        self.bytes.has_room_for(count)
    }

    /// Counts an overrun; to be called by the receive interrupt alone.
    pub fn lost(&self) {
        // Cortex-M0 has no atomic addition. A load and a store suffice, since there is a single writer.
        self.overruns.store(self.overruns.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Lets the next read return without a byte, so that the main loop looks around; to be called by an interrupt.
    pub fn call(&self) {
        self.is_called.store(true, Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.is_called.load(Relaxed) || self.bytes.is_ready()
    }
}

impl<const N: usize> Default for Inlet<N> {
    fn default() -> Self {
        Self::new()
    }
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

/// How a port lets time pass until the interrupt has filled its queue.
pub trait Pause {
    /// Returns at the latest when the interrupt is pending. The interrupt is masked meanwhile.
    fn pause(&mut self);
}

/// Sleeps until an interrupt is pending.
#[derive(Clone, Copy, Debug)]
pub struct Sleep;

impl Pause for Sleep {
    fn pause(&mut self) {
        cpu::sleep();
    }
}

impl<F: FnMut()> Pause for F {
    fn pause(&mut self) {
        self();
    }
}

/// The board's end of the serial line to the host.
pub struct Port<T, L, P, const N: usize> {
    inlet: &'static Inlet<N>,
    transmit: T,
    light: L,
    pause: P,
    overruns_reported: u32,
}

impl<T: FnMut(u8), L: FnMut(bool), const N: usize> Port<T, L, Sleep, N> {
    /// Creates the port. The interrupt fills `inlet`.
    ///
    /// `transmit` sends a byte and may block until there is room for it. `light` switches the status LED, which is lit
    /// while the worker works and dark while it waits for bytes.
    pub fn new(inlet: &'static Inlet<N>, transmit: T, light: L) -> Self {
        Self::with_pause(inlet, transmit, light, Sleep)
    }
}

impl<T: FnMut(u8), L: FnMut(bool), P: Pause, const N: usize> Port<T, L, P, N> {
    /// Like [`new`](Port::new), with another way to wait for bytes.
    pub fn with_pause(inlet: &'static Inlet<N>, transmit: T, light: L, pause: P) -> Self {
        Self { inlet, transmit, light, pause, overruns_reported: 0 }
    }

    /// Sleeps until a byte arrives.
    fn wait(&mut self) {
        (self.light)(false);
        while !self.inlet.is_ready() {
            // The interrupt may occur between the check and the sleep. A masked interrupt still ends the sleep, and its
            // handler runs as soon as the section ends.
            critical_section::with(|_| {
                if !self.inlet.is_ready() {
                    self.pause.pause();
                }
            });
        }
        (self.light)(true);
    }

    fn has_overrun(&self) -> bool {
        self.inlet.overruns.load(Relaxed) != self.overruns_reported
    }

    /// Reports each overrun once.
    fn report_overrun(&mut self) -> Result<(), Overrun> {
        if !self.has_overrun() {
            return Ok(());
        }
        self.overruns_reported = self.overruns_reported.wrapping_add(1);
        Err(Overrun)
    }
}

impl<T, L, P, const N: usize> ErrorType for Port<T, L, P, N> {
    type Error = Overrun;
}

impl<T: FnMut(u8), L: FnMut(bool), P: Pause, const N: usize> Read for Port<T, L, P, N> {
    /// Blocks until a byte arrives or [`Inlet::call`]. An error reports one overrun and consumes no byte.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Overrun> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.report_overrun()?;
        self.wait();
        if self.inlet.is_called.load(Relaxed) {
            self.inlet.is_called.store(false, Relaxed);
            return Ok(0);
        }
        Ok(self.inlet.bytes.drain(buffer))
    }
}

impl<T: FnMut(u8), L: FnMut(bool), P: Pause, const N: usize> ReadReady for Port<T, L, P, N> {
    fn read_ready(&mut self) -> Result<bool, Overrun> {
        Ok(self.inlet.is_ready() || self.has_overrun())
    }
}

impl<T: FnMut(u8), L: FnMut(bool), P: Pause, const N: usize> Write for Port<T, L, P, N> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Overrun> {
        bytes.iter().for_each(|&byte| (self.transmit)(byte));
        Ok(bytes.len())
    }

    /// Does nothing, since `write` has passed all bytes to the hardware.
    fn flush(&mut self) -> Result<(), Overrun> {
        Ok(())
    }
}

/// The board's end of the line of a sensor, which only receives.
///
/// The interrupt is masked while the queue is full, as [`Bytes::has_room`] tells its handler. An emulator then holds
/// bytes back, and hardware loses them.
pub struct SensorPort<E, const N: usize> {
    bytes: &'static Bytes<N>,
    enable: E,
}

impl<E: FnMut(), const N: usize> SensorPort<E, N> {
    /// Creates the port and enables its interrupt by `enable`; the interrupt fills `bytes`.
    pub fn new(bytes: &'static Bytes<N>, mut enable: E) -> Self {
        enable();
        Self { bytes, enable }
    }
}

impl<E, const N: usize> ErrorType for SensorPort<E, N> {
    type Error = Infallible;
}

impl<E, const N: usize> ReadReady for SensorPort<E, N> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.bytes.is_ready())
    }
}

impl<E: FnMut(), const N: usize> Read for SensorPort<E, N> {
    /// Does not block: without a byte it reads none.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let len = self.bytes.drain(buffer);
        (self.enable)();
        Ok(len)
    }
}
