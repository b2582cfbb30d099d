//! Measures the cost of a seal in instructions, counted by QEMU at one nanosecond per instruction:
//!
//! ```text
//! qemu-system-arm -M mps2-an385 -icount shift=0 -nographic -kernel seal
//! ```
//!
//! Built for thumbv6m-none-eabi it measures code for a Cortex-M0, which an M3 executes as well.
#![no_std]
#![no_main]

#[path = "../src/registers.rs"]
#[expect(dead_code, reason = "it only prints")]
mod registers;

use board_support::take_or_restart;
use core::fmt::{self, Write};
use core::hint::black_box;
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::entry;
use registers::{CLOCK_HZ, UART};
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer, Draft, FRAME_LEN_MAX, Frame, draft};
use smidgen_protocol::seal::{BOOT_LEN, HostSeal, KEY_LEN, Key, WorkerSeal};

/// Instructions per tick of the 25 MHz timer.
const TICK: u32 = 40;
/// Number of frames to average over.
const FRAMES: u32 = 100;

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| UART.transmit(byte));
        Ok(())
    }
}

/// Counts the instructions of `work`.
fn count(timer: &mut SYST, work: impl FnOnce()) -> u32 {
    timer.clear_current();
    work();
    (0xFF_FFFF - SYST::get_current()) * TICK
}

fn payload<'o>(len: usize, greets: bool, out: &'o mut [u8; FRAME_LEN_MAX]) -> Draft<'o> {
    draft(&Context::SETUP, greets, out, |payload| payload.push(&[0x5a; FRAME_LEN_MAX][..len]))
}

/// Decodes a frame, opens it with `open`, and checks it.
fn receive(wire: &[u8], open: impl for<'d> FnOnce(Frame<'d>) -> Option<Frame<'d>>) {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (_, frame) = deframer.feed(wire, &mut counters);
    let checked = frame.and_then(open).map(|frame| frame.check(&Context::SETUP).is_ok());
    black_box(checked);
}

#[entry]
fn main() -> ! {
    UART.open(CLOCK_HZ);
    let mut timer = take_or_restart(cortex_m::Peripherals::take()).SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(0xFF_FFFF);
    timer.enable_counter();
    let key = take_or_restart(Key::new(&[7; KEY_LEN]));
    let (mut host, mut worker) = (HostSeal::new(key.clone()), WorkerSeal::new(key, [9; BOOT_LEN]));
    let mut wire = [0; FRAME_LEN_MAX];
    let len = take_or_restart(host.close(payload(14, true, &mut wire), || [1; 16]));
    let opened = count(&mut timer, || receive(&wire[..len], |frame| worker.open(frame).ok()));
    let mut sealed = None;
    let closed = count(&mut timer, || sealed = worker.close(payload(100, true, &mut wire)));
    receive(&wire[..take_or_restart(sealed)], |frame| host.open(frame).ok());
    let _ = writeln!(Console, "a handshake: {opened} to open Hello, {closed} to seal Ready");
    for len in [16, 64, 256, 487] {
        let (mut plain, mut sealed) = ([0; 2], [0; 2]);
        for _ in 0..FRAMES {
            let mut out = [0; FRAME_LEN_MAX];
            let mut end = 0;
            plain[0] += count(&mut timer, || end = payload(len, false, &mut out).close());
            plain[1] += count(&mut timer, || receive(&out[..end], |frame| Some(frame)));
            sealed[0] += count(&mut timer, || {
                end = worker.close(payload(len, false, &mut out)).unwrap_or(0);
            });
            let end = take_or_restart(host.close(payload(len, false, &mut out), || [1; 16]));
            sealed[1] +=
                count(&mut timer, || receive(&out[..end], |frame| worker.open(frame).ok()));
        }
        let more = [0, 1].map(|way| (sealed[way] - plain[way]) / FRAMES);
        let [write, read] = plain.map(|sum| sum / FRAMES);
        let _ = writeln!(
            Console,
            "a payload of {len}: {write} to write and {read} to read, sealed {} and {} more",
            more[0], more[1]
        );
    }
    loop {
        cortex_m::asm::wfi();
    }
}
