//! Where MPS2 has the registers that the worker uses: by its FPGA image.

use board_support::mps::{Block, Fpgaio, Scc, Uart};
use board_support::nvic::Interrupt;
use cortex_m::peripheral::CPUID;

#[cfg(not(an505))]
mod map {
    pub const UART: usize = 0x4000_4000;
    pub const SENSOR_UART: usize = 0x4000_5000;
    pub const SCC: usize = 0x4002_F000;
    pub const FPGAIO: usize = 0x4002_8000;
    pub const RECEIVE: u16 = 0;
    pub const CLOCK_HZ: u32 = 25_000_000;
}

/// Secure aliases.
#[cfg(an505)]
mod map {
    pub const UART: usize = 0x5020_0000;
    pub const SENSOR_UART: usize = 0x5020_1000;
    pub const SCC: usize = 0x5030_0000;
    pub const FPGAIO: usize = 0x5030_2000;
    pub const RECEIVE: u16 = 32;
    pub const CLOCK_HZ: u32 = 20_000_000;
}

// SAFETY: these are the addresses of such blocks in the hardware.
/// UART 0.
pub static UART: Block<Uart> = unsafe { Block::at(map::UART) };
// SAFETY: as above.
/// UART 1.
pub static SENSOR_UART: Block<Uart> = unsafe { Block::at(map::SENSOR_UART) };
// SAFETY: as above.
/// The serial configuration controller.
pub static SCC: Block<Scc> = unsafe { Block::at(map::SCC) };
// SAFETY: as above.
/// LEDs, buttons, counters.
pub static FPGAIO: Block<Fpgaio> = unsafe { Block::at(map::FPGAIO) };
/// Receive interrupt of UART 0.
pub const RECEIVE: Interrupt = Interrupt(map::RECEIVE);
/// Receive interrupt of UART 1.
pub const SENSOR_RECEIVE: Interrupt = Interrupt(map::RECEIVE + 2);
/// Clock of the UARTs.
pub const CLOCK_HZ: u32 = map::CLOCK_HZ;

/// Part number of a Cortex-M7.
pub const M7: u32 = 0xC27;

/// Part number of the core.
pub fn part(cpu: &CPUID) -> u32 {
    cpu.base.read() >> 4 & 0xFFF
}
