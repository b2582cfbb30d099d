//! Compares `wire-format.md` with the code: its hex in both directions, its arithmetic and its table of sizes.

use chacha20::{R20, hchacha};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::counters::{Counters, Reject};
use smidgen_protocol::digest;
use smidgen_protocol::frame::{self, Context, Deframer, FRAME_LEN_MAX, Frame, Kind};
use smidgen_protocol::message::{
    ClassRecords, Command, Configure, Down, Downlink, Exponents, Init, Known, Live, LiveState,
    Loss, Outcome, Part, Progress, Ready, RecordRefusal, Records, Refusal, Regulariser, SCHEMA,
    Seen, Up, VERSION,
};
use smidgen_protocol::method::{Budget, Compressor, Method, Participation};
use smidgen_protocol::recipe::{Feature, Features, Recipe};
use smidgen_protocol::recorded::{RecordedRows, RowsChecksum};
use smidgen_protocol::round::{LossChange, Start, Update};
use smidgen_protocol::seal::{BOOT_LEN, HostSeal, Key, Salt, WorkerSeal};
use smidgen_protocol::shard::{Columns, Header, Labels, Shard, Values, Width};
use smidgen_protocol::sparse::{Decoder, Form, Terms, encode};
use smidgen_protocol::start;
use smidgen_protocol::step::Rule;
use smidgen_protocol::vector::{Ratio, round_shift};
use std::collections::{BTreeMap, BTreeSet};

const SPECIFICATION: &str = include_str!("../wire-format.md");

/// Lines in fenced blocks of one language.
fn fenced(language: &str) -> impl Iterator<Item = &'static str> {
    let opening = format!("```{language}");
    let mut inside = false;
    SPECIFICATION.lines().filter(move |line| {
        match line.starts_with("```") {
            true => inside = *line == opening,
            false => return inside,
        }
        false
    })
}

