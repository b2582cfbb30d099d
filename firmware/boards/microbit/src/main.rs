//! smidgen's worker on the BBC micro:bit v1 (nRF51822).
//!
//! UART 0 at 115200 baud on the pins of the USB interface (transmit P0.24, receive P0.25). The status LED is the upper
//! left one of the matrix (row P0.13, column P0.04). The nRF51 buffers six bytes in hardware.
#![no_std]
#![no_main]

mod flash;

use board_support::{
    identity, init_worker, memory,
    serial::{self, Port},
    serve, take_or_reset,
};
use cortex_m_rt::entry;
use embedded_hal::digital::OutputPin;
use flash::Flash;
use heapless::spsc::Queue;
use nrf51_hal::{
    clocks::Clocks,
    gpio::{Level, p0},
    pac::{self, FICR, NVIC, UART0, interrupt, uart0::RegisterBlock},
    rng::Rng,
    uart::{Baudrate, Parity, Pins, Uart},
};
use smidgen_firmware::{
    journal::{DATA_PAGES, FlashJournal},
    objectives::Objectives,
    worker::{Board, Worker},
};
use smidgen_protocol::seal::BOOT_LEN;

/// Bytes buffered while the worker computes: the longest frame, with some margin.
const QUEUE_LEN: usize = 575;

#[entry]
fn main() -> ! {
    static mut QUEUE: Queue<u8, { QUEUE_LEN + 1 }> = Queue::new();
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;

    let device = take_or_reset(pac::Peripherals::take());
    let identity = identity::injected_or_else(|| device_id(&device.FICR));
    let memory = memory::take();
    let mut journal = FlashJournal::open(Flash::new(device.NVMC), DATA_PAGES, memory);
    let board = Board { name: "microbit", identity };
    let worker = init_worker::<Objectives>(WORKER, board, memory, || {
        let mut boot = [0; BOOT_LEN];
        Rng::new(device.RNG).random(&mut boot);
        Some(boot)
    });

    // The internal oscillator is too imprecise for a UART.
    Clocks::new(device.CLOCK).enable_ext_hfosc();
    let pins = p0::Parts::new(device.GPIO);
    pins.p0_04.into_push_pull_output(Level::Low);
    let mut led = pins.p0_13.into_push_pull_output(Level::Low);
    let pins = Pins {
        rxd: pins.p0_25.into_floating_input().degrade(),
        txd: pins.p0_24.into_push_pull_output(Level::High).degrade(),
        cts: None,
        rts: None,
    };
    Uart::new(device.UART0, pins, Parity::EXCLUDED, Baudrate::BAUD115200);

    let port = Port::open(QUEUE, transmit, |lit: bool| {
        let Ok(()) = led.set_state(lit.into());
    });
    uart().intenset.write(|w| w.rxdrdy().set().error().set());
    // SAFETY: the port is open, and no critical section relies on this interrupt being masked.
    unsafe { NVIC::unmask(pac::Interrupt::UART0) };
    serve(port, worker, &mut Objectives, &mut journal)
}

/// Registers of the UART. The HAL sets it up, but neither supports interrupts nor splits the directions.
fn uart() -> &'static RegisterBlock {
    // SAFETY: the HAL's `Uart` was dropped. The interrupt handler, and the code that enables the interrupt, use the
    // registers of one direction, `transmit` those of the other.
    unsafe { &*UART0::ptr() }
}

/// Sends a byte.
fn transmit(byte: u8) {
    let uart = uart();
    uart.events_txdrdy.reset();
    uart.txd.write(|w| w.txd().variant(byte));
    while uart.events_txdrdy.read().bits() == 0 {}
}

#[interrupt]
fn UART0() {
    let uart = uart();
    while uart.events_rxdrdy.read().bits() != 0 {
        // Clear the event before taking the byte, since the next byte may raise it right after.
        uart.events_rxdrdy.reset();
        serial::received(uart.rxd.read().rxd().bits());
    }
    if uart.events_error.read().bits() != 0 {
        uart.events_error.reset();
        let source = uart.errorsrc.read();
        // SAFETY: writing flags back clears them and has no other effect.
        uart.errorsrc.write(|w| unsafe { w.bits(source.bits()) });
        if source.overrun().bit() {
            serial::lost();
        }
    }
}

/// Device identifier, programmed by the factory.
fn device_id(factory: &FICR) -> u64 {
    let [low, high] = &factory.deviceid;
    u64::from(high.read().bits()) << 32 | u64::from(low.read().bits())
}
