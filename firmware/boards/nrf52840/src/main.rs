//! smidgen's worker on Nordic's nRF52840 DK, with a motion sensor on an I²C bus.
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.06, receive P0.08), status LED 1 (P0.13). The
//! sensor is an MPU-6050 or an LIS3DH at P0.26 (SDA) and P0.27 (SCL). Button 1 (P0.11) starts and ends a recording of
//! the class `a`, which lights LED 2 (P0.14), button 2 (P0.12) one of `b`, with LED 3 (P0.15). LEDs are active low.
//!
//! No emulator has this chip: the image is checked for panics and its stack, and is untested otherwise.
#![no_std]
#![no_main]

mod motion;

use board_support::{
    identity, init_worker, memory,
    nrf::{BUTTONS, Clock, UART, twi::Twi},
    nvmc::Flash,
    serial::{Inlet, Port},
    serve, take_or_reset,
};
use cortex_m_rt::entry;
use embedded_hal::digital::OutputPin;
use motion::{Motion, RATE_MILLIHERTZ};
use nrf_hal_common::{
    clocks::Clocks,
    gpio::{Level, p0},
    rng::Rng,
};
use nrf52840_pac::{self as pac, FICR, NVIC, interrupt};
use smidgen_firmware::{
    journal::{DATA_PAGES, FlashJournal},
    objectives::Objectives,
    recorder::{Recorder, clocked::Clocked, sensor::Sensor, store::Store},
    remote::RemoteRecorder,
    worker::{Board, Worker},
};
use smidgen_protocol::{
    recipe::{Features, Recipe},
    seal::BOOT_LEN,
};

/// Bytes buffered while the worker computes: more than two frames.
const QUEUE_LEN: usize = 2048;
/// Values in the longest window.
const WINDOW_LEN: usize = 4096;
/// Bytes of a page of flash, which endures 10,000 erasures.
const PAGE_LEN: usize = 4096;
const TRANSMIT_PIN: u32 = 6;
const RECEIVE_PIN: u32 = 8;
/// Pins of the bus of the sensor.
const CLOCK_PIN: u32 = 27;
const DATA_PIN: u32 = 26;
const BUTTON_PINS: [usize; 2] = [11, 12];
/// Classes of recordings that the buttons start.
const CLASSES: [&str; 2] = ["a", "b"];

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
    let board = Board { name: "nrf52840", identity };
    let worker = init_worker::<Objectives>(WORKER, board, memory, || {
        let mut boot = [0; BOOT_LEN];
        Rng::new(device.RNG).random(&mut boot);
        Some(boot)
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let pins = p0::Parts::new(device.P0);
    let mut status = pins.p0_13.into_push_pull_output(Level::Low);
    let mut leds = [
        pins.p0_14.into_push_pull_output(Level::High).degrade(),
        pins.p0_15.into_push_pull_output(Level::High).degrade(),
    ];
    pins.p0_06.into_push_pull_output(Level::High);
    pins.p0_08.into_floating_input();

    let motion = Motion::new(Twi::open(CLOCK_PIN, DATA_PIN));
    let clock = Clock::start();
    let sensor = Clocked::new(motion, RATE_MILLIHERTZ, || clock.micros());
    // How a first recording by a button becomes rows: windows of 2 s that overlap by half.
    let recipe = Recipe {
        channels: sensor.channels() as u8,
        window: 50,
        hop: 25,
        features: Features::DEFAULT,
        rate_millihertz: 25_000,
    };
    let recorder = Recorder::new(take_or_reset(Store::open(rows).ok()), WINDOW);
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    let light = |lit: bool| {
        let Ok(()) = status.set_state((!lit).into());
    };
    let port = Port::new(&RECEIVED, |byte| UART.transmit(byte), light);
    UART.open(TRANSMIT_PIN, RECEIVE_PIN);
    BUTTONS.open(BUTTON_PINS);
    // SAFETY: no critical section relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(pac::Interrupt::UARTE0_UART0);
        NVIC::unmask(pac::Interrupt::GPIOTE);
    }
    serve(port, worker, &mut Objectives, &mut journal, &mut recorder, |worker, recorder| {
        let class = BUTTONS.take().and_then(|button| CLASSES.get(button));
        let class = class.filter(|class| recorder.toggle(worker, &recipe, class));
        for (led, name) in leds.iter_mut().zip(&CLASSES) {
            let Ok(()) = led.set_state((class != Some(name)).into());
        }
    })
}

#[interrupt]
fn UARTE0_UART0() {
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
