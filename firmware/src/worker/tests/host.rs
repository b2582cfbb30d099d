//! A minimal host, and an objective that counts its evaluations.

use super::super::*;
use crate::objective::Objective;
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::frame::{self, BODY_LEN_MAX};
use smidgen_protocol::message::{Downlink, Exponents, Init, Part, Regulariser};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::sparse::{self, Decoder, Encoder, Packing};
use smidgen_protocol::step::{Grids, Rule, step};
use smidgen_protocol::vector::{Ratio, round_shift, saturate};

pub(super) const BOARD: Board = Board { name: "bench", identity: 0xb0a2d };
pub(super) const EXPONENTS: Exponents = Exponents { x: 20, gradient: 16, loss: 4 };
/// γ/n = 3/8.
pub(super) const GAMMA_N: Ratio = Ratio { mantissa: 3 << 28, exponent: 31 };

/// f_i(x) = ½‖x − b‖² with the bytes of the data as b; the loss is a digest of the gradient.
#[derive(Default)]
pub(super) struct Distance {
    pub evaluations: usize,
    /// Rows of the latest request.
    pub rows: Option<Selection>,
}

impl Objective for Distance {
    const NAME: &'static str = "distance";

    fn scratch_len(_: usize) -> usize {
        1
    }

    fn check(data: &[u8], dimension: usize) -> bool {
        data.len() == dimension
    }

    fn evaluate(&mut self, request: Evaluation<'_>) -> i64 {
        self.evaluations += 1;
        self.rows = Some(request.rows);
        let shift = i32::from(request.x_exponent) - i32::from(request.gradient_exponent);
        for ((gradient, &x), &b) in request.gradient.iter_mut().zip(request.x).zip(request.data) {
            let b = round_shift(b.cast_signed().into(), -i32::from(request.gradient_exponent));
            let difference = round_shift(x.into(), shift).saturating_sub(b);
            *gradient = saturate(difference, request.saturated);
        }
        digest::vector(request.gradient) as i64 >> 44
    }
}

/// The host's side of a line to one worker, and that worker.
pub(super) struct Host {
    pub worker: Worker<Vec<u64>>,
    pub objective: Distance,
    pub configure: Configure<'static>,
    pub data: Vec<u8>,
    pub ticket: Ticket,
    pub round: u32,
    pub exponents: Exponents,
    pub x: Vec<i32>,
    pub mirror: Vec<i32>,
    pub sum: Vec<i64>,
    /// The sum as the worker knows it.
    pub sum_told: Vec<i64>,
    /// Pace of the steps.
    pub pace: u8,
    pub bytes_sent: usize,
}

impl Host {
    /// A worker after a boot, with exactly the memory that it needs.
    pub(super) fn new(dimension: usize, downlink: Downlink, init: Init) -> Self {
        let data: Vec<u8> = (0..dimension).map(|j| (j * 37 + j / 7 + 1) as u8).collect();
        let configure = Configure {
            ticket: 0,
            session: 0x5e55,
            identity: BOARD.identity,
            worker: 1,
            dimension: dimension as u32,
            k: 2,
            value_bits: 8,
            init,
            method: Method::Ef21,
            compressor: Compressor::TopK,
            scale: Ratio::ONE,
            participation: Participation::FULL,
            batch: Batch::FULL,
            downlink,
            momentum: Ratio::default(),
            l1_n: Ratio::default(),
            objective: Distance::NAME,
            regulariser: Regulariser::Nonconvex,
            lambda: Ratio::default(),
            start_seed: 0,
            data_len: data.len() as u32,
            data_checksum: frame::checksum(&data),
        };
        let (mirror, sum) = (vec![0; dimension], vec![0; dimension]);
        Self {
            worker: boot(&configure),
            objective: Distance::default(),
            configure,
            data,
            ticket: 0,
            round: 0,
            exponents: EXPONENTS,
            x: mirror.clone(),
            mirror,
            sum_told: sum.clone(),
            sum,
            pace: 0,
            bytes_sent: 0,
        }
    }

    /// A host whose worker has sent update 0.
    pub(super) fn begun(dimension: usize, downlink: Downlink, init: Init) -> Self {
        let mut host = Self::new(dimension, downlink, init);
        host.set_up();
        host.begin();
        host
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.ticket += 1;
        self.ticket
    }

    pub(super) fn context(&self, message: &Down) -> Context {
        let round = if message.is_of_round() { self.round } else { 0 };
        match message.is_setup() {
            true => Context::SETUP,
            false => Context { round, ..Context::downlink(self.configure.session) },
        }
    }

