//! The identity of a board: a number that differs between boards.
//!
//! Hardware has such a number, while an emulator gives all boards of a type the same one. An emulator may therefore put
//! a number into the bytes at `_identity`, which no program initialises, as [`smidgen_firmware::identity`] lays them
//! out. In QEMU, with `A` the address of `_identity`:
//!
//! ```text
//! -device loader,addr=A,data=0x216e656764696d73,data-len=8 -device loader,addr=A+8,data=IDENTITY,data-len=8
//! ```
//!
//! The image that runs in an emulator is thus the image that is flashed.
//!
//! QEMU writes magic, identity and seed again at a reset of the board. It does not write the count of starts, which is
//! zero at power-up.

use smidgen_firmware::identity::{channels, is_mark};
use smidgen_protocol::seal::BOOT_LEN;

unsafe extern "C" {
    static mut _identity: [u64; 4];
}

/// Replaces the mark while the hardware is asked for its identity.
const ASKING: u64 = u64::from_le_bytes(*b"smidgen?");

/// The injected identity, or else that of the hardware, or else 0.
///
/// Reading memory that an emulator does not have is a fault, which restarts the board; RAM then shows that the hardware
/// was being asked. The start after that asks again, so that an unrelated reset does not cost a board its identity.
pub fn injected_or_else(hardware: impl FnOnce() -> u64) -> u64 {
    let [mark, identity, ..] = injected();
    if is_mark(mark) {
        return identity;
    }
    let failed = mark == ASKING;
    write(0, ASKING);
    let identity = if failed { 0 } else { hardware() };
    write(0, 0);
    identity
}

/// Number of channels of the sensor at a second line, if an emulator tells it.
pub fn sensor_channels() -> Option<usize> {
    let [mark, ..] = injected();
    channels(mark).map(usize::from)
}

/// Bytes that are unique to this start, if an emulator injected a seed.
pub fn seed() -> Option<[u8; BOOT_LEN]> {
    let [mark, _, seed, starts] = injected();
    let start = u32::try_from(starts).ok()?.checked_add(1)?;
    if !is_mark(mark) || seed == 0 {
        return None;
    }
    write(3, start.into());
    let mut bytes = [0; BOOT_LEN];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..].copy_from_slice(&start.to_le_bytes());
    Some(bytes)
}

/// Writes the word at `index`.
fn write(index: usize, word: u64) {
    // SAFETY: as below; the pointer stays within the object for an index below four.
    unsafe { (&raw mut _identity).cast::<u64>().add(index).write_volatile(word) };
}

fn injected() -> [u64; 4] {
    // SAFETY: `memory.x` reserves 32 bytes at this address, aligned to eight, which nothing else in the program refers
    // to. The read is volatile because the bytes come from outside the program; all bit patterns are a valid u64.
    unsafe { (&raw const _identity).read_volatile() }
}
