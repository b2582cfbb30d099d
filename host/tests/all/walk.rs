//! The walk of `docs/walk.md` with eight emulated boards: its commands run, and print what the page shows. And what an
//! emulated board records of its sensor.

mod page;

use crate::support::{BINARY, Running, program, skip, stderr, summary_of, wait_until};
use page::{Step, comparable, shape, steps};
use rustix::process::Signal;
use smidgen::boards::board::Board;
use smidgen::boards::image::{self, ImageError};
use smidgen::options::windowing::Windowing;
use smidgen::problem::dataset::recordings::{Recording, Recordings, WorkerRecordings};
use smidgen::world::client::Client;
use smidgen::world::emulator::{Bench, Emulator, PortFolder};
use smidgen::world::recording::Plan;
use smidgen::world::transport::Address;
use smidgen_firmware::recorder::Recorder;
use smidgen_firmware::recorder::store::{RamFlash, Store};
use smidgen_protocol::message::Command;
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::RowsChecksum;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

/// Percent of held-out rows that are right at least.
const ACCURACY_MIN: f64 = 97.3;

/// Returns the image of a board, if boards can be emulated.
fn image_of(board: &Board, test: &str) -> Option<PathBuf> {
    let image = match image::build(board) {
        Ok(image) => image,
        Err(missing @ ImageError::NoCompiler { .. }) => {
            skip(test, &missing.to_string());
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    if let Err(error) = Emulator::check(board) {
        skip(test, &error.to_string());
        return None;
    }
    Some(image)
}

/// A program that runs while others do, and what it has printed.
struct Background {
    running: Running,
    output: PathBuf,
    /// Length of the output that was compared with the page.
    seen: usize,
}

impl Background {
    fn start(shell: &Shell, command: &str, name: &str) -> Self {
        let output = shell.folder.path().join(name);
        let mut program = shell.command(command);
        program.stdin(Stdio::piped()).stdout(File::create(&output).expect("there is room"));
        Self { running: Running::start(&mut program), output, seen: 0 }
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.output).expect("it prints text")
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.running.child().stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{line}").expect("it reads orders");
    }

    /// Waits until it has printed a line like this one, after those that were seen.
    fn await_line(&mut self, line: &str, shape: fn(&str) -> String) {
        let (path, start, mut seen) = (self.output.clone(), self.seen, None);
        self.running.wait_until(&format!("it prints `{line}`"), || {
            let text = fs::read_to_string(&path).expect("it prints text");
            // A last line may be incomplete.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let mut end = start;
            for printed in text[start.min(whole)..whole].split_inclusive('\n') {
                end += printed.len();
                if seen.is_none() && shape(printed) == shape(line) {
                    seen = Some(end);
                }
            }
            seen.is_some()
        });
        self.seen = seen.unwrap_or(start);
    }
}

/// Runs the commands of the page in a directory.
struct Shell {
    folder: TempDir,
    path: std::ffi::OsString,
}

impl Shell {
    fn new() -> Self {
        let folder = tempdir().expect("a temporary directory");
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).expect("there is room");
        symlink(BINARY, programs.join("smidgen")).expect("there is room");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).expect("no colon in a directory");
        Self { folder, path }
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut command = program("sh", self.folder.path(), "-c");
        // The shell is replaced by the program, which gets the signals.
        command.arg(format!("exec {line}")).env("PATH", &self.path);
        command
    }

    fn run(&self, line: &str) -> String {
        let output = self.command(line).output().expect("there is a shell");
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("it prints text")
    }
}

/// What the commands of the walk printed.
struct Walked {
    shell: Shell,
    /// Of `run`.
    run: String,
    /// Of the last `watch`.
    watched: String,
}

