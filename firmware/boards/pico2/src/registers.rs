//! The registers that the worker uses, by their names in the data sheet of the RP2350.

board_support::registers! {
    CLK_REF_CTRL = 0x4001_0030;
    CLK_REF_SELECTED = 0x4001_0038;
    CLK_SYS_CTRL = 0x4001_003C;
    CLK_SYS_SELECTED = 0x4001_0044;
    CLK_PERI_CTRL = 0x4001_0048;
    RESETS_RESET = 0x4002_0000;
    RESETS_RESET_DONE = 0x4002_0008;
    GPIO0_CTRL = 0x4002_8004;
    GPIO1_CTRL = 0x4002_800C;
    GPIO25_CTRL = 0x4002_80CC;
    PADS_GPIO0 = 0x4003_8004;
    PADS_GPIO1 = 0x4003_8008;
    PADS_GPIO25 = 0x4003_8068;
    XOSC_CTRL = 0x4004_8000;
    XOSC_STATUS = 0x4004_8004;
    XOSC_STARTUP = 0x4004_800C;
    PLL_CS = 0x4005_0000;
    PLL_PWR = 0x4005_0004;
    PLL_FBDIV_INT = 0x4005_0008;
    PLL_PRIM = 0x4005_000C;
    UARTDR = 0x4007_0000;
    UARTFR = 0x4007_0018;
    UARTIBRD = 0x4007_0024;
    UARTFBRD = 0x4007_0028;
    UARTLCR_H = 0x4007_002C;
    UARTCR = 0x4007_0030;
    UARTIMSC = 0x4007_0038;
    TRNG_VALID = 0x400F_0110;
    TRNG_EHR_DATA0 = 0x400F_0114;
    TRNG_EHR_DATA1 = 0x400F_0118;
    TRNG_EHR_DATA2 = 0x400F_011C;
    TRNG_RND_SOURCE_ENABLE = 0x400F_012C;
    OTP_CHIPID_0_1 = 0x4013_0000;
    OTP_CHIPID_2_3 = 0x4013_0004;
    GPIO_OUT_SET = 0xD000_0018;
    GPIO_OUT_CLR = 0xD000_0020;
    GPIO_OE_SET = 0xD000_0038;
}

/// Sources: of clk_ref, the crystal; of clk_sys, clk_ref or the auxiliary one.
pub const CLK_REF_BY_XOSC: u32 = 2;
pub const CLK_SYS_BY_REF: u32 = 0;
pub const CLK_SYS_BY_AUX: u32 = 1;
pub const CLK_PERI_CTRL_ENABLE: u32 = 1 << 11;
pub const RESETS_IO_BANK0: u32 = 1 << 6;
pub const RESETS_PADS_BANK0: u32 = 1 << 9;
pub const RESETS_PLL_SYS: u32 = 1 << 14;
pub const RESETS_TRNG: u32 = 1 << 25;
pub const RESETS_UART0: u32 = 1 << 26;
pub const FUNCTION_UART: u32 = 2;
pub const FUNCTION_SIO: u32 = 5;
/// Without ISO, which isolates pads after a reset.
pub const PADS_INPUT: u32 = 1 << 6;
pub const PADS_4_MA: u32 = 1 << 4;
pub const PADS_PULL_UP: u32 = 1 << 3;
pub const XOSC_CTRL_ENABLE: u32 = 0xFAB << 12;
pub const XOSC_CTRL_1_15_MHZ: u32 = 0xAA0;
pub const XOSC_STATUS_STABLE: u32 = 1 << 31;
pub const PLL_CS_LOCK: u32 = 1 << 31;
pub const PLL_PWR_PD: u32 = 1;
pub const PLL_PWR_POSTDIVPD: u32 = 1 << 3;
pub const PLL_PWR_VCOPD: u32 = 1 << 5;
/// Framing, parity, break.
pub const UARTDR_DAMAGED: u32 = 0b111 << 8;
pub const UARTDR_OVERRUN: u32 = 1 << 11;
pub const UARTFR_RECEIVE_EMPTY: u32 = 1 << 4;
pub const UARTFR_TRANSMIT_FULL: u32 = 1 << 5;
pub const UARTLCR_H_FIFOS: u32 = 1 << 4;
pub const UARTLCR_H_8_BITS: u32 = 3 << 5;
pub const UARTCR_ENABLE: u32 = 1;
pub const UARTCR_TRANSMIT: u32 = 1 << 8;
pub const UARTCR_RECEIVE: u32 = 1 << 9;
/// Interrupts of a FIFO that fills, and of one that holds bytes of a line that fell silent.
pub const UARTIMSC_RECEIVE: u32 = 1 << 4;
pub const UARTIMSC_TIME_OUT: u32 = 1 << 6;
