//! Random bytes of the ring oscillator.

use rp2040_hal::pac::ROSC;
use smidgen_protocol::seal::BOOT_LEN;

/// Processor cycles between two samples: some 16 cycles of the ring oscillator, at about 6 MHz.
const PAUSE_CYCLES: u32 = 333;
/// Number of pairs of samples per bit. Pairs of unequal bits are half of them, or fewer if the bits are biased.
const PAIRS_MAX: usize = 64;

/// Draws random bytes; `None` if the oscillator always gives the same bit.
///
/// The data sheet (2.17.5) says that ROSC RANDOMBIT is random while the processor runs from the crystal, and that it is
/// neither unbiased nor independent enough for security. A start needs bytes that no other start has; the bias is taken
/// out by von Neumann's method, and each bit is the sum of eight.
pub fn draw(oscillator: &ROSC) -> Option<[u8; BOOT_LEN]> {
    let mut boot = [0; BOOT_LEN];
    for byte in &mut boot {
        for _ in 0..8 {
            let mut sum = false;
            for _ in 0..8 {
                sum ^= unbiased(oscillator)?;
            }
            *byte = *byte << 1 | u8::from(sum);
        }
    }
    Some(boot)
}

/// The first bit of the next pair of unequal ones.
fn unbiased(oscillator: &ROSC) -> Option<bool> {
    let sample = || {
        cortex_m::asm::delay(PAUSE_CYCLES);
        oscillator.randombit().read().randombit().bit()
    };
    (0..PAIRS_MAX)
        .map(|_| (sample(), sample()))
        .find(|(first, second)| first != second)
        .map(|(first, _)| first)
}
