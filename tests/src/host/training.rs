//! A scripted host that trains: it takes the steps of gradient descent and sends them down.

use super::Host;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective, ObjectiveSet};
use smidgen_firmware::worker::{Board, Worker, memory_len};
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::digest;
use smidgen_protocol::frame::{BODY_LEN_MAX, checksum};
use smidgen_protocol::message::{Configure, Down, Downlink, Exponents, Init, Part, Regulariser};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::round::Start;
use smidgen_protocol::sparse::{Form, Terms, Written, encode};
use smidgen_protocol::step::{Grids, Rule, step};
use smidgen_protocol::vector::{Ratio, round_shift, saturate};

/// The board of the worker.
pub const BOARD: Board = Board { name: "bench", identity: 0xb0a2d };
/// The exponents of the first round.
pub const EXPONENTS: Exponents = Exponents { x: 20, gradient: 16, loss: 4 };
/// γ/n = 3/8.
pub const GAMMA_N: Ratio = Ratio { mantissa: 3 << 28, exponent: 31 };

/// f_i(x) = ½‖x − b‖² with the bytes of the data as b; the loss is a digest of the gradient.
#[derive(Debug, Default)]
pub struct Distance {
    /// Number of evaluations.
    pub evaluations: usize,
    /// Rows of the latest request.
    pub rows: Option<Selection>,
}

impl Objective for Distance {
    const NAME: &'static str = "distance";

    fn scratch_len(_: usize) -> usize {
        1
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        data.bytes().len() == dimension
    }

    fn evaluate(&mut self, request: Evaluation<'_>) -> i64 {
        self.evaluations += 1;
        self.rows = Some(request.rows);
        let shift = i32::from(request.x_exponent) - i32::from(request.gradient_exponent);
        for ((gradient, &x), &b) in
            request.gradient.iter_mut().zip(request.x).zip(request.data.bytes())
        {
            let b = round_shift(b.cast_signed().into(), -i32::from(request.gradient_exponent));
            let difference = round_shift(x.into(), shift).saturating_sub(b);
            *gradient = saturate(difference, request.saturated);
        }
        digest::vector(request.gradient) as i64 >> 44
    }
}

/// The model of a host, and what it is computed from.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// x
    pub x: Vec<i32>,
    /// Σ g_i
    pub sum: Vec<i64>,
    /// The sum as the worker knows it.
    pub sum_told: Vec<i64>,
    /// Pace of the steps.
    pub pace: u8,
}

impl Host<Distance> {
    /// The host of a newly started worker with exactly the memory that it needs.
    pub fn new(dimension: usize, downlink: Downlink, init: Init) -> Self {
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
            data_checksum: checksum(&data),
        };
        let (mirror, sum) = (vec![0; dimension], vec![0; dimension]);
        let x = mirror.clone();
        let model = Model { x, sum_told: sum.clone(), sum, pace: 0 };
        let host = Self::of(boot(&configure), Distance::default(), configure, data);
        Self { exponents: EXPONENTS, gamma_n: GAMMA_N, mirror, model, ..host }
    }

    /// A host whose worker has sent update 0.
    pub fn begun(dimension: usize, downlink: Downlink, init: Init) -> Self {
        let mut host = Self::new(dimension, downlink, init);
        host.set_up();
        host.begin();
        host
    }

    /// Restarts the worker, which loses its state.
    pub fn reboot(&mut self) {
        self.restart(boot(&self.configure));
    }
}

