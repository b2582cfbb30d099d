//! smidgen's worker on boards with an STM32F405, such as Olimex STM32-H405.
//!
//! USART 1 (transmit PA9, receive PA10) at 115200 baud, status LED PC12, which shines when low; 16 MHz from the internal
//! oscillator, so that the image does not depend on a board's crystal. For other pins change the lines that name them.
//!
//! The HAL sets up the pins. Clocks and port are set by registers: what the HAL has for them can panic, and it resets the
//! port, which needs no reset after a start and which QEMU 10.0 does not survive.
#![no_std]
#![no_main]

mod random;
mod usart;

use board_support::{identity, init_worker, memory, serial::Port, serve, take_or_reset};
use cortex_m_rt::entry;
use heapless::spsc::Queue;
use smidgen_firmware::{
    objectives::Objectives,
    worker::{Board, Worker},
};
use stm32f4xx_hal::{
    pac::{self, NVIC},
    prelude::*,
    signature::Uid,
};

/// Bytes that may arrive while the worker computes, two frames of the greatest length among them.
const QUEUE_LEN: usize = 2048;

#[entry]
fn main() -> ! {
    static mut QUEUE: Queue<u8, { QUEUE_LEN + 1 }> = Queue::new();
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;

    let board = Board { name: "stm32f405", identity: identity::injected_or_else(device_id) };
    let device = take_or_reset(pac::Peripherals::take());
    // After a start the core runs at 16 MHz from the internal oscillator, and so do all buses.
    let mut rcc = device.RCC.constrain();
    // Lit until the worker waits: a board that has a key and cannot draw stays so.
    let gpioc = device.GPIOC.split(&mut rcc);
    let mut led = gpioc.pc12.into_push_pull_output();
    let boot = || identity::seed().or_else(|| random::draw(device.RNG, &mut rcc));
    let worker = init_worker::<Objectives>(WORKER, board, memory::take(), boot);

    usart::open(device.USART1, &mut rcc);
    let gpioa = device.GPIOA.split(&mut rcc);
    let _transmit = gpioa.pa9.into_alternate::<{ usart::ALTERNATE }>();
    let _receive = gpioa.pa10.into_alternate::<{ usart::ALTERNATE }>();
    let port = Port::open(QUEUE, usart::send, |lit: bool| led.set_state((!lit).into()));
    // SAFETY: the port is open, and no critical section depends on the interrupt's being masked.
    unsafe { NVIC::unmask(pac::Interrupt::USART1) };
    serve(port, worker, &mut Objectives, &mut ())
}

/// The unique device id: position on the wafer, number of the wafer, lot; folded to 64 bits.
///
/// QEMU has no such memory, so there it faults, which [`identity::injected_or_else`] knows how to take.
fn device_id() -> u64 {
    let id = Uid::get();
    let [x0, x1] = id.x().to_le_bytes();
    let [y0, y1] = id.y().to_le_bytes();
    let place = u64::from_le_bytes([x0, x1, y0, y1, id.waf_num(), 0, 0, 0]);
    let lot = id.lot_num().bytes().fold(0, |lot: u64, byte| lot << 8 | u64::from(byte));
    // The lot is ASCII, 56 bits of which the lowest vary most; the place takes 40 bits.
    place << 24 ^ lot
}