    pub(super) fn worker_context(&self) -> Context {
        Context { worker: self.configure.worker, ..Context::downlink(self.configure.session) }
    }

    pub(super) fn frame(&self, message: Down, body: &[u8]) -> Vec<u8> {
        let address = if message.is_setup() { BROADCAST } else { self.configure.worker };
        emit(message, address, body, self.context(&message))
    }

    /// Delivers bytes to the worker; returns its answer.
    pub(super) fn deliver(&mut self, wire: &[u8]) -> Option<Vec<u8>> {
        self.bytes_sent += wire.len();
        self.worker.receive(wire);
        self.serve()
    }

    /// Does the work of the worker's main loop once.
    pub(super) fn serve(&mut self) -> Option<Vec<u8>> {
        if let Some(request) = self.worker.gradient_request() {
            let loss = self.objective.evaluate(request);
            self.worker.gradient_ready(loss);
        }
        let mut out = [0; FRAME_LEN_MAX];
        let len = self.worker.poll_transmit(&mut out)?;
        assert_eq!(
            self.worker.poll_transmit(&mut [0; FRAME_LEN_MAX]),
            None,
            "one answer per message"
        );
        Some(out[..len].to_vec())
    }

    pub(super) fn ask(&mut self, message: Down, body: &[u8]) -> Vec<u8> {
        self.deliver(&self.frame(message, body)).expect("every message down is answered")
    }

    /// Makes a request; returns the value of its acknowledgement.
    pub(super) fn acknowledged(&mut self, message: Down, body: &[u8]) -> u32 {
        let wire = self.ask(message, body);
        match Up::parse(&payload(&wire, &self.worker_context())) {
            Ok((Up::Ack { ticket, value }, [])) if Some(ticket) == message.ticket() => value,
            other => panic!("{message:?} is answered by {other:?}"),
        }
    }

    pub(super) fn refused(&mut self, message: Down, body: &[u8]) -> Refusal {
        let wire = self.ask(message, body);
        match Up::parse(&payload(&wire, &self.worker_context())) {
            Ok((Up::Refused { ticket, refusal }, [])) if Some(ticket) == message.ticket() => {
                refusal
            }
            other => panic!("{message:?} is answered by {other:?}"),
        }
    }

