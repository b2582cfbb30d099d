//! A host by hand: it emits messages, the machine answers, an objective that counts computes.

use super::*;
use proptest::prelude::*;
use smidgen_protocol::frame::{self, BODY_LEN_MAX};
use smidgen_protocol::message::{Exponents, Init, Part};
use smidgen_protocol::sparse::{self, Decoder, Encoder, Packing};
use smidgen_protocol::step::step;
use smidgen_protocol::vector::{Ratio, rescale, rescale_sum, round_shift, saturate};

const BOARD: Board = Board { name: "bench", identity: 0xb0a2d };
const EXPONENTS: Exponents = Exponents { x: 20, gradient: 16, loss: 4 };
/// γ/n = 3/8.
const GAMMA_N: Ratio = Ratio { mantissa: 3 << 28, exponent: 31 };

/// f_i(x) = ½‖x − b‖² with the bytes of the data as b; the loss is a digest of the gradient.
#[derive(Default)]
struct Distance {
    evaluations: usize,
}

impl Objective for Distance {
    const NAME: &'static str = "distance";

    fn scratch_len(_: usize) -> usize {
        1
    }

    fn check(data: &[u8], dimension: usize) -> bool {
        data.len() == dimension
    }

    fn evaluate(&mut self, at: Evaluation<'_>) -> i64 {
        self.evaluations += 1;
        let shift = i32::from(at.x_exponent) - i32::from(at.gradient_exponent);
        for ((gradient, &x), &b) in at.gradient.iter_mut().zip(at.x).zip(at.data) {
            let b = round_shift(b.cast_signed().into(), -i32::from(at.gradient_exponent));
            let difference = round_shift(x.into(), shift).saturating_sub(b);
            *gradient = saturate(difference, at.saturated);
        }
        digest::vector(at.gradient) as i64 >> 44
    }
}

/// The host's side of a line with one worker, and that worker.
struct Host {
    worker: Worker<Vec<u64>>,
    objective: Distance,
    configure: Configure<'static>,
    data: Vec<u8>,
    ticket: Ticket,
    round: u32,
    exponents: Exponents,
    x: Vec<i32>,
    mirror: Vec<i32>,
    sum: Vec<i64>,
    /// The sum as the worker knows it.
    sum_told: Vec<i64>,
    bytes_sent: usize,
}

