//! Two buttons that record without a host, and the LEDs that show what the board does.

use super::{clock, configure, port};
use crate::serial::Inlet;
use core::{
    convert::Infallible,
    ptr::with_exposed_provenance,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};
use embedded_hal::digital::{OutputPin, PinState};
use embedded_storage::nor_flash::NorFlash;
use smidgen_firmware::{
    recorder::{sensor::Sensor, store::Mapped},
    remote::{Indicator, RemoteRecorder},
    worker::Worker,
};
use smidgen_protocol::recipe::{Features, Recipe};
use volatile_register::{RW, WO};

/// Classes of recordings that the buttons start.
const CLASSES: [&str; 2] = ["a", "b"];

#[repr(C)]
struct EventBlock {
    _1: [u32; 0x17C / 4],
    port: RW<u32>,
    _2: [u32; (0x304 - 0x180) / 4],
    interrupts_set: WO<u32>,
}

/// Two buttons at pins of port 0, which are low while pressed.
pub struct Buttons {
    /// Number of the button that was pressed, from 1; 0 if none was.
    pressed: AtomicU32,
    /// Time of the latest event: a press, a release, or a contact that bounces.
    time: AtomicU32,
    /// A button was down after it.
    is_down: AtomicBool,
}

const PULL_UP: u32 = 3 << 2;
const SENSE_HIGH: u32 = 2 << 16;
const SENSE_LOW: u32 = 3 << 16;

/// The buttons.
pub static BUTTONS: Buttons = Buttons {
    pressed: AtomicU32::new(0),
    time: AtomicU32::new(0),
    is_down: AtomicBool::new(false),
};

impl Buttons {
    /// A contact bounces for less, and no one presses a button again within this time.
    const BOUNCE_MICROS: u32 = 200_000;

    fn events() -> &'static EventBlock {
        // SAFETY: the chips have these registers at this address, and accesses are volatile.
        unsafe { &*with_exposed_provenance(0x4000_6000) }
    }

    /// Enables the interrupt of the buttons. The clock must run.
    pub fn open(&self, pins: [usize; 2]) {
        const PORT_EVENT: u32 = 1 << 31;
        pins.into_iter().for_each(|pin| configure(pin, PULL_UP | SENSE_LOW));
        // SAFETY: the event of the port affects no memory.
        unsafe {
            Self::events().port.write(0);
            Self::events().interrupts_set.write(PORT_EVENT);
        }
    }

    /// Notes which button is pressed, and wakes the main loop; to be called by the interrupt.
    pub fn take_event<const N: usize>(&self, pins: [usize; 2], inlet: &Inlet<N>) {
        // SAFETY: clearing an event has no other effect.
        unsafe { Self::events().port.write(0) };
        let input = port().input.read();
        let is_low = pins.map(|pin| input >> pin & 1 == 0);
        // A release is an event too, since contacts also bounce then.
        for (pin, is_low) in pins.into_iter().zip(is_low) {
            configure(pin, PULL_UP | if is_low { SENSE_HIGH } else { SENSE_LOW });
        }
        let pressed = is_low.into_iter().position(|is_low| is_low);
        let now = clock::micros_in_interrupt();
        let is_settled = now.wrapping_sub(self.time.load(Relaxed)) > Self::BOUNCE_MICROS;
        let was_down = self.is_down.load(Relaxed);
        self.time.store(now, Relaxed);
        self.is_down.store(pressed.is_some(), Relaxed);
        if let Some(pressed) = pressed
            && is_settled
            && !was_down
        {
            self.pressed.store(pressed as u32 + 1, Relaxed);
            inlet.call();
        }
    }

    /// If a button was pressed, starts a recording or ends the open one.
    ///
    /// A first recording becomes windows of 2 s at 25 Hz that overlap by half.
    pub fn obey<F: NorFlash + Mapped, S: Sensor, I: Indicator>(
        &self,
        worker: &mut Worker<&'static mut [u64]>,
        recorder: &mut RemoteRecorder<'_, F, S, I>,
    ) {
        let Some(class) = self.take().and_then(|button| CLASSES.get(button)) else { return };
        let recipe = Recipe {
            channels: recorder.sensor_mut().channels() as u8,
            window: 50,
            hop: 25,
            features: Features::DEFAULT,
            rate_millihertz: 25_000,
        };
        recorder.toggle(worker, &recipe, class);
    }

    /// Number of the button that was pressed since the last call, from 0.
    fn take(&self) -> Option<usize> {
        // Cortex-M0 has no atomic exchange.
        let pressed = critical_section::with(|_| {
            let pressed = self.pressed.load(Relaxed);
            self.pressed.store(0, Relaxed);
            pressed
        });
        Some(pressed.checked_sub(1)? as usize)
    }
}

/// LEDs that are lit while their pins are low.
pub struct Leds<P, const N: usize> {
    /// Lit during a recording.
    pub recording: P,
    /// The class of the latest window, from 1, in binary digits, the lowest first; dark for one of more digits.
    pub class: [P; N],
}

impl<P: OutputPin<Error = Infallible>, const N: usize> Indicator for Leds<P, N> {
    fn show(&mut self, class: Option<u8>) {
        let number = class.map_or(0, |class| class.saturating_add(1));
        light_digits(&mut self.class, if u32::from(number) >> N == 0 { number } else { 0 });
    }

    fn record(&mut self, is_recording: bool) {
        light(&mut self.recording, is_recording);
        self.show(None);
    }
}

fn light_digits<P: OutputPin<Error = Infallible>>(leds: &mut [P], number: u8) {
    for (led, digit) in leds.iter_mut().zip(0..u8::BITS) {
        light(led, number >> digit & 1 != 0);
    }
}

/// Switches an LED that is lit while its pin is low.
pub fn light<P: OutputPin<Error = Infallible>>(led: &mut P, is_lit: bool) {
    let Ok(()) = led.set_state(PinState::from(!is_lit));
}
