//! The registers that a worker uses on an STM32 of the series F4 or L4, which have them at different addresses. Clocks
//! differ more, so boards set them up themselves.

pub mod lines;
pub mod random;
pub mod usart;

use crate::register::Register;
use core::ptr::with_exposed_provenance;

/// A port of 16 pins.
#[derive(Clone, Copy, Debug)]
pub struct Gpio {
    mode: Register,
    pull: Register,
    set: Register,
    /// For pins 0 to 7, and for 8 to 15.
    alternate: [Register; 2],
}

impl Gpio {
    const OUTPUT: u32 = 1;
    const ALTERNATE: u32 = 2;
    const PULL_UP: u32 = 1;

    /// The port at an address.
    ///
    /// # Safety
    /// The chip must have such a port there.
    pub const unsafe fn at(address: usize) -> Self {
        // SAFETY: the registers of a port affect no memory.
        unsafe {
            Self {
                mode: Register::at(address),
                pull: Register::at(address + 0x0C),
                set: Register::at(address + 0x18),
                alternate: [Register::at(address + 0x20), Register::at(address + 0x24)],
            }
        }
    }

    /// Makes a pin an output that drives both levels.
    pub fn make_output(self, pin: u32) {
        change(self.mode, 2, pin, Self::OUTPUT);
    }

    /// Connects a pin to a peripheral, by the number of its alternate function. Its pull-up keeps an open line idle.
    pub fn connect(self, pin: u32, function: u32) {
        let [low, high] = self.alternate;
        change(if pin < 8 { low } else { high }, 4, pin % 8, function);
        change(self.pull, 2, pin, Self::PULL_UP);
        change(self.mode, 2, pin, Self::ALTERNATE);
    }

    /// Sets an output high or low.
    pub fn set(self, pin: u32, high: bool) {
        self.set.write(1 << if high { pin } else { pin + 16 });
    }
}

/// Changes the field of a pin, of this width in bits.
fn change(register: Register, width: u32, pin: u32, value: u32) {
    let shift = width * pin;
    let mask = ((1 << width) - 1) << shift;
    register.write(register.read() & !mask | value << shift);
}

/// Unique device id (position on the wafer, wafer number, lot), folded to 64 bits.
///
/// QEMU lacks this memory, so the read faults; [`identity::injected_or_else`](crate::identity::injected_or_else)
/// handles that.
///
/// # Safety
/// The chip must have its unique id at this address.
pub unsafe fn device_id(address: usize) -> u64 {
    // SAFETY: as the caller promises; its twelve bytes never change.
    let id = unsafe { with_exposed_provenance::<[u32; 3]>(address).read_volatile() };
    let [place, wafer_and_lot, lot] = id.map(u32::to_le_bytes);
    let [wafer, lot_start @ ..] = wafer_and_lot;
    let place = u64::from(u32::from_le_bytes(place)) | u64::from(wafer) << 32;
    let fold = |sum: u64, byte: u8| sum << 8 | u64::from(byte);
    let lot = lot_start.into_iter().chain(lot).fold(0, fold);
    // The lot is 56 bits of ASCII, of which the lowest vary most; the position takes 40 bits.
    place << 24 ^ lot
}