impl Host {
    /// A worker fresh from a boot, with memory for exactly its part in a run.
    fn new(dimension: usize, downlink: Downlink, init: Init) -> Self {
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
            downlink,
            objective: Distance::NAME,
            lambda: Ratio::default(),
            data_len: data.len() as u32,
            data_checksum: frame::checksum(&data),
        };
        let (mirror, sum) = (vec![0; dimension], vec![0; dimension]);
        Self {
            worker: boot(dimension, downlink),
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
            bytes_sent: 0,
        }
    }

    /// One that has run up to update 0.
    fn begun(dimension: usize, downlink: Downlink, init: Init) -> Self {
        let mut host = Self::new(dimension, downlink, init);
        host.set_up();
        host.begin();
        host
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ticket += 1;
        self.ticket
    }

    fn context(&self, message: &Down) -> Context {
        let round = if message.is_of_round() { self.round } else { 0 };
        match message.is_setup() {
            true => Context::SETUP,
            false => Context { round, ..Context::downlink(self.configure.session) },
        }
    }

    fn worker_context(&self) -> Context {
        Context { worker: self.configure.worker, ..Context::downlink(self.configure.session) }
    }

    fn frame(&self, message: Down, body: &[u8]) -> Vec<u8> {
        let address = if message.is_setup() { BROADCAST } else { self.configure.worker };
        emit(message, address, body, self.context(&message))
    }

    /// Puts bytes on the line; returns the frame that comes back.
    fn deliver(&mut self, wire: &[u8]) -> Option<Vec<u8>> {
        self.bytes_sent += wire.len();
        self.worker.receive(wire);
        self.serve()
    }

    /// What the body of a worker does.
    fn serve(&mut self) -> Option<Vec<u8>> {
        if let Some(request) = self.worker.gradient_request() {
            let loss = self.objective.evaluate(request);
            self.worker.gradient_ready(loss);
        }
        let mut out = [0; FRAME_LEN_MAX];
        let len = self.worker.poll_transmit(&mut out)?;
        assert_eq!(self.worker.poll_transmit(&mut [0; FRAME_LEN_MAX]), None, "one message up");
        Some(out[..len].to_vec())
    }

    fn ask(&mut self, message: Down, body: &[u8]) -> Vec<u8> {
        self.deliver(&self.frame(message, body)).expect("every message down is answered")
    }

    /// Makes a request and returns the value of its acknowledgement.
    fn acknowledged(&mut self, message: Down, body: &[u8]) -> u32 {
        let wire = self.ask(message, body);
        match Up::parse(&payload(&wire, &self.worker_context())) {
            Ok((Up::Ack { ticket, value }, [])) if Some(ticket) == message.ticket() => value,
            other => panic!("{message:?} is answered by {other:?}"),
        }
    }

    fn refused(&mut self, message: Down, body: &[u8]) -> Refusal {
        let wire = self.ask(message, body);
        match Up::parse(&payload(&wire, &self.worker_context())) {
            Ok((Up::Refused { ticket, refusal }, [])) if Some(ticket) == message.ticket() => {
                refusal
            }
            other => panic!("{message:?} is answered by {other:?}"),
        }
    }

    fn configure(&mut self) -> Down<'static> {
        self.configure.ticket = self.next_ticket();
        Down::Configure(self.configure)
    }

    fn send_chunk(&mut self, from: usize, len: usize) -> u32 {
        let chunk = self.data[from..][..len].to_vec();
        let message = Down::Data { ticket: self.next_ticket(), offset: from as u32 };
        self.acknowledged(message, &chunk)
    }

    /// Configures the worker, sends its data and announces the exponents.
    fn set_up(&mut self) {
        let configure = self.configure();
        assert_eq!(self.acknowledged(configure, &[]), 0);
        for from in (0..self.data.len()).step_by(400) {
            let len = 400.min(self.data.len() - from);
            assert_eq!(self.send_chunk(from, len) as usize, from + len);
        }
        self.announce(self.exponents);
    }

    fn announce(&mut self, exponents: Exponents) {
        let message = Down::Announce { ticket: self.next_ticket(), exponents, gamma_n: GAMMA_N };
        assert_eq!(self.acknowledged(message, &[]), 0);
    }

    /// Starts the present round at the worker's x; returns the frames of the update.
    fn begin(&mut self) -> Vec<Vec<u8>> {
        let message = Down::Begin { ticket: self.next_ticket(), round: self.round };
        let first = self.ask(message, &[]);
        self.collect(first)
    }

    /// Starts the next round; returns the frames of the update.
    fn next_round(&mut self) -> Vec<Vec<u8>> {
        let message = self.step_and_tell();
        let first = self.deliver(&message).expect("a round is answered");
        self.collect(first)
    }

    /// Moves the model, tells the worker all but the end, and returns the frame with the end.
    fn step_and_tell(&mut self) -> Vec<u8> {
        let Exponents { x, gradient, .. } = self.exponents;
        step(&mut self.x, x, &self.sum, gradient, GAMMA_N, &mut 0);
        let (part, mut bodies) = match self.configure.downlink {
            Downlink::Dense => (Part::Model, bodies(&widened(&self.x))),
            Downlink::Sparse => {
                let told = std::mem::replace(&mut self.sum_told, self.sum.clone());
                let change: Vec<_> =
                    self.sum.iter().zip(told).map(|(new, old)| new - old).collect();
                (Part::SumChange, bodies(&change))
            }
        };
        let (from, _, last) = bodies.pop().expect("there is always a last body");
        self.tell(part, bodies);
        self.round += 1;
        self.frame(Down::Round { from }, &last)
    }

    fn tell(&mut self, part: Part, bodies: Vec<(u32, u32, Vec<u8>)>) {
        for (from, until, body) in bodies {
            let message = Down::Part { ticket: self.next_ticket(), part, from, until };
            assert_eq!(self.acknowledged(message, &body), until);
        }
    }

    /// Applies an update, asking for more until it is whole; returns its frames.
    fn collect(&mut self, first: Vec<u8>) -> Vec<Vec<u8>> {
        let Configure { dimension, k, value_bits, init, .. } = self.configure;
        let (k, value_bits) = init.budget(self.round, dimension, k, value_bits);
        let packing = Packing::new(dimension, k, value_bits);
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

    fn reboot(&mut self) {
        let Configure { dimension, downlink, .. } = self.configure;
        self.worker = boot(dimension as usize, downlink);
        self.bytes_sent = 0;
    }

    /// Brings a worker that lost everything back to where `round` starts.
    fn restore(&mut self) {
        self.set_up();
        self.tell(Part::Model, bodies(&widened(&self.x)));
        self.tell(Part::Estimator, bodies(&widened(&self.mirror)));
        if self.configure.downlink == Downlink::Sparse {
            self.tell(Part::Sum, bodies(&self.sum_told));
        }
    }

    fn rejected(&self, reason: Reject) -> u32 {
        self.worker.counters().rejected(reason).frames
    }
}

