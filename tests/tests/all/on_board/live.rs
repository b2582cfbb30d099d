//! Live windows: classes and scores of a board against the code of the host, and why it sees nothing.

mod kept;
mod loaded;

use super::*;
use smidgen_firmware::live::Model;
use smidgen_firmware::objective::{Classes, ObjectiveSet};
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::store::Store;
use smidgen_firmware::remote::{Indicator, RemoteRecorder};
use smidgen_protocol::message::{Live, LiveState, Part, Seen};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::sparse::{Form, Terms, encode};
use smidgen_tests::recording::{RATE_MAX_MILLIHERTZ, Script, WINDOW_LEN_MAX, without_rows};
use std::ops::Range;

fn live(host: &mut Host<Objectives>) -> Vec<u8> {
    let echo = host.next_ticket();
    let answer = ask(host, Down::Live { echo, identity: BOARD.identity }, &[]);
    recording::payload(&answer)
}

fn seen(payload: &[u8]) -> Live<'_> {
    match Up::parse(payload) {
        Ok((Up::Live(live), [])) => live,
        other => panic!("not what a board sees: {other:?}"),
    }
}

/// Lets the sensor deliver samples.
fn watch(host: &mut Host<Objectives>, samples: Vec<Option<[i16; CHANNELS]>>) {
    let Host { recorder, worker, objectives, .. } = host;
    recorder.as_mut().expect("a board with a recorder").watch(worker, objectives, samples);
}

/// The rows of samples without a gap, by a recorder of the host.
fn rows_of(samples: &[Option<[i16; CHANNELS]>]) -> Vec<Vec<i16>> {
    let mut window = [0; WINDOW_LEN_MAX];
    let store = Store::open(Flash::new(8)).expect("whole pages");
    let mut recorder = Recorder::new(store, &mut window);
    recorder.begin(&RECIPE, "any", false).expect("an empty store");
    for sample in samples.iter().flatten() {
        recorder.sample(sample).expect("room");
    }
    let mut rows: Vec<_> = recorder.store().rows().collect();
    rows.reverse();
    rows.iter().map(|row| recorder.store().values_of(row).to_vec()).collect()
}

fn aligned(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words.map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes"))).collect()
}

/// Class and score of a row, as a host computes them.
fn on_host(host: &Host<Objectives>, row: &[i16]) -> Classes {
    let words = aligned(&host.data);
    let recorded = RecordedRows::open(bytemuck::cast_slice(&words)).expect("rows on the board");
    let objective = Objectives::find(host.configure.objective).expect("an objective");
    let x = host.worker.state().expect("a configured worker").0;
    let mut scratch = vec![-1; (objective.scratch_len)(x.len())];
    let model = Model { objective, x, x_exponent: host.exponents.x };
    model.classify(&recorded, row, &mut Objectives, &mut scratch).expect("classes")
}

/// A board that trained on rows of its own, and the names of the run's classes.
fn trained(problem: usize) -> (Host<Objectives>, Vec<&'static str>) {
    let (objective, dimension, classes, map) = problems().remove(problem);
    let mut host = host(objective, dimension);
    let status = recorded(&mut host);
    set_data(&mut host, rows_on_board(&records(&status), &map, classes));
    set_up(&mut host);
    train(&mut host, 25);
    let of_run = |class: u8| map.iter().position(|&of_run| of_run == class.cast_signed());
    let name = |class| ["rest", "run", "walk"][of_run(class).expect("a class of the board")];
    (host, (0..classes).map(name).collect())
}

/// Gives the model of a board to another one, which has no rows.
fn loaded(from: &Host<Objectives>, data: Vec<u8>) -> Host<Objectives> {
    let mut host = host(from.configure.objective, from.configure.dimension as usize);
    boot(&mut host, Flash::new(8));
    set_data(&mut host, data);
    set_up(&mut host);
    send_model(&mut host, from.worker.state().expect("a configured worker").0);
    host
}

/// Sends x in two parts.
fn send_model(host: &mut Host<Objectives>, x: &[i32]) {
    let until = x.len() as u32;
    send_part(host, Part::Model, 0..until / 2, x);
    send_part(host, Part::Model, until / 2..until, x);
}

/// Sends these coordinates of x.
fn send_part(host: &mut Host<Objectives>, part: Part, range: Range<u32>, x: &[i32]) {
    let entries = range.clone().map(|j| (j, i64::from(x[j as usize]))).filter(|e| e.1 != 0);
    let mut body = [0; 463];
    let form = Form { value_bits: 32, ..Form::FIRST };
    let len = encode(&mut body, &host.twin.terms(part, range.start), form, entries).len;
    let Range { start: from, end: until } = range;
    let part = Down::Part { ticket: host.next_ticket(), part, from, until };
    assert_eq!(host.acknowledged(part, &body[..len]), until);
}

