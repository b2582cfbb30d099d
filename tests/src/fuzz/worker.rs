//! A worker that receives anything: messages of a host, noise, damaged frames, power cuts.

use super::shards;
use crate::flash::{DATA_PAGES, Flash, PAGES};
use crate::frames::{self, frame, framed, transmitted};
use arbitrary::{Result, Unstructured};
use smidgen_firmware::journal::FlashJournal;
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::sync_journal;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, FRAME_LEN_MAX, PAYLOAD_LEN_MAX, checksum};
use smidgen_protocol::message::{
    BROADCAST, Configure, Down, Downlink, Exponents, Init, Part, Regulariser, SCHEMA, Up, VERSION,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::sparse::{self, Decoder, Encoder, Packing};

/// Words of memory: enough for small problems, too little for some.
const MEMORY_LEN: usize = 2048;
/// Maximum number of events for one worker.
const EVENTS_MAX: usize = 200;
const IDENTITY: u64 = 0x1234;
const SESSION: u32 = 7;
const ADDRESS: u16 = 1;

/// A sequence of events. The worker does not panic, counts every byte, changes nothing for a frame that it rejects,
/// answers with valid frames, and holds the estimator that its updates define.
pub fn worker(input: &[u8]) {
    let mut u = Unstructured::new(input);
    if let Ok(mut bench) = Bench::new(&mut u) {
        for _ in 0..EVENTS_MAX {
            if u.is_empty() || bench.happen(&mut u).is_err() {
                break;
            }
        }
    }
}

/// Progress of the scripted host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Configure,
    Load,
    Announce,
    Begin,
    Round,
}

struct Bench {
    worker: Worker<Vec<u64>>,
    /// The journal, which survives restarts.
    journal: FlashJournal<Flash>,
    /// Bytes since the worker was started.
    sent: u64,
    configure: Configure<'static>,
    data: Vec<u8>,
    held: usize,
    stage: Stage,
    ticket: u16,
    /// The round of the worker, if it is in one.
    round: u32,
    /// The latest configuration that the worker accepted, and the one that it has acknowledged.
    asked: Option<Configure<'static>>,
    session: Option<Configure<'static>>,
    last: Vec<u8>,
}

impl Bench {
    fn new(u: &mut Unstructured) -> Result<Self> {
        let (configure, data) = configuration(u)?;
        let (worker, journal) = start(Flash::new(PAGES));
        Ok(Self {
            worker,
            journal,
            sent: 0,
            configure,
            data,
            held: 0,
            stage: Stage::Configure,
            ticket: 0,
            round: 0,
            asked: None,
            session: None,
            last: vec![],
        })
    }

    /// Draws one event.
    fn happen(&mut self, u: &mut Unstructured) -> Result<()> {
        match u.int_in_range(0..=15)? {
            0 => {
                let noise = u.arbitrary_len::<u8>()?.min(600);
                let noise = u.bytes(noise)?.to_vec();
                self.deliver(u, &noise).map(drop)?;
            }
            1 => {
                let (context, payload) = (self.context(u)?, payload(u)?);
                if self.send(u, framed(&context, payload))? {
                    // The message is unknown, so its effects are not tracked.
                    (self.asked, self.session) = (None, None);
                }
            }
            2..=4 => {
                let message = self.message(u)?;
                let body = if message.is_setup() { vec![] } else { self.body(u)? };
                self.say(u, &message, &body)?;
            }
            5 => {
                let mut damaged = self.last.clone();
                if let Some(byte) = (!damaged.is_empty()).then(|| u.choose_index(damaged.len())) {
                    damaged[byte?] ^= 1 << u.int_in_range(0..=7)?;
                }
                self.deliver(u, &damaged).map(drop)?;
            }
            6 => self.deliver(u, &self.last.clone()).map(drop)?,
            7 if u.ratio(1, 4)? => {
                (self.worker, self.journal) = start(self.journal.flash().clone());
                self.sent = 0;
                (self.asked, self.session) = (None, None);
                (self.stage, self.held) = (Stage::Configure, 0);
                if u.arbitrary()? {
                    (self.configure, self.data) = configuration(u)?;
                }
            }
            7 => self.worker.count_overrun(),
            8..=10 => self.serve(),
            _ => self.go_on(u)?,
        }
        Ok(())
    }