fn boot(dimension: usize, downlink: Downlink) -> Worker<Vec<u64>> {
    let len = memory_len::<Distance>(dimension, downlink, dimension);
    Worker::new::<Distance>(BOARD, vec![u64::MAX; len / 8])
}

fn emit(message: Down, address: u16, body: &[u8], context: Context) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = message.emit(address, body, &context, &mut out);
    out[..len].to_vec()
}

/// The payload of the one frame in `wire`.
fn payload(wire: &[u8], context: &Context) -> Vec<u8> {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (rest, frame) = deframer.feed(wire, &mut counters);
    assert!(rest.is_empty());
    frame.expect("a frame").check(context).expect("in this context").to_vec()
}

fn widened(mantissas: &[i32]) -> Vec<i64> {
    mantissas.iter().map(|&m| m.into()).collect()
}

/// A vector as described bodies, each with its first coordinate and the one beyond its last.
fn bodies(values: &[i64]) -> Vec<(u32, u32, Vec<u8>)> {
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

#[test]
fn a_worker_says_who_it_is_and_how_it_stands() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    let hello = Down::Hello { version: VERSION, schema: SCHEMA };
    let ready = payload(&host.ask(hello, &[]), &Context::SETUP);
    let Ok((Up::Ready(ready), [])) = Up::parse(&ready) else { panic!("a Ready") };
    assert_eq!((ready.version, ready.schema), (VERSION, SCHEMA));
    assert_eq!((ready.board, ready.identity), (BOARD.name, BOARD.identity));
    assert_eq!((ready.objective, ready.session, ready.round), (Distance::NAME, 0, 0));

    host.set_up();
    host.begin();
    host.next_round();
    let ready = payload(&host.ask(hello, &[]), &Context::SETUP);
    let Ok((Up::Ready(ready), [])) = Up::parse(&ready) else { panic!("a Ready") };
    assert_eq!((ready.session, ready.round, ready.data_held), (host.configure.session, 1, 5));
    assert_eq!(ready.model_digest, digest::vector(&host.x));
    assert_eq!(ready.estimator_digest, digest::vector(&host.mirror));
}

#[test]
fn a_configuration_that_cannot_be_served_is_refused_with_its_reason() {
    let mut host = Host::new(5, Downlink::Sparse, Init::Full);
    let good = host.configure;
    let room = memory_len::<Distance>(5, Downlink::Sparse, 5) as u32;
    let need = memory_len::<Distance>(6, Downlink::Sparse, 5) as u32;
    for (configure, refusal) in [
        (Configure { dimension: 6, ..good }, Refusal::Memory { need, room }),
        (Configure { objective: "another", ..good }, Refusal::Objective),
        (Configure { data_len: 0, ..good }, Refusal::Data),
        (Configure { k: 6, ..good }, Refusal::Configuration),
        (Configure { k: 0, ..good }, Refusal::Configuration),
        (Configure { value_bits: 33, ..good }, Refusal::Configuration),
    ] {
        host.configure = configure;
        let message = host.configure();
        assert_eq!(host.refused(message, &[]), refusal);
        assert_eq!(host.worker.state(), None);
    }
    host.configure = good;
    host.set_up();
}

