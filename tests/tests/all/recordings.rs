//! Runs on recordings: boards record their rows themselves, and no row travels.

use smidgen::objective::{Workers, known};
use smidgen::problem::dataset::Dataset;
use smidgen::record::Model;
use smidgen::run::experiment::Experiment;
use smidgen::run::on_board::RecordingBoard;
use smidgen::world::World;
use smidgen::world::client::{Client, Request};
use smidgen::world::emulator::{Emulator, record};
use smidgen::world::simulation::{Board, SimulatedBoard, Simulation};
use smidgen::world::transport::Address;
use smidgen_protocol::digest;
use smidgen_protocol::message::{Command, Down, SCHEMA, Up, VERSION};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_tests::conformance::{
    experiment, run, sealed, simulated, trained, trained_in, transcripts,
};
use smidgen_tests::emulation::{assert_conforms, boards, driver, start};
use smidgen_tests::recording::shard;
use smidgen_tests::{frames, shared};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const EXAMPLE: &str = "--recordings example --objective softmax --rounds 30";

/// Values and classes of the rows of a worker, as its board stores them.
fn rows(experiment: &Experiment, dataset: &Dataset, rows: &[usize]) -> Vec<(Vec<i16>, u8)> {
    let scaling = &experiment.shape.preparation.scaling;
    let row = |&row: &usize| {
        let mut values = vec![0; scaling.len()];
        let row = dataset.row(row);
        row.entries().for_each(|(k, value)| values[k] = (value * scaling[k].scale) as i16);
        (values, row.label as u8)
    };
    rows.iter().map(row).collect()
}

/// The same run, but the rows are sent.
fn with_rows_sent(mut experiment: Experiment) -> Experiment {
    let data = experiment.data.as_ref().expect("the host has the rows");
    for share in 0..data.shares.len() {
        let rows = rows(&experiment, &data.dataset, &data.shares[share]);
        let data = &mut experiment.setup.shares[share].data;
        let mut words = vec![0u32; data.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..data.len()].copy_from_slice(data);
        let recorded = RecordedRows::open(bytemuck::cast_slice(&words)).expect("rows on a board");
        assert_eq!(recorded.rows as usize, rows.len());
        let map: Vec<i8> = (0..recorded.classes.cast_signed()).collect();
        *data = shard(&rows, recorded.scale_exponents, &map, recorded.classes);
    }
    experiment
}

/// A simulation of boards that have nothing but what they are sent.
fn without_recordings(experiment: &Experiment) -> Simulation<Board<Workers>> {
    Simulation::new(experiment.setup.clone(), known().workers(), experiment.line())
}

#[test]
fn run_on_recordings_equals_run_on_the_same_rows_sent() {
    for options in [
        "--k 5",
        "--constants boards --step am",
        "--faults loss=0.1,duplicate=0.1,split --downlink dense",
        "--method ef21-sgdm --batch 7 --participation 0.7",
        "--objective perceptron --method ef21+ --regulariser l2",
    ] {
        let options = match options.contains("--objective") {
            true => format!("--recordings example --rounds 30 {options}"),
            false => format!("{EXAMPLE} {options}"),
        };
        let recorded = experiment(&options);
        let sent = with_rows_sent(experiment(&options));
        let found = simulated(&recorded);
        let expected = run(&sent, &mut without_recordings(&sent)).expect("a run");
        assert_eq!(transcripts(&found), transcripts(&expected), "{options}");
        assert!(found.last().expect("a round").loss < found[0].loss, "{options}");
    }
}

#[test]
fn summary_says_the_recordings_and_their_windows() {
    let configuration = experiment(&format!("{EXAMPLE} --window 40")).summary().configuration;
    assert_eq!(configuration["recordings"], "example");
    let windows = &configuration["windows"];
    assert_eq!((&windows["window"], &windows["hop"]), (&40.into(), &20.into()));
    assert!(!configuration.contains_key("dataset") && !configuration.contains_key("split"));
}

#[test]
fn key_does_not_change_the_transcript() {
    let plain = simulated(&experiment(EXAMPLE));
    let keyed = simulated(&sealed(experiment(EXAMPLE)));
    assert_eq!(transcripts(&plain), transcripts(&keyed));
}

