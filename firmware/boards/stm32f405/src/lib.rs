//! smidgen's worker on boards with an STM32F405, such as Olimex STM32-H405.
//!
//! USART 1 (transmit PA9, receive PA10) at 115200 baud, status LED PC12, active low. Samples arrive at USART 2
//! (PA3), at the same rate. The clock is the internal 16 MHz oscillator, so the image does not depend on a board's
//! crystal. For other pins change the lines that name them.
//!
//! The HAL sets up the pins. Clocks and ports are set up by registers, because the HAL's code for them can panic, and
//! resets the ports, which is unnecessary after a start and crashes QEMU 10.0.
#![no_std]

mod clock;

use board_support::{
    identity, init_worker, memory,
    stm32::{
        device_id,
        lines::{self, Line, Lines},
        random,
        usart::Usart,
    },
    take_or_restart,
};
use smidgen_firmware::{objective::ObjectiveSet, worker::Board};
use stm32f4xx_hal::{
    interrupt,
    pac::{self, RNG, USART1, USART2},
    prelude::*,
    rcc::Enable,
};

/// Clock of core and buses after reset.
const CLOCK_HZ: u32 = 16_000_000;
/// Alternate function that connects a pin to USART 1 or 2.
const USART: u8 = 7;

static LINES: Lines = Lines {
    // SAFETY: the chip has USART 1 here.
    host: Line { usart: unsafe { Usart::f4(0x4001_1000) }, interrupt: lines::USART1 },
    // SAFETY: the chip has USART 2 here.
    sensor: Line { usart: unsafe { Usart::f4(0x4000_4400) }, interrupt: lines::USART2 },
};

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    // SAFETY: the chip has its unique id here.
    let identity = identity::injected_or_else(|| unsafe { device_id(0x1FFF_7A10) });
    let device = take_or_restart(pac::Peripherals::take());
    let mut rcc = device.RCC.constrain();
    // Lit until the worker waits for bytes: it stays lit on a board that has a key and fails to draw random bytes.
    let gpioc = device.GPIOC.split(&mut rcc);
    let mut led = gpioc.pc12.into_push_pull_output();
    let draw = |rcc: &mut _| {
        clock::start_48_mhz(rcc)?;
        RNG::enable(rcc);
        random::draw()
    };
    let boot = || identity::seed().or_else(|| draw(&mut rcc));
    let worker = init_worker::<R>(Board { name: "stm32f405", identity }, memory::take(), boot);

    USART1::enable(&mut rcc);
    USART2::enable(&mut rcc);
    LINES.open(CLOCK_HZ);
    let gpioa = device.GPIOA.split(&mut rcc);
    let _transmit = gpioa.pa9.into_alternate::<USART>();
    let _receive = gpioa.pa10.into_alternate::<USART>();
    let _sensor = gpioa.pa3.into_alternate::<USART>();
    LINES.serve(worker, objectives, |lit| led.set_state((!lit).into()))
}

#[interrupt]
fn USART1() {
    LINES.take_received();
}

#[interrupt]
fn USART2() {
    LINES.take_sensed();
}