#[test]
fn data_resume_where_they_stopped_and_their_checksum_counts() {
    let mut host = Host::new(50, Downlink::Dense, Init::Full);
    let good = host.configure.data_checksum;
    host.configure.data_checksum ^= 1;
    let configure = host.configure();
    host.acknowledged(configure, &[]);
    assert_eq!(host.send_chunk(0, 20), 20);
    assert_eq!(host.send_chunk(30, 20), 20, "a chunk that leaves a gap is not taken");
    assert_eq!(host.send_chunk(0, 20), 20, "nor one that is there");
    let last = host.data[20..].to_vec();
    let message = Down::Data { ticket: host.next_ticket(), offset: 20 };
    assert_eq!(host.refused(message, &last), Refusal::Data);
    assert_eq!(host.refused(message, &last), Refusal::Data, "the answer to a repeated chunk");
    assert_eq!(host.rejected(Reject::Repeated), 1);

    host.configure.data_checksum = good;
    host.set_up();
    let one_more = Down::Data { ticket: host.next_ticket(), offset: 49 };
    assert_eq!(host.acknowledged(one_more, &[1, 2]), 50);
    host.begin();
}

#[test]
fn a_probe_reports_the_range_and_changes_nothing() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    host.set_up();
    let probe = Down::Probe {
        ticket: host.next_ticket(),
        exponents: Exponents { gradient: 3, ..EXPONENTS },
    };
    let answer = host.ask(probe, &[]);
    let range = payload(&answer, &host.worker_context());
    let Ok((Up::Range { gradient_max, .. }, [])) = Up::parse(&range) else { panic!("a Range") };
    let largest = host.data.iter().map(|b| b.cast_signed().unsigned_abs()).max().unwrap();
    assert_eq!(gradient_max, u32::from(largest) << 3);
    assert_eq!(host.ask(probe, &[]), answer);
    assert_eq!(host.objective.evaluations, 1);

    host.begin();
    let late = Down::Probe { ticket: host.next_ticket(), exponents: EXPONENTS };
    assert_eq!(host.deliver(&host.frame(late, &[])), None, "it would overwrite the update");
}

#[test]
fn a_repeated_round_is_answered_with_the_same_bytes_and_not_computed_again() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Compressed);
    let message = host.step_and_tell();
    let update = host.deliver(&message).unwrap();
    host.collect(update.clone());
    let before = (host.objective.evaluations, host.worker.state().map(|(x, _)| x.to_vec()));
    for _ in 0..3 {
        assert_eq!(host.deliver(&message).as_ref(), Some(&update));
    }
    assert_eq!(host.ask(Down::More { from: 0 }, &[]), update);
    let after = (host.objective.evaluations, host.worker.state().map(|(x, _)| x.to_vec()));
    assert_eq!(before, after);
    assert_eq!(host.rejected(Reject::Repeated), 3);
}

#[test]
fn a_round_repeated_during_the_computation_is_answered_once() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let message = host.step_and_tell();
    host.worker.receive(&message);
    host.worker.receive(&message);
    let update = host.serve().unwrap();
    assert_eq!(host.serve(), None);
    host.collect(update);
}

#[test]
fn a_late_round_fails_its_check() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let late = host.step_and_tell();
    let update = host.deliver(&late).unwrap();
    host.collect(update);
    host.next_round();
    assert_eq!(host.deliver(&late), None);
    assert_eq!(host.rejected(Reject::Checksum), 1);
    let after_next = Context { round: host.round + 2, ..host.worker_context() };
    let early = emit(Down::Round { from: 0 }, 1, &[], Context { worker: 0, ..after_next });
    assert_eq!(host.deliver(&early), None);
    assert_eq!(host.rejected(Reject::Checksum), 2);
}

