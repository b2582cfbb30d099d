//! TWI 0, an I²C bus at 400 kHz.
//!
//! The HALs wait for ever on a bus without a sensor, or can panic.

use core::ptr::with_exposed_provenance;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use volatile_register::{RO, RW, WO};

#[repr(C)]
struct Block {
    start_receive: WO<u32>,
    _1: u32,
    start_transmit: WO<u32>,
    _2: [u32; 2],
    stop: WO<u32>,
    _3: [u32; 2],
    resume: WO<u32>,
    _4: [u32; (0x104 - 0x024) / 4],
    stopped: RW<u32>,
    received: RW<u32>,
    _5: [u32; (0x11C - 0x10C) / 4],
    transmitted: RW<u32>,
    _6: u32,
    error: RW<u32>,
    _7: [u32; (0x200 - 0x128) / 4],
    shortcuts: RW<u32>,
    _8: [u32; (0x4C4 - 0x204) / 4],
    error_source: RW<u32>,
    _9: [u32; (0x500 - 0x4C8) / 4],
    enable: RW<u32>,
    _10: u32,
    clock_pin: RW<u32>,
    data_pin: RW<u32>,
    _11: [u32; 2],
    receive: RO<u32>,
    transmit: RW<u32>,
    _12: u32,
    frequency: RW<u32>,
    _13: [u32; (0x588 - 0x528) / 4],
    address: RW<u32>,
}

/// The bus.
pub struct Twi(());

impl Twi {
    const ENABLE: u32 = 5;
    const KHZ_400: u32 = 0x0668_0000;
    /// At a byte boundary: wait, or stop.
    const SUSPEND: u32 = 1;
    const STOP: u32 = 2;
    /// Polls of an event, of some ten cycles each. A byte takes 25 µs.
    const POLLS_MAX: u32 = 2000;
    /// An input with pull-up that is driven low only.
    const OPEN_DRAIN: u32 = 3 << 2 | 6 << 8;
    /// Cycles of half a clock of the bus while it is freed, at most 100 kHz.
    const HALF_CLOCK: u32 = 320;

    /// Opens the bus at two pins of port 0, with the pull-up resistors of the chip.
    pub fn open(clock_pin: u32, data_pin: u32) -> Self {
        for pin in [clock_pin, data_pin] {
            super::configure(pin as usize, Self::OPEN_DRAIN);
        }
        let bus = Self(());
        // SAFETY: these registers hold settings; none of them affects memory.
        unsafe {
            bus.block().clock_pin.write(clock_pin);
            bus.block().data_pin.write(data_pin);
            bus.block().frequency.write(Self::KHZ_400);
            bus.block().enable.write(Self::ENABLE);
        }
        bus
    }

    fn block(&self) -> &'static Block {
        // SAFETY: the chips have these registers at this address, and accesses are volatile.
        unsafe { &*with_exposed_provenance(0x4000_3000) }
    }

    /// Waits for an event and clears it.
    fn wait(&self, event: &RW<u32>) -> Result<(), ErrorKind> {
        for _ in 0..Self::POLLS_MAX {
            if self.block().error.read() != 0 {
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown));
            }
            if event.read() != 0 {
                clear(event);
                return Ok(());
            }
        }
        Err(ErrorKind::Bus)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), ErrorKind> {
        let bus = self.block();
        for &byte in bytes {
            // SAFETY: any byte may be sent.
            unsafe { bus.transmit.write(byte.into()) };
            self.wait(&bus.transmitted)?;
        }
        Ok(())
    }

    /// Reads bytes and ends the transaction.
    fn read(&self, bytes: &mut [u8]) -> Result<(), ErrorKind> {
        let bus = self.block();
        let Some((last, before)) = bytes.split_last_mut() else { return Err(ErrorKind::Other) };
        set_shortcut(bus, if before.is_empty() { Self::STOP } else { Self::SUSPEND });
        trigger(&bus.start_receive);
        for byte in before {
            trigger(&bus.resume);
            self.wait(&bus.received)?;
            *byte = bus.receive.read() as u8;
        }
        set_shortcut(bus, Self::STOP);
        trigger(&bus.resume);
        self.wait(&bus.received)?;
        *last = bus.receive.read() as u8;
        self.wait(&bus.stopped)
    }

    fn transact(&self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let bus = self.block();
        [&bus.stopped, &bus.received, &bus.transmitted, &bus.error].into_iter().for_each(clear);
        set_shortcut(bus, 0);
        // SAFETY: any address may be called.
        unsafe { bus.address.write(address.into()) };
        let (last, before) = operations.split_last_mut().ok_or(ErrorKind::Other)?;
        if !before.is_empty() || matches!(last, Operation::Write(_)) {
            trigger(&bus.start_transmit);
        }
        for operation in before {
            match operation {
                Operation::Write(bytes) => self.write(bytes)?,
                // No driver here reads twice.
                Operation::Read(_) => return Err(ErrorKind::Other),
            }
        }
        match last {
            Operation::Read(bytes) => self.read(bytes),
            Operation::Write(bytes) => {
                self.write(bytes)?;
                trigger(&bus.stop);
                self.wait(&bus.stopped)
            }
        }
    }
}

impl Twi {
    /// Ends a transaction that failed.
    fn stop(&self) -> Result<(), ErrorKind> {
        let bus = self.block();
        clear(&bus.error);
        // SAFETY: writing flags back clears them and has no other effect.
        unsafe { bus.error_source.modify(|source| source) };
        trigger(&bus.stop);
        self.wait(&bus.stopped)
    }

    /// Frees a bus whose sensor waits for clocks in the middle of a byte, and a block that has locked up.
    fn free(&self) {
        const OUTPUT: u32 = 1;
        let bus = self.block();
        let pin = bus.clock_pin.read();
        // SAFETY: a disabled block and a pin affect no memory.
        unsafe { bus.enable.write(0) };
        super::configure(pin as usize, Self::OPEN_DRAIN | OUTPUT);
        for _ in 0..9 {
            for level in [&super::port().clear, &super::port().set] {
                // SAFETY: as above.
                unsafe { level.write(1 << (pin & 31)) };
                cortex_m::asm::delay(Self::HALF_CLOCK);
            }
        }
        super::configure(pin as usize, Self::OPEN_DRAIN);
        // SAFETY: as above.
        unsafe { bus.enable.write(Self::ENABLE) };
    }
}

impl ErrorType for Twi {
    type Error = ErrorKind;
}

impl I2c for Twi {
    /// Writes, then reads at most once.
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        let outcome = self.transact(address, operations);
        if outcome.is_err() && self.stop().is_err() {
            self.free();
        }
        outcome
    }
}

fn clear(event: &RW<u32>) {
    // SAFETY: clearing an event has no other effect.
    unsafe { event.write(0) };
}

fn trigger(task: &WO<u32>) {
    // SAFETY: the tasks of the bus affect no memory.
    unsafe { task.write(1) };
}

fn set_shortcut(bus: &Block, shortcut: u32) {
    // SAFETY: as above.
    unsafe { bus.shortcuts.write(shortcut) };
}
