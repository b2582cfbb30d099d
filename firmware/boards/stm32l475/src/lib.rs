//! smidgen's worker on ST's B-L475E-IOT01A (STM32L475VG).
//!
//! USART 1 at 115200 baud on the pins of the ST-LINK (transmit PB6, receive PB7), status LED LD2 (PB14). Samples arrive
//! at USART 2 (PD6, on the PMOD connector), at the same rate. Core and ports run by the internal oscillator of 16 MHz.
#![no_std]

mod clock;

use board_support::{
    identity, init_worker, memory,
    register::Register,
    stm32::{
        Gpio, device_id,
        lines::{self, Line, Lines},
        random,
        usart::Usart,
    },
};
use cortex_m_rt::exception;
use smidgen_firmware::{objective::ObjectiveSet, worker::Board};

// SAFETY: the chip has this port here.
const GPIOB: Gpio = unsafe { Gpio::at(0x4800_0400) };
// SAFETY: as above.
const GPIOD: Gpio = unsafe { Gpio::at(0x4800_0C00) };
const TRANSMIT: u32 = 6;
const RECEIVE: u32 = 7;
const SENSOR: u32 = 6;
const LED: u32 = 14;
/// Alternate function that connects a pin to USART 1 or 2.
const USART: u32 = 7;

// SAFETY: the core has these registers of its timer, which affect no memory.
const SYST_CSR: Register = unsafe { Register::at(0xE000_E010) };
const SYST_RVR: Register = unsafe { Register::at(0xE000_E014) };
const SYST_CVR: Register = unsafe { Register::at(0xE000_E018) };
const SYST_CSR_ENABLE: u32 = 1 | 1 << 2;

static LINES: Lines = Lines {
    // SAFETY: the chip has USART 1 here.
    host: Line { usart: unsafe { Usart::l4(0x4001_3800) }, interrupt: lines::USART1 },
    // SAFETY: the chip has USART 2 here.
    sensor: Line { usart: unsafe { Usart::l4(0x4000_4400) }, interrupt: lines::USART2 },
};

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    // SAFETY: the chip has its unique id here.
    let identity = identity::injected_or_else(|| unsafe { device_id(0x1FFF_7590) });
    clock::start();
    // Lit until the worker waits for bytes: it stays lit on a board that has a key and fails to draw random bytes.
    GPIOB.make_output(LED);
    GPIOB.set(LED, true);
    let draw = || clock::start_random().and_then(|()| random::draw());
    let boot = || identity::seed().or_else(draw);
    let worker = init_worker::<R>(Board { name: "stm32l475", identity }, memory::take(), boot);

    SYST_RVR.write(0xFF_FFFF);
    SYST_CSR.write(SYST_CSR_ENABLE);
    LINES.open(clock::HZ);
    GPIOB.connect(TRANSMIT, USART);
    GPIOB.connect(RECEIVE, USART);
    GPIOD.connect(SENSOR, USART);
    LINES.serve(worker, objectives, |lit| GPIOB.set(LED, lit))
}

#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    LINES.handle(interrupt);
    // A timer that starts makes QEMU look for the next byte, which a read of its ports does not.
    SYST_CVR.write(0);
}