    pub(super) fn configure(&mut self) -> Down<'static> {
        self.configure.ticket = self.next_ticket();
        Down::Configure(self.configure)
    }

    pub(super) fn send_chunk(&mut self, from: usize, len: usize) -> u32 {
        let chunk = self.data[from..][..len].to_vec();
        let message = Down::Data { ticket: self.next_ticket(), offset: from as u32 };
        self.acknowledged(message, &chunk)
    }

    /// Configures the worker, sends its data and announces exponents.
    pub(super) fn set_up(&mut self) {
        let configure = self.configure();
        let held = self.acknowledged(configure, &[]) as usize;
        assert!(held == 0 || held == self.data.len());
        for from in (held..self.data.len()).step_by(400) {
            let len = 400.min(self.data.len() - from);
            assert_eq!(self.send_chunk(from, len) as usize, from + len);
        }
        self.announce(self.exponents);
    }

    pub(super) fn announce(&mut self, exponents: Exponents) {
        let message = Down::Announce { ticket: self.next_ticket(), exponents, gamma_n: GAMMA_N };
        assert_eq!(self.acknowledged(message, &[]), 0);
    }

    /// Starts the current round at the worker's x; returns the frames of the update.
    pub(super) fn begin(&mut self) -> Vec<Vec<u8>> {
        let message = Down::Begin { ticket: self.next_ticket(), round: self.round };
        let first = self.ask(message, &[]);
        self.collect(first)
    }

    /// Starts the next round; returns the frames of the update.
    pub(super) fn next_round(&mut self) -> Vec<Vec<u8>> {
        let message = self.step_and_tell();
        let first = self.deliver(&message).expect("a round is answered");
        self.collect(first)
    }

    /// Performs the step, sends all parts of the downlink but the last, and returns the frame with the last.
    pub(super) fn step_and_tell(&mut self) -> Vec<u8> {
        let Exponents { x, gradient, .. } = self.exponents;
        let rule = Rule { gamma_n: GAMMA_N, ..Rule::default() }.paced(self.pace);
        let grids = Grids { x, sum: gradient };
        step(&mut self.x, &self.sum, &mut [], rule, grids, &mut 0);
        let (part, mut bodies) = match self.configure.downlink {
            Downlink::Dense => (Part::Model, bodies(&widened(&self.x))),
            Downlink::Sparse => {
                let told = std::mem::replace(&mut self.sum_told, self.sum.clone());
                let change: Vec<_> =
                    self.sum.iter().zip(told).map(|(new, old)| new - old).collect();
                (Part::SumChange, bodies(&change))
            }
            Downlink::Model => unreachable!("this host sends the model or the sum"),
        };
        let (from, _, last) = bodies.pop().expect("at least one body");
        self.tell(part, bodies);
        self.round += 1;
        let message = match self.pace {
            0 => Down::Round { from },
            pace => Down::Paced { from, pace },
        };
        self.frame(message, &last)
    }

    pub(super) fn tell(&mut self, part: Part, bodies: Vec<(u32, u32, Vec<u8>)>) {
        for (from, until, body) in bodies {
            let message = Down::Part { ticket: self.next_ticket(), part, from, until };
            assert_eq!(self.acknowledged(message, &body), until);
        }
    }

    /// Applies an update, requesting the rest until it is complete; returns its frames.
    pub(super) fn collect(&mut self, first: Vec<u8>) -> Vec<Vec<u8>> {
        let Configure { dimension, init, .. } = self.configure;
        let budget = init.budget(self.round, dimension, self.configure.budget());
        let packing = budget.packing(dimension);
        let (mut frames, mut from) = (vec![first], 0);
        loop {
            let context = Context { round: self.round, from, ..self.worker_context() };
            let payload = payload(frames.last().unwrap(), &context);
            let (message, body) = Up::parse(&payload).unwrap();
            let decoder = Decoder::new(body, packing, from).unwrap();
            decoder.check(dimension).unwrap();
            let (shift, entries) = (decoder.shift(), decoder.entries());
            let sum = &mut self.sum;
            sparse::apply(&mut self.mirror, entries, shift, &mut 0, |j, before, after| {
                sum[j as usize] += i64::from(after) - i64::from(before);
                from = j + 1;
            });
            match message {
                Up::Update { .. } => break,
                Up::UpdatePart => frames.push(self.ask(Down::More { from }, &[])),
                other => panic!("an update, not {other:?}"),
            }
        }
        assert_eq!(self.worker.state(), Some((&self.x[..], &self.mirror[..])));
        frames
    }

    pub(super) fn reboot(&mut self) {
        self.worker = boot(&self.configure);
        self.bytes_sent = 0;
    }

    /// Restores a worker that lost its state to the start of the round.
    pub(super) fn restore(&mut self) {
        self.set_up();
        self.write_state();
    }

    pub(super) fn write_state(&mut self) {
        self.tell(Part::Model, bodies(&widened(&self.x)));
        self.tell(Part::Estimator, bodies(&widened(&self.mirror)));
        if self.configure.downlink == Downlink::Sparse {
            self.tell(Part::Sum, bodies(&self.sum_told));
        }
    }

    pub(super) fn rejected(&self, reason: Reject) -> u32 {
        self.worker.counters().rejected(reason).frames
    }
}

pub(super) fn boot(configure: &Configure) -> Worker<Vec<u64>> {
    let len = memory_len::<Distance>(configure);
    Worker::new::<Distance>(BOARD, vec![u64::MAX; len / 8])
}

pub(super) fn emit(message: Down, address: u16, body: &[u8], context: Context) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = message.emit(address, body, &context, &mut out);
    out[..len].to_vec()
}

/// Payload of the single frame in `wire`.
pub(super) fn payload(wire: &[u8], context: &Context) -> Vec<u8> {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (rest, frame) = deframer.feed(wire, &mut counters);
    assert!(rest.is_empty());
    frame.expect("a frame").check(context).expect("a valid checksum").to_vec()
}

pub(super) fn widened(mantissas: &[i32]) -> Vec<i64> {
    mantissas.iter().map(|&m| m.into()).collect()
}

/// A vector as described bodies, each with its first coordinate and the one after its last.
pub(super) fn bodies(values: &[i64]) -> Vec<(u32, u32, Vec<u8>)> {
    let (dimension, mut from, mut bodies) = (values.len() as u32, 0, vec![]);
    loop {
        let mut body = vec![0; BODY_LEN_MAX];
        let mut encoder =
            Encoder::described(&mut body, Packing::new(dimension, dimension, 40), 0, from);
        let entries = (from..).zip(&values[from as usize..]).filter(|&(_, &value)| value != 0);
        let until = entries
            .map(|(j, &value)| encoder.push(j, value).map_err(|_| j))
            .find_map(Result::err)
            .unwrap_or(dimension);
        let len = encoder.finish();
        bodies.push((from, until, body[..len].to_vec()));
        if until == dimension {
            return bodies;
        }
        from = until;
    }
}