/// Does the steps of the page.
fn walk(steps: &[Step]) -> Walked {
    let shell = Shell::new();
    let (mut boards, mut watch) = (None::<Background>, None::<Background>);
    let (mut run, mut watched) = (String::new(), String::new());
    for step in steps {
        match step {
            Step::Command { line, shown } if line.starts_with("smidgen boards") => {
                let mut started = Background::start(&shell, line, "boards");
                shown.iter().for_each(|line| started.await_line(line, shape));
                boards = Some(started);
            }
            Step::Command { line, shown } if line.starts_with("smidgen watch") => {
                let mut started = Background::start(&shell, line, "watch");
                shown.iter().for_each(|line| started.await_line(line, first_word));
                watch = Some(started);
            }
            Step::Command { line, shown } => {
                let printed = shell.run(line);
                let mut lines = printed.lines().map(|printed| comparable(line, printed));
                for line_shown in shown {
                    let is_printed = lines.any(|printed| printed == comparable(line, line_shown));
                    assert!(is_printed, "{line} does not print `{line_shown}`:\n{printed}");
                }
                if line.starts_with("smidgen run") {
                    run = printed;
                }
            }
            Step::Typed { line, shown } => {
                let boards = boards.as_mut().expect("the boards were started");
                boards.type_line(line);
                shown.iter().for_each(|line| boards.await_line(line, shape));
            }
            Step::Shown(lines) => {
                let watch = watch.as_mut().expect("watch was started");
                lines.iter().for_each(|line| watch.await_line(line, first_word));
            }
            Step::Interrupted => {
                let mut ended = watch.take().expect("watch was started");
                ended.running.signal(Signal::INT);
                assert!(ended.running.end().success());
                watched = ended.output();
            }
        }
    }
    let mut boards = boards.expect("the boards were started");
    assert!(boards.running.end().success(), "the walk ends with `quit`");
    assert!(!shell.folder.path().join("smidgen-boards").exists(), "the ports are gone");
    Walked { shell, run, watched }
}

fn first_word(line: &str) -> String {
    line.split_whitespace().next().unwrap_or_default().into()
}

/// Asserts that the run was accurate on the rows that boards held out.
fn assert_accuracy(run: &str) {
    let line = run.lines().find(|line| line.contains("that boards held out"));
    let line = line.unwrap_or_else(|| panic!("no accuracy: {run}"));
    let percent = line.split("accuracy ").nth(1).and_then(|rest| rest.split(' ').next());
    let percent: f64 = percent.and_then(|text| text.parse().ok()).expect("a number");
    assert!(percent >= ACCURACY_MIN, "{line}");
}

/// A row of the CSV of `predict`: its label, prediction and the scores of the classes.
struct Predicted {
    label: String,
    class: String,
    scores: Vec<f64>,
}

/// Reads the CSV of `predict`. Returns the classes, and its rows.
fn predictions(path: &Path) -> (Vec<String>, Vec<Predicted>) {
    let text = fs::read_to_string(path).expect("predict has written it");
    let mut lines = text.lines();
    let header: Vec<_> = lines.next().expect("a header").split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name).expect("a column");
    let (label, class) = (place("label"), place("predicted"));
    let (classes, places): (Vec<_>, Vec<_>) = (header.iter().enumerate())
        .filter_map(|(place, column)| Some((column.strip_prefix("score of ")?.to_owned(), place)))
        .unzip();
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.split(',').collect();
        let scores = places.iter().map(|&place| cells[place].parse().expect("a score"));
        Predicted {
            label: cells[label].into(),
            class: cells[class].into(),
            scores: scores.collect(),
        }
    });
    let rows = rows.collect();
    (classes, rows)
}

/// Asserts that a board saw classes and scores that `predict` has for recordings of this class.
fn assert_board_agrees(watched: &str, label: &str, classes: &[String], rows: &[Predicted]) {
    let seen: Vec<_> = watched
        .lines()
        .filter_map(|line| {
            let (class, rest) = line.split_once(" score ")?;
            Some((class.trim(), rest.split_whitespace().next()?))
        })
        .collect();
    assert!(!seen.is_empty(), "no window was seen:\n{watched}");
    for (class, score) in seen {
        let is_seen = |row: &Predicted| {
            let place = classes.iter().position(|name| *name == row.class).expect("a class");
            row.label == label && row.class == class && format!("{:.3}", row.scores[place]) == score
        };
        assert!(rows.iter().any(is_seen), "predict has no {class} with the score {score}");
    }
}