/// A board that keeps the frames of its line.
struct Tapped {
    board: Board<Workers>,
    frames: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl SimulatedBoard for Tapped {
    fn send_down(&mut self, now: Duration, frame: &[u8], deliver: impl FnMut(Duration, Vec<u8>)) {
        self.frames.lock().expect("no thread panicked").push(frame.to_vec());
        self.board.send_down(now, frame, deliver);
    }

    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Option<Duration> {
        self.board.receive(now, bytes)
    }

    fn work(&mut self, now: Duration, mut deliver: impl FnMut(Duration, Vec<u8>)) {
        let frames = &self.frames;
        self.board.work(now, |at, bytes| {
            frames.lock().expect("no thread panicked").push(bytes.clone());
            deliver(at, bytes);
        });
    }

    fn gradient(&self) -> (&[i32], i8) {
        self.board.gradient()
    }
}

/// All frames of a run, in both directions.
fn frames_of(experiment: &Experiment, boards: Vec<Board<Workers>>) -> Vec<Vec<u8>> {
    let frames = Arc::default();
    let tap = |board| Tapped { board, frames: Arc::clone(&frames) };
    let boards = boards.into_iter().map(tap).collect();
    let mut world = Simulation::with_boards(experiment.setup.clone(), boards);
    run(experiment, &mut world).expect("a run");
    drop(world);
    Arc::into_inner(frames).expect("the boards are gone").into_inner().expect("no thread panicked")
}

/// Number of parts of rows that occur in the frames: four successive values, all of them different and not 0.
fn parts_in(frames: &[Vec<u8>], rows: &[(Vec<i16>, u8)]) -> usize {
    let is_telling = |part: &&[i16]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == part.len() && !sorted.contains(&0)
    };
    let parts = rows.iter().flat_map(|(values, _)| values.windows(4)).filter(is_telling);
    let parts: Vec<Vec<u8>> =
        parts.map(|part| part.iter().flat_map(|q| q.to_le_bytes()).collect()).collect();
    assert!(parts.len() > rows.len(), "most rows tell");
    let payloads = frames.iter().map(|frame| frames::unchecked_payload(frame));
    let all: Vec<Vec<u8>> = frames.iter().cloned().chain(payloads).collect();
    let mut eights: Vec<&[u8]> = all.iter().flat_map(|bytes| bytes.windows(8)).collect();
    eights.sort_unstable();
    parts.iter().filter(|part| eights.binary_search(&&part[..]).is_ok()).count()
}

#[test]
fn no_part_of_a_row_travels() {
    let options = format!("{EXAMPLE} --init full --downlink dense");
    let recorded = experiment(&options);
    let all =
        |dataset: &Dataset| rows(&recorded, dataset, &(0..dataset.row_count()).collect::<Vec<_>>());
    let rows = all(&recorded.data.as_ref().expect("the host has the rows").dataset);
    let boards = recorded.boards(&recorded.setup, recorded.line());
    let frames = frames_of(&recorded, boards);
    assert!(frames.len() > 400, "{} frames", frames.len());
    assert_eq!(parts_in(&frames, &rows), 0);

    // The same search finds rows that are sent, except those that are cut by the end of a frame.
    let sent = with_rows_sent(experiment(&options));
    let boards = sent.boards(&sent.setup, sent.line());
    let found = parts_in(&frames_of(&sent, boards), &rows);
    assert!(found > rows.len(), "{found} parts of {} rows were found", rows.len());
}

#[test]
fn eight_boards_recognise_activities_by_rows_of_their_own() {
    let test = "eight_boards_recognise_activities_by_rows_of_their_own";
    let Some(path) = shared::path("BasicMotions_TRAIN.ts", test) else { return };
    let path = path.to_str().expect("a path in UTF-8");
    let experiment = experiment(&format!("--recordings {path} --workers 8 --objective softmax"));
    assert_eq!(experiment.setup.dimension, 76);
    let series = experiment.recordings().expect("recordings").workers.iter();
    assert!(series.clone().all(|worker| worker.recordings.len() == 10));
    let model = trained(&experiment);
    let test = experiment.test(&model.values).expect("held-out windows");
    let accuracy = test.accuracy.expect("classes");
    println!("{:.1} % of {} held-out windows", 100.0 * accuracy, test.rows);
    assert_eq!(test.rows, 120);
    assert!(accuracy >= 0.973, "{accuracy}");
}

/// At K = 2 and 8 bits, columns that are divided by their largest values needed 82 rounds, and these 50.
#[test]
fn columns_of_about_equal_weight_need_few_rounds() {
    let options = "--recordings example --objective softmax --lambda 0 --rounds 60";
    let loss = trained(&experiment(options)).loss.expect("the host has the rows");
    assert!(loss < 0.01, "{loss}");
}

