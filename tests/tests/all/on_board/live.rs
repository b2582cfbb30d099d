//! Live windows: classes and scores of a board against the code of the host, loaded models, and models in flash.

use super::main_loop::{Line, Port};
use super::*;
use proptest::prelude::*;
use smidgen_firmware::journal::{
    DataChunk, DataId, FlashJournal, Journal, LocalState, ModelHead, StoredModel,
};
use smidgen_firmware::live::Model;
use smidgen_firmware::objective::{Classes, ObjectiveSet};
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::store::Store;
use smidgen_firmware::remote::{Indicator, RemoteRecorder};
use smidgen_firmware::run::sync_journal;
use smidgen_protocol::message::{Live, LiveState, Part, SCHEMA, Seen, VERSION};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::seal::{BOOT_LEN, HostSeal, Key, WorkerSeal};
use smidgen_protocol::sparse::{Encoder, Packing};
use smidgen_tests::flash::{DATA_PAGES, PAGES, Tear};
use smidgen_tests::recording::{RATE_MAX_MILLIHERTZ, Script, WINDOW_LEN_MAX, without_rows};

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
    for (from, until) in [(0, until / 2), (until / 2, until)] {
        let entries = (from..until).map(|j| (j, i64::from(x[j as usize]))).filter(|e| e.1 != 0);
        let mut body = [0; 463];
        let packing = Packing::new(x.len() as u32, until - from, 32);
        let mut encoder = Encoder::described(&mut body, packing, 0, from);
        entries.for_each(|(j, mantissa)| encoder.push(j, mantissa).expect("room"));
        let len = encoder.finish();
        let ticket = host.next_ticket();
        let part = Down::Part { ticket, part: Part::Model, from, until };
        assert_eq!(host.acknowledged(part, &body[..len]), until);
    }
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
fn board_without_rows_takes_a_model_and_refuses_gradients() {
    for problem in 0..problems().len() {
        let (trained, _) = trained(problem);
        let (.., classes, map) = problems().remove(problem);
        let mut source = super::host("softmax", 30);
        let status = recorded(&mut source);
        let data = without_rows(&records(&status), &map, classes);
        let mut board = loaded(&trained, data.clone());
        let samples = samples(1, 60, 5);
        watch(&mut board, samples.clone());
        let row = rows_of(&samples).pop().expect("a row");
        let Classes { class, score, exponent, .. } = on_host(&trained, &row);
        let status = live(&mut board);
        let latest = seen(&status).latest.expect("a window");
        assert_eq!((latest.class, latest.score, latest.exponent), (class, score, exponent));

        let ticket = board.next_ticket();
        for asked in [
            Down::Probe { ticket, exponents: board.exponents },
            Down::Curvature { ticket: ticket + 1 },
            Down::Begin { ticket: ticket + 2, round: 0 },
            Down::Begin { ticket: ticket + 3, round: 7 },
            Down::Score { ticket: ticket + 4 },
        ] {
            assert_eq!(board.refused(asked, &[]), Refusal::Data, "{asked:?}");
            board.stage = smidgen_tests::host::Stage::Begin;
        }
        // Nor does a round begin.
        assert!(!board.send(&board.frame(Down::Round { from: 0 }, &[])));
        assert_eq!(board.serve(), None);
        // The model is there as before, also with rows of the board's own.
        super::record(&mut board, (0, "sleep"), false, 60);
        let status = live(&mut board);
        let after = seen(&status);
        assert_eq!((after.state, after.windows), (LiveState::Watching, RECIPE.rows(60)));
        assert_eq!(after.latest, Some(latest));
    }
}