/// Examples of the document: `name =`, then hex up to the next name; `#` starts a comment.
struct Examples(BTreeMap<&'static str, Vec<u8>>);

impl Examples {
    fn read() -> Self {
        let (mut examples, mut name) = (BTreeMap::new(), "");
        for line in fenced("hex") {
            let mut code = line.split('#').next().unwrap_or_default();
            if let Some((new, rest)) = code.split_once('=') {
                (name, code) = (new.trim(), rest);
                assert_eq!(examples.insert(name, vec![]), None, "{name} is defined twice");
            }
            let bytes = code.split_whitespace().map(|hex| u8::from_str_radix(hex, 16).unwrap());
            examples.entry(name).or_default().extend(bytes);
        }
        Self(examples)
    }

    /// Removes an example and asserts that it equals `expected`.
    fn take(&mut self, name: &str, expected: &[u8]) -> Vec<u8> {
        let example = self.0.remove(name);
        assert_eq!(example.as_deref().map(hex), Some(hex(expected)), "{name}");
        example.unwrap_or_default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

const SESSION: u32 = 0x00c0_ffee;
const UPDATE_CONTEXT: Context = Context { session: SESSION, worker: 1, round: 3, ..Context::SETUP };
const START_CONTEXT: Context = Context { round: 4, ..UPDATE_CONTEXT };

/// Deframes `wire` and checks it; returns the payload.
fn payload(wire: &[u8], context: &Context) -> Result<Vec<u8>, Reject> {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (_, frame) = deframer.feed(wire, &mut counters);
    frame.expect("a frame").check(context).map(<[u8]>::to_vec)
}

/// The same of a frame of a round; returns its kind as well.
fn round_payload(
    wire: &[u8],
    contexts: impl Iterator<Item = Context>,
) -> Result<(Vec<u8>, Kind), Reject> {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (_, frame) = deframer.feed(wire, &mut counters);
    let frame = frame.expect("a frame");
    let (payload, context) = frame.check_any(contexts)?;
    Ok((payload.to_vec(), context.kind))
}

fn emitted(emit: impl FnOnce(&mut [u8; FRAME_LEN_MAX]) -> usize) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = emit(&mut out);
    out[..len].to_vec()
}

const EXPONENTS: Exponents = Exponents { x: 24, gradient: 20, loss: -2 };
const CONFIGURE: Configure = Configure {
    ticket: 300,
    session: SESSION,
    identity: 0x1234,
    worker: 1,
    dimension: 64,
    k: 4,
    value_bits: 8,
    init: Init::Full,
    method: Method::Sgdm { eta: Ratio { mantissa: 3, exponent: 5 } },
    compressor: Compressor::RandK { seed: 6 },
    scale: Ratio::ONE,
    participation: Participation::FULL,
    batch: Batch { size: 16, seed: 7 },
    momentum: Ratio { mantissa: 0, exponent: 0 },
    l1_n: Ratio { mantissa: 0, exponent: 0 },
    downlink: Downlink::Sparse,
    objective: "logistic",
    regulariser: Regulariser::Nonconvex,
    lambda: Ratio { mantissa: 1_717_986_918, exponent: 34 },
    start_seed: 0,
    data_len: 1000,
    data_checksum: 0xcbf4_3926,
};
const READY: Ready = Ready {
    version: VERSION,
    schema: SCHEMA,
    echo: 7,
    board: "microbit",
    identity: 0x1234,
    memory: 8192,
    objectives: "logistic softmax",
    session: 0,
    opened: 0,
    model_digest: 0,
    estimator_digest: 0x0123_4567_89ab_cdef,
    rejected: [0, 1, 2, 0, 0, 300, 0, 0, 9],
    overruns: 1,
    saturated: 2,
};
const RECIPE: Recipe = Recipe {
    channels: 3,
    window: 50,
    hop: 25,
    features: Features::DEFAULT,
    rate_millihertz: 10_000,
};
const RECORDS: Records = Records {
    echo: 9,
    outcome: Outcome::Done,
    channels: 3,
    recipe: Some(RECIPE),
    recording: 4,
    next: 5,
    is_open: false,
    progress: Progress { samples: 100, rows: 3, gaps: 0 },
    room: 700,
    discarded: 2,
    checksum: 0x1234_5678,
    classes: &[4, b'r', b'e', b's', b't', 30, 0, 3, b'r', b'u', b'n', 0xac, 2, 7],
    columns: &[0x9d, 0xa9, 0x88, 0x0c, 0x09],
};

const LIVE: Live = Live {
    echo: 10,
    state: LiveState::Watching,
    channels: 3,
    full_scales: [4000, 4000, 4000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    recipe: Some(RECIPE),
    samples: 125,
    gaps: 0,
    windows: 4,
    latest: Some(Seen { class: 1, name: "run", score: -300, exponent: 47 }),
};

fn downs() -> Vec<(&'static str, u16, Down<'static>, Vec<u8>)> {
    let gamma_n = Ratio { mantissa: -3, exponent: -1 };
    vec![
        ("down.hello", 0, Down::Hello { version: VERSION, schema: SCHEMA, echo: 7 }, vec![]),
        ("down.configure", 0, Down::Configure(CONFIGURE), vec![]),
        ("down.data", 1, Down::Data { ticket: 2, offset: 200 }, vec![0xaa, 0xbb, 0xcc]),
        ("down.probe", 1, Down::Probe { ticket: 3, exponents: EXPONENTS }, vec![]),
        ("down.announce", 1, Down::Announce { ticket: 4, exponents: EXPONENTS, gamma_n }, vec![]),
        (
            "down.part",
            1,
            Down::Part { ticket: 5, part: Part::Estimator, from: 0, until: 64 },
            plain(),
        ),
        ("down.begin", 1, Down::Begin { ticket: 6, round: 9, known: KNOWN }, vec![]),
        ("down.more", 1, Down::More { from: 116 }, vec![]),
        ("down.curvature", 1, Down::Curvature { ticket: 7 }, vec![]),
        record("down.record.status", Command::Status),
        record(
            "down.record.start",
            Command::Start {
                recording: 5,
                recipe: RECIPE,
                class: "run",
                is_test: true,
                samples: 100,
            },
        ),
        record("down.record.stop", Command::Stop { recording: 5 }),
        record("down.record.discard", Command::Discard { recording: 5 }),
        record("down.record.clear", Command::Clear { recording: 4 }),
        ("down.score", 1, Down::Score { ticket: 8 }, vec![]),
        ("down.live", 0, Down::Live { echo: 10, identity: 0x1234 }, vec![]),
        ("down.keep", 1, Down::Keep { ticket: 11 }, vec![]),
    ]
}

fn record(
    name: &'static str,
    command: Command<'static>,
) -> (&'static str, u16, Down<'static>, Vec<u8>) {
    (name, 0, Down::Record { echo: 9, identity: 0x1234, command }, vec![])
}

fn ups() -> Vec<(&'static str, Up<'static>, Vec<u8>)> {
    let memory = Refusal::Memory { need: 20_000, room: 8192 };
    vec![
        ("up.ready", Up::Ready(READY), vec![]),
        ("up.ack", Up::Ack { ticket: 2, value: 203 }, vec![]),
        ("up.range", Up::Range { ticket: 3, gradient_max: 70_000, loss: Loss::new(-2) }, vec![]),
        ("up.refused.memory", Up::Refused { ticket: 300, refusal: memory }, vec![]),
        ("up.refused.objective", Up::Refused { ticket: 300, refusal: Refusal::Objective }, vec![]),
        ("up.refused.data", Up::Refused { ticket: 300, refusal: Refusal::Data }, vec![]),
        (
            "up.refused.configuration",
            Up::Refused { ticket: 300, refusal: Refusal::Configuration },
            vec![],
        ),
        (
            "up.curvature",
            Up::Curvature { ticket: 7, l_i: Ratio { mantissa: 0x5400_0000, exponent: 29 } },
            vec![],
        ),
        ("up.records", Up::Records(RECORDS), vec![]),
        ("up.records.none", Up::Records(Records::none(9)), vec![]),
        ("up.records.refused", Up::Records(refused()), vec![]),
        ("up.score", Up::Score { ticket: 8, rows: 60, right: 59 }, vec![]),
        ("up.live", Up::Live(LIVE), vec![]),
        ("up.live.none", Up::Live(Live::none(10)), vec![]),
    ]
}

/// The answer of an empty board to a window that does not fit.
fn refused() -> Records<'static> {
    let outcome = Outcome::Refused(RecordRefusal::Window { need: 300, room: 192 });
    Records { outcome, channels: 3, next: 1, room: 700, ..Records::none(9) }
}

type Entry = (u32, i64);
/// Entries of `body.cut`, and its length.
const CUT: usize = 224;
const CUT_LEN: usize = 444;

fn encoded(mut encoder: impl FnMut(&mut [u8]) -> usize) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let len = encoder(&mut buffer);
    buffer.truncate(len);
    buffer
}

/// The body of entries that all fit.
fn body(terms: &Terms, form: Form, entries: &[Entry]) -> Vec<u8> {
    encoded(|buffer| encode(buffer, terms, form, entries.iter().copied()).len)
}

const PLAIN: [Entry; 3] = [(1, 300), (2, -1), (40, -70_000)];
const UPDATE8: [Entry; 4] = [(5, 128), (9, -1), (10, 77), (63, -128)];
const CHANGE: Form = Form { shift: 0, value_bits: 17, count_bits: 2 };
const KNOWN: Known = Known { loss: Loss::new(0x12345), shift: 3, downlink: CHANGE };

fn sum() -> Vec<i64> {
    (0..64).map(|j| if j < 32 { 1000 * (j - 9) } else { 0 }).collect()
}

fn plain() -> Vec<u8> {
    body(&Terms::plain(64, 0), Form { value_bits: 18, ..Form::FIRST }, &PLAIN)
}

fn change() -> Vec<u8> {
    let terms = Terms { sum: &sum(), last: CHANGE, ..Terms::plain(64, 0) };
    body(&terms, Form { value_bits: 18, ..CHANGE }, &PLAIN)
}

fn update8() -> Vec<u8> {
    let terms = top_k(4, 8).terms(64, 0, &[], 3);
    body(&terms, terms.last, &UPDATE8)
}

fn top_k(k: u32, value_bits: u8) -> Budget {
    Budget { k, value_bits, compressor: Compressor::TopK }
}

fn check_bodies(examples: &mut Examples) {
    let sum = sum();
    let last = CHANGE;
    for (name, terms, made) in [
        ("body.plain", Terms::plain(64, 0), plain()),
        ("body.change", Terms { sum: &sum, last, ..Terms::plain(64, 0) }, change()),
    ] {
        let example = examples.take(name, &made);
        let decoder = Decoder::new(&example, &terms).unwrap();
        assert_eq!((decoder.check(terms.sum, 64), decoder.shift()), (Ok(3), 0));
        assert_eq!(decoder.form(), Form { shift: 0, value_bits: 18, count_bits: 2 });
        assert_eq!(decoder.entries(terms.sum).collect::<Vec<_>>(), PLAIN);
    }

    let dense: Vec<Entry> = (0..8).zip([1, -2, 3, -4, 5, -6, 7, -8]).collect();
    for (name, dimension, (k, bits), shift, from, sum, entries) in [
        ("body.update8", 64, (4, 8), 3, 0, &[][..], &UPDATE8[..]),
        ("body.update8_sum", 64, (4, 8), 3, 0, &sum, &UPDATE8),
        ("body.update32", 112, (1, 32), 0, 0, &[], &[(77, -0x1234_5678)]),
        ("body.fewer", 4096, (100, 4), 0, 0, &[], &[(7, 1), (4000, -8)]),
        ("body.dense", 8, (8, 4), 0, 0, &[], &dense),
        ("body.rest", 64, (4, 8), 3, 10, &[], &UPDATE8[2..]),
        ("body.empty", 64, (4, 8), 0, 0, &[], &[]),
    ] {
        let terms = top_k(k, bits).terms(dimension, from, sum, shift);
        let example = examples.take(name, &body(&terms, terms.last, entries));
        let decoder = Decoder::new(&example, &terms).unwrap();
        let found = (decoder.check(sum, dimension), decoder.shift());
        assert_eq!(found, (Ok(entries.len() as u32), shift));
        assert_eq!(decoder.entries(sum).collect::<Vec<_>>(), entries, "{name}");
    }
    check_cut(examples);
}

/// An update of which a body has the first half.
fn check_cut(examples: &mut Examples) {
    let all: Vec<Entry> =
        (0..600).map(|i| (2 * i, [1, -1][i as usize % 2] * i64::from(i + 1))).collect();
    let terms = top_k(600, 32).terms(1200, 0, &[], 0);
    let mut out = [0; 463];
    let written = encode(&mut out, &terms, terms.last, all.iter().copied());
    let count = (written.until / 2) as usize;
    let ends = [&out[..4], &out[written.len - 4..written.len]].concat();
    examples.take("body.cut", &ends);
    let decoder = Decoder::new(&out[..written.len], &terms).unwrap();
    assert_eq!(decoder.check(&[], 1200), Ok(count as u32));
    assert!(decoder.entries(&[]).eq(all[..count].iter().copied()));
    assert_eq!((count, written.len), (CUT, CUT_LEN), "as documented");
}

fn check_messages(examples: &mut Examples) {
    for (name, address, message, body) in downs() {
        let wire = emitted(|out| message.emit(address, &body, &Context::SETUP, out));
        let example = examples.take(name, &payload(&wire, &Context::SETUP).unwrap());
        assert_eq!(Down::parse(&example), Ok((address, message, &body[..])), "{name}");
    }
    for (name, message, body) in ups() {
        let wire = emitted(|out| message.emit(&body, &Context::SETUP, out));
        let example = examples.take(name, &payload(&wire, &Context::SETUP).unwrap());
        assert_eq!(Up::parse(&example), Ok((message, &body[..])), "{name}");
    }
}

fn check_frames(examples: &mut Examples) {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 7 };
    let wire = emitted(|out| hello.emit(0, &[], &Context::SETUP, out));
    let example = examples.take("frame.hello", &wire);
    let found = payload(&example, &Context::SETUP).unwrap();
    assert_eq!(Down::parse(&found), Ok((0, hello, &[][..])));

    for (name, start) in
        [("frame.round", Start::default()), ("frame.start", Start { from: 0, pace: 11 })]
    {
        let wire = emitted(|out| start.draft(&change(), &START_CONTEXT, out).close());
        let example = examples.take(name, &wire);
        let (found, kind) = round_payload(&example, Start::contexts(START_CONTEXT)).unwrap();
        assert_eq!(Start::parse(kind, &found), Ok((start, &change()[..])));
    }
    let change = LossChange::between(0, -100);
    for (name, update) in [
        ("frame.update", Update::Last(change)),
        ("frame.anew", Update::Anew(change)),
        ("frame.part", Update::Part),
    ] {
        let wire = emitted(|out| update.draft(&update8(), &UPDATE_CONTEXT, out).close());
        let example = examples.take(name, &wire);
        let around = if update == Update::Part { 6 } else { 7 };
        assert_eq!(example.len(), update8().len() + around, "documented overhead of an update");
        let (found, kind) = round_payload(&example, Update::contexts(UPDATE_CONTEXT)).unwrap();
        assert_eq!(Update::parse(kind, &found), Ok((update, &update8()[..])));
        let late = round_payload(&example, Update::contexts(START_CONTEXT));
        assert_eq!(late, Err(Reject::Checksum));
    }

    let full = [0xaau8; 254];
    let wire = emitted(|out| frame::emit(&Context::SETUP, out, |frame| frame.push(&full[..250])));
    let ends = [&wire[..3], &wire[wire.len() - 6..]].concat();
    examples.take("frame.block", &ends);
    assert_eq!((wire.len(), payload(&wire, &Context::SETUP)), (256, Ok(full[..250].to_vec())));
}

