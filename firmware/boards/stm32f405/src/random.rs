//! The generator of random numbers.

use smidgen_protocol::seal::BOOT_LEN;
use stm32f4xx_hal::{
    pac::{RCC, RNG},
    rcc::Enable,
};

/// So often the generator is started until it is given up.
const DRAWS_MAX: usize = 8;

/// Looks at the clock until it is given up: 300 µs are what it may take, and a look takes some cycles of 62.5 ns.
const LOOKS_MAX: u32 = 100_000;

/// Draws random bytes; none if the generator has no clock or says again and again that it is out of order.
pub fn draw(rng: RNG, rcc: &mut RCC) -> Option<[u8; BOOT_LEN]> {
    start_clock(rcc)?;
    RNG::enable(rcc);
    rng.cr().modify(|_, w| w.rngen().set_bit());
    (0..DRAWS_MAX).find_map(|_| {
        let boot = draw_once(&rng);
        if boot.is_none() {
            // One bad seed can happen. So says the reference manual: clear the error, and start the generator anew.
            rng.sr().modify(|_, w| w.seis().clear_bit());
            rng.cr().modify(|_, w| w.rngen().clear_bit());
            rng.cr().modify(|_, w| w.rngen().set_bit());
        }
        boot
    })
}

/// Starts the clock of 48 MHz: 16 MHz / 8 · 96 / 4.
fn start_clock(rcc: &RCC) -> Option<()> {
    // SAFETY: the factors are in the ranges of the reference manual: 2 MHz go in and 192 MHz come out.
    rcc.pllcfgr()
        .modify(|_, w| unsafe { w.pllsrc().hsi().pllm().bits(8).plln().bits(96).pllq().bits(4) });
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    (0..LOOKS_MAX).find_map(|_| rcc.cr().read().pllrdy().bit().then_some(()))
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
    // The first number is not to be used, and none that is the one before: so says the reference manual.
    let (mut boot, mut last) = ([0; BOOT_LEN], word()?);
    for place in boot.chunks_exact_mut(size_of::<u32>()) {
        let drawn = word().filter(|&drawn| drawn != last)?;
        place.copy_from_slice(&drawn.to_le_bytes());
        last = drawn;
    }
    Some(boot)
}
