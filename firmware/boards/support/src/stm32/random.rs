//! The random number generator, once its clock of 48 MHz runs.

use crate::register::Register;
use smidgen_protocol::seal::BOOT_LEN;

// SAFETY: the chips with a generator have it here; its registers affect no memory.
const CONTROL: Register = unsafe { Register::at(0x5006_0800) };
// SAFETY: as above.
const STATUS: Register = unsafe { Register::at(0x5006_0804) };
// SAFETY: as above.
const DATA: Register = unsafe { Register::at(0x5006_0808) };

const ENABLE: u32 = 1 << 2;
const READY: u32 = 1;
/// Errors of the clock and of the seed.
const ERRORS: u32 = 1 << 1 | 1 << 2;
/// An error of the seed was seen; writing zero clears it.
const SEED_ERROR_SEEN: u32 = 1 << 6;

/// Number of attempts, with a restart of the generator before each further one.
const ATTEMPTS_MAX: usize = 8;

/// Draws random bytes; `None` if the generator repeatedly reports an error.
pub fn draw() -> Option<[u8; BOOT_LEN]> {
    CONTROL.set(ENABLE);
    (0..ATTEMPTS_MAX).find_map(|_| {
        let boot = draw_once();
        if boot.is_none() {
            // A single seed error is normal. The reference manual says to clear it and to restart the generator.
            STATUS.clear(SEED_ERROR_SEEN);
            CONTROL.clear(ENABLE);
            CONTROL.set(ENABLE);
        }
        boot
    })
}

fn draw_once() -> Option<[u8; BOOT_LEN]> {
    let word = || loop {
        let status = STATUS.read();
        if status & ERRORS != 0 {
            return None;
        }
        if status & READY != 0 {
            return Some(DATA.read());
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
