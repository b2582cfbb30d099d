//! Interrupts of a Cortex-M by their numbers, for boards without a device crate that names them.

use cortex_m::{interrupt::InterruptNumber, peripheral::NVIC};

/// Number of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt(pub u16);

// SAFETY: the number is that of the hardware, and constant.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

impl Interrupt {
    /// Enables it.
    pub fn unmask(self) {
        // SAFETY: no critical section of a board relies on a single interrupt being masked.
        unsafe { NVIC::unmask(self) };
    }

    /// Disables it.
    pub fn mask(self) {
        NVIC::mask(self);
    }
}
