//! Rows that a board records, and a run on them: commands, data, rounds and scores, with every message repeated.

mod commands;
mod endings;
mod live;
mod main_loop;

use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::batch::Batch;
use smidgen_protocol::digest::Draws;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX, checksum};
use smidgen_protocol::message::{
    BROADCAST, CLASSES_MAX, Command, Configure, Down, Downlink, Exponents, Init, Outcome,
    RecordRefusal, Records, Refusal, Regulariser, Up,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_protocol::vector::Ratio;
use smidgen_tests::flash::Flash;
use smidgen_tests::host::{Host, payload};
use smidgen_tests::recording::{
    self, CHANNELS, ScriptedRecorder, rows_on_board, scale_exponents, shard,
};

const BOARD: Board = Board { name: "recording", identity: 0x5ca1e };
const RECIPE: Recipe = Recipe {
    channels: CHANNELS as u8,
    window: 20,
    hop: 10,
    features: Features::DEFAULT,
    rate_millihertz: 10_000,
};
const COLUMNS: usize = 9;
const MEMORY: usize = 8192;

/// A host whose board records, with an objective for this many classes.
fn host(objective: &'static str, dimension: usize) -> Host<Objectives> {
    let configure = Configure {
        ticket: 0,
        session: 0x5e55,
        identity: BOARD.identity,
        worker: 1,
        dimension: dimension as u32,
        k: 5,
        value_bits: 9,
        init: Init::Compressed,
        method: Method::Ef21,
        compressor: Compressor::TopK,
        scale: Ratio::ONE,
        participation: Participation::FULL,
        batch: Batch::FULL,
        downlink: Downlink::Sparse,
        momentum: Ratio::default(),
        l1_n: Ratio::default(),
        objective,
        regulariser: Regulariser::L2,
        lambda: Ratio { mantissa: 1 << 30, exponent: 38 },
        start_seed: 3,
        data_len: 0,
        data_checksum: 0,
    };
    let worker = Worker::new::<Objectives>(BOARD, vec![u64::MAX; MEMORY / 8]);
    let mut host = Host::of(worker, Objectives, configure, vec![]);
    host.exponents = Exponents { x: 24, gradient: 24, loss: 12 };
    host.gamma_n = Ratio { mantissa: 1 << 30, exponent: 30 };
    host
}

/// Equips the board with a recorder, as after a boot with this flash.
fn boot(host: &mut Host<Objectives>, flash: Flash) {
    let mut worker = Worker::new::<Objectives>(BOARD, vec![u64::MAX; MEMORY / 8]);
    worker.enable_recorder();
    host.restart(worker);
    host.recorder = Some(ScriptedRecorder::new(flash));
}

fn recorder(host: &mut Host<Objectives>) -> &mut ScriptedRecorder {
    host.recorder.as_mut().expect("a board with a recorder")
}

/// Sends a message over a line that damages the first copy, and loses the first answer. Returns the second.
fn ask(host: &mut Host<Objectives>, message: Down, body: &[u8]) -> Vec<u8> {
    let mut damaged = host.frame(message, body);
    let place = damaged.len() / 2;
    damaged[place] ^= if damaged[place] == 1 { 2 } else { 1 };
    assert_eq!(host.deliver(&damaged), None);
    let first = host.ask(message, body);
    let second = host.ask(message, body);
    let is_recorder = matches!(message, Down::Record { .. } | Down::Live { .. });
    assert!(is_recorder || second == first, "{message:?} is answered by the same bytes again");
    second
}

/// Commands the recorder, twice. Returns the payload of the second answer.
fn command(host: &mut Host<Objectives>, command: Command) -> Vec<u8> {
    let echo = host.next_ticket();
    let answer = ask(host, Down::Record { echo, identity: BOARD.identity, command }, &[]);
    recording::payload(&answer)
}

fn records(payload: &[u8]) -> Records<'_> {
    match Up::parse(payload) {
        Ok((Up::Records(records), [])) => records,
        other => panic!("not records: {other:?}"),
    }
}

