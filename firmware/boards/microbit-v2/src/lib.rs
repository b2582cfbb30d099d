//! smidgen's worker on the BBC micro:bit v2 (nRF52833), with its accelerometer.
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.06, receive P1.08). Button A (P0.14) starts and
//! ends a recording of the class `a`, button B (P0.23) one of `b`. LEDs, all at the first row of the matrix (P0.21):
//! status upper left (column P0.28), recording in the middle (P0.31), and the class of live windows at the others (P0.11,
//! P1.05, P0.30).
//!
//! No emulator has this chip: the image is checked for panics and its stack, and is untested otherwise.
#![no_std]

use board_support::{
    nrf::{
        accelerometer::{Accelerometer, RATE_MILLIHERTZ},
        buttons::{BUTTONS, Leds},
        clock,
        parts::{Parts, Wiring},
        twi::Twi,
        uart::UART,
    },
    serial::Inlet,
    take_or_restart,
};
use nrf_hal_common::{
    clocks::Clocks,
    gpio::{Level, p0, p1},
    rng::Rng,
};
use nrf52833_pac::{self as pac, interrupt};
use smidgen_firmware::objective::ObjectiveSet;
use static_cell::ConstStaticCell;

/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;
/// Values in the longest window.
const WINDOW_LEN: usize = 2048;
/// Bytes of a page of flash, which endures 10,000 erasures.
const PAGE_LEN: usize = 4096;
/// Pages for data in the journal: as large as the memory, with some margin.
const DATA_PAGES: u32 = 30;

const TRANSMIT_PIN: u32 = 6;
/// Pin 8 of port 1.
const RECEIVE_PIN: u32 = 32 + 8;
/// Pins of the bus of the accelerometer.
const CLOCK_PIN: u32 = 8;
const DATA_PIN: u32 = 16;
const BUTTON_PINS: [usize; 2] = [14, 23];

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

    let device = take_or_restart(pac::Peripherals::take());
    let parts = Parts::<PAGE_LEN>::take::<R>("microbit-v2", DATA_PAGES, |boot| {
        Rng::new(device.RNG).random(boot);
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let (pins, pins_1) = (p0::Parts::new(device.P0), p1::Parts::new(device.P1));
    pins.p0_21.into_push_pull_output(Level::High);
    let status = pins.p0_28.into_push_pull_output(Level::Low).degrade();
    let leds = Leds {
        recording: pins.p0_31.into_push_pull_output(Level::High).degrade(),
        class: [
            pins.p0_11.into_push_pull_output(Level::High).degrade(),
            pins_1.p1_05.into_push_pull_output(Level::High).degrade(),
            pins.p0_30.into_push_pull_output(Level::High).degrade(),
        ],
    };
    pins.p0_06.into_push_pull_output(Level::High);
    pins_1.p1_08.into_floating_input();

    let wiring =
        Wiring { transmit: TRANSMIT_PIN, receive: RECEIVE_PIN, buttons: BUTTON_PINS, status, leds };
    let sensor = Accelerometer::new(Twi::open(CLOCK_PIN, DATA_PIN));
    let sensor = (sensor, RATE_MILLIHERTZ);
    parts.serve(objectives, &RECEIVED, wiring, sensor, WINDOW.try_take())
}

#[interrupt]
fn UARTE0_UART0() {
    UART.take_received(&RECEIVED);
}

#[interrupt]
fn GPIOTE() {
    BUTTONS.take_event(BUTTON_PINS, &RECEIVED);
}

#[interrupt]
fn TIMER0() {
    clock::take_alarm(&RECEIVED);
}