/// Digest of the model that an emulated board holds.
fn model_digest(emulator: &Emulator) -> u64 {
    let address = Address::Unix(emulator.socket().into());
    let client = Client::open(&address, 115_200, None, drop);
    let mut client = client.unwrap_or_else(|error| panic!("{error}"));
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 999 };
    let digest = |message: &Up, _: &[u8]| match message {
        Up::Ready(ready) if ready.echo == 999 => Some(ready.model_digest),
        _ => None,
    };
    let asked = client.ask(&Request::setup(hello), Duration::from_secs(60), digest);
    asked.unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that a run on the rows of boards, whose scales follow from the reports of the boards, is that of simulation:
/// in what boards are told of scales, in its rounds, and in its model.
fn assert_scales_of_boards(simulated: &Experiment, emulators: &[Emulator]) {
    let board = |emulator: &Emulator| {
        let address = Address::Unix(emulator.socket().into());
        let mut client = Client::open(&address, 115_200, None, drop).expect("it listens");
        let rows = client.command(Command::Status).unwrap_or_else(|error| panic!("{error}"));
        RecordingBoard { place: client.place().to_owned(), rows, full_scales: vec![] }
    };
    let boards: Vec<_> = emulators.iter().map(board).collect();
    let session = simulated.setup.session + 1;
    let on_board = Experiment::on_board(simulated.options(), &boards, session);
    let on_board = on_board.unwrap_or_else(|error| panic!("{error}"));
    let told = |experiment: &Experiment| -> Vec<_> {
        experiment.setup.shares.iter().map(|share| share.data.clone()).collect()
    };
    assert_eq!(told(&on_board), told(simulated));
    let scaling = &on_board.shape.preparation.scaling;
    assert_eq!(*scaling, simulated.shape.preparation.scaling);
    assert!(scaling.iter().any(|column| column.scale != scaling[0].scale), "{scaling:?}");

    let (rounds, model) = trained_in(&on_board, &mut driver(&on_board, emulators));
    let (expected, expected_model) = trained_in(simulated, &mut simulated.simulation());
    assert_eq!(transcripts(&rounds), transcripts(&expected));
    let numbers = |model: Model| (model.mantissas, model.exponent, model.round, model.loss);
    assert_eq!(numbers(model), numbers(expected_model));
}

/// Samples travel to an emulated board by the line of its sensor, and only there.
#[test]
fn emulated_boards_make_the_rows_of_simulation() {
    let test = "emulated_boards_make_the_rows_of_simulation";
    let experiment = experiment(&format!("{EXAMPLE} --constants boards"));
    let recordings = experiment.recordings().expect("recordings");
    let boards = boards(test).into_iter();
    let boards = boards.filter(|board| board.has_sensor_line()).map(|board| board.name);
    let kinds: Vec<_> = boards.collect();
    let boards: Vec<_> = kinds.iter().copied().cycle().take(recordings.workers.len()).collect();
    let Some(emulators) = start(&boards, test) else { return };
    for (emulator, worker) in emulators.iter().zip(&recordings.workers) {
        let recorded = record(emulator, (115_200, None), &recordings.windows.recipe(), worker);
        recorded.unwrap_or_else(|error| panic!("{error}"));
    }
    assert_conforms(&experiment, &emulators, test);

    assert_scales_of_boards(&experiment, &emulators);

    let folder = tempfile::tempdir().expect("a temporary directory");
    trained(&experiment).write(folder.path()).expect("there is room");
    let from = folder.path().to_str().expect("the path is UTF-8");
    let mut continued = self::experiment(&format!("{EXAMPLE} --from {from}"));
    continued.setup.session += 2;
    assert_conforms(&continued, &emulators, test);

    // It ends on a spike: boards are handed an earlier model, and score that.
    let spike = "--recordings example --objective softmax --rounds 12 --step 256";
    let mut spike = self::experiment(spike);
    spike.setup.session += 3;
    let mut worlds = (driver(&spike, &emulators), spike.simulation());
    run(&spike, &mut worlds.0).unwrap_or_else(|error| panic!("{error}"));
    run(&spike, &mut worlds.1).unwrap_or_else(|error| panic!("{error}"));
    let model = trained(&spike);
    assert!(model.round < 12, "{}", model.round);
    for worker in 0..spike.workers.len() {
        let expected = worlds.1.aggregator().score(worker).expect("it holds rows out");
        assert_eq!(worlds.0.aggregator().score(worker), Some(expected));
    }
    drop(worlds);
    for emulator in &emulators {
        assert_eq!(model_digest(emulator), digest::vector(&model.mantissas), "{test}");
    }
}