/// H of the specification.
fn derive(key: &[u8], input: &[u8]) -> [u8; 32] {
    hchacha::<R20>(&key.try_into().unwrap(), &input.try_into().unwrap()).into()
}

/// A frame sealed by `seal`.
fn sealed(mut seal: impl FnMut(&mut [u8; FRAME_LEN_MAX]) -> Option<usize>) -> Vec<u8> {
    emitted(|out| seal(out).expect("a channel"))
}

/// Deframes `wire`, opens and checks it; returns the payload.
fn opened(
    wire: &[u8],
    context: &Context,
    open: impl for<'d> FnOnce(Frame<'d>) -> Result<Frame<'d>, Reject>,
) -> Result<Vec<u8>, Reject> {
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (_, frame) = deframer.feed(wire, &mut counters);
    Ok(open(frame.expect("a frame"))?.check(context)?.to_vec())
}

fn check_seals(examples: &mut Examples) {
    let key: [u8; 32] = core::array::from_fn(|place| place as u8);
    let salt_h: Salt = core::array::from_fn(|place| 0x20 + place as u8);
    let boot: [u8; BOOT_LEN] = core::array::from_fn(|place| 0x30 + place as u8);
    let salt_b = [&boot[..], &1u32.to_le_bytes()].concat();
    examples.take("seal.key", &key);
    examples.take("seal.salt_h", &salt_h);
    examples.take("seal.salt_b", &salt_b);
    examples.take("seal.hello_key", &derive(&derive(&key, b"smidgen 1: hello"), &salt_h));
    let link = derive(&derive(&key, b"smidgen 1: link "), &salt_h);
    examples.take("seal.link_key", &derive(&link, &salt_b));

    let key = Key::new(&key).unwrap();
    let (mut host, mut worker) = (HostSeal::new(key.clone()), WorkerSeal::new(key, boot));
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 7 };
    let example = sealed(|out| host.close(hello.draft(0, &[], &Context::SETUP, out), || salt_h));
    let example = examples.take("seal.hello", &example);
    let plain = hello.emit(0, &[], &Context::SETUP, &mut [0; FRAME_LEN_MAX]);
    assert_eq!(example.len(), plain + 33);
    let found = opened(&example, &Context::SETUP, |frame| worker.open(frame)).unwrap();
    assert_eq!(Down::parse(&found), Ok((0, hello, &[][..])));

    let example = sealed(|out| worker.close(Up::Ready(READY).draft(&[], &Context::SETUP, out)));
    let example = examples.take("seal.ready", &example);
    let found = opened(&example, &Context::SETUP, |frame| host.open(frame)).unwrap();
    assert_eq!(Up::parse(&found), Ok((Up::Ready(READY), &[][..])));

    let (start, round) = (Start::default(), Context { kind: Kind::Round, ..START_CONTEXT });
    let example = sealed(|out| host.close(start.draft(&change(), &START_CONTEXT, out), || salt_h));
    let example = examples.take("seal.round", &example);
    let found = opened(&example, &round, |frame| worker.open(frame)).unwrap();
    assert_eq!(Start::parse(Kind::Round, &found), Ok((start, &change()[..])));
    assert_eq!(opened(&example, &round, |frame| worker.open(frame)), Err(Reject::Seal), "replay");

    let update = Update::Last(LossChange::between(0, -100));
    let example = sealed(|out| worker.close(update.draft(&update8(), &UPDATE_CONTEXT, out)));
    let example = examples.take("seal.update", &example);
    assert_eq!(example.len(), update8().len() + 24, "documented overhead of a sealed update");
    let of_update = Context { kind: Kind::Update, ..UPDATE_CONTEXT };
    let found = opened(&example, &of_update, |frame| host.open(frame)).unwrap();
    assert_eq!(Update::parse(Kind::Update, &found), Ok((update, &update8()[..])));
}