impl<R: ObjectiveSet> Host<R> {
    /// A configuration with a new ticket.
    pub fn configure(&mut self) -> Down<'static> {
        Down::Configure(Configure { ticket: self.next_ticket(), ..self.configure })
    }

    /// Sends a chunk of data. Returns how many bytes the worker holds.
    pub fn send_chunk(&mut self, from: usize, len: usize) -> u32 {
        let chunk = self.data[from..][..len].to_vec();
        let message = Down::Data { ticket: self.next_ticket(), offset: from as u32 };
        self.acknowledged(message, &chunk)
    }

    /// Starts the current round at the worker's x. Returns the frames of the update.
    pub fn begin(&mut self) -> Vec<Vec<u8>> {
        let known = self.known;
        let message = Down::Begin { ticket: self.next_ticket(), round: self.round, known };
        let first = self.ask(message, &[]);
        self.collect(first)
    }

    /// Starts the next round. Returns the frames of the update.
    pub fn next_round(&mut self) -> Vec<Vec<u8>> {
        let message = self.step_and_tell();
        let first = self.deliver(&message).expect("a round is answered");
        self.collect(first)
    }

    /// Takes the step, sends all parts of the downlink but the last, and returns the frame with the last.
    pub fn step_and_tell(&mut self) -> Vec<u8> {
        let Exponents { x, gradient, .. } = self.exponents;
        let Model { x: model, sum, sum_told, pace } = &mut self.model;
        let rule = Rule { gamma_n: self.gamma_n, ..Rule::default() }.paced(*pace);
        step(model, sum, &mut [], rule, Grids { x, sum: gradient }, &mut 0);
        let (part, mut bodies) = match self.configure.downlink {
            Downlink::Dense => (Part::Model, bodies(&widened(model))),
            Downlink::Sparse => {
                let told = std::mem::replace(sum_told, sum.clone());
                let change: Vec<_> = sum.iter().zip(&told).map(|(new, old)| new - old).collect();
                let held = Terms {
                    sum: &told,
                    last: self.twin.known.downlink,
                    ..Terms::plain(told.len() as u32, 0)
                };
                (Part::SumChange, bodies_for(&change, held))
            }
            Downlink::Model => unreachable!("this host sends the model or the sum"),
        };
        let pace = *pace;
        let (from, _, last) = bodies.pop().expect("at least one body");
        self.tell(part, bodies);
        let start = Start { from, pace };
        let wire = self.frame(start, &last);
        self.note(&start.into(), &last);
        wire
    }

    /// Sends parts of a vector.
    ///
    /// # Panics
    /// If the worker does not accept one.
    pub fn tell(&mut self, part: Part, bodies: Vec<(u32, u32, Vec<u8>)>) {
        for (from, until, body) in bodies {
            let message = Down::Part { ticket: self.next_ticket(), part, from, until };
            assert_eq!(self.acknowledged(message, &body), until);
        }
    }

    /// Applies an update to mirror and sum, and requests its other parts. Returns its frames.
    ///
    /// # Panics
    /// If the worker holds another model or estimator afterwards.
    pub fn collect(&mut self, first: Vec<u8>) -> Vec<Vec<u8>> {
        let before = self.mirror.clone();
        let frames = self.take_update(first).expect("an update");
        for ((sum, &after), before) in self.model.sum.iter_mut().zip(&self.mirror).zip(before) {
            *sum += i64::from(after) - i64::from(before);
        }
        assert_eq!(self.worker.state(), Some((&self.model.x[..], &self.mirror[..])));
        frames
    }

    /// Restores a worker that lost its state to the start of the round.
    pub fn restore(&mut self) {
        self.set_up();
        self.write_state();
    }

    /// Writes the state at the start of the round.
    pub fn write_state(&mut self) {
        self.tell(Part::Model, bodies(&widened(&self.model.x)));
        self.tell(Part::Estimator, bodies(&widened(&self.mirror)));
        if self.configure.downlink == Downlink::Sparse {
            self.tell(Part::Sum, bodies(&self.model.sum_told));
        }
    }
}

fn boot(configure: &Configure) -> Worker<Vec<u64>> {
    let len = memory_len::<Distance>(configure);
    Worker::new::<Distance>(BOARD, vec![u64::MAX; len / 8])
}

/// Mantissas of a sum.
pub fn widened(mantissas: &[i32]) -> Vec<i64> {
    mantissas.iter().map(|&m| m.into()).collect()
}

/// A vector as bodies for a worker that may know nothing, each with its first coordinate and the one after its last.
pub fn bodies(values: &[i64]) -> Vec<(u32, u32, Vec<u8>)> {
    bodies_for(values, Terms::plain(values.len() as u32, 0))
}

/// The same for a worker that knows the terms of the first body.
fn bodies_for(values: &[i64], mut terms: Terms) -> Vec<(u32, u32, Vec<u8>)> {
    let mut bodies = vec![];
    loop {
        let mut body = vec![0; BODY_LEN_MAX];
        let rest = (terms.from..).zip(&values[terms.from as usize..]);
        let entries = rest.map(|(j, &value)| (j, value)).filter(|&(_, value)| value != 0);
        let form = Form { value_bits: 40, ..Form::FIRST };
        let Written { len, until, form } = encode(&mut body, &terms, form, entries);
        bodies.push((terms.from, until, body[..len].to_vec()));
        if until == terms.dimension {
            return bodies;
        }
        (terms.from, terms.last) = (until, if terms.sum.is_empty() { terms.last } else { form });
    }
}
