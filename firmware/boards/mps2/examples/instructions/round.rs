//! What a worker does in a round besides the gradient.

use super::{Count, Numbers, report};
use board_support::memory;
use core::hint::black_box;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX, checksum};
use smidgen_protocol::message::{
    BROADCAST, Configure, Down, Downlink, Exponents, Init, Regulariser,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::sparse::{Decoder, Encoder, Packing};
use smidgen_protocol::step::{Grids, Rule, step};
use smidgen_protocol::vector::Ratio;
use static_cell::ConstStaticCell;

/// Dimension d.
const D: usize = 1024;
/// Entries of a downlink.
const ENTRIES: usize = 80;
/// Rounds to count, and as many before them, in which most coordinates of the sum become different from zero.
const ROUNDS: u32 = 16;
/// γ/n
const GAMMA_N: Ratio = Ratio { mantissa: 1_234_567_890, exponent: 36 };

/// An objective whose gradient is given.
#[derive(Default)]
struct Given;

impl Objective for Given {
    const NAME: &'static str = "given";

    fn scratch_len(_dimension: usize) -> usize {
        0
    }

    fn check(_data: Data<'_>, _dimension: usize) -> bool {
        true
    }

    fn evaluate(&mut self, _request: Evaluation<'_>) -> i64 {
        0
    }
}

/// A kind of difference of gradient and estimator.
#[derive(Clone, Copy)]
enum Difference {
    /// In any order.
    Mixed,
    /// Each larger than the one before.
    Ascending,
}

impl Difference {
    fn at(self, j: usize, numbers: &mut Numbers) -> i32 {
        let any = numbers.signed(20);
        match self {
            Self::Mixed => any,
            Self::Ascending => any.signum() * 1000 * j as i32,
        }
    }
}

/// The session of a worker.
fn configuration(k: u32) -> Configure<'static> {
    Configure {
        ticket: 1,
        session: 1,
        identity: 7,
        worker: 1,
        dimension: D as u32,
        k,
        value_bits: 8,
        init: Init::Zero,
        method: Method::Ef21,
        compressor: Compressor::TopK,
        scale: Ratio::ONE,
        participation: Participation::FULL,
        batch: Batch::FULL,
        downlink: Downlink::Sparse,
        momentum: Ratio::default(),
        l1_n: Ratio::default(),
        objective: Given::NAME,
        regulariser: Regulariser::L2,
        lambda: Ratio::default(),
        start_seed: 0,
        data_len: 0,
        data_checksum: checksum(&[]),
    }
}

/// Counts of the two halves of a round.
#[derive(Default)]
struct Halves {
    /// From the bytes of the downlink to the model.
    down: Count,
    /// From the gradient to the frame of the update.
    up: Count,
}

/// A worker under a host.
struct Line<'m> {
    worker: Worker<&'m mut [u64]>,
    frame: [u8; FRAME_LEN_MAX],
    numbers: Numbers,
    /// The estimator before an update.
    g_i: &'m mut [i32; D],
}

impl<'m> Line<'m> {
    /// A worker at the start of its first round.
    fn open(memory: &'m mut [u64], g_i: &'m mut [i32; D], k: u32) -> Option<Self> {
        let worker = Worker::new::<Given>(Board { name: "count", identity: 7 }, memory);
        let mut line = Self { worker, frame: [0; FRAME_LEN_MAX], numbers: Numbers(1), g_i };
        line.send(BROADCAST, Down::Configure(configuration(k)), &[], &Context::SETUP)?;
        let exponents = Exponents { x: 20, gradient: 20, loss: 20 };
        let announce = Down::Announce { ticket: 2, exponents, gamma_n: GAMMA_N };
        line.send(1, announce, &[], &Context::downlink(1))?;
        let len = Down::Begin { ticket: 3, round: 0 }.emit(
            1,
            &[],
            &Context::downlink(1),
            &mut line.frame,
        );
        line.worker.receive(line.frame.get(..len)?);
        Some(line)
    }

    /// Sends a request, which the worker acknowledges.
    fn send(&mut self, address: u16, message: Down, body: &[u8], context: &Context) -> Option<()> {
        let len = message.emit(address, body, context, &mut self.frame);
        self.worker.receive(self.frame.get(..len)?);
        self.worker.poll_transmit(&mut self.frame).map(drop)
    }

    /// Answers the request for a gradient, and sends the update.
    fn update(&mut self, difference: Difference, count: &mut Count) -> Option<()> {
        self.g_i.copy_from_slice(self.worker.state()?.1);
        let request = self.worker.gradient_request()?;
        for (j, (g, g_i)) in request.gradient.iter_mut().zip(&*self.g_i).enumerate() {
            *g = g_i.saturating_add(difference.at(j, &mut self.numbers));
        }
        let Self { worker, frame, .. } = self;
        count.add(|| {
            worker.gradient_ready(1000);
            worker.poll_transmit(frame)
        })?;
        Some(())
    }

