//! The registers that the worker uses, by their names in the manual of the FE310-G002.

board_support::registers! {
    HFXOSCCFG = 0x1000_8004;
    PLLCFG = 0x1000_8008;
    PLLOUTDIV = 0x1000_800C;
    GPIO_OUTPUT_EN = 0x1001_2008;
    GPIO_OUTPUT_VAL = 0x1001_200C;
    GPIO_IOF_EN = 0x1001_2038;
    GPIO_IOF_SEL = 0x1001_203C;
    UART_TXDATA = 0x1001_3000;
    UART_RXDATA = 0x1001_3004;
    UART_TXCTRL = 0x1001_3008;
    UART_RXCTRL = 0x1001_300C;
    UART_IE = 0x1001_3010;
    UART_DIV = 0x1001_3018;
    PLIC_PRIORITY_UART = 0x0C00_000C;
    PLIC_ENABLE = 0x0C00_2000;
    PLIC_THRESHOLD = 0x0C20_0000;
    PLIC_CLAIM = 0x0C20_0004;
}

pub const HFXOSCCFG_ENABLE: u32 = 1 << 30;
pub const HFXOSCCFG_READY: u32 = 1 << 31;
pub const PLLCFG_SEL: u32 = 1 << 16;
pub const PLLCFG_REFSEL: u32 = 1 << 17;
pub const PLLCFG_BYPASS: u32 = 1 << 18;
pub const PLLOUTDIV_BY_1: u32 = 1 << 8;
pub const UART_ENABLE: u32 = 1;
pub const UART_TXDATA_FULL: u32 = 1 << 31;
pub const UART_RXDATA_EMPTY: u32 = 1 << 31;
pub const UART_IE_RECEIVE: u32 = 1 << 1;
/// Number of the UART's interrupt.
pub const PLIC_UART: u32 = 3;
