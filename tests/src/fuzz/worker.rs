//! A worker that receives anything: messages of a host, noise, damaged frames, power cuts.

use super::shards;
use crate::flash::{DATA_PAGES, Flash, PAGES};
use crate::frames::{self, framed, transmitted};
use crate::host::{Host, Request, Stage, emit};
use crate::recording::{CHANNELS, ScriptedRecorder, rows_on_board, without_rows};
use arbitrary::{Result, Unstructured};
use smidgen_firmware::journal::FlashJournal;
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::sync_journal;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, FRAME_LEN_MAX, PAYLOAD_LEN_MAX, checksum};
use smidgen_protocol::message::{
    BROADCAST, CLASSES_MAX, Command, Configure, Down, Downlink, Exponents, Init, Known, Loss, Part,
    Regulariser, SCHEMA, Ticket, Up, VERSION,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_protocol::round::{Start, Update};
use smidgen_protocol::sparse::{self, Form, encode};

/// Words of memory: enough for small problems, too little for some.
const MEMORY_LEN: usize = 2048;
/// Maximum number of events for one worker.
const EVENTS_MAX: usize = 200;
const IDENTITY: u64 = 0x1234;
const SESSION: u32 = 7;
const ADDRESS: u16 = 1;
pub(super) const RECIPE: Recipe = Recipe {
    channels: CHANNELS as u8,
    window: 4,
    hop: 3,
    features: Features::DEFAULT,
    rate_millihertz: 1,
};

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

struct Bench {
    host: Host<Objectives>,
    /// The journal, which survives restarts.
    journal: FlashJournal<Flash>,
    /// Ticket of the latest configuration that the worker accepted, until it has acknowledged it.
    asked: Option<Ticket>,
    /// The worker has acknowledged its configuration.
    is_open: bool,
    last: Vec<u8>,
}

impl Bench {
    fn new(u: &mut Unstructured) -> Result<Self> {
        let (configure, data) = configuration(u)?;
        let (worker, journal) = start(Flash::new(PAGES));
        let mut host = Host::of(worker, Objectives, configure, data);
        if u.arbitrary()? {
            host.worker.enable_recorder();
            host.recorder = Some(ScriptedRecorder::new(Flash::new(2)));
        }
        let mut bench = Self { host, journal, asked: None, is_open: false, last: vec![] };
        if bench.host.recorder.is_some() {
            bench.record_two_classes();
            bench.configure_rows(u)?;
        }
        Ok(bench)
    }

    /// Draws one event.
    fn happen(&mut self, u: &mut Unstructured) -> Result<()> {
        match u.int_in_range(0..=17)? {
            0 => {
                let noise = u.arbitrary_len::<u8>()?.min(600);
                let noise = u.bytes(noise)?.to_vec();
                self.deliver(u, &noise).map(drop)?;
            }
            1 => {
                let (context, payload) = (self.context(u)?, payload(u)?);
                if self.send(u, framed(&context, payload))? {
                    // The message is unknown, so its effects are not tracked.
                    (self.asked, self.is_open) = (None, false);
                }
            }
            2..=4 => {
                let request = self.request(u)?;
                let body = if request.is_setup() { vec![] } else { self.body(u)? };
                self.say(u, &request, &body)?;
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
                let (worker, journal) = start(self.journal.flash().clone());
                self.host.restart(worker);
                if let Some(recorder) = &mut self.host.recorder {
                    *recorder = ScriptedRecorder::new(recorder.flash().clone());
                    self.host.worker.enable_recorder();
                }
                self.journal = journal;
                self.host.worker.restore_model(&mut self.journal, &mut Objectives);
                (self.asked, self.is_open) = (None, false);
                if u.arbitrary()? {
                    (self.host.configure, self.host.data) = configuration(u)?;
                }
            }
            7 => self.host.worker.count_overrun(),
            8..=10 => self.serve(),
            11 => self.record(u)?,
            12 if u.ratio(1, 4)? => self.configure_rows(u)?,
            _ => self.go_on(u)?,
        }
        Ok(())
    }

    /// Sends the next message of a correct host.
    fn go_on(&mut self, u: &mut Unstructured) -> Result<()> {
        let ticket = self.host.ticket.wrapping_add(1);
        if self.host.stage == Stage::Announce {
            (self.host.exponents, self.host.gamma_n) = (exponents(u)?, shards::ratio(u)?);
        }
        let (request, body) = match self.host.setup_message(ticket) {
            Some((message, body)) => (message.into(), body),
            None if self.host.stage == Stage::Begin => (begin(u, ticket)?.into(), vec![]),
            None => {
                let part = self.host.configure.downlink.part();
                (Start::default().into(), self.entries(u, part, 0)?)
            }
        };
        self.say(u, &request, &body)?;
        self.serve();
        Ok(())
    }

    /// Rows of two classes, some of them held out.
    fn record_two_classes(&mut self) {
        for (recording, class, is_test) in
            [(1, "one", false), (2, "two", false), (3, "one", true), (4, "two", true)]
        {
            let recipe = RECIPE;
            let start = Command::Start { recording, recipe, class, is_test, samples: 0 };
            for command in [start, Command::Stop { recording }] {
                let message = Down::Record { echo: 0, identity: IDENTITY, command };
                self.host.send(&emit(message, BROADCAST, &[], Context::SETUP));
                self.host.compute();
                if let Some(recorder) = &mut self.host.recorder {
                    let number = recording as i16;
                    let sample = move |t: i16| Some([t * number, 300 - t, 77 * number]);
                    recorder.feed((0..13).map(sample));
                }
            }
        }
    }

    /// Commands the recorder, and lets the sensor deliver samples.
    fn record(&mut self, u: &mut Unstructured) -> Result<()> {
        let command = command(u)?;
        self.say(u, &Down::Record { echo: 0, identity: IDENTITY, command }.into(), &[])?;
        self.serve();
        let samples = u.int_in_range(0..=30)?;
        let sample = u.arbitrary::<[i16; CHANNELS]>()?;
        if let Some(recorder) = &mut self.host.recorder {
            let next = |t: i16| (t % 11 != 10).then(|| sample.map(|value| value.wrapping_mul(t)));
            recorder.feed((0..samples).map(next));
            recorder.watch(&mut self.host.worker, &mut Objectives, (0..samples).map(next));
        }
        Ok(())
    }

    /// Makes the rows on the board the data of the next configuration.
    fn configure_rows(&mut self, u: &mut Unstructured) -> Result<()> {
        self.serve();
        if self.host.recorder.is_none() {
            return Ok(());
        }
        let status = Down::Record { echo: 0, identity: IDENTITY, command: Command::Status };
        self.host.send(&emit(status, BROADCAST, &[], Context::SETUP));
        let (answers, _) = self.host.compute();
        let answers = answers.iter().map(|wire| frames::payload(wire, &Context::SETUP));
        for payload in answers.flatten() {
            let Ok((Up::Records(records), _)) = Up::parse(&payload) else { continue };
            let columns = records.recipe.map_or(0, |recipe| recipe.row_len()) as u32;
            if columns == 0 || records.is_open {
                continue;
            }
            let mut map = [-1; CLASSES_MAX];
            for class in &mut map[..2] {
                *class = u.int_in_range(-1..=1)?;
            }
            let data = if u.ratio(1, 4)? {
                without_rows(&records, &map, 2)
            } else {
                rows_on_board(&records, &map, 2)
            };
            let (objective, dimension) = *u.choose(&[
                ("softmax", 2 * (columns + 1)),
                ("logistic", columns),
                ("svm", columns),
            ])?;
            let (data_len, data_checksum) = (data.len() as u32, checksum(&data));
            self.host.configure = Configure {
                objective,
                dimension,
                k: 1,
                data_len,
                data_checksum,
                ..self.host.configure
            };
            (self.host.data, self.host.stage) = (data, Stage::Configure);
            // An open session has another configuration.
            (self.asked, self.is_open) = (None, false);
        }
        Ok(())
    }

    /// A request of any kind, mostly a plausible one.
    fn request(&self, u: &mut Unstructured) -> Result<Request<'static>> {
        let ticket = self.host.ticket.wrapping_add(match u.int_in_range(0..=3)? {
            0 => 0,
            1 => u.arbitrary()?,
            _ => 1,
        });
        let index = |u: &mut Unstructured| {
            u.int_in_range(0..=self.host.configure.dimension.saturating_add(1))
        };
        let parts = [
            Part::Model,
            Part::Estimator,
            Part::Sum,
            Part::SumChange,
            Part::ModelChange,
            Part::Velocity,
        ];
        Ok(match u.int_in_range(0..=14)? {
            0 => Down::Hello { version: VERSION, schema: SCHEMA, echo: ticket },
            1 => Down::Configure(Configure { ticket, ..self.host.configure }),
            2 => Down::Data { ticket, offset: u.int_in_range(0..=self.host.data.len() as u32)? },
            3 => Down::Probe { ticket, exponents: exponents(u)? },
            4 => Down::Announce { ticket, exponents: exponents(u)?, gamma_n: shards::ratio(u)? },
            5 => Down::Part { ticket, part: *u.choose(&parts)?, from: index(u)?, until: index(u)? },
            6 => begin(u, ticket)?,
            7 | 9 => return Ok(Start { from: index(u)?, pace: u.arbitrary()? }.into()),
            8 => Down::Curvature { ticket },
            10 => Down::Score { ticket },
            12 => Down::Live { echo: ticket, identity: IDENTITY },
            13 => Down::Keep { ticket },
            11 => Down::Record { echo: ticket, identity: IDENTITY, command: command(u)? },
            _ => Down::More { from: index(u)? },
        }
        .into())
    }

    fn body(&self, u: &mut Unstructured) -> Result<Vec<u8>> {
        let part = *u.choose(&[Part::Model, Part::SumChange])?;
        if u.arbitrary()? { self.entries(u, part, 0) } else { Ok(payload(u)?.to_vec()) }
    }

    /// A body for some coordinates of a vector.
    fn entries(&self, u: &mut Unstructured, part: Part, from: u32) -> Result<Vec<u8>> {
        let terms = self.host.twin.terms(part, from);
        let shift = if u.ratio(1, 4)? { u.int_in_range(0..=sparse::SHIFT_MAX)? } else { 0 };
        let mut entries = vec![];
        for index in from..terms.dimension.min(40) {
            let mantissa = u.arbitrary::<i64>()? >> u.int_in_range(17..=63)?;
            if mantissa != 0 && u.arbitrary()? {
                entries.push((index, mantissa));
            }
        }
        let mut body = [0; BODY_LEN_MAX];
        let form = Form { shift, value_bits: 48, count_bits: 0 };
        let written = encode(&mut body, &terms, form, entries.into_iter());
        assert_eq!(written.until, terms.dimension, "forty entries fit");
        Ok(body[..written.len].to_vec())
    }

    /// The context of the open session and round, of the next round, or any.
    fn context(&self, u: &mut Unstructured) -> Result<Context> {
        Ok(match u.int_in_range(0..=3)? {
            0 => Context::SETUP,
            1 => Context::downlink(SESSION),
            2 => Context { round: self.host.round.wrapping_add(1), ..Context::downlink(SESSION) },
            _ => Context {
                session: u.arbitrary()?,
                round: u.arbitrary()?,
                ..Context::downlink(SESSION)
            },
        })
    }

    /// Sends a message in its context, and notes whether the worker accepted it.
    fn say(&mut self, u: &mut Unstructured, request: &Request, body: &[u8]) -> Result<()> {
        let address = if u.ratio(1, 16)? { u.arbitrary()? } else { ADDRESS };
        let address = if request.is_setup() { BROADCAST } else { address };
        if self.send(u, emit(*request, address, body, self.host.context(request)))? {
            self.host.note(request, body);
            if let Request::Message(Down::Configure(configure)) = request {
                (self.asked, self.is_open) = (Some(configure.ticket), false);
                self.host.round = 0;
            }
        }
        Ok(())
    }

    /// Sends a frame. Returns whether the worker accepted it.
    fn send(&mut self, u: &mut Unstructured, wire: Vec<u8>) -> Result<bool> {
        self.last.clone_from(&wire);
        self.deliver(u, &wire)
    }

    /// Sends bytes in pieces. Returns whether a frame was accepted.
    fn deliver(&mut self, u: &mut Unstructured, bytes: &[u8]) -> Result<bool> {
        let piece = if u.ratio(1, 8)? { u.int_in_range(1..=64)? } else { FRAME_LEN_MAX };
        Ok(self.host.send_in_pieces(bytes, piece))
    }

    /// Runs the main loop of a board once, and checks the answers.
    fn serve(&mut self) {
        let mut spoken = self.spoken();
        let before = self.host.state();
        sync_journal(&mut self.host.worker, &mut self.journal);
        assert_eq!(self.host.state(), before, "a journal does not change what the host knows");
        let (answers, computed) = self.host.compute();
        for answer in &answers {
            let payload = frames::payload(answer, &Context::SETUP).expect("an intact answer");
            let parsed = Up::parse(&payload);
            assert!(matches!(parsed, Ok((Up::Records(_) | Up::Live(_), []))), "{parsed:?}");
        }
        spoken.extend(answers);
        if computed {
            assert!(!spoken.iter().any(|wire| self.is_update(wire)), "it is not yet computed");
        }
        sync_journal(&mut self.host.worker, &mut self.journal);
        spoken.extend(self.spoken());
        if spoken.iter().any(|wire| self.acknowledges(wire)) {
            (self.asked, self.is_open) = (None, true);
        }
        if let (true, true, Some((_, g_i)), Some(first)) =
            (computed, self.is_open, before, spoken.pop())
        {
            self.host.mirror = g_i;
            self.host.take_update(first);
        }
    }

    /// Returns whether a frame is an update of the open round.
    fn is_update(&self, wire: &[u8]) -> bool {
        let context = Context { round: self.host.round, ..self.host.worker_context() };
        frames::payload_of_any(wire, Update::contexts(context)).is_some()
    }

    /// Returns whether a frame acknowledges the latest configuration.
    fn acknowledges(&self, wire: &[u8]) -> bool {
        let Some(ticket) = self.asked else { return false };
        let payload = frames::payload(wire, &self.host.worker_context());
        let ack = Up::Ack { ticket, value: 0 };
        payload.is_some_and(|payload| Up::parse(&payload) == Ok((ack, &[])))
    }

    /// The frames that the worker sends: at most one answer outside the session and one inside.
    fn spoken(&mut self) -> Vec<Vec<u8>> {
        let spoken = transmitted(&mut self.host.worker);
        assert!(spoken.len() <= 2, "a worker sends nothing but answers");
        spoken
    }
}