fn outcome(host: &mut Host<Objectives>, asked: Command) -> Outcome {
    records(&command(host, asked)).outcome
}

/// Samples of a class: oscillations of its own strength, with noise.
fn samples(class: usize, count: usize, seed: u64) -> Vec<Option<[i16; CHANNELS]>> {
    let mut draws = Draws::new(seed);
    let mut noise = move |range: u32| draws.below(range) as i16 - (range / 2) as i16;
    let strength = [300, 5000, 1400][class];
    let sample = |t: usize| {
        let swing = if t % (3 + class) < 2 { strength } else { -strength };
        [swing + noise(400), 8000 - strength / 2 + noise(300), noise(500 + 900 * class as u32)]
    };
    (0..count).map(sample).map(Some).collect()
}

/// Records a stretch of a class.
fn record(host: &mut Host<Objectives>, class: (usize, &str), is_test: bool, count: usize) -> u16 {
    record_by(host, RECIPE, class, is_test, count)
}

/// Records a stretch of a class by a recipe.
fn record_by(
    host: &mut Host<Objectives>,
    recipe: Recipe,
    class: (usize, &str),
    is_test: bool,
    count: usize,
) -> u16 {
    let recording = records(&command(host, Command::Status)).next;
    let start = Command::Start { recording, recipe, class: class.1, is_test, samples: 0 };
    assert_eq!(outcome(host, start), Outcome::Done);
    recorder(host).feed(samples(class.0, count, u64::from(recording)));
    let answer = command(host, Command::Status);
    let open = records(&answer);
    assert_eq!((open.is_open, open.recording, open.classes), (true, recording, &[][..]));
    assert_eq!(open.progress.samples as usize, count);
    assert_eq!(open.progress.rows, recipe.rows(count as u32));
    assert_eq!(outcome(host, Command::Stop { recording }), Outcome::Done);
    recording
}

/// A board with rows of three classes, some of them discarded or held out.
fn recorded(host: &mut Host<Objectives>) -> Vec<u8> {
    boot(host, Flash::new(8));
    record(host, (0, "rest"), false, 95);
    record(host, (1, "run"), false, 120);
    let wrong = record(host, (2, "run"), false, 60);
    assert_eq!(outcome(host, Command::Discard { recording: wrong }), Outcome::Done);
    record(host, (2, "walk"), false, 110);
    for class in [(0, "rest"), (1, "run"), (2, "walk")] {
        record(host, class, true, 70);
    }
    command(host, Command::Status)
}

fn set_data(host: &mut Host<Objectives>, data: Vec<u8>) {
    host.configure.data_len = data.len() as u32;
    host.configure.data_checksum = checksum(&data);
    host.data = data;
}

/// Configures a worker and sends its data, every message twice.
fn set_up(host: &mut Host<Objectives>) {
    host.stage = smidgen_tests::host::Stage::Configure;
    while let Some((message, body)) = host.setup_message(host.ticket.wrapping_add(1)) {
        ask(host, message, &body);
    }
}

/// The updates of some rounds, every message twice.
fn train(host: &mut Host<Objectives>, rounds: usize) -> Vec<Vec<Vec<u8>>> {
    let dimension = host.configure.dimension as usize;
    host.mirror = vec![0; dimension];
    host.model.x = host.worker.state().expect("a configured worker").0.to_vec();
    (host.model.sum, host.model.sum_told) = (vec![0; dimension], vec![0; dimension]);
    let mut updates = vec![host.begin()];
    for _ in 1..rounds {
        let message = host.step_and_tell();
        let first = host.deliver(&message);
        let second = host.deliver(&message);
        assert_eq!(first, second);
        updates.push(host.collect(first.expect("an update")));
    }
    updates
}

