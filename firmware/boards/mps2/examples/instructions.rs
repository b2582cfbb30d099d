//! Counts the instructions of a worker's round, by QEMU at one nanosecond per instruction. Prints a line per case: its
//! name and what it is counted per, then the instructions and the number of units. `cargo bench -p smidgen-tests --bench
//! instructions` builds and runs it and makes a table of it:
//!
//! ```text
//! qemu-system-arm -M mps2-an385 -icount shift=0 -nographic -no-reboot -kernel instructions
//! ```
//!
//! Built for thumbv6m-none-eabi it measures code for a Cortex-M0, which an M3 executes as well.
#![no_std]
#![no_main]

#[path = "../src/registers.rs"]
#[expect(dead_code, reason = "it only prints")]
mod registers;
#[path = "instructions/round.rs"]
mod round;
#[path = "instructions/rows.rs"]
mod rows;

use board_support::take_or_restart;
use core::fmt::{self, Write};
use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
use cortex_m_rt::entry;
use registers::{CLOCK_HZ, UART};

/// Instructions per tick of the 25 MHz timer. A count of several calls is off by a tick at most, not one per call.
const TICK: i64 = 40;
/// Ticks after which the timer starts again.
const TICKS: u32 = 1 << 24;

/// The line to the program that started the emulator.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| UART.transmit(byte));
        Ok(())
    }
}

/// Instructions of some work.
#[derive(Default)]
struct Count {
    ticks: u32,
}

impl Count {
    /// Counts the instructions of `work`.
    fn add<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = SYST::get_current();
        let result = work();
        // The timer counts down.
        self.ticks += start.wrapping_sub(SYST::get_current()) % TICKS;
        result
    }

    fn instructions(&self) -> i64 {
        i64::from(self.ticks) * TICK
    }
}

/// Pseudo-random numbers (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    /// A number of this many bits and a sign.
    fn signed(&mut self, bits: u32) -> i32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0.cast_signed() >> (63 - bits)) as i32
    }

    /// A number below `limit`, at most 2^16.
    fn below(&mut self, limit: usize) -> usize {
        ((self.signed(31).cast_unsigned() >> 16) as usize * limit) >> 16
    }
}

/// Prints a case: what it is, the unit, and the instructions of this many units.
fn report(case: fmt::Arguments<'_>, unit: &str, instructions: i64, units: usize) {
    let _ = writeln!(Console, "{case} | {unit} | {instructions} | {units}");
}

#[entry]
fn main() -> ! {
    UART.open(CLOCK_HZ);
    let mut timer = take_or_restart(cortex_m::Peripherals::take()).SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(TICKS - 1);
    timer.clear_current();
    timer.enable_counter();
    let outcome = round::report_all().and_then(|()| rows::report_all());
    let _ = writeln!(Console, "{}", if outcome.is_some() { "done" } else { "failed" });
    // With `-no-reboot` this ends the emulator.
    SCB::sys_reset()
}
