//! The unique number of the flash, which serves as that of the board: the chip has none.

/// Reads the 64-bit unique number of the flash (command 4Bh).
///
/// While the flash answers commands no instruction can be read from it: the code that asks is in RAM, and comes before
/// all interrupts are enabled. Afterwards a copy of the second boot stage sets up fast reads again.
pub fn read() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: no interrupt is enabled, the second core is not started, and no transfer of the DMA runs.
    cortex_m::interrupt::free(|_| unsafe {
        rp2040_flash::flash::flash_unique_id(&mut bytes, true)
    });
    u64::from_be_bytes(bytes)
}