fn check_numbers(examples: &mut Examples) {
    examples.take("schema", &SCHEMA);
    examples.take("checksum", &frame::checksum(b"123456789").to_le_bytes());
    let mut x = [0; 1];
    assert_eq!(start::fill(&mut x, 1), 30);
    examples.take("start", &x[0].to_le_bytes());
    let rows: Vec<_> = Batch { size: 5, seed: 7 }.selection(1, 3).runs(20).flatten().collect();
    examples.take("batch", &rows.iter().map(|&row| row as u8).collect::<Vec<_>>());
    examples.take("digest", &digest::vector(&[1, 0, -2]).to_le_bytes());
    let changes = [0, 5, -5, 100, -100, 70_000, -Loss::MAX].map(|now| {
        let update = Update::Last(LossChange::between(0, now));
        let wire = emitted(|out| update.draft(&[], &UPDATE_CONTEXT, out).close());
        round_payload(&wire, Update::contexts(UPDATE_CONTEXT)).unwrap().0[0]
    });
    examples.take("loss.changes", &changes);
    let context = [&SESSION.to_le_bytes()[..], &[1, 0], &3u32.to_le_bytes(), &[0; 4]].concat();
    let context = examples.take("context", &context);
    // A frame's checksum covers its payload and the context.
    let wire = emitted(|out| frame::emit(&UPDATE_CONTEXT, out, |frame| frame.push(b"smidgen")));
    let sum = frame::checksum(&[b"smidgen", &context[..]].concat()).to_le_bytes();
    assert_eq!(wire[8..12], sum, "COBS leaves bytes other than zero unchanged");
}

