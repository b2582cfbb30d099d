//! Who the board is: a number that differs from board to board.
//!
//! Hardware has such a number, an emulator gives all boards of a type the same one. An emulator may therefore put
//! a number of its own into the 16 bytes at `_identity`, which no program initialises: [`MAGIC`], then the
//! identity, both little-endian. In QEMU, with `A` the address of `_identity`:
//!
//! ```text
//! -device loader,addr=A,data=0x216e656764696d73,data-len=8 -device loader,addr=A+8,data=IDENTITY,data-len=8
//! ```
//!
//! So the image that runs in an emulator is the image that is flashed.

/// Announces an identity; after power-up, RAM holds it with probability 2^-64.
pub const MAGIC: u64 = u64::from_le_bytes(*b"smidgen!");

unsafe extern "C" {
    static _identity: [u64; 2];
}

/// The identity that an emulator gave, else the one of the hardware.
pub fn given_or_else(hardware: impl FnOnce() -> u64) -> u64 {
    // SAFETY: `memory.x` reserves 16 bytes at this address, aligned to eight, to which nothing in the program
    // refers otherwise. The read is volatile because the bytes come from outside the program; any bits are a u64.
    let [magic, identity] = unsafe { (&raw const _identity).read_volatile() };
    if magic == MAGIC { identity } else { hardware() }
}