/// Rows held out and rows of the right class, as the board counts them.
fn score(host: &mut Host<Objectives>) -> (u32, u32) {
    let ticket = host.next_ticket();
    let wire = ask(host, Down::Score { ticket }, &[]);
    match Up::parse(&payload(&wire, &host.worker_context())) {
        Ok((Up::Score { rows, right, .. }, [])) => (rows, right),
        other => panic!("not a score: {other:?}"),
    }
}

/// The class of a row by a model in f64.
fn class_of(objective: &str, x: &[f64], a: &[f64], classes: usize) -> usize {
    let unit = |weights: &[f64], inputs: &[f64]| {
        let (bias, weights) = weights.split_last().expect("a bias");
        bias + weights.iter().zip(inputs).map(|(w, a)| w * a).sum::<f64>()
    };
    let best = |scores: Vec<f64>| {
        (0..scores.len()).max_by(|&i, &j| scores[i].total_cmp(&scores[j])).unwrap()
    };
    match objective {
        "softmax" => best(x.chunks(COLUMNS + 1).map(|weights| unit(weights, a)).collect()),
        "perceptron" => {
            let hidden = (x.len() - classes) / (COLUMNS + 1 + classes);
            let (first, second) = x.split_at(hidden * (COLUMNS + 1));
            let units: Vec<_> = first.chunks(COLUMNS + 1).map(|w| unit(w, a).tanh()).collect();
            best(second.chunks(hidden + 1).map(|weights| unit(weights, &units)).collect())
        }
        _ => usize::from(x.iter().zip(a).map(|(x, a)| x * a).sum::<f64>() > 0.0),
    }
}

/// Objectives, their dimensions and the run's classes of rest, run and walk.
fn problems() -> Vec<(&'static str, usize, u8, [i8; CLASSES_MAX])> {
    let map = |of_three: [i8; 3]| {
        let mut map = [-1; CLASSES_MAX];
        map[..3].copy_from_slice(&of_three);
        map
    };
    vec![
        ("softmax", 3 * (COLUMNS + 1), 3, map([2, 0, 1])),
        ("softmax", 2 * (COLUMNS + 1), 2, map([1, -1, 0])),
        ("perceptron", 4 * (COLUMNS + 1) + 3 * 5, 3, map([0, 1, 2])),
        ("logistic", COLUMNS, 2, map([0, 1, -1])),
        ("svm", COLUMNS, 2, map([1, 0, 1])),
    ]
}

#[test]
fn run_on_recorded_rows_equals_run_on_the_same_rows_sent() {
    for (objective, dimension, classes, map) in problems() {
        let mut on_board = host(objective, dimension);
        let status = recorded(&mut on_board);
        let status = records(&status);
        let names: Vec<_> = status.classes().map(|c| (c.name, c.training, c.test)).collect();
        assert_eq!(names, [("rest", 8, 6), ("run", 11, 6), ("walk", 10, 6)]);
        assert_eq!((status.discarded, status.recording), (5, 7));
        let exponents = scale_exponents(&status);
        set_data(&mut on_board, rows_on_board(&status, &map, classes));
        set_up(&mut on_board);

        let mut sent = host(objective, dimension);
        let rows = recorder(&mut on_board).rows(false);
        set_data(&mut sent, shard(&rows, &exponents, &map, classes));
        set_up(&mut sent);

        assert_eq!(train(&mut on_board, 25), train(&mut sent, 25), "{objective}");
        assert_eq!(on_board.worker.state(), sent.worker.state());

        let x: Vec<_> = on_board.model.x.iter().map(|&m| f64::from(m) / 24f64.exp2()).collect();
        let held_out = recorder(&mut on_board).rows(true);
        let held_out: Vec<_> = held_out
            .into_iter()
            .filter_map(|(values, class)| {
                Some((values, usize::try_from(map[usize::from(class)]).ok()?))
            })
            .collect();
        let right = held_out.iter().filter(|(values, class)| {
            let scales = exponents.iter().map(|&exponent| f64::from(30 - exponent).exp2());
            let a: Vec<_> =
                values.iter().zip(scales).map(|(&q, scale)| f64::from(q) * scale).collect();
            class_of(objective, &x, &a, classes.into()) == *class
        });
        let right = right.count();
        assert_eq!(score(&mut on_board), (held_out.len() as u32, right as u32), "{objective}");
        assert!(right * 3 > held_out.len(), "{objective} learns: {right} of {}", held_out.len());

        // A score changes no round.
        for _ in 0..3 {
            assert_eq!(on_board.next_round(), sent.next_round());
            score(&mut on_board);
            let more = Down::More { from: 0 };
            assert_eq!(on_board.ask(more, &[]), sent.ask(more, &[]));
        }
    }
}

