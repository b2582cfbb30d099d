//! The registers that a worker uses on a Nordic nRF51 or nRF52, which have them at the same addresses. The HALs have no
//! interrupts for these, and set up the rest.

pub mod accelerometer;
pub mod buttons;
pub mod clock;
pub mod parts;
pub mod twi;
pub mod uart;

use core::ptr::with_exposed_provenance;
use volatile_register::{RO, RW, WO};

#[repr(C)]
struct PortBlock {
    _1: [u32; 0x508 / 4],
    set: WO<u32>,
    clear: WO<u32>,
    input: RO<u32>,
    _2: [u32; (0x700 - 0x514) / 4],
    pins: [RW<u32>; 32],
}

fn port() -> &'static PortBlock {
    // SAFETY: the chips have these registers at this address, and accesses are volatile.
    unsafe { &*with_exposed_provenance(0x5000_0000) }
}

/// Configures a pin of port 0.
fn configure(pin: usize, configuration: u32) {
    if let Some(pin) = port().pins.get(pin) {
        // SAFETY: no configuration of a pin affects memory.
        unsafe { pin.write(configuration) };
    }
}

/// Device identifier, programmed by the factory.
pub fn device_id() -> u64 {
    // SAFETY: the chips have these registers at this address, and accesses are volatile.
    let [low, high]: &[RO<u32>; 2] = unsafe { &*with_exposed_provenance(0x1000_0060) };
    u64::from(high.read()) << 32 | u64::from(low.read())
}