/// A shard with the given sections, each padded to a multiple of four bytes.
fn shard(header: &Header, sections: &[&[u8]]) -> Vec<u8> {
    sections.iter().fold(header.emit().to_vec(), |mut bytes, section| {
        bytes.extend_from_slice(section);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    })
}

fn check_shards(examples: &mut Examples) {
    let ones = [1i32 << 30; 4].map(i32::to_le_bytes).concat();
    let exponents = [30i16, 34, -1, 31].map(i16::to_le_bytes).concat();
    let dense = Header {
        rows: 2,
        dimension: 3,
        sparse: false,
        width: Width::I8,
        nonzeros: 6,
        label_width: Width::I16,
        classes: 0,
    };
    let targets = [300i16, -1].map(i16::to_le_bytes).concat();
    let bytes = shard(&dense, &[&ones, &exponents, &targets, &[16, 0xff, 0, 3, 0x80, 1]]);
    let example = aligned(&examples.take("shard.dense", &bytes));
    let found = Shard::open(bytemuck::cast_slice(&example)).unwrap();
    assert_eq!((found.check(), found.header), (Ok(()), dense));
    assert_eq!(found.scale(1), Ratio { mantissa: 1 << 30, exponent: 34 });
    assert_eq!(found.label_scale(), Ratio { mantissa: 1 << 30, exponent: 31 });
    assert!(matches!(found.labels, Labels::I16([300, -1])));
    assert!(matches!(found.columns, Columns::Dense));
    assert!(matches!(found.values, Values::I8([16, -1, 0, 3, -128, 1])));

    let exponents = [30i16; 4].map(i16::to_le_bytes).concat();
    let one_hot = Header {
        rows: 2,
        sparse: true,
        width: Width::Unit,
        nonzeros: 3,
        label_width: Width::Unit,
        classes: 2,
        ..dense
    };
    let bytes = shard(&one_hot, &[&ones, &exponents, &[0b10], &[2, 0, 1, 0], &[0, 2, 1]]);
    let example = aligned(&examples.take("shard.one_hot", &bytes));
    let found = Shard::open(bytemuck::cast_slice(&example)).unwrap();
    assert_eq!((found.check(), found.header), (Ok(()), one_hot));
    assert_eq!([found.label(0), found.label(1)], [0, 1]);
    assert!(matches!(found.columns, Columns::U8([2, 1], [0, 2, 1])));
    assert!(matches!(found.values, Values::Unit));
}

