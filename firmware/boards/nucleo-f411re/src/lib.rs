//! smidgen's worker on ST's NUCLEO-F411RE (STM32F411RE).
//!
//! USART 2 at 115200 baud on the pins of the ST-LINK (transmit PA2, receive PA3), status LED LD2 (PA5). Samples arrive
//! at USART 1 (PA10, D2 on the Arduino header), at the same rate. The clock is the internal one of 16 MHz, which runs
//! after a reset. The chip has no source of randomness: an image with a key stays silent on hardware.
//!
//! No emulator has this chip: the image is checked for panics and its stack, and is untested otherwise.
#![no_std]

use board_support::{
    identity, init_worker, memory,
    register::Register,
    stm32::{
        Gpio, device_id,
        lines::{self, Line, Lines},
        usart::Usart,
    },
};
use cortex_m_rt::exception;
use smidgen_firmware::{objective::ObjectiveSet, worker::Board};

// SAFETY: the chip has this register, which enables clocks and affects no memory.
const RCC_AHB1ENR: Register = unsafe { Register::at(0x4002_3830) };
// SAFETY: as above.
const RCC_APB1ENR: Register = unsafe { Register::at(0x4002_3840) };
// SAFETY: as above.
const RCC_APB2ENR: Register = unsafe { Register::at(0x4002_3844) };
const AHB1ENR_GPIOA: u32 = 1;
const APB1ENR_USART2: u32 = 1 << 17;
const APB2ENR_USART1: u32 = 1 << 4;
/// Clock of core and ports after reset.
const CLOCK_HZ: u32 = 16_000_000;

// SAFETY: the chip has this port here.
const GPIOA: Gpio = unsafe { Gpio::at(0x4002_0000) };
const TRANSMIT: u32 = 2;
const RECEIVE: u32 = 3;
const SENSOR: u32 = 10;
const LED: u32 = 5;
/// Alternate function that connects a pin to USART 1 or 2.
const USART: u32 = 7;

static LINES: Lines = Lines {
    // SAFETY: the chip has USART 2 here.
    host: Line { usart: unsafe { Usart::f4(0x4000_4400) }, interrupt: lines::USART2 },
    // SAFETY: the chip has USART 1 here.
    sensor: Line { usart: unsafe { Usart::f4(0x4001_1000) }, interrupt: lines::USART1 },
};

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    // SAFETY: the chip has its unique id here.
    let identity = identity::injected_or_else(|| unsafe { device_id(0x1FFF_7A10) });
    RCC_AHB1ENR.set(AHB1ENR_GPIOA);
    RCC_APB1ENR.set(APB1ENR_USART2);
    RCC_APB2ENR.set(APB2ENR_USART1);
    // Lit until the worker waits for bytes: it stays lit on a board that has a key.
    GPIOA.make_output(LED);
    GPIOA.set(LED, true);
    let board = Board { name: "nucleo-f411re", identity };
    let worker = init_worker::<R>(board, memory::take(), identity::seed);

    LINES.open(CLOCK_HZ);
    GPIOA.connect(TRANSMIT, USART);
    GPIOA.connect(RECEIVE, USART);
    GPIOA.connect(SENSOR, USART);
    LINES.serve(worker, objectives, |lit| GPIOA.set(LED, lit))
}

#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    LINES.handle(interrupt);
}
