//! smidgen's worker on Nordic's nRF52840 DK, with a motion sensor on an I²C bus.
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.06, receive P0.08). The sensor is an MPU-6050 or
//! an LIS3DH at P0.26 (SDA) and P0.27 (SCL). Button 1 (P0.11) starts and ends a recording of the class `a`, button 2
//! (P0.12) one of `b`. LEDs, active low: 1 status (P0.13), 2 recording (P0.14), 3 and 4 the class of live windows
//! (P0.15, P0.16).
//!
//! No emulator has this chip: the image is checked for panics and its stack, and is untested otherwise.
#![no_std]

mod motion;

use board_support::{
    nrf::{
        buttons::{BUTTONS, Leds},
        clock,
        parts::{Parts, Wiring},
        twi::Twi,
        uart::UART,
    },
    serial::Inlet,
    take_or_restart,
};
use motion::{Motion, RATE_MILLIHERTZ};
use nrf_hal_common::{
    clocks::Clocks,
    gpio::{Level, p0},
    rng::Rng,
};
use nrf52840_pac::{self as pac, interrupt};
use smidgen_firmware::objective::ObjectiveSet;
use static_cell::ConstStaticCell;

/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;
/// Values in the longest window.
const WINDOW_LEN: usize = 4096;
/// Bytes of a page of flash, which endures 10,000 erasures.
const PAGE_LEN: usize = 4096;
/// Pages for data in the journal: as large as the memory, with some margin.
const DATA_PAGES: u32 = 62;
const TRANSMIT_PIN: u32 = 6;
const RECEIVE_PIN: u32 = 8;
/// Pins of the bus of the sensor.
const CLOCK_PIN: u32 = 27;
const DATA_PIN: u32 = 26;
const BUTTON_PINS: [usize; 2] = [11, 12];

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

    let device = take_or_restart(pac::Peripherals::take());
    let parts = Parts::<PAGE_LEN>::take::<R>("nrf52840", DATA_PAGES, |boot| {
        Rng::new(device.RNG).random(boot);
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let pins = p0::Parts::new(device.P0);
    let status = pins.p0_13.into_push_pull_output(Level::Low).degrade();
    let leds = Leds {
        recording: pins.p0_14.into_push_pull_output(Level::High).degrade(),
        class: [
            pins.p0_15.into_push_pull_output(Level::High).degrade(),
            pins.p0_16.into_push_pull_output(Level::High).degrade(),
        ],
    };
    pins.p0_06.into_push_pull_output(Level::High);
    pins.p0_08.into_floating_input();

    let wiring =
        Wiring { transmit: TRANSMIT_PIN, receive: RECEIVE_PIN, buttons: BUTTON_PINS, status, leds };
    let sensor = Motion::new(Twi::open(CLOCK_PIN, DATA_PIN));
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