#[test]
fn power_cut_leaves_rows_and_the_run_goes_on() {
    let (objective, dimension, classes, map) = problems().remove(0);
    let mut host = host(objective, dimension);
    recorded(&mut host);
    // The power fails while a row is written; the rows before it stay.
    let recording = records(&command(&mut host, Command::Status)).next;
    let start =
        Command::Start { recording, recipe: RECIPE, class: "walk", is_test: false, samples: 0 };
    assert_eq!(outcome(&mut host, start), Outcome::Done);
    recorder(&mut host).feed(samples(2, 40, 9));
    let mut flash = recorder(&mut host).flash().clone();
    boot(&mut host, flash.clone());
    let status = command(&mut host, Command::Status);
    let before = records(&status);
    assert_eq!((before.recording, before.next, before.is_open), (8, 9, false));
    assert_eq!(outcome(&mut host, start), Outcome::Refused(RecordRefusal::Recording));
    flash.cut_after(3);
    boot(&mut host, flash);
    let again =
        Command::Start { recording: 9, recipe: RECIPE, class: "rest", is_test: false, samples: 0 };
    assert_eq!(outcome(&mut host, again), Outcome::Done);
    recorder(&mut host).feed(samples(0, 40, 9));
    let mut flash = recorder(&mut host).flash().clone();
    flash.restore_power();
    boot(&mut host, flash.clone());
    let status = command(&mut host, Command::Status);
    let after = records(&status);
    assert_eq!((after.checksum, after.classes), (before.checksum, before.classes));

    set_data(&mut host, rows_on_board(&after, &map, classes));
    set_up(&mut host);
    train(&mut host, 4);
    // The power fails in a round.
    let message = host.step_and_tell();
    let update = host.deliver(&message);
    boot(&mut host, flash);
    host.set_up();
    host.write_state();
    let begin = Down::Begin { ticket: host.next_ticket(), round: host.round, known: host.known };
    assert_eq!(host.deliver(&host.frame(begin, &[])), update);
}

#[test]
fn curvature_of_recorded_rows_is_that_of_the_same_rows_sent() {
    for (objective, dimension, classes, map) in problems() {
        let mut on_board = host(objective, dimension);
        let status = recorded(&mut on_board);
        let exponents = scale_exponents(&records(&status));
        set_data(&mut on_board, rows_on_board(&records(&status), &map, classes));
        set_up(&mut on_board);
        let mut sent = host(objective, dimension);
        let rows = recorder(&mut on_board).rows(false);
        set_data(&mut sent, shard(&rows, &exponents, &map, classes));
        set_up(&mut sent);
        let bound = |host: &mut Host<Objectives>| {
            let ticket = host.next_ticket();
            let wire = ask(host, Down::Curvature { ticket }, &[]);
            match Up::parse(&payload(&wire, &host.worker_context())) {
                Ok((Up::Curvature { l_i, .. }, [])) => Some(l_i),
                Ok((Up::Refused { refusal: Refusal::Objective, .. }, [])) => None,
                other => panic!("not a bound: {other:?}"),
            }
        };
        assert_eq!(bound(&mut on_board), bound(&mut sent), "{objective}");
    }
}

