//! The clock of the random number generator.

use stm32f4xx_hal::pac::RCC;

/// Number of polls of the clock. It starts within 300 µs, and a poll takes some cycles of 62.5 ns.
const POLLS_MAX: u32 = 100_000;

/// Starts the 48 MHz clock: 16 MHz / 8 · 96 / 4. `None` if it does not start.
pub fn start_48_mhz(rcc: &RCC) -> Option<()> {
    // SAFETY: the factors are within the ranges of the reference manual, for 2 MHz in and 192 MHz out.
    rcc.pllcfgr()
        .modify(|_, w| unsafe { w.pllsrc().hsi().pllm().bits(8).plln().bits(96).pllq().bits(4) });
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    (0..POLLS_MAX).find_map(|_| rcc.cr().read().pllrdy().bit().then_some(()))
}