fn check_recorded(examples: &mut Examples) {
    let classes: Vec<_> = RECORDS.classes().collect();
    let (rest, run) = (("rest", 30, 0), ("run", 300, 7));
    let expected = [rest, run].map(|(name, training, test)| ClassRecords { name, training, test });
    assert_eq!(classes, expected);
    let columns: Vec<_> = RECORDS.columns().take(RECIPE.row_len()).collect();
    assert_eq!(columns, [13, 9, 9, 10, 8, 8, 12, 0, 9]);

    let mut class_map = [-1; 16];
    class_map[..3].copy_from_slice(&[1, -1, 0]);
    let features = Features::NONE.with(Feature::Mean).with(Feature::Rms);
    let rows = RecordedRows {
        rows: 30,
        classes: 2,
        checksum: 0x1234_5678,
        recipe: Recipe { channels: 1, features, ..RECIPE },
        scale_mantissas: &[1 << 30; 3],
        scale_exponents: &[43, 39, 30],
        class_map: &class_map,
        names: b"\x03run\x04rest",
    };
    let bytes = encoded(|out| rows.write(out).unwrap());
    let example = aligned(&examples.take("shard.recorded", &bytes));
    assert_eq!(RecordedRows::open(bytemuck::cast_slice(&example)), Ok(rows));

    let mut checksum = RowsChecksum::default();
    checksum.add(&[-2, 256], 1, true);
    checksum.add(&[1, 0], 0, false);
    examples.take("rows", &checksum.value().to_le_bytes());
}

