//! Measures the cost of a row, and of an evaluation of rows in place, in instructions, counted by QEMU at one
//! nanosecond per instruction. Prints a checksum of the rows too, which is the same on all machines:
//!
//! ```text
//! qemu-system-arm -M mps2-an385 -icount shift=0 -nographic -kernel recorder
//! ```
//!
//! Built for thumbv6m-none-eabi it measures code for a Cortex-M0, which an M3 executes as well.
#![no_std]
#![no_main]

#[path = "../src/registers.rs"]
#[expect(dead_code, reason = "it only prints")]
mod registers;

use board_support::{memory, take_or_restart};
use core::convert::Infallible;
use core::fmt::{self, Write};
use core::hint::black_box;
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::entry;
use embedded_io::{ErrorType, Read, ReadReady};
use registers::{CLOCK_HZ, UART};
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::recorder::store::{RamFlash, Store};
use smidgen_firmware::recorder::stream::{self, StreamSensor};
use smidgen_firmware::recorder::{Recorder, features, window::Window};
use smidgen_firmware::softmax::Softmax;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::frame::{FRAME_LEN_MAX, checksum};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::recipe::{Features, ROW_LEN_MAX, Recipe};
use smidgen_protocol::shard::{Parts, Shard};
use smidgen_protocol::vector::Ratio;

/// Instructions per tick of the 25 MHz timer.
const TICK: u32 = 40;
/// Accelerometer and gyroscope, with all features of windows of 50 samples.
const RECIPE: Recipe = Recipe {
    channels: 6,
    window: 50,
    hop: 25,
    features: Features::from_bits(0b11_1111),
    rate_millihertz: 10_000,
};
/// Number of samples of the recording.
const SAMPLES: u32 = 2000;

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| UART.transmit(byte));
        Ok(())
    }
}

/// Counts the instructions of `work`.
fn count<T>(timer: &mut SYST, work: impl FnOnce() -> T) -> (u32, T) {
    timer.clear_current();
    let result = work();
    ((0xFF_FFFF - SYST::get_current()) * TICK, result)
}

/// Pseudo-random samples (Knuth's MMIX), of another magnitude for each channel.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> [i16; 6] {
        let mut sample = [0; 6];
        for (shift, value) in (48..).zip(&mut sample) {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *value = (self.0.cast_signed() >> shift) as i16;
        }
        sample
    }
}

/// The frames of noise.
struct Frames {
    noise: Noise,
    number: u16,
}

impl ErrorType for Frames {
    type Error = Infallible;
}

impl ReadReady for Frames {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut frame = [0; FRAME_LEN_MAX];
        let len = stream::emit(self.number, &self.noise.next(), &mut frame);
        self.number = self.number.wrapping_add(1);
        buffer
            .iter_mut()
            .zip(&frame[..len.min(FRAME_LEN_MAX)])
            .for_each(|(place, &byte)| *place = byte);
        Ok(len)
    }
}

/// Instructions of the features of a window.
fn features_of_window(timer: &mut SYST, features: Features) -> u32 {
    let (mut memory, mut row) = ([0; 300], [0; ROW_LEN_MAX]);
    let (mut window, mut noise) = (Window::new(&mut memory), Noise(1));
    let mut instructions = 0;
    if window.start(&RECIPE).is_ok() {
        for _ in 0..75 {
            if let Some(samples) = window.push(&noise.next()) {
                let work = || black_box(features::row(&samples, features, &mut row)).len();
                (instructions, _) = count(timer, work);
            }
        }
    }
    instructions
}

/// Instructions of softmax regression on the rows, and its loss at x = 0 with 16 fraction bits.
fn evaluate(timer: &mut SYST, store: &Store<RamFlash<'_>>) -> (u32, i64) {
    const COLUMNS: usize = 36;
    const D: usize = 2 * (COLUMNS + 1);
    let mut labels = [0; 128];
    let labels = labels.get_mut(..store.places()).unwrap_or_default();
    store.fill_labels(labels, |row| if row.is_test { -1 } else { row.class.cast_signed() });
    let shard = Shard::from_parts(&Parts {
        dimension: COLUMNS as u32,
        classes: 2,
        values: store.values(),
        stride: store.value_stride(),
        labels,
        scale_mantissas: &[1 << 30; COLUMNS + 1],
        scale_exponents: &[45; COLUMNS + 1],
    });
    let Ok(shard) = shard else { return (0, -1) };
    let (mut gradient, mut scratch, mut saturated) = ([0; D], [0; D], 0);
    let work = || {
        Softmax.evaluate(Evaluation {
            objective: Softmax::NAME,
            x: &[0; D],
            x_exponent: 24,
            gradient: &mut gradient,
            gradient_exponent: 24,
            loss_exponent: 16,
            regulariser: Regulariser::L2,
            lambda: Ratio::default(),
            data: Data::Recorded(&shard),
            rows: Selection::ALL,
            scratch: &mut scratch,
            saturated: &mut saturated,
        })
    };
    count(timer, work)
}

#[entry]
fn main() -> ! {
    UART.open(CLOCK_HZ);
    let mut timer = take_or_restart(cortex_m::Peripherals::take()).SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(0xFF_FFFF);
    timer.enable_counter();
    let memory = memory::take();
    let rows = take_or_restart(memory.get_mut(..4096));
    let mut samples = [0; 300];
    let mut store = take_or_restart(Store::open(RamFlash::new(rows)).ok());
    // The content of the memory is arbitrary.
    let cleared = store.clear(&RECIPE).is_ok();
    let mut recorder = Recorder::new(store, &mut samples);
    let mut sensor = StreamSensor::new(Frames { noise: Noise(1), number: 0 }, None);
    let begun = cleared && recorder.begin(&RECIPE, "noise", false).is_ok();
    let (recorded, _) = count(&mut timer, || {
        for _ in 0..SAMPLES {
            black_box(recorder.poll(&mut sensor).is_ok());
        }
    });
    let progress = recorder.end();
    let (counted, counts) = count(&mut timer, || recorder.store().counts());
    let sum = recorder.store().values().iter().fold(0, |sum, &value| {
        let [low, high] = value.to_le_bytes();
        let [a, b, c, d] = u32::to_le_bytes(sum);
        checksum(&[a, b, c, d, low, high])
    });
    let _ = writeln!(
        Console,
        "{begun}: {} samples, {} rows, {sum:08x}",
        progress.samples, progress.rows
    );
    let _ = writeln!(
        Console,
        "{recorded} instructions, {counted} to count {} rows",
        counts[0].training
    );
    for features in [Features::DEFAULT, RECIPE.features] {
        let instructions = features_of_window(&mut timer, features);
        let _ =
            writeln!(Console, "a row of {} features of 6 channels: {instructions}", features.len());
    }
    let (evaluated, loss) = evaluate(&mut timer, recorder.store());
    let _ =
        writeln!(Console, "{evaluated} instructions to evaluate the rows in place, loss {loss}");
    let store = recorder.store_mut();
    let discarded = store.discard().unwrap_or(0);
    let cleared = store.clear(&RECIPE).is_ok();
    let _ = writeln!(Console, "{discarded} rows discarded, cleared: {cleared}");
    loop {
        cortex_m::asm::wfi();
    }
}