#[test]
fn frames_that_are_not_meant_are_dropped_under_their_reason() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let session = Context::downlink(host.configure.session);
    let begin = Down::Begin { ticket: host.next_ticket(), round: 7 };
    let stranger = Configure { identity: 1, ..host.configure };
    let more = Context { round: 1, ..session };
    for (wire, reason) in [
        (emit(begin, 1, &[], Context::downlink(session.session + 1)), Reject::Checksum),
        (emit(begin, 2, &[], session), Reject::Address),
        (emit(Down::Configure(stranger), 0, &[], Context::SETUP), Reject::Address),
        (emit(Down::More { from: 0 }, 1, &[], more), Reject::Unexpected),
        (emit(Down::Round { from: 9 }, 1, &[0; 3], more), Reject::Body),
        (vec![1, 1, 0], Reject::Undecodable),
        (vec![0xff; 600].into_iter().chain([0]).collect(), Reject::Overlong),
        (unparsable(&session), Reject::Unparsable),
    ] {
        let before = host.rejected(reason);
        let state = host.worker.state().map(|(x, g_i)| (x.to_vec(), g_i.to_vec()));
        assert_eq!(host.deliver(&wire), None, "{reason:?}");
        assert_eq!(host.rejected(reason), before + 1, "{reason:?}");
        assert_eq!(host.worker.state().map(|(x, g_i)| (x.to_vec(), g_i.to_vec())), state);
    }
    host.next_round();
}

/// A correct frame whose message has a tag that there is not.
fn unparsable(context: &Context) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = frame::emit(&[1, 99], &[], context, &mut out);
    out[..len].to_vec()
}

#[test]
fn a_large_update_comes_in_parts() {
    let mut host = Host::new(2000, Downlink::Sparse, Init::Full);
    host.set_up();
    let frames = host.begin();
    // 33 bits an entry and 480 bytes a body: 116 entries.
    assert_eq!(frames.len(), 2000usize.div_ceil(116));
    assert_eq!(host.objective.evaluations, 1);
    assert_eq!(host.next_round().len(), 1);
}

#[test]
fn a_restored_worker_sends_what_it_would_have_sent() {
    for downlink in [Downlink::Dense, Downlink::Sparse] {
        for init in [Init::Full, Init::Compressed, Init::Zero] {
            let mut steady = Host::begun(300, downlink, init);
            let mut struck = Host::begun(300, downlink, init);
            for round in 1..12 {
                let update = steady.next_round();
                if round % 4 != 0 {
                    assert_eq!(struck.next_round(), update);
                    continue;
                }
                // The power fails while the worker computes, or before its update arrives.
                let message = struck.step_and_tell();
                struck.deliver(&message);
                struck.reboot();
                assert_eq!(struck.deliver(&message), None);
                struck.restore();
                assert_eq!(struck.begin(), update);
            }
        }
    }
}

#[test]
fn dense_and_sparse_downlinks_give_the_same_model() {
    let mut dense = Host::begun(40, Downlink::Dense, Init::Compressed);
    let mut sparse = Host::begun(40, Downlink::Sparse, Init::Compressed);
    for _ in 0..30 {
        assert_eq!(dense.next_round(), sparse.next_round());
        assert_eq!(dense.worker.state(), sparse.worker.state());
    }
    assert!(sparse.bytes_sent < dense.bytes_sent);
}

#[test]
fn an_announcement_moves_the_state_once_however_often_it_comes() {
    let mut host = Host::begun(40, Downlink::Sparse, Init::Full);
    host.next_round();
    let to = Exponents { x: 18, gradient: 13, ..EXPONENTS };
    let message = Down::Announce { ticket: host.next_ticket(), exponents: to, gamma_n: GAMMA_N };
    let answers = [(); 3].map(|()| host.ask(message, &[]));
    assert_eq!([&answers[1], &answers[2]], [&answers[0]; 2]);
    // The host rescales its mirrors and the sum as told; the next change closes the gap.
    rescale(&mut host.x, EXPONENTS.x, to.x, &mut 0);
    rescale(&mut host.mirror, EXPONENTS.gradient, to.gradient, &mut 0);
    rescale_sum(&mut host.sum_told, EXPONENTS.gradient, to.gradient);
    host.sum = widened(&host.mirror);
    host.exponents = to;
    assert_eq!(host.worker.state(), Some((&host.x[..], &host.mirror[..])));
    host.next_round();
    host.next_round();
}