#[test]
fn other_rows_than_those_of_the_data_are_refused() {
    let (objective, dimension, classes, map) = problems().remove(0);
    let mut host = host(objective, dimension);
    let status = recorded(&mut host);
    let status = records(&status);
    let data = rows_on_board(&status, &map, classes);
    let wrong = |place: usize| {
        let mut data = data.clone();
        data[place] ^= 1;
        data
    };
    // Another number of rows, number of columns, checksum and hop, class out of range, and a chunk too few.
    let names_len = "-rest-run-walk".len().next_multiple_of(4);
    let mut class = data.clone();
    class[data.len() - names_len - CLASSES_MAX] = 3;
    let short = data[..data.len() - 4].to_vec();
    for data in [wrong(0), wrong(4), wrong(12), wrong(22), class, short] {
        set_data(&mut host, data.clone());
        host.stage = smidgen_tests::host::Stage::Configure;
        let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
        assert_eq!(host.acknowledged(configure, &[]), 0);
        let chunk = Down::Data { ticket: host.next_ticket(), offset: 0 };
        assert_eq!(host.refused(chunk, &data), Refusal::Data);
    }
    // The right data, and then the same for other rows.
    set_data(&mut host, data.clone());
    set_up(&mut host);
    train(&mut host, 3);
    assert_eq!(outcome(&mut host, Command::Discard { recording: 7 }), Outcome::Done);
    assert_eq!(host.worker.state(), None, "a change of rows ends a session on them");
    host.stage = smidgen_tests::host::Stage::Configure;
    let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
    assert_eq!(host.acknowledged(configure, &[]), 0);
    let chunk = Down::Data { ticket: host.next_ticket(), offset: 0 };
    assert_eq!(host.refused(chunk, &data), Refusal::Data);
}

#[test]
fn labels_that_do_not_fit_in_memory_are_refused() {
    let (objective, dimension, classes, map) = problems().remove(0);
    let mut host = host(objective, dimension);
    let status = recorded(&mut host);
    let data = rows_on_board(&records(&status), &map, classes);
    set_data(&mut host, data.clone());
    let without = smidgen_firmware::worker::memory_len::<Objectives>(&host.configure);
    let mut worker = Worker::new::<Objectives>(BOARD, vec![0; without / 8]);
    worker.enable_recorder();
    host.restart(worker);
    let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
    assert_eq!(host.acknowledged(configure, &[]), 0);
    let chunk = Down::Data { ticket: host.next_ticket(), offset: 0 };
    // 52 rows, five of them discarded.
    let need = without as u32 + 56;
    assert_eq!(host.refused(chunk, &data), Refusal::Memory { need, room: without as u32 });
}

#[test]
fn worker_without_recorder_refuses_commands_data_and_scores() {
    let (objective, dimension, classes, map) = problems().remove(0);
    let mut host = host(objective, dimension);
    let status = recorded(&mut host);
    let data = rows_on_board(&records(&status), &map, classes);
    let rows = recorder(&mut host).rows(false);
    let sent = shard(&rows, &scale_exponents(&records(&status)), &map, classes);
    host.recorder = None;
    host.restart(Worker::new::<Objectives>(BOARD, vec![0; MEMORY / 8]));
    for asked in [Command::Status, Command::Clear { recording: 7 }] {
        assert_eq!(outcome(&mut host, asked), Outcome::Refused(RecordRefusal::Unsupported));
    }
    set_data(&mut host, data.clone());
    let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
    assert_eq!(host.acknowledged(configure, &[]), 0);
    let chunk = Down::Data { ticket: host.next_ticket(), offset: 0 };
    assert_eq!(host.refused(chunk, &data), Refusal::Data);
    set_data(&mut host, sent);
    set_up(&mut host);
    let score = Down::Score { ticket: host.next_ticket() };
    assert_eq!(host.refused(score, &[]), Refusal::Data);
}