fn aligned(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words.map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect()
}

#[test]
fn examples_match_code() {
    let mut examples = Examples::read();
    check_numbers(&mut examples);
    check_bodies(&mut examples);
    check_messages(&mut examples);
    check_frames(&mut examples);
    check_seals(&mut examples);
    check_shards(&mut examples);
    check_recorded(&mut examples);
    assert!(examples.0.is_empty(), "examples without a test: {:?}", examples.0.keys());
}

#[test]
fn arithmetic_matches_code() {
    let mut seen = BTreeSet::new();
    for line in fenced("arithmetic") {
        let (left, right) = line.split_once('=').expect("an equation");
        let (function, arguments) = left.split_once('(').expect("a function");
        let numbers: Vec<i64> = arguments
            .trim_end_matches([' ', ')'])
            .split(", ")
            .map(|n| n.parse().unwrap())
            .collect();
        let value = match (function, &numbers[..]) {
            ("round", &[v, s]) => round_shift(v, s as i32),
            ("scale", &[m, e, v, s]) => {
                Ratio { mantissa: m as i32, exponent: e as i16 }.scale(v, s as i32)
            }
            ("paced", &[m, e, pace, v]) => {
                let gamma_n = Ratio { mantissa: m as i32, exponent: e as i16 };
                Rule { gamma_n, ..Rule::default() }.paced(pace as u8).gamma_n.scale(v, 0)
            }
            _ => panic!("{line}"),
        };
        assert_eq!(right.trim().parse(), Ok(value), "{line}");
        seen.insert(function);
    }
    assert_eq!(seen, BTreeSet::from(["round", "scale", "paced"]));
}