const C_MAIN: &str = r#"
#include "model.h"
#include <stdio.h>
int main(void) {
    FILE *file = fopen("windows", "rb");
    int16_t window[MODEL_WINDOW * MODEL_CHANNELS];
    double row[MODEL_COLUMNS], scores[MODEL_SCORES];
    if (!file) return 1;
    while (fread(window, sizeof window, 1, file) == 1) {
        model_features(window, row);
        model_scores(row, scores);
        printf("%s\n", model_class_name(model_class(scores)));
    }
    return 0;
}
"#;

/// Compiles the exported C, and asserts that it predicts what `predict` does for each window of the bundled recordings.
fn assert_c_agrees(run: &Path, rows: &[Predicted]) {
    let recordings = Recordings::for_sensors(Path::new("example"), 8).expect("it is bundled");
    let recipe = recipe();
    let mut windows = vec![];
    for recording in recordings.workers.iter().flat_map(|worker| &worker.recordings) {
        let sample_len = usize::from(recipe.channels);
        let starts = recording.samples.chunks(sample_len * usize::from(recipe.hop)).enumerate();
        for (hop, _) in starts {
            let start = hop * sample_len * usize::from(recipe.hop);
            let end = start + sample_len * usize::from(recipe.window);
            let window = recording.samples.get(start..end).unwrap_or_default();
            windows.extend(window.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    fs::write(run.join("windows"), windows).expect("there is room");
    fs::write(run.join("main.c"), C_MAIN).expect("there is room");
    let compiled = program("cc", run, "-std=c99 -O1 -Wall -Werror main.c -o classify -lm").output();
    let compiled = compiled.expect("there is a C compiler");
    assert!(compiled.status.success(), "{}", stderr(&compiled));
    let classified = program(run.join("classify"), run, "").output().expect("it was compiled");
    let classes = String::from_utf8(classified.stdout).expect("names are text");
    let predicted: Vec<_> = rows.iter().map(|row| row.class.as_str()).collect();
    assert_eq!(classes.lines().collect::<Vec<_>>(), predicted);
}

/// The recipe of `smidgen record` for the bundled recordings.
fn recipe() -> Recipe {
    Windowing::default().recipe(3, None)
}

#[test]
fn page_of_the_walk_does_what_it_shows() {
    let board = Board::find("mps2").expect("it exists");
    if image_of(board, "page_of_the_walk_does_what_it_shows").is_none() {
        return;
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/walk.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let Walked { shell, run, watched } = walk(&steps(&page));
    assert_accuracy(&run);
    let run = shell.folder.path().join("smidgen-out");
    // From sample to model.
    let simulated = summary_of(&shell.folder.path().join("simulated"));
    assert_eq!(summary_of(&run)["transcript"], simulated["transcript"]);
    let (classes, rows) = predictions(&run.join("predictions.csv"));
    assert_board_agrees(&watched, "walking", &classes, &rows);
    assert_c_agrees(&run, &rows);
}

#[test]
fn boards_learn_the_motions_of_a_smart_watch() {
    let test = "boards_learn_the_motions_of_a_smart_watch";
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").into();
    let data = std::env::var_os("SMIDGEN_DATA").map_or_else(beside, PathBuf::from);
    let file = "BasicMotions_TRAIN.ts";
    if !data.join(file).exists() {
        let skipped = format!("SKIPPED: {test}: ../shared/data/{file} is not here\n");
        return std::io::stderr().write_all(skipped.as_bytes()).expect("standard error is open");
    }
    if image_of(Board::find("mps2").expect("it exists"), test).is_none() {
        return;
    }
    let shell = Shell::new();
    symlink(&data, shell.folder.path().join("data")).expect("there is room");
    let boards = format!("smidgen boards --board mps2=8 --recordings data/{file} --speed 10");
    let mut boards = Background::start(&shell, &boards, "boards");
    for class in ["Standing", "Running", "Walking", "Badminton"] {
        for (kind, played, option) in [("", "training", ""), (" test", "held-out", "--test")] {
            boards.type_line(&format!("{class}{kind}"));
            boards.await_line(&format!("All sensors play {played} recordings of {class}."), shape);
            let record = "smidgen record --port smidgen-boards/* --seconds 21";
            shell.run(&format!("{record} --label {class} {option}"));
        }
    }
    let run = "smidgen run --port smidgen-boards/* --data on-board --objective softmax";
    assert_accuracy(&shell.run(run));
}

/// Number and checksum of the rows that the recorder of the firmware makes of these samples and gaps, if recordings are
/// played again and again.
fn recorded_here(worker: &WorkerRecordings, class: &str, mut samples: usize) -> (u64, u32) {
    let recipe = recipe();
    let (mut memory, mut window) = (vec![u64::MAX; 1 << 15], vec![0; recipe.window_len()]);
    let store = Store::open(RamFlash::new(&mut memory)).expect("whole words");
    let mut recorder = Recorder::new(store, &mut window);
    let of_class = |it: &&Recording| it.class == class && !it.is_test;
    for recording in worker.recordings.iter().filter(of_class).cycle() {
        // The gap between two recordings ends a window as their end does.
        recorder.begin(&recipe, class, false).expect("there is room");
        for sample in recording.samples.chunks(recipe.channels.into()).take(samples) {
            recorder.sample(sample).expect("there is room");
            samples -= 1;
        }
        // The board counts the sample of the gap.
        match samples.checked_sub(1) {
            None | Some(0) => break,
            Some(rest) => samples = rest,
        }
    }
    recorder.end();
    let (mut rows, mut checksum) = (0, RowsChecksum::default());
    for row in recorder.store().rows() {
        checksum.add(recorder.store().values_of(&row), row.class, row.is_test);
        rows += 1;
    }
    (rows, checksum.value())
}

/// Ends the emulator of a port by itself.
fn end_qemu(port: &Path) {
    let control = fs::read_link(port).expect("a link to the socket").with_file_name("control");
    let mut control = UnixStream::connect(control).expect("it listens");
    let commands = r#"{"execute": "qmp_capabilities"} {"execute": "quit"}"#;
    control.write_all(commands.as_bytes()).expect("it reads commands");
    // Until it has closed the line.
    let _ = control.read_to_end(&mut vec![]);
}

#[test]
fn emulated_board_records_the_samples_of_its_sensor() {
    let board = Board::find("mps2").expect("it exists");
    let Some(image) = image_of(board, "emulated_board_records_the_samples_of_its_sensor") else {
        return;
    };
    let folder = tempdir().expect("a temporary directory");
    let recordings = Recordings::for_sensors(Path::new("example"), 1).expect("it is bundled");
    let worker = recordings.workers[0].clone();
    let image = image::open(&image).expect("it was built");
    let emulator = Emulator::start_with(board, image, 1, Some(3)).expect("it starts");
    let ports = PortFolder::create(&folder.path().join("boards")).expect("there is room");
    let mut bench = Bench::new(vec![emulator], recordings, ports, 50.0).expect("it starts");
    let port = Address::Unix(folder.path().join("boards/1"));
    let mut client = Client::open(&port, 115_200, None, drop).expect("it listens");
    let plan = |label: &str| Plan {
        label: label.into(),
        is_test: false,
        windowing: Windowing::default(),
        duration: Some(Duration::from_secs(50)),
    };
    // The second class follows after a rest with the first one in the line, the third after a power cut, and the last
    // after an end of the emulator.
    for class in ["resting", "running", "walking", "resting"] {
        bench.play(class, false);
        let recorded = client.record(&plan(class), |_, _| ()).expect("it records");
        let samples = recorded.rows.progress.samples as usize;
        assert_eq!(samples, 500);
        let (rows, checksum) = recorded_here(&worker, class, samples);
        assert_eq!((recorded.new_rows, recorded.rows.checksum), (rows, checksum), "{class}");
        let recording = recorded.rows.recording;
        client.command(Command::Clear { recording }).expect("it clears");
        assert_eq!(bench.check().expect("it runs"), None);
        if class == "running" {
            bench.cut(1).expect("it starts again");
        }
        if class == "walking" {
            end_qemu(&folder.path().join("boards/1"));
            let mut told = None;
            wait_until("the board is started again", || {
                told = bench.check().expect("it starts again");
                told.is_some()
            });
            let expected = "Board 1 was started again: it ended with exit status: 0, ";
            assert!(told.as_ref().is_some_and(|told| told.starts_with(expected)), "{told:?}");
        }
    }
}
