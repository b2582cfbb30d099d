//! smidgen's worker on the BBC micro:bit v1 (nRF51822).
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.24, receive P0.25). The status LED is the upper
//! left one of the matrix (row P0.13, column P0.04). Button A (P0.17) starts and ends a recording of the class `a`,
//! which lights the LED in the middle of the upper row (P0.05), button B (P0.26) one of `b`, with the LED on its right
//! (P0.06).
#![no_std]
#![no_main]

mod accelerometer;

use accelerometer::{Accelerometer, RATE_MILLIHERTZ};
use board_support::{
    identity, init_worker, memory,
    nrf::{BUTTONS, Clock, UART, twi::Twi},
    nvmc::Flash,
    serial::{Inlet, Port},
    serve, take_or_reset,
};
use cortex_m_rt::entry;
use embedded_hal::digital::OutputPin;
use nrf51_hal::{
    clocks::Clocks,
    gpio::{Level, p0},
    pac::{self, FICR, NVIC, interrupt},
    rng::Rng,
};
use smidgen_firmware::{
    journal::{DATA_PAGES, FlashJournal},
    objectives::Objectives,
    recorder::{Recorder, clocked::Clocked, store::Store},
    remote::RemoteRecorder,
    worker::{Board, Worker},
};
use smidgen_protocol::{
    recipe::{Features, Recipe},
    seal::BOOT_LEN,
};

/// Bytes buffered while the worker computes: the longest frame, with some margin.
const QUEUE_LEN: usize = 575;
/// Values in the longest window.
const WINDOW_LEN: usize = 300;
/// Bytes of a page of flash, which endures 20,000 erasures.
const PAGE_LEN: usize = 1024;

const TRANSMIT_PIN: u32 = 24;
const RECEIVE_PIN: u32 = 25;
/// Pins of the bus of the accelerometer.
const CLOCK_PIN: u32 = 0;
const DATA_PIN: u32 = 30;
const BUTTON_PINS: [usize; 2] = [17, 26];
/// Classes of recordings that the buttons start.
const CLASSES: [&str; 2] = ["a", "b"];
/// How the first of them becomes rows: windows of 2 s that overlap by half.
const RECIPE: Recipe = Recipe {
    channels: 3,
    window: 50,
    hop: 25,
    features: Features::DEFAULT,
    rate_millihertz: 25_000,
};

static RECEIVED: Inlet<{ QUEUE_LEN + 1 }> = Inlet::new();

#[entry]
fn main() -> ! {
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;
    static mut WINDOW: [i16; WINDOW_LEN] = [0; WINDOW_LEN];

    let device = take_or_reset(pac::Peripherals::take());
    let identity = identity::injected_or_else(|| device_id(&device.FICR));
    let memory = memory::take();
    let [journal, rows] = Flash::<PAGE_LEN>::take();
    let mut journal = FlashJournal::open(journal, DATA_PAGES, memory);
    let board = Board { name: "microbit", identity };
    let worker = init_worker::<Objectives>(WORKER, board, memory, || {
        let mut boot = [0; BOOT_LEN];
        Rng::new(device.RNG).random(&mut boot);
        Some(boot)
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let pins = p0::Parts::new(device.GPIO);
    pins.p0_13.into_push_pull_output(Level::High);
    let mut status = pins.p0_04.into_push_pull_output(Level::Low);
    let mut leds = [
        pins.p0_05.into_push_pull_output(Level::High).degrade(),
        pins.p0_06.into_push_pull_output(Level::High).degrade(),
    ];
    pins.p0_24.into_push_pull_output(Level::High);
    pins.p0_25.into_floating_input();

    let accelerometer = Accelerometer::new(Twi::open(CLOCK_PIN, DATA_PIN));
    let clock = Clock::start();
    let sensor = Clocked::new(accelerometer, RATE_MILLIHERTZ, || clock.micros());
    let recorder = Recorder::new(take_or_reset(Store::open(rows).ok()), WINDOW);
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    let port = Port::new(
        &RECEIVED,
        |byte| UART.transmit(byte),
        |lit: bool| {
            let Ok(()) = status.set_state((!lit).into());
        },
    );
    UART.open(TRANSMIT_PIN, RECEIVE_PIN);
    BUTTONS.open(BUTTON_PINS);
    // SAFETY: no critical section relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(pac::Interrupt::UART0);
        NVIC::unmask(pac::Interrupt::GPIOTE);
    }
    serve(port, worker, &mut Objectives, &mut journal, &mut recorder, |worker, recorder| {
        let class = BUTTONS.take().and_then(|button| CLASSES.get(button));
        let class = class.filter(|class| recorder.toggle(worker, &RECIPE, class));
        for (led, name) in leds.iter_mut().zip(&CLASSES) {
            let Ok(()) = led.set_state((class != Some(name)).into());
        }
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

/// Device identifier, programmed by the factory.
fn device_id(factory: &FICR) -> u64 {
    let [low, high] = &factory.deviceid;
    u64::from(high.read().bits()) << 32 | u64::from(low.read().bits())
}