/// A message of any kind, mostly one that could be meant.
fn messages() -> impl Strategy<Value = Down<'static>> {
    let exponents =
        || (any::<[i8; 3]>()).prop_map(|[x, gradient, loss]| Exponents { x, gradient, loss });
    let ticket = || 0u16..12;
    let part =
        || prop::sample::select(vec![Part::Model, Part::Estimator, Part::Sum, Part::SumChange]);
    let gamma =
        || any::<(i32, i16)>().prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent });
    prop_oneof![
        Just(Down::Hello { version: 9, schema: [9; 8] }),
        (ticket(), 0u32..7, 0u32..4, any::<bool>()).prop_map(|(ticket, dimension, k, sparse)| {
            let downlink = if sparse { Downlink::Sparse } else { Downlink::Dense };
            let plain = Host::new(dimension as usize, downlink, Init::Full).configure;
            Down::Configure(Configure { ticket, k, ..plain })
        }),
        (ticket(), 0u32..7).prop_map(|(ticket, offset)| Down::Data { ticket, offset }),
        (ticket(), exponents()).prop_map(|(ticket, exponents)| Down::Probe { ticket, exponents }),
        (ticket(), exponents(), gamma()).prop_map(|(ticket, exponents, gamma_n)| {
            Down::Announce { ticket, exponents, gamma_n }
        }),
        (ticket(), part(), 0u32..7, 0u32..7)
            .prop_map(|(ticket, part, from, until)| { Down::Part { ticket, part, from, until } }),
        (ticket(), 0u32..4).prop_map(|(ticket, round)| Down::Begin { ticket, round }),
        (0u32..7).prop_map(|from| Down::Round { from }),
        (0u32..7).prop_map(|from| Down::More { from }),
    ]
}

/// What the line may bring.
#[derive(Clone, Debug)]
enum Arrival {
    Noise(Vec<u8>),
    Message {
        message: Down<'static>,
        address: u16,
        body: Vec<u8>,
        session: bool,
        round: u32,
    },
    Damaged {
        message: Down<'static>,
        bit: prop::sample::Index,
    },
    /// The host goes on as it should.
    Round,
}

fn arrivals() -> impl Strategy<Value = Arrival> {
    let body = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..700).prop_map(Arrival::Noise),
        6 => (messages(), 0u16..3, body(), any::<bool>(), 0u32..5).prop_map(
            |(message, address, body, session, round)| {
                Arrival::Message { message, address, body, session, round }
            },
        ),
        2 => (messages(), any::<prop::sample::Index>())
            .prop_map(|(message, bit)| Arrival::Damaged { message, bit }),
        1 => Just(Arrival::Round),
    ]
}

proptest! {
    #[test]
    fn nothing_that_arrives_makes_a_worker_panic_or_lose_count(
        arrivals in prop::collection::vec(arrivals(), 0..60), served: bool,
    ) {
        let mut host = Host::begun(5, Downlink::Sparse, Init::Compressed);
        for arrival in arrivals {
            let wire = match arrival {
                Arrival::Noise(bytes) => bytes,
                Arrival::Message { message, address, body, session, round } => {
                    let round = if message.is_of_round() { round } else { 0 };
                    let session = if session { host.configure.session } else { 0 };
                    let context = Context { session, round, ..Context::SETUP };
                    emit(message, address, &body_of(&message, body), context)
                }
                Arrival::Damaged { message, bit } => {
                    let mut wire = host.frame(message, &[]);
                    let bit = bit.index(wire.len() * 8);
                    wire[bit / 8] ^= 1 << (bit % 8);
                    wire
                }
                Arrival::Round => {
                    let session = host.worker.machine.session.as_ref();
                    host.round = session.and_then(Session::round).unwrap_or(0) + 1;
                    let (from, _, body) = &bodies(&[3, 0, -7, 0, 1])[0];
                    host.frame(Down::Round { from: *from }, body)
                }
            };
            host.bytes_sent += wire.len();
            host.worker.receive(&wire);
            if served {
                host.serve();
            }
            let explained = host.worker.counters().bytes() + host.worker.pending() as u64;
            prop_assert_eq!(explained, host.bytes_sent as u64);
        }
    }
}

/// Only messages with a short head may have a body.
fn body_of(message: &Down, body: Vec<u8>) -> Vec<u8> {
    if message.is_setup() { vec![] } else { body }
}