    /// Sends the next message of a correct host.
    fn go_on(&mut self, u: &mut Unstructured) -> Result<()> {
        let ticket = self.ticket.wrapping_add(1);
        let (message, body) = match self.stage {
            Stage::Configure => (Down::Configure(Configure { ticket, ..self.configure }), vec![]),
            Stage::Load => {
                let chunk = self.data[self.held..].iter().copied().take(200).collect();
                (Down::Data { ticket, offset: self.held as u32 }, chunk)
            }
            Stage::Announce => {
                let (exponents, gamma_n) = (exponents(u)?, shards::ratio(u)?);
                (Down::Announce { ticket, exponents, gamma_n }, vec![])
            }
            Stage::Begin => (Down::Begin { ticket, round: u.int_in_range(0..=1)? }, vec![]),
            Stage::Round => (Down::Round { from: 0 }, self.described(u)?),
        };
        self.say(u, &message, &body)?;
        self.serve();
        Ok(())
    }

    /// A message of any kind, mostly a plausible one.
    fn message(&self, u: &mut Unstructured) -> Result<Down<'static>> {
        let ticket = self.ticket.wrapping_add(match u.int_in_range(0..=3)? {
            0 => 0,
            1 => u.arbitrary()?,
            _ => 1,
        });
        let index =
            |u: &mut Unstructured| u.int_in_range(0..=self.configure.dimension.saturating_add(1));
        let parts = [
            Part::Model,
            Part::Estimator,
            Part::Sum,
            Part::SumChange,
            Part::ModelChange,
            Part::Velocity,
        ];
        Ok(match u.int_in_range(0..=10)? {
            0 => Down::Hello { version: VERSION, schema: SCHEMA, echo: ticket },
            1 => Down::Configure(Configure { ticket, ..self.configure }),
            2 => Down::Data { ticket, offset: u.int_in_range(0..=self.data.len() as u32)? },
            3 => Down::Probe { ticket, exponents: exponents(u)? },
            4 => Down::Announce { ticket, exponents: exponents(u)?, gamma_n: shards::ratio(u)? },
            5 => Down::Part { ticket, part: *u.choose(&parts)?, from: index(u)?, until: index(u)? },
            6 => Down::Begin { ticket, round: u.arbitrary()? },
            7 => Down::Round { from: index(u)? },
            8 => Down::Curvature { ticket },
            9 => Down::Paced { from: index(u)?, pace: u.arbitrary()? },
            _ => Down::More { from: index(u)? },
        })
    }

    fn body(&self, u: &mut Unstructured) -> Result<Vec<u8>> {
        if u.arbitrary()? { self.described(u) } else { Ok(payload(u)?.to_vec()) }
    }

    /// A described body for some coordinates of the model.
    fn described(&self, u: &mut Unstructured) -> Result<Vec<u8>> {
        let mut body = [0; BODY_LEN_MAX];
        let dimension = self.configure.dimension;
        let packing = Packing::new(dimension, u.int_in_range(0..=dimension)?, 48);
        let shift = if u.ratio(1, 4)? { u.int_in_range(0..=sparse::SHIFT_MAX)? } else { 0 };
        let mut encoder = Encoder::described(&mut body, packing, shift, 0);
        for index in 0..dimension.min(40) {
            if u.arbitrary()? {
                let mantissa = u.arbitrary::<i64>()? >> u.int_in_range(17..=63)?;
                let full = mantissa != 0 && encoder.push(index, mantissa).is_err();
                assert!(!full, "forty entries fit");
            }
        }
        let len = encoder.finish();
        Ok(body[..len].to_vec())
    }

    /// The context of the open session and round, of the next round, or any.
    fn context(&self, u: &mut Unstructured) -> Result<Context> {
        Ok(match u.int_in_range(0..=3)? {
            0 => Context::SETUP,
            1 => Context::downlink(SESSION),
            2 => Context { round: self.round.wrapping_add(1), ..Context::downlink(SESSION) },
            _ => Context {
                session: u.arbitrary()?,
                round: u.arbitrary()?,
                ..Context::downlink(SESSION)
            },
        })
    }

    /// Sends a message in its context, and notes whether the worker accepted it.
    fn say(&mut self, u: &mut Unstructured, message: &Down<'static>, body: &[u8]) -> Result<()> {
        let round = match message {
            Down::Round { .. } | Down::Paced { .. } => self.round.wrapping_add(1),
            Down::More { .. } => self.round,
            _ => 0,
        };
        let address = if u.ratio(1, 16)? { u.arbitrary()? } else { ADDRESS };
        let (address, context) = match message.is_setup() {
            true => (BROADCAST, Context::SETUP),
            false => (address, Context { round, ..Context::downlink(SESSION) }),
        };
        let wire = frame(|out| message.emit(address, body, &context, out));
        if self.send(u, wire)? {
            self.taken(message, body);
        }
        Ok(())
    }

    /// Notes the effects of a message that the worker accepted.
    fn taken(&mut self, message: &Down<'static>, body: &[u8]) {
        self.ticket = message.ticket().unwrap_or(self.ticket);
        match *message {
            Down::Configure(configure) => {
                (self.asked, self.session) = (Some(configure), None);
                (self.held, self.round) = (0, 0);
                self.stage = if self.data.is_empty() { Stage::Announce } else { Stage::Load };
            }
            Down::Data { offset, .. } if offset as usize == self.held => {
                self.held += body.len();
                if self.held >= self.data.len() {
                    (self.held, self.stage) = (0, Stage::Announce);
                }
            }
            Down::Announce { .. } => self.stage = Stage::Begin,
            Down::Begin { round, .. } => (self.round, self.stage) = (round, Stage::Round),
            Down::Round { .. } | Down::Paced { .. } => self.round = self.round.wrapping_add(1),
            _ => {}
        }
    }

    /// Sends a frame. Returns whether the worker accepted it.
    fn send(&mut self, u: &mut Unstructured, wire: Vec<u8>) -> Result<bool> {
        self.last.clone_from(&wire);
        self.deliver(u, &wire)
    }

    /// Sends bytes in pieces. Returns whether a frame was accepted.
    fn deliver(&mut self, u: &mut Unstructured, bytes: &[u8]) -> Result<bool> {
        let before = (self.worker.counters().accepted, self.state());
        let piece = if u.ratio(1, 8)? { u.int_in_range(1..=64)? } else { FRAME_LEN_MAX };
        bytes.chunks(piece).for_each(|piece| self.worker.receive(piece));
        self.sent += bytes.len() as u64;
        let explained = self.worker.counters().bytes() + self.worker.pending() as u64;
        assert_eq!(explained, self.sent, "every byte is counted");
        let taken = self.worker.counters().accepted != before.0;
        assert!(taken || self.state() == before.1, "a rejected frame changes nothing");
        Ok(taken)
    }

    fn state(&self) -> Option<(Vec<i32>, Vec<i32>)> {
        self.worker.state().map(|(x, g_i)| (x.to_vec(), g_i.to_vec()))
    }

    /// Runs the main loop of a board once, and checks the answers.
    fn serve(&mut self) {
        let mut spoken = self.spoken();
        let before = self.state();
        sync_journal(&mut self.worker, &mut self.journal);
        assert_eq!(self.state(), before, "a journal does not change what the host knows");
        let request = self.worker.gradient_request();
        let loss = request.map(|request| Objectives.evaluate_named(request));
        if let Some(loss) = loss {
            assert!(!spoken.iter().any(|wire| self.is_update(wire)), "it is not yet computed");
            self.worker.gradient_ready(loss);
        }
        sync_journal(&mut self.worker, &mut self.journal);
        spoken.extend(self.spoken());
        if let Some(configure) = self.asked
            && spoken.iter().any(|wire| acknowledges(wire, &configure))
        {
            self.session = self.asked.take();
        }
        if let (Some(_), Some((_, g_i)), Some(configure)) = (loss, before, self.session) {
            self.follow(&configure, g_i, spoken);
        }
    }

    /// Returns whether a frame is an update of the open round.
    fn is_update(&self, wire: &[u8]) -> bool {
        let session = self.session.unwrap_or(self.configure);
        let context = Context { worker: session.worker, ..Context::downlink(session.session) };
        frames::payload(wire, &Context { round: self.round, ..context })
            .is_some_and(|payload| Up::parse(&payload).is_ok_and(|(up, _)| up.is_of_round()))
    }

    /// The frames that the worker sends: at most one answer outside the session and one inside.
    fn spoken(&mut self) -> Vec<Vec<u8>> {
        let spoken = transmitted(&mut self.worker);
        assert!(spoken.len() <= 2, "a worker sends nothing but answers");
        spoken
    }

    /// Applies all parts of an update to the mirror, and compares.
    fn follow(&mut self, configure: &Configure, mut mirror: Vec<i32>, mut spoken: Vec<Vec<u8>>) {
        let Configure { dimension, init, session, worker, .. } = *configure;
        let budget = init.budget(self.round, dimension, configure.budget());
        let context = Context { round: self.round, worker, ..Context::downlink(session) };
        let (mut from, mut entries) = (0, vec![]);
        while let Some(wire) = spoken.pop() {
            let Some(payload) = frames::payload(&wire, &Context { from, ..context }) else {
                return;
            };
            let Ok((message, body)) = Up::parse(&payload) else { return };
            if !message.is_of_round() {
                return;
            }
            let decoder = Decoder::new(body, budget.packing(dimension), from).expect("a good body");
            decoder.check(dimension).expect("a good body");
            let shift = decoder.shift();
            entries.extend(decoder.entries().map(|(j, m)| (j, budget.compressor.expand(m))));
            if message != Up::UpdatePart {
                if matches!(message, Up::Anew { .. }) {
                    mirror.fill(0);
                }
                // Such an update holds all coordinates, whatever K is.
                let all = budget.compressor.sends_all_coordinates();
                let k = if all { dimension } else { budget.k };
                assert!(entries.len() <= k as usize, "an update holds no more than it may");
                sparse::apply(&mut mirror, entries.into_iter(), shift, &mut 0, |_, _, _| {});
                assert_eq!(self.state().map(|(_, g_i)| g_i), Some(mirror), "mirror equals worker");
                return;
            }
            from = entries.last().map_or(from, |(j, _)| j + 1);
            let context = Context { worker: 0, ..context };
            let more = frame(|out| Down::More { from }.emit(worker, &[], &context, out));
            self.sent += more.len() as u64;
            self.worker.receive(&more);
            spoken = self.spoken();
        }
    }
}

