//! The two lines of a board with an STM32, that to the host and that of a sensor, and the worker between them.

use super::usart::Usart;
use crate::{
    BoardWorker, identity,
    nvic::Interrupt,
    rows,
    serial::{Bytes, Inlet, Port, SensorPort},
    serve_recorder, take_or_restart,
};
use smidgen_firmware::{
    objective::ObjectiveSet,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
};
use static_cell::ConstStaticCell;

/// Interrupt of USART 1 on all of these chips.
pub const USART1: Interrupt = Interrupt(37);
/// Interrupt of USART 2 on all of these chips.
pub const USART2: Interrupt = Interrupt(38);

/// Values in the longest window.
const WINDOW_LEN: usize = 2048;

/// Bytes of the host, buffered while the worker computes: more than two frames.
static RECEIVED: Inlet<2049> = Inlet::new();
/// Bytes of the sensor, buffered while a row is made: 20 ms on the line.
static SENSED: Bytes<256> = Bytes::new();

/// A port and its interrupt.
#[derive(Debug)]
pub struct Line {
    /// The port.
    pub usart: Usart,
    /// Its interrupt.
    pub interrupt: Interrupt,
}

/// Both lines; a static of a board.
#[derive(Debug)]
pub struct Lines {
    /// The line to the host.
    pub host: Line,
    /// The line of the sensor.
    pub sensor: Line,
}

impl Lines {
    /// Opens both ports, which run by this clock.
    pub fn open(&self, clock_hz: u32) {
        self.host.usart.open(clock_hz);
        self.sensor.usart.open(clock_hz);
    }

    /// Serves the host for ever, with rows in RAM. `light` switches the status LED.
    pub fn serve<R: ObjectiveSet>(
        &'static self,
        worker: &mut BoardWorker,
        objectives: R,
        light: impl FnMut(bool),
    ) -> ! {
        static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);

        let sensor = SensorPort::new(&SENSED, || self.sensor.interrupt.unmask());
        let sensor = StreamSensor::with_interrupt(sensor, identity::sensor_channels());
        let window = take_or_restart(WINDOW.try_take());
        let recorder = Recorder::new(rows::take(), window);
        let mut recorder = RemoteRecorder::new(recorder, sensor);
        let port = Port::new(&RECEIVED, |byte| self.host.usart.send(byte), light);
        self.host.interrupt.unmask();
        serve_recorder(port, worker, objectives, &mut (), &mut recorder, |_, _| ())
    }

    /// Handles the interrupt of this number, on a board without a device crate.
    pub fn handle(&self, number: i16) {
        if number == self.sensor.interrupt.0 as i16 {
            self.take_sensed();
        } else {
            self.take_received();
        }
    }

    /// Handles the interrupt of the host's port.
    pub fn take_received(&self) {
        let (byte, is_overrun) = self.host.usart.take_received();
        if let Some(byte) = byte {
            RECEIVED.received(byte);
        }
        if is_overrun {
            RECEIVED.lost();
        }
    }

    /// Handles the interrupt of the sensor's port.
    pub fn take_sensed(&self) {
        if !SENSED.has_room() {
            self.sensor.interrupt.mask();
            return;
        }
        if let (Some(byte), _) = self.sensor.usart.take_received() {
            SENSED.received(byte);
            RECEIVED.call();
        }
    }
}
