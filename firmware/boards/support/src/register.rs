//! Single registers, for chips whose HAL or register crate does not fit.

use core::ptr::with_exposed_provenance_mut;

/// Defines registers as constants by their addresses.
///
/// The hardware must have them, and no value written to them may affect memory of the program.
#[macro_export]
macro_rules! registers {
    ($($name:ident = $address:literal;)+) => {
        $(
            // SAFETY: the list claims this register for a chip that has it; it affects no memory.
            pub(crate) const $name: $crate::register::Register =
                unsafe { $crate::register::Register::at($address) };
        )+
    };
}

/// A register of 32 bits at a fixed address.
#[derive(Clone, Copy, Debug)]
pub struct Register(usize);

impl Register {
    /// The register at an address, a multiple of four.
    ///
    /// # Safety
    /// The hardware must have such a register there, and no value written to it may affect memory of the program.
    pub const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    /// Reads it.
    pub fn read(self) -> u32 {
        // SAFETY: `at` requires such a register at this address.
        unsafe { with_exposed_provenance_mut::<u32>(self.0).read_volatile() }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: as above.
        unsafe { with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }

    /// Sets bits and keeps the others.
    pub fn set(self, bits: u32) {
        self.write(self.read() | bits);
    }

    /// Clears bits and keeps the others.
    pub fn clear(self, bits: u32) {
        self.write(self.read() & !bits);
    }
}