#[test]
fn models_that_a_board_cannot_use_are_refused() {
    let (from, _) = trained(0);
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);
    let refused = |objective, dimension, data: &[u8]| {
        let mut host = host(objective, dimension);
        boot(&mut host, Flash::new(8));
        set_data(&mut host, data.to_vec());
        let (configure, _) = host.setup_message(1).unwrap();
        assert_eq!(host.acknowledged(configure, &[]), 0);
        host.refused(Down::Data { ticket: 2, offset: 0 }, data)
    };
    // Dimensions that are no model of nine columns and three classes, and an objective without classes.
    assert_eq!(refused("softmax", 31, &data), Refusal::Data);
    assert_eq!(refused("softmax", 20, &data), Refusal::Data);
    assert_eq!(refused("perceptron", 14, &data), Refusal::Data);
    assert_eq!(refused("logistic", 9, &data), Refusal::Data);
    assert_eq!(refused("least-squares", 9, &data), Refusal::Objective);
    // A board without a recorder has no windows.
    let mut host = host("softmax", 30);
    set_data(&mut host, data.clone());
    let (configure, _) = host.setup_message(1).unwrap();
    assert_eq!(host.acknowledged(configure, &[]), 0);
    assert_eq!(host.refused(Down::Data { ticket: 2, offset: 0 }, &data), Refusal::Data);
    // Rows that were sent have no recipe, so their model is not kept.
    let rows = recorder(&mut source).rows(false);
    let sent = shard(&rows, &scale_exponents(&records(&status)), &map, classes);
    let mut host = super::host("softmax", 30);
    boot(&mut host, Flash::new(8));
    set_data(&mut host, sent);
    set_up(&mut host);
    send_model(&mut host, from.worker.state().unwrap().0);
    let keep = Down::Keep { ticket: host.next_ticket() };
    assert_eq!(host.refused(keep, &[]), Refusal::Data);
    assert_eq!(seen(&live(&mut host)).state, LiveState::NoModel);
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
    let mut body = [0; 8];
    let len = Encoder::described(&mut body, Packing::new(30, 0, 2), 0, 15).finish();
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

#[test]
fn model_that_is_loaded_does_not_end_a_recording() {
    let (trained, _) = trained(0);
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);
    let mut board = host("softmax", 30);
    boot(&mut board, Flash::new(8));
    let start =
        Command::Start { recording: 1, recipe: RECIPE, class: "rest", is_test: false, samples: 40 };
    assert_eq!(outcome(&mut board, start), Outcome::Done);
    recorder(&mut board).feed(samples(0, 25, 1));
    set_data(&mut board, data);
    set_up(&mut board);
    send_model(&mut board, trained.worker.state().unwrap().0);
    assert_eq!(seen(&live(&mut board)).state, LiveState::Recording);
    recorder(&mut board).feed(samples(0, 15, 1));
    let status = command(&mut board, Command::Status);
    assert_eq!((records(&status).outcome, records(&status).progress.rows), (Outcome::Done, 3));
    assert_eq!(seen(&live(&mut board)).state, LiveState::Watching);
}