fn start(flash: Flash) -> (Worker<Vec<u64>>, FlashJournal<Flash>) {
    let mut memory = vec![u64::MAX; MEMORY_LEN];
    let journal = FlashJournal::open(flash, DATA_PAGES, &mut memory);
    let board = Board { name: "fuzzed", identity: IDENTITY };
    (Worker::new::<Objectives>(board, memory), journal)
}

/// Returns whether a frame acknowledges this configuration.
fn acknowledges(wire: &[u8], configure: &Configure) -> bool {
    let context = Context { worker: configure.worker, ..Context::downlink(configure.session) };
    let payload = frames::payload(wire, &context);
    let ack = Up::Ack { ticket: configure.ticket, value: 0 };
    payload.is_some_and(|payload| Up::parse(&payload) == Ok((ack, &[])))
}

/// Any bytes, at most as many as a payload has.
fn payload<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let len = u.arbitrary_len::<u8>()?.min(if u.ratio(7, 8)? { 40 } else { PAYLOAD_LEN_MAX - 24 });
    u.bytes(len)
}

/// Any exponents, mostly those of a run.
fn exponents(u: &mut Unstructured) -> Result<Exponents> {
    Ok(match u.ratio(3, 4)? {
        true => Exponents {
            x: u.int_in_range(10..=30)?,
            gradient: u.int_in_range(10..=30)?,
            loss: u.int_in_range(0..=20)?,
        },
        false => Exponents { x: u.arbitrary()?, gradient: u.arbitrary()?, loss: u.arbitrary()? },
    })
}