    /// Receives the change of the sum, and steps.
    fn receive(&mut self, round: u32, count: &mut Count) -> Option<()> {
        let mut body = [0; 400];
        let len = write_body(round, &mut self.numbers, &mut body)?;
        let context = Context { round, ..Context::downlink(1) };
        let len = Down::Round { from: 0 }.emit(1, body.get(..len)?, &context, &mut self.frame);
        let bytes = self.frame.get(..len)?;
        count.add(|| self.worker.receive(bytes));
        Some(())
    }
}

/// Writes a change of the sum; returns its length.
fn write_body(round: u32, numbers: &mut Numbers, body: &mut [u8]) -> Option<usize> {
    let packing = Packing::new(D as u32, ENTRIES as u32, 16);
    let mut encoder = Encoder::described(body, packing, 4, 0);
    let mut next = 0;
    for j in 0..ENTRIES {
        let offset = (round as usize + numbers.below(4)) % 12;
        let index = (j * D / ENTRIES + offset).max(next);
        encoder.push(index as u32, i64::from(numbers.signed(14)) | 1).ok()?;
        next = index + 1;
    }
    Some(encoder.finish())
}

/// Counts rounds.
fn rounds(
    memory: &mut [u64],
    g_i: &mut [i32; D],
    k: u32,
    difference: Difference,
) -> Option<Halves> {
    let mut line = Line::open(memory, g_i, k)?;
    line.update(difference, &mut Count::default())?;
    let mut halves = Halves::default();
    for round in 1..=2 * ROUNDS {
        if round == ROUNDS + 1 {
            halves = Halves::default();
        }
        line.receive(round, &mut halves.down)?;
        line.update(difference, &mut halves.up)?;
    }
    let x = line.worker.state()?.0;
    let moved = x.iter().filter(|&&x| x != 0).count();
    (moved > D * 8 / 10).then_some(halves)
}

/// Counts what is received; the body is read as by a worker, which checks all of it first.
fn report_receiving() -> Option<()> {
    let mut numbers = Numbers(2);
    let (mut framing, mut reading, mut framed) = (Count::default(), Count::default(), 0);
    for round in 0..ROUNDS {
        let (mut body, mut frame) = ([0; 400], [0; FRAME_LEN_MAX]);
        let len = write_body(round, &mut numbers, &mut body)?;
        let body = body.get(..len)?;
        let entries = reading.add(|| {
            let decoder = Decoder::described(black_box(body), D as u32, 0).ok()?;
            let count = decoder.check(D as u32).ok()?;
            decoder.entries().for_each(|entry| {
                black_box(entry);
            });
            Some(count as usize)
        })?;
        let context = Context::downlink(1);
        let len = Down::Round { from: 0 }.emit(1, body, &context, &mut frame);
        let wire = frame.get(..len)?;
        let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
        let is_intact = framing.add(|| {
            let (_, frame) = deframer.feed(black_box(wire), &mut counters);
            frame.is_some_and(|frame| frame.check(&context).is_ok())
        });
        (is_intact && entries == ENTRIES).then_some(())?;
        framed += len;
    }
    let entries = ENTRIES * ROUNDS as usize;
    report(format_args!("checking and reading a body"), "entry", reading.instructions(), entries);
    report(format_args!("deframing and checking"), "byte", framing.instructions(), framed);
    Some(())
}

/// Counts the step of the model.
fn report_step(x: &mut [i32; D]) -> Option<()> {
    static SUM: ConstStaticCell<[i64; D]> = ConstStaticCell::new([0; D]);
    let (sum, mut numbers, mut count) = (SUM.try_take()?, Numbers(3), Count::default());
    sum.iter_mut().for_each(|sum| *sum = numbers.signed(24).into());
    let rule = Rule { gamma_n: GAMMA_N, ..Rule::default() };
    let mut saturated = 0;
    for _ in 0..ROUNDS {
        let grids = Grids { x: 20, sum: 20 };
        count.add(|| step(x, sum, &mut [], black_box(rule), grids, &mut saturated));
    }
    report(
        format_args!("step of the model"),
        "coordinate",
        count.instructions(),
        D * ROUNDS as usize,
    );
    Some(())
}

/// Reports all cases; `None` if a worker does not do what it should.
pub fn report_all() -> Option<()> {
    static VECTOR: ConstStaticCell<[i32; D]> = ConstStaticCell::new([0; D]);
    let (memory, vector) = (memory::take(), VECTOR.try_take()?);
    let units = D * ROUNDS as usize;
    let mut down = 0;
    for (k, difference, name) in [
        (10, Difference::Mixed, ""),
        (10, Difference::Ascending, ", ascending magnitudes"),
        (102, Difference::Mixed, ""),
    ] {
        let halves = rounds(memory, vector, k, difference)?;
        let up = halves.up.instructions();
        report(format_args!("from gradient to update, K = {k}{name}"), "coordinate", up, units);
        down = halves.down.instructions();
    }
    report(format_args!("receiving {ENTRIES} entries, and step"), "coordinate", down, units);
    report_step(vector)?;
    report_receiving()
}