#[test]
fn model_stays_when_rows_change_and_goes_with_the_next_session() {
    let (mut host, _) = trained(0);
    let samples = samples(2, 60, 8);
    let expected = on_host(&host, rows_of(&samples).last().expect("a row"));
    super::record(&mut host, (0, "rest"), false, 30);
    assert_eq!(host.worker.state(), None, "a change of rows ends the session");
    watch(&mut host, samples);
    let status = live(&mut host);
    let latest = seen(&status).latest.expect("a window");
    assert_eq!((latest.class, latest.score), (expected.class, expected.score));
    let clear = Command::Clear { recording: 8 };
    assert_eq!(outcome(&mut host, clear), Outcome::Done);
    assert_eq!(seen(&live(&mut host)).state, LiveState::Watching);
    host.stage = smidgen_tests::host::Stage::Configure;
    let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
    host.acknowledged(configure, &[]);
    let status = live(&mut host);
    assert_eq!((seen(&status).state, seen(&status).windows), (LiveState::NoModel, 0));
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

/// A worker after a boot with a journal.
fn start(flash: Flash, len: usize) -> (Worker<Vec<u64>>, FlashJournal<Flash>) {
    let mut memory = vec![u64::MAX; len / 8];
    let journal = FlashJournal::open(flash, DATA_PAGES, &mut memory);
    let mut worker = Worker::new::<Objectives>(BOARD, memory);
    worker.enable_recorder();
    (worker, journal)
}

#[test]
fn kept_model_classifies_after_a_power_cut() {
    for problem in 0..problems().len() {
        let (mut host, names) = trained(problem);
        let samples = samples(1, 60, 5);
        let expected = on_host(&host, rows_of(&samples).last().expect("a row"));
        // Without a journal there is no place.
        let keep = Down::Keep { ticket: host.next_ticket() };
        assert_eq!(host.acknowledged(keep, &[]), 0);
        let (_, mut journal) = start(Flash::new(PAGES), MEMORY);
        sync_journal(&mut host.worker, &mut journal);
        let keep = Down::Keep { ticket: host.next_ticket() };
        host.send(&host.frame(keep, &[]));
        sync_journal(&mut host.worker, &mut journal);
        let answer = host.serve().expect("an answer");
        let kept = Up::Ack { ticket: keep.ticket().unwrap(), value: 1 };
        let payload = payload(&answer, &host.worker_context());
        assert_eq!(Up::parse(&payload), Ok((kept, &[][..])));
        assert_eq!(host.ask(keep, &[]), answer, "the answer is given again");

        // A run on other data does not lose it, in memory of any length that has room for it.
        let other = vec![7; 900];
        let data_id = DataId { checksum: checksum(&other), len: 900 };
        for (offset, bytes) in (0..).step_by(512).zip(other.chunks(512)) {
            journal.store_data(&DataChunk { data_id, offset, bytes });
        }
        let mantissas = [5; 40];
        journal.store_local_state(&LocalState { name: 1, exponent: 2, mantissas: &mantissas });
        let flash = journal.close();
        for len in [MEMORY, 4096] {
            let (worker, mut journal) = start(flash.clone(), len);
            host.restart(worker);
            host.worker.restore_model(&mut journal, &mut Objectives);
            host.recorder = Some(ScriptedRecorder::new(Flash::new(8)));
            let status = live(&mut host);
            assert_eq!(seen(&status).state, LiveState::Watching);
            watch(&mut host, samples.clone());
            let status = live(&mut host);
            let latest = seen(&status).latest.expect("a window");
            let Classes { class, score, exponent, .. } = expected;
            let name = names[usize::from(class)];
            assert_eq!(latest, Seen { class, name, score, exponent });
        }
        // The data of the run are still where its worker expects them.
        let mut memory = vec![0; MEMORY / 8];
        let mut journal = FlashJournal::open(flash.clone(), DATA_PAGES, &mut memory);
        let mut worker = Worker::new::<Objectives>(BOARD, &mut memory[..]);
        worker.restore_model(&mut journal, &mut Objectives);
        assert!(worker.model_number().is_some());
        assert_eq!(bytemuck::cast_slice::<_, u8>(&memory)[..900], other);
        // Too little memory for the model, and for both the model and the data.
        for len in [256, 1000] {
            let mut memory = vec![0; len / 8];
            let mut journal = FlashJournal::open(flash.clone(), DATA_PAGES, &mut memory);
            let data = memory.clone();
            let mut worker = Worker::new::<Objectives>(BOARD, &mut memory[..]);
            worker.restore_model(&mut journal, &mut Objectives);
            assert_eq!(worker.model_number(), None, "{len}");
            assert_eq!(memory, data);
        }
    }
}

/// Stores a model of this length.
fn store(journal: &mut FlashJournal<Flash>, seed: u8, len: usize) -> bool {
    let head = ModelHead { objective: 7, dimension: seed.into(), data_len: 9, x_exponent: -3 };
    journal.store_model(&StoredModel { head, bytes: &vec![seed; len] })
}

/// The model in a journal after a restart: its seed.
fn kept(journal: FlashJournal<Flash>, lens: &[(u8, usize)]) -> (FlashJournal<Flash>, Option<u8>) {
    let mut flash = journal.close();
    flash.restore_power();
    let mut journal = FlashJournal::open(flash, DATA_PAGES, &mut vec![0; 2048]);
    let Some(head) = journal.model_head() else { return (journal, None) };
    assert_eq!((head.objective, head.data_len, head.x_exponent), (7, 9, -3));
    let seed = head.dimension as u8;
    let len = lens.iter().find(|of| of.0 == seed).expect("a model that was stored").1;
    let mut bytes = vec![0; len];
    assert!(journal.load_model(&mut bytes));
    assert_eq!(bytes, vec![seed; len]);
    assert!(!journal.load_model(&mut vec![0; len + 8]));
    (journal, Some(seed))
}

#[test]
fn a_power_cut_at_any_word_leaves_old_or_new_model() {
    let lens = [(1, 2504), (2, 1200), (3, 3000)];
    for tear in Tear::ALL {
        let mut cuts_that_hurt = 0;
        for words in 1.. {
            let mut journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
            assert!(store(&mut journal, 1, lens[0].1));
            assert!(store(&mut journal, 2, lens[1].1));
            let mut flash = journal.close();
            flash.set_tear(tear);
            flash.cut_after(words);
            let mut journal = FlashJournal::open(flash, DATA_PAGES, &mut vec![0; 2048]);
            let is_kept = store(&mut journal, 3, lens[2].1);
            let is_cut = journal.flash().is_cut();
            let (journal, found) = kept(journal, &lens);
            assert!(found == Some(3) || found == Some(2) && !is_kept, "cut after {words} words");
            cuts_that_hurt += u32::from(found == Some(2));
            // And the journal goes on.
            let mut journal = journal;
            assert!(store(&mut journal, 1, lens[0].1));
            assert_eq!(kept(journal, &lens).1, Some(1));
            if !is_cut {
                break;
            }
        }
        assert!(cuts_that_hurt > 700, "{cuts_that_hurt}");
    }
}

#[test]
fn model_that_has_no_room_beside_the_old_one_is_not_kept() {
    let mut journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
    assert!(store(&mut journal, 1, 8000));
    assert!(!store(&mut journal, 2, 9000));
    assert_eq!(kept(journal, &[(1, 8000)]).1, Some(1));
    // A flash without pages for models.
    let mut journal = FlashJournal::open(Flash::new(33), DATA_PAGES, &mut []);
    assert!(!store(&mut journal, 1, 8));
    assert_eq!(kept(journal, &[]).1, None);
}

proptest! {
    #[test]
    fn models_survive_worn_out_pages(
        lens in prop::collection::vec(1..2000usize, 1..30),
        worn in prop::collection::vec(0..16 * 1024usize, 1..4),
    ) {
        let mut journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
        let first = (PAGES - 16) * 1024;
        worn.iter().for_each(|&offset| journal.flash().wear_out(first + offset));
        for (seed, len) in (1..).zip(lens) {
            let lens = [(seed, len / 8 * 8)];
            prop_assert!(store(&mut journal, seed, lens[0].1));
            let found;
            (journal, found) = kept(journal, &lens);
            prop_assert_eq!(found, Some(seed));
        }
    }
}

#[test]
fn main_loop_watches_while_the_line_is_quiet_and_again_after_a_power_cut() {
    let (trained, names) = trained(0);
    let samples = samples(1, 55, 5);
    let expected = on_host(&trained, rows_of(&samples).last().expect("a row"));
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);
    for is_sealed in [false, true] {
        let key = Key::new(&[9; 32]).expect("a key");
        let boot = |flash: Flash, boot: u8| {
            let (mut worker, mut journal) = start(flash, MEMORY);
            worker.restore_model(&mut journal, &mut Objectives);
            if is_sealed {
                worker.seal(WorkerSeal::new(key.clone(), [boot; BOOT_LEN]));
            }
            let (port, recorder) = (Port::default(), ScriptedRecorder::new(Flash::new(4)));
            let seal = is_sealed.then(|| HostSeal::new(key.clone()));
            let mut line = Line { port, worker, recorder, journal, seal };
            let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
            assert!(matches!(Up::parse(&line.ask(hello, 0)), Ok((Up::Ready(_), []))));
            line
        };
        let mut line = boot(Flash::new(PAGES), 5);
        let question = Down::Live { echo: 3, identity: BOARD.identity };
        assert_eq!(seen(&line.ask(question, 0)).state, LiveState::NoModel);
        let configure = Configure {
            ticket: 1,
            data_len: data.len() as u32,
            data_checksum: checksum(&data),
            ..trained.configure
        };
        let down = Context::downlink(configure.session);
        let up = Context { worker: configure.worker, ..down };
        line.ask_in(&Context::SETUP, &up, Down::Configure(configure), &[], 0);
        line.ask_in(&down, &up, Down::Data { ticket: 2, offset: 0 }, &data, 0);
        let exponents = trained.exponents;
        let announce = Down::Announce { ticket: 3, exponents, gamma_n: Ratio::ONE };
        line.ask_in(&down, &up, announce, &[], 0);
        let x = trained.worker.state().unwrap().0;
        let mut body = [0; 463];
        let mut encoder = Encoder::described(&mut body, Packing::new(30, 30, 32), 0, 0);
        (0..).zip(x).for_each(|(j, &m)| encoder.push(j, m.into()).expect("room"));
        let len = encoder.finish();
        let part = Down::Part { ticket: 4, part: Part::Model, from: 0, until: 30 };
        line.ask_in(&down, &up, part, &body[..len], 0);
        let kept = line.ask_in(&down, &up, Down::Keep { ticket: 5 }, &[], 0);
        assert_eq!(Up::parse(&kept), Ok((Up::Ack { ticket: 5, value: 1 }, &[][..])));
        for boots in 0..3 {
            if boots > 0 {
                line = boot(line.journal.close(), 5 + boots);
            }
            line.recorder.remote.sensor_mut().samples.extend(samples.clone());
            let status = line.ask(question, 55);
            let now = seen(&status);
            assert_eq!((now.state, now.samples, now.windows), (LiveState::Watching, 55, 4));
            let latest = now.latest.expect("a window");
            assert_eq!((latest.class, latest.score), (expected.class, expected.score));
            assert_eq!(latest.name, names[usize::from(expected.class)]);
        }
    }
}
