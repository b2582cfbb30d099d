//! smidgen's worker on boards with an STM32F405, such as Olimex STM32-H405.
//!
//! USART 1 (transmit PA9, receive PA10) at 115200 baud, status LED PC12, which shines when low; 16 MHz from the internal
//! oscillator, so that the image does not depend on a board's crystal. For other pins change the lines that name them.
#![no_std]
#![no_main]

use board_support::{
    identity, key, memory, once,
    serial::{self, Port},
    serve, worker,
};
use core::cell::RefCell;
use cortex_m_rt::entry;
use critical_section::Mutex;
use heapless::spsc::Queue;
use smidgen_firmware::{
    objectives::Objectives,
    worker::{Board, Worker},
};
use smidgen_protocol::seal::BOOT_LEN;
use stm32f4xx_hal::{
    interrupt, nb,
    pac::{self, NVIC, RNG, USART1},
    prelude::*,
    rcc,
    serial::{Error, Rx, Serial, Tx, config::Config},
    signature::Uid,
};

/// Bytes that may arrive while the worker computes, two frames of the greatest length among them.
const QUEUE_LEN: usize = 2048;

/// So often the generator of random numbers is started until it is given up.
const DRAWS_MAX: usize = 8;

/// The receiver, for the interrupt.
static RECEIVER: Mutex<RefCell<Option<Rx<USART1>>>> = Mutex::new(RefCell::new(None));

#[entry]
fn main() -> ! {
    static mut QUEUE: Queue<u8, { QUEUE_LEN + 1 }> = Queue::new();
    static mut WORKER: Option<Worker<&'static mut [u64]>> = None;

    let board = Board { name: "stm32f405", identity: identity::given_or_else(device_id) };
    let device = once(pac::Peripherals::take());
    let (seed, mut clocks) = (identity::seed(), rcc::Config::hsi());
    if key::held().is_some() && seed.is_none() {
        // That of the generator of random numbers, which QEMU does not have.
        clocks = clocks.require_pll48clk();
    }
    let mut rcc = device.RCC.freeze(clocks);
    // Lit until the worker waits: a board that has a key and cannot draw stays so.
    let gpioc = device.GPIOC.split(&mut rcc);
    let mut led = gpioc.pc12.into_push_pull_output();
    let boot = || seed.or_else(|| draw(device.RNG, &mut rcc));
    let worker = worker::<Objectives>(WORKER, board, memory::take(), boot);
    let gpioa = device.GPIOA.split(&mut rcc);
    let config = Config::default().baudrate(115_200.bps());
    // The speed can be had from this clock.
    let usart = once(Serial::new(device.USART1, (gpioa.pa9, gpioa.pa10), config, &mut rcc).ok());
    let (mut transmitter, mut receiver) = usart.split();
    receiver.listen();

    let transmit = |byte| send(&mut transmitter, byte);
    let port = Port::open(QUEUE, transmit, |lit: bool| led.set_state((!lit).into()));
    critical_section::with(|section| {
        if let Ok(mut place) = RECEIVER.borrow(section).try_borrow_mut() {
            *place = Some(receiver);
        }
    });
    // SAFETY: the port is open, and no critical section depends on the interrupt's being masked.
    unsafe { NVIC::unmask(pac::Interrupt::USART1) };
    serve(port, worker, &mut Objectives, &mut ())
}

/// Sends a byte as soon as there is room for it.
fn send(transmitter: &mut Tx<USART1>, byte: u8) {
    // The hardware knows of no error in this direction.
    let _ = nb::block!(transmitter.write(byte));
}

#[interrupt]
fn USART1() {
    critical_section::with(|section| {
        // It is there before its interrupt is enabled.
        let mut place = RECEIVER.borrow(section).try_borrow_mut();
        let Ok(Some(receiver)) = place.as_deref_mut() else { return };
        match receiver.read() {
            Ok(byte) => serial::received(byte),
            Err(nb::Error::Other(Error::Overrun)) => serial::lost(),
            // A byte that arrived damaged is lost too; the checksum of its frame will tell.
            Err(_) => {}
        }
    });
}

/// Draws random bytes; none if the generator says again and again that it is out of order.
fn draw(rng: RNG, rcc: &mut rcc::Rcc) -> Option<[u8; BOOT_LEN]> {
    let rng = rng.constrain(rcc).release();
    (0..DRAWS_MAX).find_map(|_| {
        let boot = draw_once(&rng);
        if boot.is_none() {
            // One bad seed can happen. So says the reference manual: clear the error, and start the generator anew.
            rng.sr().modify(|_, w| w.seis().clear_bit());
            rng.cr().modify(|_, w| w.rngen().clear_bit());
            rng.cr().modify(|_, w| w.rngen().set_bit());
        }
        boot
    })
}

fn draw_once(rng: &RNG) -> Option<[u8; BOOT_LEN]> {
    let word = || loop {
        let status = rng.sr().read();
        if status.cecs().bit() || status.secs().bit() {
            return None;
        }
        if status.drdy().bit() {
            return Some(rng.dr().read().bits());
        }
    };
    // The first number is not to be used, and none that is the one before: so says the reference manual.
    let (mut boot, mut last) = ([0; BOOT_LEN], word()?);
    for place in boot.chunks_exact_mut(size_of::<u32>()) {
        let drawn = word().filter(|&drawn| drawn != last)?;
        place.copy_from_slice(&drawn.to_le_bytes());
        last = drawn;
    }
    Some(boot)
}

/// The unique device id: position on the wafer, number of the wafer, lot; folded to 64 bits. QEMU has no such
/// memory, so there the board faults unless it was given an identity.
fn device_id() -> u64 {
    let id = Uid::get();
    let [x0, x1] = id.x().to_le_bytes();
    let [y0, y1] = id.y().to_le_bytes();
    let place = u64::from_le_bytes([x0, x1, y0, y1, id.waf_num(), 0, 0, 0]);
    let lot = id.lot_num().bytes().fold(0, |lot: u64, byte| lot << 8 | u64::from(byte));
    // The lot is ASCII, 56 bits of which the lowest vary most; the place takes 40 bits.
    place << 24 ^ lot
}
