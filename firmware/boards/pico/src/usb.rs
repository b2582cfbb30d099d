//! A serial port over USB (CDC-ACM), which the interrupt of the controller serves.
//!
//! The host of the bus waits while the worker's queue has no room for a packet, so that no byte is lost. A transfer of
//! whole packets ends with an empty one, which `usbd-serial` sends: without it the host would wait for more.

use crate::line::{self, RECEIVED};
use core::{cell::RefCell, str};
use critical_section::Mutex;
use rp2040_hal::{
    Timer,
    pac::{Interrupt, NVIC, interrupt},
    usb::UsbBus,
};
use usb_device::{
    bus::UsbBusAllocator,
    device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbDeviceState, UsbVidPid},
};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

/// Bytes of the largest packet.
const PACKET_LEN: usize = 64;
/// Time without room after which a frame is dropped, as a line would lose it: the program on the host has gone.
const PATIENCE_MICROS: u32 = 500_000;
/// The shared numbers for serial ports that are told apart by their serial number, of obdev.at.
const ID: UsbVidPid = UsbVidPid(0x16c0, 0x27dd);

struct Usb {
    serial: SerialPort<'static, UsbBus>,
    device: UsbDevice<'static, UsbBus>,
    timer: Timer,
}

static USB: Mutex<RefCell<Option<Usb>>> = Mutex::new(RefCell::new(None));

/// Attaches the board to the bus, with its identity in 16 hexadecimal digits as serial number.
// Not inlined, so that its stack is free again when the worker runs.
#[inline(never)]
pub fn open(bus: &'static UsbBusAllocator<UsbBus>, identity: u64, timer: Timer) {
    let serial = SerialPort::new(bus);
    let strings = StringDescriptors::default()
        .manufacturer("smidgen")
        .product("worker")
        .serial_number(digits(identity));
    let Ok(builder) =
        UsbDeviceBuilder::new(bus, ID).device_class(USB_CLASS_CDC).strings(&[strings])
    else {
        return;
    };
    // Of 64 bytes, because hosts with Windows would otherwise ask for the address too early; see the HAL.
    let Ok(builder) = builder.max_packet_size_0(PACKET_LEN as u8) else { return };
    let usb = Usb { serial, device: builder.build(), timer };
    critical_section::with(|section| USB.borrow(section).replace(Some(usb)));
}

fn digits(identity: u64) -> &'static str {
    let Some(text) = cortex_m::singleton!(SERIAL: [u8; 16] = [b'0'; 16]) else { return "" };
    for (at, place) in text.iter_mut().rev().enumerate() {
        let digit = (identity >> (4 * at)) as u8 & 0xf;
        *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
    }
    str::from_utf8(text).unwrap_or("")
}

fn with<T>(access: impl FnOnce(&mut Usb) -> Option<T>) -> Option<T> {
    critical_section::with(|section| access(USB.borrow(section).try_borrow_mut().ok()?.as_mut()?))
}

/// Sends bytes to the host; drops the rest of them if it does not take them.
pub fn send(bytes: &[u8]) {
    let Some(timer) = with(|usb| Some(usb.timer)) else { return };
    let (mut rest, mut since) = (bytes, timer.get_counter_low());
    while !rest.is_empty() {
        let Some(count) = with(|usb| usb.write(rest)) else { return };
        let now = timer.get_counter_low();
        if count > 0 {
            since = now;
        } else if now.wrapping_sub(since) > PATIENCE_MICROS {
            return;
        }
        rest = rest.get(count..).unwrap_or_default();
    }
}

/// Reads on where the worker's queue had no room.
pub fn resume() {
    if !NVIC::is_enabled(Interrupt::USBCTRL_IRQ) {
        // SAFETY: no critical section relies on this interrupt being masked.
        unsafe { NVIC::unmask(Interrupt::USBCTRL_IRQ) };
    }
}

#[interrupt]
fn USBCTRL_IRQ() {
    with(Usb::serve);
}

impl Usb {
    /// Takes as many bytes as there is room for; `None` without a host.
    // Not inlined: a test shows that nothing but the code of USB can panic.
    #[inline(never)]
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        (self.device.state() == UsbDeviceState::Configured)
            .then(|| self.serial.write(bytes).unwrap_or(0))
    }

    /// Handles what happened on the bus.
    #[inline(never)]
    fn serve(&mut self) -> Option<()> {
        self.device.poll(&mut [&mut self.serial]);
        let mut packet = [0; PACKET_LEN];
        loop {
            if !RECEIVED.has_room_for(PACKET_LEN) {
                // The packet stays in the controller, and with it the cause of the interrupt.
                NVIC::mask(Interrupt::USBCTRL_IRQ);
                return None;
            }
            let len = self.serial.read(&mut packet).ok()?;
            line::heard(true);
            packet.iter().take(len).for_each(|&byte| RECEIVED.received(byte));
        }
    }
}