#[test]
fn live_windows_are_classified_as_by_the_host() {
    for problem in 0..problems().len() {
        let (mut host, names) = trained(problem);
        let x: Vec<_> = host.model.x.iter().map(|&m| f64::from(m) / 24f64.exp2()).collect();
        let objective = host.configure.objective;
        let words = aligned(&host.data);
        let recorded = RecordedRows::open(bytemuck::cast_slice(&words)).expect("rows");
        assert!(recorded.names().eq(names.iter().copied()));
        let status = live(&mut host);
        let before = seen(&status);
        assert_eq!((before.state, before.latest), (LiveState::Watching, None));
        assert_eq!((before.recipe, before.channels), (Some(RECIPE), CHANNELS as u8));
        let mut windows = 0;
        let mut found = std::collections::BTreeSet::new();
        for class in [0, 1, 2, 1, 0] {
            // Windows reach back into the samples before.
            let samples = samples(class, 40, 70 + class as u64);
            for sample in samples {
                watch(&mut host, vec![sample]);
                let status = live(&mut host);
                let now = seen(&status);
                if now.windows > windows {
                    windows = now.windows;
                    found.insert(now.latest.expect("a window").class);
                }
            }
        }
        assert_eq!((windows, seen(&live(&mut host)).samples), (RECIPE.rows(200), 200));
        assert!(found.len() > 1, "{objective} sees {found:?}");

        // Each window by itself, against the host's integers and f64.
        for class in 0..3 {
            let status = command(&mut host, Command::Status);
            assert!(!records(&status).is_open);
            watch(&mut host, vec![None]);
            let samples = samples(class, 50, 90 + class as u64);
            for (nth, row) in rows_of(&samples).iter().enumerate() {
                let until = 20 + 10 * nth;
                let from = if nth == 0 { 0 } else { until - 10 };
                watch(&mut host, samples[from..until].to_vec());
                let status = live(&mut host);
                let latest = seen(&status).latest.expect("a window");
                let Classes { class, score, exponent, .. } = on_host(&host, row);
                let name = names[usize::from(class)];
                assert_eq!(latest, Seen { class, name, score, exponent }, "{objective}");
                let a: Vec<_> = row
                    .iter()
                    .zip(recorded.scale_exponents)
                    .map(|(&q, &scale)| f64::from(q) * f64::from(30 - scale).exp2())
                    .collect();
                assert_eq!(usize::from(class), class_of(objective, &x, &a, names.len()));
            }
        }
    }
}

#[test]
fn run_is_the_same_with_and_without_live_windows() {
    for problem in 0..problems().len() {
        let (mut quiet, _) = trained(problem);
        let (mut watching, _) = trained(problem);
        for round in 0..6 {
            watch(&mut watching, samples(round % 3, 45, round as u64));
            let message = quiet.step_and_tell();
            assert_eq!(message, watching.step_and_tell());
            let update = quiet.deliver(&message);
            assert_eq!(update, watching.deliver(&message));
            // Also while the host may ask for the update again.
            watch(&mut watching, samples(round % 3, 45, round as u64));
            assert_eq!(quiet.deliver(&message), watching.deliver(&message));
            quiet.collect(update.clone().expect("an update"));
            watching.collect(update.expect("an update"));
        }
        assert!(seen(&live(&mut watching)).windows > 20);
        assert_eq!(quiet.worker.state(), watching.worker.state());
    }
}

