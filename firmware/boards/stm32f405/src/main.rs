//! smidgen's worker on boards with an STM32F405, such as Olimex STM32-H405.
//!
//! USART 1 (transmit PA9, receive PA10) at 115200 baud, status LED PC12, active low. Samples arrive at USART 2
//! (PA3), at the same rate. The clock is the internal 16 MHz oscillator, so the image does not depend on a board's
//! crystal. For other pins change the lines that name them.
//!
//! The HAL sets up the pins. Clocks and ports are set up by registers, because the HAL's code for them can panic, and
//! resets the ports, which is unnecessary after a start and crashes QEMU 10.0.
#![no_std]
#![no_main]

mod random;
mod usart;

use board_support::{
    identity, init_worker, memory, rows,
    serial::{Port, SensorPort},
    serve, take_or_reset,
};
use cortex_m_rt::entry;
use smidgen_firmware::{
    objectives::Objectives,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::{Board, Worker},
};
use stm32f4xx_hal::{
    pac::{self, NVIC},
    prelude::*,
    signature::Uid,
};

/// Values in the longest window.
const WINDOW_LEN: usize = 2048;

#[entry]
fn main() -> ! {
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;
    static mut WINDOW: [i16; WINDOW_LEN] = [0; WINDOW_LEN];

    let board = Board { name: "stm32f405", identity: identity::injected_or_else(device_id) };
    let device = take_or_reset(pac::Peripherals::take());
    // After reset the core and all buses run at 16 MHz from the internal oscillator.
    let mut rcc = device.RCC.constrain();
    // Lit until the worker waits for bytes: it stays lit on a board that has a key and fails to draw random bytes.
    let gpioc = device.GPIOC.split(&mut rcc);
    let mut led = gpioc.pc12.into_push_pull_output();
    let boot = || identity::seed().or_else(|| random::draw(device.RNG, &mut rcc));
    let worker = init_worker::<Objectives>(WORKER, board, memory::take(), boot);

    usart::open(device.USART1, device.USART2, &mut rcc);
    let gpioa = device.GPIOA.split(&mut rcc);
    let _transmit = gpioa.pa9.into_alternate::<{ usart::ALTERNATE }>();
    let _receive = gpioa.pa10.into_alternate::<{ usart::ALTERNATE }>();
    let _sensor = gpioa.pa3.into_alternate::<{ usart::ALTERNATE }>();
    let sensor = SensorPort::new(&usart::SENSED, pac::Interrupt::USART2);
    let recorder = Recorder::new(rows::take(), WINDOW);
    let sensor = StreamSensor::with_interrupt(sensor, identity::sensor_channels());
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    let port = Port::new(&usart::RECEIVED, usart::send, |lit: bool| led.set_state((!lit).into()));
    // SAFETY: no critical section relies on this interrupt being masked.
    unsafe { NVIC::unmask(pac::Interrupt::USART1) };
    serve(port, worker, &mut Objectives, &mut (), &mut recorder, |_, _| ())
}

/// Unique device id (position on the wafer, wafer number, lot), folded to 64 bits.
///
/// QEMU lacks this memory, so the read faults; [`identity::injected_or_else`] handles that.
fn device_id() -> u64 {
    let id = Uid::get();
    let [x0, x1] = id.x().to_le_bytes();
    let [y0, y1] = id.y().to_le_bytes();
    let place = u64::from_le_bytes([x0, x1, y0, y1, id.waf_num(), 0, 0, 0]);
    let lot = id.lot_num().bytes().fold(0, |lot: u64, byte| lot << 8 | u64::from(byte));
    // The lot is 56 bits of ASCII, of which the lowest vary most; the position takes 40 bits.
    place << 24 ^ lot
}
