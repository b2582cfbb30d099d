//! smidgen's worker on Espressif's ESP32-C3, such as the ESP32-C3-DevKitM-1.
//!
//! UART 0 (transmit GPIO21, receive GPIO20, which the USB bridge of a DevKit is connected to) at 115200 baud, status
//! LED GPIO10, active high. Samples arrive at UART 1 (GPIO7), at the same rate. For other pins change `chip`.
//!
//! The chip is set up by registers, as the bootloader of ESP-IDF leaves it: Espressif's HAL calls the chip's ROM, which
//! no free emulator has. The chip's generator of random numbers needs the radio or the converter as a source, which are
//! off: an image with a key stays silent on hardware.
#![no_std]

mod chip;
mod descriptor;
mod uart;

use board_support::{
    identity, init_worker, memory, rows,
    serial::{Port, SensorPort},
    serve_recorder, take_or_restart,
};
use smidgen_firmware::{
    objective::ObjectiveSet,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::Board,
};
use static_cell::ConstStaticCell;

/// Values in the longest window.
const WINDOW_LEN: usize = 4096;

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

    chip::stop_watchdogs();
    let board = Board { name: "esp32-c3", identity: identity::injected_or_else(chip::address) };
    // Lit until the worker waits for bytes.
    chip::connect_pins();
    let worker = init_worker::<R>(board, memory::take(), identity::seed);

    uart::open();
    let sensor = SensorPort::new(&uart::SENSED, uart::listen);
    let window = take_or_restart(WINDOW.try_take());
    let recorder = Recorder::new(rows::take(), window);
    let sensor = StreamSensor::with_interrupt(sensor, identity::sensor_channels());
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    // The manual does not say that a masked interrupt ends a sleep, so the worker does not sleep.
    let port = Port::with_pause(&uart::RECEIVED, uart::send, chip::light, uart::receive);
    // SAFETY: no critical section encloses this.
    unsafe { riscv::interrupt::enable() };
    serve_recorder(port, worker, objectives, &mut (), &mut recorder, |_, _| ())
}
