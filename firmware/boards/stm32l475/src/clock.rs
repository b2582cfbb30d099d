//! The clocks, by the names of their registers in the reference manual RM0351.

/// Frequency of core and ports.
pub const HZ: u32 = 16_000_000;

board_support::registers! {
    CR = 0x4002_1000;
    CFGR = 0x4002_1008;
    AHB2ENR = 0x4002_104C;
    APB1ENR1 = 0x4002_1058;
    APB2ENR = 0x4002_1060;
    CCIPR = 0x4002_1088;
}

const CR_MSIRDY: u32 = 1 << 1;
const CR_MSIRGSEL: u32 = 1 << 3;
const CR_MSIRANGE: u32 = 0xF << 4;
const CR_MSIRANGE_48_MHZ: u32 = 11 << 4;
const CR_HSION: u32 = 1 << 8;
const CR_HSIRDY: u32 = 1 << 10;
const CFGR_SW_HSI16: u32 = 1;
const CFGR_SWS: u32 = 3 << 2;
const CFGR_SWS_HSI16: u32 = 1 << 2;
const AHB2ENR_GPIOB_GPIOD: u32 = 1 << 1 | 1 << 3;
const AHB2ENR_RNG: u32 = 1 << 18;
const APB1ENR1_USART2: u32 = 1 << 17;
const APB2ENR_USART1: u32 = 1 << 14;
const CCIPR_CLK48SEL_MSI: u32 = 3 << 26;

/// Number of polls of a clock that starts within microseconds.
const POLLS_MAX: u32 = 100_000;

/// Runs the core by HSI16 in place of MSI, whose 4 MHz are imprecise, and starts the clocks of pins and ports. The flash
/// needs no wait states up to 16 MHz.
pub fn start() {
    CR.set(CR_HSION);
    while CR.read() & CR_HSIRDY == 0 {}
    CFGR.write(CFGR_SW_HSI16);
    while CFGR.read() & CFGR_SWS != CFGR_SWS_HSI16 {}
    AHB2ENR.set(AHB2ENR_GPIOB_GPIOD);
    APB1ENR1.set(APB1ENR1_USART2);
    APB2ENR.set(APB2ENR_USART1);
}

/// Starts the random number generator's clock: MSI, which nothing else uses now, at 48 MHz. `None` if it does not start.
pub fn start_random() -> Option<()> {
    // The range may change while the oscillator is ready.
    (0..POLLS_MAX).find(|_| CR.read() & CR_MSIRDY != 0)?;
    CR.write(CR.read() & !CR_MSIRANGE | CR_MSIRANGE_48_MHZ | CR_MSIRGSEL);
    (0..POLLS_MAX).find(|_| CR.read() & CR_MSIRDY != 0)?;
    CCIPR.set(CCIPR_CLK48SEL_MSI);
    AHB2ENR.set(AHB2ENR_RNG);
    // The manual asks for a wait of two cycles before the first access.
    AHB2ENR.read();
    Some(())
}
