//! Who the board is: a number that differs from board to board.
//!
//! Hardware has such a number, an emulator gives all boards of a type the same one. An emulator may therefore put
//! a number of its own into the bytes at `_identity`, which no program initialises: [`MAGIC`], then the
//! identity, both little-endian. In QEMU, with `A` the address of `_identity`:
//!
//! ```text
//! -device loader,addr=A,data=0x216e656764696d73,data-len=8 -device loader,addr=A+8,data=IDENTITY,data-len=8
//! ```
//!
//! So the image that runs in an emulator is the image that is flashed.
//!
//! Where a board has no source of randomness in an emulator, eight bytes of a random *seed*, not 0, may follow at A+16.
//! Since QEMU writes all of these again when the board is reset, the eight bytes behind count its starts: they are zero
//! when the power comes, and a reset leaves them.

use smidgen_protocol::seal::BOOT_LEN;

/// Announces an identity; after power-up, RAM holds it with probability 2^-64.
pub const MAGIC: u64 = u64::from_le_bytes(*b"smidgen!");

unsafe extern "C" {
    static mut _identity: [u64; 4];
}

/// Stands in the place of [`MAGIC`] while the hardware is asked.
const ASKING: u64 = u64::from_le_bytes(*b"smidgen?");

/// The identity that an emulator gave, else the one of the hardware, else 0.
///
/// A read of memory that an emulator does not have is a fault, which starts the board again; RAM then still says what it
/// was doing. The start after that asks again, so that a chance reset does not cost a board its identity.
pub fn injected_or_else(hardware: impl FnOnce() -> u64) -> u64 {
    let [mark, identity, ..] = injected();
    if mark == MAGIC {
        return identity;
    }
    let failed = mark == ASKING;
    write(0, ASKING);
    let identity = if failed { 0 } else { hardware() };
    write(0, 0);
    identity
}

/// Bytes that no other start of a board has, if an emulator gave a seed.
pub fn seed() -> Option<[u8; BOOT_LEN]> {
    let [magic, _, seed, starts] = injected();
    let start = u32::try_from(starts).ok()?.checked_add(1)?;
    if magic != MAGIC || seed == 0 {
        return None;
    }
    write(3, start.into());
    let mut bytes = [0; BOOT_LEN];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..].copy_from_slice(&start.to_le_bytes());
    Some(bytes)
}

/// Writes one of the four words, the first or the last.
fn write(index: usize, word: u64) {
    // SAFETY: as below, and the pointer stays inside for an index below four.
    unsafe { (&raw mut _identity).cast::<u64>().add(index).write_volatile(word) };
}

fn injected() -> [u64; 4] {
    // SAFETY: `memory.x` reserves 32 bytes at this address, aligned to eight, to which nothing in the program
    // refers otherwise. The read is volatile because the bytes come from outside the program; any bits are a u64.
    unsafe { (&raw const _identity).read_volatile() }
}
