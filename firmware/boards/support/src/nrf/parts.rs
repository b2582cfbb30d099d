//! What the boards with a Nordic chip share: a worker, a journal and rows in flash, a sensor on I²C, and two buttons.

use super::buttons::{BUTTONS, Leds, light};
use super::{clock::Clock, device_id, uart::UART};
use crate::nvic::Interrupt;
use crate::nvmc::Flash;
use crate::serial::{Inlet, Port};
use crate::{BoardWorker, identity, init_worker, memory, serve_recorder, take_or_restart};
use core::convert::Infallible;
use embedded_hal::digital::OutputPin;
use smidgen_firmware::{
    journal::FlashJournal,
    objective::ObjectiveSet,
    recorder::{
        Recorder,
        clocked::{Clocked, Probe},
        store::Store,
    },
    remote::RemoteRecorder,
    worker::Board,
};
use smidgen_protocol::seal::BOOT_LEN;

/// Numbers of the interrupts of UART 0, pins and timer 0, which are the same on these chips.
const INTERRUPTS: [Interrupt; 3] = [Interrupt(2), Interrupt(6), Interrupt(8)];

/// What is at which pin. Pins are numbers of port 0, then from 32 on those of port 1.
pub struct Wiring<P, const N: usize> {
    /// Transmits to the host. It must be an output, high while idle.
    pub transmit: u32,
    /// Receives from the host. It must be an input.
    pub receive: u32,
    /// The buttons, of port 0.
    pub buttons: [usize; 2],
    /// An LED that is lit while the worker works.
    pub status: P,
    /// The LEDs of the recorder.
    pub leds: Leds<P, N>,
}

/// The worker and its flash, with pages of this many bytes.
pub struct Parts<const PAGE_LEN: usize> {
    worker: &'static mut BoardWorker,
    journal: FlashJournal<Flash<PAGE_LEN>>,
    rows: Flash<PAGE_LEN>,
}

impl<const PAGE_LEN: usize> Parts<PAGE_LEN> {
    /// Takes memory and flash, and creates the worker of a board of this name. `random` fills a boot with random bytes.
    #[inline(always)]
    pub fn take<R: ObjectiveSet>(
        name: &'static str,
        data_pages: u32,
        random: impl FnOnce(&mut [u8; BOOT_LEN]),
    ) -> Self {
        let memory = memory::take();
        let [journal, rows] = Flash::take();
        let journal = FlashJournal::open(journal, data_pages, memory);
        let board = Board { name, identity: identity::injected_or_else(device_id) };
        let worker = init_worker::<R>(board, memory, || {
            let mut boot = [0; BOOT_LEN];
            random(&mut boot);
            Some(boot)
        });
        Self { worker, journal, rows }
    }

    /// Serves the host for ever. `sensor` comes with its rate in samples per 1000 s; its windows are in `window`.
    #[inline(always)]
    pub fn serve<
        P: OutputPin<Error = Infallible>,
        const N: usize,
        const L: usize,
        const W: usize,
    >(
        self,
        objectives: impl ObjectiveSet,
        inlet: &'static Inlet<N>,
        wiring: Wiring<P, L>,
        (sensor, rate_millihertz): (impl Probe, u32),
        window: Option<&'static mut [i16; W]>,
    ) -> ! {
        let Self { worker, mut journal, rows } = self;
        let Wiring { transmit, receive, buttons, mut status, leds } = wiring;
        let sensor = Clocked::new(sensor, rate_millihertz, Clock::start(inlet));
        let window = take_or_restart(window);
        let recorder = Recorder::new(take_or_restart(Store::open(rows).ok()), window);
        let mut recorder = RemoteRecorder::with_indicator(recorder, sensor, leds);

        let port = Port::new(inlet, |byte| UART.transmit(byte), |lit| light(&mut status, lit));
        UART.open(transmit, receive);
        BUTTONS.open(buttons);
        INTERRUPTS.into_iter().for_each(Interrupt::unmask);
        serve_recorder(port, worker, objectives, &mut journal, &mut recorder, |worker, recorder| {
            BUTTONS.obey(worker, recorder);
        })
    }
}