fn start(flash: Flash) -> (Worker<Vec<u64>>, FlashJournal<Flash>) {
    let mut memory = vec![u64::MAX; MEMORY_LEN];
    let journal = FlashJournal::open(flash, DATA_PAGES, &mut memory);
    let board = Board { name: "fuzzed", identity: IDENTITY };
    (Worker::new::<Objectives>(board, memory), journal)
}

/// A recorder command, mostly a plausible one.
pub(super) fn command(u: &mut Unstructured) -> Result<Command<'static>> {
    let recording = u.int_in_range(0..=7)?;
    let window = if u.ratio(7, 8)? { RECIPE.window } else { u.arbitrary()? };
    let bits = if u.ratio(7, 8)? { Features::DEFAULT.bits() } else { u.arbitrary()? };
    let recipe = Recipe {
        channels: if u.ratio(7, 8)? { CHANNELS as u8 } else { u.arbitrary()? },
        window,
        features: Features::from_bits(bits),
        ..RECIPE
    };
    let class = *u.choose(&["one", "two", "", "a name that is too long"])?;
    Ok(match u.int_in_range(0..=9)? {
        0 => Command::Status,
        1 => Command::Clear { recording },
        2 => Command::Discard { recording },
        3..=5 => Command::Stop { recording },
        _ => {
            let samples = if u.arbitrary()? { 0 } else { u.int_in_range(1..=30)? };
            Command::Start { recording, recipe, class, is_test: u.ratio(1, 3)?, samples }
        }
    })
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

/// Begins a round, with numbers of any size.
fn begin(u: &mut Unstructured, ticket: Ticket) -> Result<Down<'static>> {
    let round = if u.ratio(1, 8)? { u.arbitrary()? } else { u.int_in_range(0..=1)? };
    let [shift, value_bits, count_bits] = u.arbitrary()?;
    let known = Known {
        loss: Loss::new(u.arbitrary()?),
        shift: u.arbitrary()?,
        downlink: Form { shift, value_bits, count_bits },
    };
    Ok(Down::Begin { ticket, round, known })
}