#[test]
fn board_says_why_it_sees_nothing() {
    let (trained, _) = trained(0);
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);

    // For another board.
    let other = Down::Live { echo: 1, identity: BOARD.identity ^ 1 };
    assert_eq!(source.deliver(&source.frame(other, &[])), None);
    // Without a recorder.
    let mut plain = host("softmax", 30);
    assert_eq!(seen(&live(&mut plain)), Live::none(plain.ticket));
    // Without a model, with half of one, and with a whole one.
    let mut board = host("softmax", 30);
    boot(&mut board, Flash::new(8));
    assert_eq!(seen(&live(&mut board)).state, LiveState::NoModel);
    set_data(&mut board, data.clone());
    set_up(&mut board);
    let ticket = board.next_ticket();
    let half = Down::Part { ticket, part: Part::Model, from: 15, until: 30 };
    let mut body = [0; 64];
    let len = encode(&mut body, &Terms::plain(30, 15), Form::FIRST, [].into_iter()).len;
    assert_eq!(board.acknowledged(half, &body[..len]), 30);
    assert_eq!(seen(&live(&mut board)).state, LiveState::NoModel);
    let keep = Down::Keep { ticket: board.next_ticket() };
    assert_eq!(board.deliver(&board.frame(keep, &[])), None, "no model to keep");
    send_model(&mut board, trained.worker.state().unwrap().0);
    let status = live(&mut board);
    assert_eq!((seen(&status).state, seen(&status).recipe), (LiveState::Watching, Some(RECIPE)));
    watch(&mut board, samples(0, 30, 1));
    // While a recording is open, and after it.
    let start =
        Command::Start { recording: 1, recipe: RECIPE, class: "rest", is_test: false, samples: 0 };
    assert_eq!(outcome(&mut board, start), Outcome::Done);
    let status = live(&mut board);
    assert_eq!((seen(&status).state, seen(&status).windows), (LiveState::Recording, 2));
    recorder(&mut board).feed(samples(0, 15, 1));
    assert_eq!(outcome(&mut board, Command::Stop { recording: 1 }), Outcome::Done);
    // No window spans the recording.
    watch(&mut board, samples(0, 19, 1));
    assert_eq!(seen(&live(&mut board)).windows, 2);
    watch(&mut board, samples(0, 1, 1));
    assert_eq!(seen(&live(&mut board)).windows, 3);
    // Nor a gap.
    let mut with_gap = samples(0, 35, 2);
    with_gap[5] = None;
    watch(&mut board, with_gap);
    let status = live(&mut board);
    assert_eq!((seen(&status).windows, seen(&status).gaps), (4, 1));
    // A window that is longer than the memory for samples, and one channel too many.
    let recipe_at = 20;
    let mut long = data.clone();
    long[recipe_at..recipe_at + 2].copy_from_slice(&30u16.to_le_bytes());
    let board = loaded(&trained, long);
    let need = 30 * CHANNELS as u32;
    let state = LiveState::Window { need, room: WINDOW_LEN_MAX as u32 };
    let mut board = board;
    assert_eq!(seen(&live(&mut board)).state, state);
    watch(&mut board, samples(0, 30, 1));
    assert_eq!(seen(&live(&mut board)).latest, None);
    // More samples a second than the sensor takes.
    let mut fast = data.clone();
    let rate_at = recipe_at - 4;
    fast[rate_at..recipe_at].copy_from_slice(&(RATE_MAX_MILLIHERTZ + 1).to_le_bytes());
    let mut board = loaded(&trained, fast);
    assert_eq!(seen(&live(&mut board)).state, LiveState::Rate);
}

/// A board that shows what it does.
#[derive(Debug, Default)]
struct Shown(Vec<String>);

impl Indicator for Shown {
    fn show(&mut self, class: Option<u8>) {
        self.0.push(class.map_or("nothing".into(), |class| class.to_string()));
    }

    fn record(&mut self, is_recording: bool) {
        self.0.push(format!("recording {is_recording}"));
    }
}

#[test]
fn indicator_shows_classes_and_recordings() {
    let (mut host, _) = trained(0);
    let flash = recorder(&mut host).flash().clone();
    let window = vec![0; WINDOW_LEN_MAX].leak();
    let store = Recorder::new(Store::open(flash).expect("whole pages"), window);
    let mut remote = RemoteRecorder::with_indicator(store, Script::default(), Shown::default());
    let mut out = [0; FRAME_LEN_MAX];
    assert_eq!(remote.serve(&mut host.worker, &mut Objectives, &mut out), None);
    let expected = on_host(&host, rows_of(&samples(1, 20, 3)).last().expect("a row"));
    remote.sensor_mut().samples.extend(samples(1, 20, 3));
    while remote.is_watching() && !remote.sensor_mut().samples.is_empty() {
        remote.watch(&mut host.worker, &mut Objectives);
    }
    assert!(remote.toggle(&mut host.worker, &RECIPE, "rest"));
    assert!(!remote.is_watching());
    remote.sensor_mut().samples.extend(samples(1, 20, 3));
    (0..20).for_each(|_| assert!(remote.poll()));
    assert!(!remote.toggle(&mut host.worker, &RECIPE, "rest"));
    // A run that begins has no model yet.
    host.stage = smidgen_tests::host::Stage::Configure;
    let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
    host.worker.receive(&host.frame(configure, &[]));
    assert_eq!(remote.serve(&mut host.worker, &mut Objectives, &mut out), None);
    let shown = &remote.indicator().0;
    let class = expected.class.to_string();
    let recording = ["recording true", "recording false"];
    assert_eq!(*shown, [&["nothing", &class], &recording[..], &["nothing"]].concat());
}
