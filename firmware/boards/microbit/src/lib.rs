//! smidgen's worker on the BBC micro:bit v1 (nRF51822).
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.24, receive P0.25). Button A (P0.17) starts and
//! ends a recording of the class `a`, button B (P0.26) one of `b`. LEDs, all at the first row of the matrix (P0.13):
//! status upper left (column P0.04), recording in the middle of the upper line (P0.05), and the class of live windows
//! in the fourth line (P0.07 on the right to P0.11).
#![no_std]

use board_support::{
    identity, init_worker, memory,
    nrf::{
        accelerometer::{Accelerometer, RATE_MILLIHERTZ},
        buttons::{BUTTONS, Leds, light},
        clock::{self, Clock},
        device_id,
        twi::Twi,
        uart::UART,
    },
    nvmc::Flash,
    serial::{Inlet, Port},
    serve_recorder, take_or_restart,
};
use nrf51_hal::{
    clocks::Clocks,
    gpio::{Level, p0},
    pac::{self, NVIC, interrupt},
    rng::Rng,
};
use smidgen_firmware::{
    journal::FlashJournal,
    objective::ObjectiveSet,
    recorder::{Recorder, clocked::Clocked, store::Store},
    remote::RemoteRecorder,
    worker::Board,
};
use smidgen_protocol::seal::BOOT_LEN;
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
    let identity = identity::injected_or_else(device_id);
    let memory = memory::take();
    let [journal, rows] = Flash::<PAGE_LEN>::take();
    let mut journal = FlashJournal::open(journal, DATA_PAGES, memory);
    let board = Board { name: "microbit", identity };
    let worker = init_worker::<R>(board, memory, || {
        let mut boot = [0; BOOT_LEN];
        Rng::new(device.RNG).random(&mut boot);
        Some(boot)
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let pins = p0::Parts::new(device.GPIO);
    pins.p0_13.into_push_pull_output(Level::High);
    let mut status = pins.p0_04.into_push_pull_output(Level::Low);
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

    let accelerometer = Accelerometer::new(Twi::open(CLOCK_PIN, DATA_PIN));
    let sensor = Clocked::new(accelerometer, RATE_MILLIHERTZ, Clock::start(&RECEIVED));
    let window = take_or_restart(WINDOW.try_take());
    let recorder = Recorder::new(take_or_restart(Store::open(rows).ok()), window);
    let mut recorder = RemoteRecorder::with_indicator(recorder, sensor, leds);

    let port = Port::new(&RECEIVED, |byte| UART.transmit(byte), |lit| light(&mut status, lit));
    UART.open(TRANSMIT_PIN, RECEIVE_PIN);
    BUTTONS.open(BUTTON_PINS);
    // SAFETY: no critical section relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(pac::Interrupt::UART0);
        NVIC::unmask(pac::Interrupt::GPIOTE);
        NVIC::unmask(pac::Interrupt::TIMER0);
    }
    serve_recorder(port, worker, objectives, &mut journal, &mut recorder, |worker, recorder| {
        BUTTONS.obey(worker, recorder);
    })
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
