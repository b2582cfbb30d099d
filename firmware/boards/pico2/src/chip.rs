//! Clocks, resets, pins, number and randomness of the chip.

use crate::registers::*;
use board_support::register::Register;
use smidgen_protocol::seal::BOOT_LEN;

/// 1 ms of the crystal of 12 MHz, in units of 256 cycles.
const STARTUP: u32 = 12_000 / 256;
/// PLL_SYS: 12 MHz · 125 / 5 / 2 = 150 MHz.
const FEEDBACK: u32 = 125;
const POST_DIVIDERS: u32 = 5 << 16 | 2 << 12;
/// Number of polls. By its reset value TRNG SAMPLE_CNT1 a bit takes 65,535 cycles, so 192 bits take 13 million.
const POLLS_MAX: u32 = 20_000_000;

/// Runs clk_ref by the crystal, and clk_sys and clk_peri by PLL_SYS at 150 MHz.
pub fn start_clocks() {
    XOSC_STARTUP.write(STARTUP);
    XOSC_CTRL.write(XOSC_CTRL_ENABLE | XOSC_CTRL_1_15_MHZ);
    while XOSC_STATUS.read() & XOSC_STATUS_STABLE == 0 {}
    // Nothing runs by the PLL while that is set up.
    select(CLK_SYS_CTRL, CLK_SYS_SELECTED, CLK_SYS_BY_REF);
    select(CLK_REF_CTRL, CLK_REF_SELECTED, CLK_REF_BY_XOSC);
    RESETS_RESET.set(RESETS_PLL_SYS);
    start(RESETS_PLL_SYS);
    // The reference is divided by one.
    PLL_CS.write(1);
    PLL_FBDIV_INT.write(FEEDBACK);
    PLL_PWR.clear(PLL_PWR_PD | PLL_PWR_VCOPD);
    while PLL_CS.read() & PLL_CS_LOCK == 0 {}
    PLL_PRIM.write(POST_DIVIDERS);
    PLL_PWR.clear(PLL_PWR_POSTDIVPD);
    select(CLK_SYS_CTRL, CLK_SYS_SELECTED, CLK_SYS_BY_AUX);
    CLK_PERI_CTRL.write(CLK_PERI_CTRL_ENABLE);
}

/// Selects a source of a clock without glitches, and waits for it. The auxiliary source is PLL_SYS.
fn select(control: Register, selected: Register, source: u32) {
    control.write(source);
    while selected.read() != 1 << source {}
}

/// Takes blocks out of reset.
pub fn start(blocks: u32) {
    RESETS_RESET.clear(blocks);
    while RESETS_RESET_DONE.read() & blocks != blocks {}
}

/// Connects a pin to a block. Its pull-up keeps an open line idle.
pub fn connect(pad: Register, control: Register, function: u32) {
    pad.write(PADS_INPUT | PADS_PULL_UP | PADS_4_MA);
    control.write(function);
}

/// Number of the chip, 64 random bits from the factory.
pub fn id() -> u64 {
    u64::from(OTP_CHIPID_2_3.read()) << 32 | u64::from(OTP_CHIPID_0_1.read())
}

/// Draws random bytes; `None` if the generator does not deliver, as when one of its tests fails.
pub fn draw() -> Option<[u8; BOOT_LEN]> {
    TRNG_RND_SOURCE_ENABLE.write(1);
    (0..POLLS_MAX).find(|_| TRNG_VALID.read() & 1 != 0)?;
    let mut boot = [0; BOOT_LEN];
    let words = [TRNG_EHR_DATA0, TRNG_EHR_DATA1, TRNG_EHR_DATA2];
    for (place, word) in boot.chunks_exact_mut(size_of::<u32>()).zip(words) {
        place.copy_from_slice(&word.read().to_le_bytes());
    }
    TRNG_RND_SOURCE_ENABLE.write(0);
    Some(boot)
}
