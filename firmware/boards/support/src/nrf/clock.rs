//! Timer 0 as a clock.

use crate::serial::Inlet;
use core::ptr::with_exposed_provenance;
use smidgen_firmware::recorder::clocked;
use volatile_register::{RW, WO};

#[repr(C)]
struct Block {
    start: WO<u32>,
    _1: [u32; 0x40 / 4 - 1],
    capture: [WO<u32>; 4],
    _2: [u32; (0x140 - 0x050) / 4],
    reached: [RW<u32>; 4],
    _3: [u32; (0x304 - 0x150) / 4],
    interrupts_set: WO<u32>,
    _4: [u32; (0x504 - 0x308) / 4],
    mode: RW<u32>,
    bits: RW<u32>,
    _5: u32,
    prescaler: RW<u32>,
    _6: [u32; (0x540 - 0x514) / 4],
    times: [RW<u32>; 4],
}

/// Microseconds modulo 2^32.
pub struct Clock<const N: usize>(&'static Inlet<N>);

/// Registers for a time.
#[derive(Clone, Copy, Debug)]
enum Register {
    /// Read by the main loop.
    Main,
    /// Read by the interrupt of the buttons.
    Buttons,
    /// When to wake the main loop.
    Alarm,
}

impl<const N: usize> Clock<N> {
    /// Starts the clock, which wakes the main loop by its inlet.
    pub fn start(inlet: &'static Inlet<N>) -> Self {
        const BITS_32: u32 = 3;
        const REACHED: u32 = 1 << 16;
        let timer = block();
        // SAFETY: the settings are those of the reference manual: 32 bits at 16 MHz / 2^4.
        unsafe {
            timer.mode.write(0);
            timer.bits.write(BITS_32);
            timer.prescaler.write(4);
            timer.interrupts_set.write(REACHED << Register::Alarm as u32);
            timer.start.write(1);
        }
        Self(inlet)
    }
}

impl<const N: usize> clocked::Clock for Clock<N> {
    fn micros(&mut self) -> u32 {
        read(Register::Main)
    }

    fn wake_at(&mut self, micros: u32) -> bool {
        // SAFETY: the register holds a time.
        unsafe { block().times[Register::Alarm as usize].write(micros) };
        // The timer compares at its ticks only: a time that has passed would come after an hour.
        if micros.wrapping_sub(self.micros()).cast_signed() <= 1 {
            self.0.call();
        }
        true
    }
}

/// Wakes the main loop; to be called by the interrupt of the timer.
pub fn take_alarm<const N: usize>(inlet: &Inlet<N>) {
    // SAFETY: clearing an event has no other effect.
    unsafe { block().reached[Register::Alarm as usize].write(0) };
    inlet.call();
}

/// The time, for the interrupt of the buttons.
pub(super) fn micros_in_interrupt() -> u32 {
    read(Register::Buttons)
}

fn read(register: Register) -> u32 {
    let timer = block();
    // SAFETY: the task copies the counter into a register.
    unsafe { timer.capture[register as usize].write(1) };
    timer.times[register as usize].read()
}

fn block() -> &'static Block {
    // SAFETY: the chips have these registers at this address, and accesses are volatile.
    unsafe { &*with_exposed_provenance(0x4000_8000) }
}