/// log2 of the binomial coefficient.
fn log2_choose(d: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(d - i).log2() - f64::from(k - i).log2()).sum()
}

/// Mean length in bytes of 1000 bodies with random index sets, from a congruential generator with seed 1.
fn mean_body_len(d: u32, k: u32, value_bits: u8) -> f64 {
    let (mut state, mut len, trials) = (1u64, 0, 1000);
    for _ in 0..trials {
        let mut indices = BTreeSet::new();
        while indices.len() < k as usize {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            indices.insert((((state >> 32) * u64::from(d)) >> 32) as u32);
        }
        let mut mantissa = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let magnitude = 1 + (state >> 1 >> (64 - value_bits)) as i64;
            if state >> 63 == 0 { magnitude } else { -magnitude }
        };
        let entries: Vec<Entry> = indices.into_iter().map(|index| (index, mantissa())).collect();
        let terms = top_k(k, value_bits).terms(d, 0, &[], 0);
        len += body(&terms, terms.last, &entries).len();
    }
    len as f64 / f64::from(trials)
}

#[test]
fn size_table_matches_measurement() {
    let rows: Vec<String> = [(64, 4, 8), (112, 1, 32), (1024, 10, 8), (10467, 523, 8)]
        .map(|(d, k, b)| {
            let limit = (log2_choose(d, k) + f64::from(k) * f64::from(b)) / 8.0;
            let mean = mean_body_len(d, k, b);
            let excess = 100.0 * (mean / limit - 1.0);
            format!("| {d} | {k} | {b} | {limit:.2} | {mean:.2} | {excess:.1} % |")
        })
        .to_vec();
    for row in &rows {
        assert!(SPECIFICATION.contains(row), "the table should contain\n{}", rows.join("\n"));
    }
}
