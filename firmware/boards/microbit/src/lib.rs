//! smidgen's worker on the BBC micro:bit v1 (nRF51822).
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.24, receive P0.25). Button A (P0.17) starts and
//! ends a recording of the class `a`, button B (P0.26) one of `b`. LEDs, all at the first row of the matrix (P0.13):
//! status upper left (column P0.04), recording in the middle of the upper line (P0.05), and the class of live windows
//! in the fourth line (P0.07 on the right to P0.11).
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
use nrf51_hal::{
    clocks::Clocks,
    gpio::{Level, p0},
    pac::{self, interrupt},
    rng::Rng,
};
use smidgen_firmware::objective::ObjectiveSet;
use static_cell::ConstStaticCell;

/// Bytes buffered while the worker computes: the longest frame, with some margin.
const QUEUE_LEN: usize = 575;
/// Values in the longest window.
const WINDOW_LEN: usize = 300;
/// Bytes of a page of flash, which endures 20,000 erasures.
const PAGE_LEN: usize = 1024;
/// Pages for data in the journal: twice the size of the memory, with some margin.
const DATA_PAGES: u32 = 32;

const TRANSMIT_PIN: u32 = 24;
const RECEIVE_PIN: u32 = 25;
/// Pins of the bus of the accelerometer.
const CLOCK_PIN: u32 = 0;
const DATA_PIN: u32 = 30;
const BUTTON_PINS: [usize; 2] = [17, 26];

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

    let device = take_or_restart(pac::Peripherals::take());
    let parts = Parts::<PAGE_LEN>::take::<R>("microbit", DATA_PAGES, |boot| {
        Rng::new(device.RNG).random(boot);
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let pins = p0::Parts::new(device.GPIO);
    pins.p0_13.into_push_pull_output(Level::High);
    let status = pins.p0_04.into_push_pull_output(Level::Low).degrade();
    let leds = Leds {
        recording: pins.p0_05.into_push_pull_output(Level::High).degrade(),
        class: [
            pins.p0_07.into_push_pull_output(Level::High).degrade(),
            pins.p0_08.into_push_pull_output(Level::High).degrade(),
            pins.p0_09.into_push_pull_output(Level::High).degrade(),
            pins.p0_10.into_push_pull_output(Level::High).degrade(),
            pins.p0_11.into_push_pull_output(Level::High).degrade(),
        ],
    };
    pins.p0_24.into_push_pull_output(Level::High);
    pins.p0_25.into_floating_input();

    let wiring =
        Wiring { transmit: TRANSMIT_PIN, receive: RECEIVE_PIN, buttons: BUTTON_PINS, status, leds };
    let sensor = Accelerometer::new(Twi::open(CLOCK_PIN, DATA_PIN));
    let sensor = (sensor, RATE_MILLIHERTZ);
    parts.serve(objectives, &RECEIVED, wiring, sensor, WINDOW.try_take())
}

#[interrupt]
fn UART0() {
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
