//! What a worker does in a round besides the gradient.

use super::{Count, Numbers, report};
use board_support::memory;
use core::hint::black_box;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX, Kind, checksum};
use smidgen_protocol::message::{
    BROADCAST, Configure, Down, Downlink, Exponents, Init, Known, Loss, Regulariser,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::round::Start;
use smidgen_protocol::sparse::{Decoder, Form, Terms, encode};
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
    told: Told<'m>,
}

/// What the worker knows of the sum.
struct Told<'m> {
    sum: &'m mut [i64; D],
    last: Form,
}

impl<'m> Told<'m> {
    /// Nothing yet.
    fn new(sum: &'m mut [i64; D]) -> Self {
        sum.fill(0);
        Self { sum, last: Form::FIRST }
    }

    fn terms(&self) -> Terms<'_> {
        Terms { sum: self.sum, last: self.last, ..Terms::plain(D as u32, 0) }
    }

    /// Draws a change of the sum and writes its body; returns its length.
    fn write_body(&self, round: u32, numbers: &mut Numbers, body: &mut [u8]) -> usize {
        let (mut next, mut entries) = (0, [(0, 0); ENTRIES]);
        for (j, entry) in entries.iter_mut().enumerate() {
            let offset = (round as usize + numbers.below(4)) % 12;
            let index = (j * D / ENTRIES + offset).max(next);
            *entry = (index as u32, i64::from(numbers.signed(14)) | 1);
            next = index + 1;
        }
        let form = Form { shift: 4, value_bits: 16, count_bits: 0 };
        encode(body, &self.terms(), form, entries.into_iter()).len
    }

    /// Notes that the worker has received a body.
    fn received(&mut self, body: &[u8]) -> Option<()> {
        let mut decoder = Decoder::new(body, &self.terms()).ok()?;
        self.last = decoder.form();
        while let Some((index, change)) = decoder.next_entry(self.sum) {
            *self.sum.get_mut(index as usize)? += change << self.last.shift;
        }
        Some(())
    }
}

impl<'m> Line<'m> {
    /// A worker at the start of its first round.
    fn open(
        memory: &'m mut [u64],
        g_i: &'m mut [i32; D],
        sum: &'m mut [i64; D],
        k: u32,
    ) -> Option<Self> {
        let worker = Worker::new::<Given>(Board { name: "count", identity: 7 }, memory);
        let mut line = Self {
            worker,
            frame: [0; FRAME_LEN_MAX],
            numbers: Numbers(1),
            g_i,
            told: Told::new(sum),
        };
        line.send(BROADCAST, Down::Configure(configuration(k)), &[], &Context::SETUP)?;
        let exponents = Exponents { x: 20, gradient: 20, loss: 20 };
        let announce = Down::Announce { ticket: 2, exponents, gamma_n: GAMMA_N };
        line.send(1, announce, &[], &Context::downlink(1))?;
        let known = Known { loss: Loss::default(), shift: 0, downlink: Form::FIRST };
        let len = Down::Begin { ticket: 3, round: 0, known }.emit(
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
        let len = self.told.write_body(round, &mut self.numbers, &mut body);
        let body = body.get(..len)?;
        self.told.received(body)?;
        let context = Context { round, worker: 1, ..Context::downlink(1) };
        let len = Start::default().draft(body, &context, &mut self.frame).close();
        let bytes = self.frame.get(..len)?;
        count.add(|| self.worker.receive(bytes));
        Some(())
    }
}

/// Counts rounds.
fn rounds(
    memory: &mut [u64],
    (g_i, sum): (&mut [i32; D], &mut [i64; D]),
    k: u32,
    difference: Difference,
) -> Option<Halves> {
    let mut line = Line::open(memory, g_i, sum, k)?;
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
fn report_receiving(sum: &mut [i64; D]) -> Option<()> {
    let (mut numbers, mut told) = (Numbers(2), Told::new(sum));
    let (mut framing, mut reading, mut framed) = (Count::default(), Count::default(), 0);
    for round in 0..ROUNDS {
        let (mut body, mut frame) = ([0; 400], [0; FRAME_LEN_MAX]);
        let len = told.write_body(round, &mut numbers, &mut body);
        let body = body.get(..len)?;
        let entries = reading.add(|| {
            let terms = told.terms();
            let decoder = Decoder::new(black_box(body), &terms).ok()?;
            let count = decoder.check(terms.sum, D as u32).ok()?;
            decoder.entries(terms.sum).for_each(|entry| {
                black_box(entry);
            });
            Some(count as usize)
        })?;
        told.received(body)?;
        let context = Context { kind: Kind::Round, worker: 1, ..Context::downlink(1) };
        let len = Start::default().draft(body, &context, &mut frame).close();
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
fn report_step(x: &mut [i32; D], sum: &mut [i64; D]) -> Option<()> {
    let (mut numbers, mut count) = (Numbers(3), Count::default());
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
    static SUM: ConstStaticCell<[i64; D]> = ConstStaticCell::new([0; D]);
    let (memory, vector, sum) = (memory::take(), VECTOR.try_take()?, SUM.try_take()?);
    let units = D * ROUNDS as usize;
    let mut down = 0;
    for (k, difference, name) in [
        (10, Difference::Mixed, ""),
        (10, Difference::Ascending, ", ascending magnitudes"),
        (102, Difference::Mixed, ""),
    ] {
        let halves = rounds(memory, (vector, sum), k, difference)?;
        let up = halves.up.instructions();
        report(format_args!("from gradient to update, K = {k}{name}"), "coordinate", up, units);
        down = halves.down.instructions();
    }
    report(format_args!("receiving {ENTRIES} entries, and step"), "coordinate", down, units);
    report_step(vector, sum)?;
    report_receiving(sum)
}
