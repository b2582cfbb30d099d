//! Models on boards in threads: `smidgen load` and `smidgen watch`.

use crate::support::boards::board;
use crate::support::recording::{CHANNELS, RecordingBoard};
use crate::support::{Running, command, smidgen, stderr};
use rustix::process::Signal;
use smidgen::model::board::BoardModel;
use smidgen::record::Model;
use smidgen::world::client::Client;
use smidgen_firmware::recorder::features;
use smidgen_firmware::recorder::window::Window;
use smidgen_protocol::message::LiveState;
use smidgen_protocol::recipe::ROW_LEN_MAX;
use std::fs::{self, File};
use std::process::Stdio;
use tempfile::{TempDir, tempdir};

const RUN: &str =
    "simulate --recordings example --window 10 --hop 5 --objective softmax --rounds 40 --out run";

/// Runs the binary, which must succeed, and returns what it prints.
fn told(folder: &TempDir, arguments: &str) -> String {
    let output = smidgen(folder.path(), arguments);
    assert!(output.status.success(), "{arguments}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs the binary, which must fail, and returns its errors.
fn refused(folder: &TempDir, arguments: &str) -> String {
    let output = smidgen(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    stderr(&output)
}

/// Some resting, then running.
fn samples() -> Vec<[i16; CHANNELS]> {
    let wave = |t: usize| [(t as i16 % 7 - 3) * 5000, (t as i16 % 5 - 2) * 3000, -8000];
    (0..55).map(|t| if t < 20 { [10, -20, 8000] } else { wave(t) }).collect()
}

/// The class of each window of the samples, and its score.
fn classes(model: &Model) -> Vec<(String, f64)> {
    let mut on_board = BoardModel::new(model).expect("a model of recordings");
    let recipe = *on_board.recipe();
    let mut memory = vec![0; recipe.window_len()];
    let mut window = Window::new(&mut memory);
    window.start(&recipe).expect("room");
    let mut row = [0; ROW_LEN_MAX];
    let mut classes = vec![];
    for sample in samples() {
        let Some(samples) = window.push(&sample) else { continue };
        let row = features::row(&samples, recipe.features, &mut row);
        let verdict = on_board.classify(row).expect("classes");
        classes.push((model.classes[verdict.class].clone(), verdict.score));
    }
    classes
}

#[test]
fn loaded_model_shows_its_classes_until_ctrl_c() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let model = Model::read(folder.path().join("run")).expect("a model");
    let classes = classes(&model);
    assert_eq!(classes.len(), 10);
    let board = RecordingBoard { samples: samples(), count: 55, ..RecordingBoard::new(9) };
    let address = board.serve();
    let said = refused(&folder, &format!("watch --port {address}"));
    assert!(said.contains("it holds no model of recordings; put one there with"), "{said}");
    let said = told(&folder, &format!("load run --port {address}"));
    assert!(said.contains("has the model until its power fails"), "{said}");

    let output = folder.path().join("output");
    let file = File::create(&output).expect("there is room");
    let mut watch = command(folder.path(), &format!("watch --port {address}"));
    let mut watch = Running::start(watch.stdout(file).stderr(Stdio::piped()));
    let read = || fs::read_to_string(&output).expect("text");
    watch.wait_until("all windows are classified", || read().contains("window 10 "));
    watch.signal(Signal::INT);
    let end = watch.output();
    assert_eq!(end.status.code(), Some(0), "{}", stderr(&end));
    let text = read();
    let last = text.lines().last().expect("a line");
    let (class, score) = classes.last().expect("a window");
    assert!(last.starts_with(class.as_str()), "{last}");
    assert!(last.contains(&format!("score {score:>9.3}")), "{last}, not {score}");
}

#[test]
fn model_of_another_sensor_does_not_replace_the_one_of_the_board() {
    let folder = tempdir().expect("there is room");
    told(&folder, &format!("{RUN} --full-scale 4"));
    told(&folder, &RUN.replace("--out run", "--full-scale 8 --out other"));
    let board = RecordingBoard { full_scale: 4000, rate_max: 10_000, ..RecordingBoard::new(9) };
    let address = board.serve();
    let load = |model: &str| format!("load {model} --port {address}");
    let said = told(&folder, &load("run"));
    assert!(said.contains("has the model until its power fails."), "{said}");
    let said = refused(&folder, &load("other"));
    assert!(said.contains("its largest sample is 4 g or °/s, but that of channel `x`"), "{said}");
    let mut client = Client::open(&address.parse().expect("an address"), 115_200, None, drop);
    let live = client.as_mut().expect("it listens").live().expect("it answers");
    assert_eq!(live.state, LiveState::Watching, "by the first model");
    drop(client);

    let path = folder.path().join("other/model.json");
    let model = fs::read_to_string(&path).expect("a model");
    let fast = model.replace("\"rate_millihertz\":10000", "\"rate_millihertz\":10001");
    let fast = fast.replace("\"full_scale\":8.0", "\"full_scale\":4.0");
    assert_ne!(fast, model);
    fs::write(&path, fast).expect("there is room");
    let said = refused(&folder, &load("other"));
    assert!(said.contains("its sensor is not sampled as often as the model needs"), "{said}");

    let mute = RecordingBoard::new(3).serve();
    let said = told(&folder, &format!("load run --port {mute}"));
    let expected =
        "it does not tell its full scale; the largest samples of the model's channels are 4,4,4";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn models_and_boards_that_do_not_fit_are_refused_with_a_sentence() {
    let folder = tempdir().expect("there is room");
    told(&folder, "simulate --rows 100 --workers 2 --k 2 --rounds 3 --out table");
    told(&folder, RUN);
    let (recording, plain) = (RecordingBoard::new(9).serve(), board(6));
    let small = RecordingBoard { memory: 64, ..RecordingBoard::new(7) }.serve();
    let said = refused(&folder, &format!("load table --port {recording}"));
    assert!(said.contains("the model predicts rows of a table, not windows of a sensor"), "{said}");
    let said = refused(&folder, &format!("load run --port {small}"));
    assert!(said.contains("bytes of memory, but the board has 512"), "{said}");
    // One that fails does not keep the next one from getting it.
    let output = smidgen(folder.path(), &format!("load run --port {plain} --port {recording}"));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("its firmware does not record"), "{said}");
    assert!(said.contains("1 board failed"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("has the model"));
    let said = refused(&folder, &format!("watch --port {}", board(8)));
    assert!(said.contains("its firmware does not record"), "{said}");

    let path = folder.path().join("run/model.json");
    let model = fs::read_to_string(&path).expect("a model");
    fs::write(&path, model.replace("\"schema\": 1", "\"schema\": 9")).expect("there is room");
    let said = refused(&folder, &format!("load run --port {recording}"));
    assert!(said.contains("has version 9 of the format of models"), "{said}");
}
