//! The random number generator.

use smidgen_protocol::seal::BOOT_LEN;
use stm32f4xx_hal::{
    pac::{RCC, RNG},
    rcc::Enable,
};

/// Number of attempts, with a restart of the generator before each further one.
const ATTEMPTS_MAX: usize = 8;

/// Number of polls of the clock. It starts within 300 µs, and a poll takes some cycles of 62.5 ns.
const POLLS_MAX: u32 = 100_000;

/// Draws random bytes; `None` if the clock does not start or the generator repeatedly reports an error.
pub fn draw(rng: RNG, rcc: &mut RCC) -> Option<[u8; BOOT_LEN]> {
    start_clock(rcc)?;
    RNG::enable(rcc);
    rng.cr().modify(|_, w| w.rngen().set_bit());
    (0..ATTEMPTS_MAX).find_map(|_| {
        let boot = draw_once(&rng);
        if boot.is_none() {
            // A single seed error is normal. The reference manual says to clear it and to restart the generator.
            rng.sr().modify(|_, w| w.seis().clear_bit());
            rng.cr().modify(|_, w| w.rngen().clear_bit());
            rng.cr().modify(|_, w| w.rngen().set_bit());
        }
        boot
    })
}

/// Starts the 48 MHz clock: 16 MHz / 8 · 96 / 4.
fn start_clock(rcc: &RCC) -> Option<()> {
    // SAFETY: the factors are within the ranges of the reference manual, for 2 MHz in and 192 MHz out.
    rcc.pllcfgr()
        .modify(|_, w| unsafe { w.pllsrc().hsi().pllm().bits(8).plln().bits(96).pllq().bits(4) });
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    (0..POLLS_MAX).find_map(|_| rcc.cr().read().pllrdy().bit().then_some(()))
}

fn draw_once(rng: &RNG) -> Option<[u8; BOOT_LEN]> {
    let word = || loop {
        let status = rng.sr().read();
        if status.cecs().bit() || status.secs().bit() {
            return None;
        }
        if status.drdy().bit() {
            return Some(rng.dr().read().bits());
        }
    };
    // The reference manual says to discard the first number, and to treat two equal numbers in a row as an error.
    let (mut boot, mut last) = ([0; BOOT_LEN], word()?);
    for place in boot.chunks_exact_mut(size_of::<u32>()) {
        let drawn = word().filter(|&drawn| drawn != last)?;
        place.copy_from_slice(&drawn.to_le_bytes());
        last = drawn;
    }
    Some(boot)
}