/// A configuration of any kind, and its data.
fn configuration(u: &mut Unstructured) -> Result<(Configure<'static>, Vec<u8>)> {
    let objective = u.choose(Objectives::ALL)?.name;
    let (data, dimension) = shards::draw(u, objective)?;
    let drawn = dimension as u32;
    let dimension = if u.ratio(1, 32)? { u.arbitrary()? } else { drawn };
    let eta = shards::ratio(u)?;
    let (methods, compressors) = (Method::all(eta), Compressor::all(u.arbitrary()?));
    let one_or_any = |u: &mut Unstructured| match u.arbitrary()? {
        true => Ok(smidgen_protocol::vector::Ratio::ONE),
        false => shards::ratio(u),
    };
    let configure = Configure {
        ticket: 0,
        session: SESSION,
        identity: IDENTITY,
        worker: ADDRESS,
        dimension,
        k: u.int_in_range(1..=drawn.max(1))?,
        value_bits: u.int_in_range(2..=32)?,
        init: *u.choose(&[Init::Full, Init::Compressed, Init::Zero])?,
        method: *u.choose(&methods)?,
        compressor: *u.choose(&compressors)?,
        scale: one_or_any(u)?,
        participation: match u.arbitrary()? {
            true => Participation::FULL,
            false => Participation { seed: u.arbitrary()?, probability: u.arbitrary()? },
        },
        batch: Batch { size: u.int_in_range(0..=4)?, seed: u.arbitrary()? },
        downlink: *u.choose(&Downlink::ALL)?,
        momentum: one_or_any(u)?,
        l1_n: shards::ratio(u)?,
        objective: if u.ratio(1, 32)? { "another" } else { objective },
        regulariser: *u.choose(&[Regulariser::Nonconvex, Regulariser::L2])?,
        lambda: shards::ratio(u)?,
        start_seed: u.int_in_range(0..=2)?,
        data_len: data.len() as u32,
        data_checksum: checksum(&data),
    };
    Ok((configure, data))
}
