//! Recorder commands to boards in threads: the client, `smidgen record`, and runs on rows that boards recorded.

use crate::model::personal::is_unmoved;
use crate::support::boards::{answering, listener, ready, served_by};
use crate::support::recording::{CHANNELS, PERIOD, RecordingBoard};
use crate::support::{Running, command, records, smidgen, stderr, summary_of, transcripts};
use rustix::process::Signal;
use serde_json::Value;
use smidgen::options::Faults;
use smidgen::record::Model;
use smidgen::world::client::{BoardRows, Client, ClientError};
use smidgen::world::simulation::Line;
use smidgen_aggregator::{Salts, Sealing};
use smidgen_protocol::frame::FRAME_LEN_MAX;
use smidgen_protocol::message::{Command, Ready, RecordRefusal};
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_protocol::seal::Key;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;
use tempfile::tempdir;

const BAUD: u32 = 115_200;
const RECIPE: Recipe = Recipe {
    channels: CHANNELS as u8,
    window: 20,
    hop: 10,
    features: Features::DEFAULT,
    rate_millihertz: 1_000_000,
};

fn client(address: &str) -> Client {
    Client::open(&address.parse().unwrap(), BAUD, None, drop).unwrap()
}

fn start(recording: u16, class: &str, is_test: bool) -> Command<'_> {
    Command::Start { recording, recipe: RECIPE, class, is_test, samples: 0 }
}

/// Asks for the state until `is_reached`.
fn wait(client: &mut Client, is_reached: impl Fn(&BoardRows) -> bool) -> BoardRows {
    loop {
        let rows = client.command(Command::Status).unwrap();
        if is_reached(&rows) {
            return rows;
        }
        sleep(Duration::from_millis(20));
    }
}

/// Records until the sensor has no more samples.
fn record(client: &mut Client, class: &str, is_test: bool, samples: u32) -> BoardRows {
    let recording = client.command(Command::Status).unwrap().next;
    client.command(start(recording, class, is_test)).unwrap();
    wait(client, |rows| rows.progress.samples >= samples);
    client.command(Command::Stop { recording }).unwrap()
}

fn classes(rows: &BoardRows) -> Vec<(&str, u32, u32)> {
    rows.classes.iter().map(|class| (&*class.name, class.training, class.test)).collect()
}

#[test]
fn client_records_discards_and_clears_plain_sealed_and_over_a_bad_line() {
    let key = [7; 32];
    let sealing = || Sealing { key: Key::new(&key).unwrap(), salts: Salts::of_seed(1) };
    let faults = Faults { loss: 0.2, duplicate: 0.2, corrupt: 0.1, ..Faults::default() };
    for (is_sealed, faults) in
        [(false, Faults::default()), (true, Faults::default()), (false, faults), (true, faults)]
    {
        let key = is_sealed.then_some(key);
        let board = RecordingBoard { count: 45, gaps: vec![25], key, ..RecordingBoard::new(1) };
        let address = board.serve().parse().unwrap();
        let line = Line { baud: BAUD, faults, seed: 3 };
        let client = Client::open(&address, BAUD, is_sealed.then(sealing), drop).unwrap();
        let mut client = client.with_faults(line, 0);
        assert_eq!(client.greet().unwrap().board, "recording");

        let rows = record(&mut client, "walking", false, 45);
        // Windows 0..20 and 25..45; no window has samples of both sides of the gap.
        assert_eq!((rows.progress.samples, rows.progress.rows, rows.progress.gaps), (46, 2, 1));
        assert_eq!(classes(&rows), [("walking", 2, 0)]);
        assert_eq!((rows.recipe, rows.recording, rows.next), (Some(RECIPE), 1, 2));
        assert_eq!(rows.columns.len(), RECIPE.row_len());
        assert_ne!(rows.checksum, 0);
        let discarded = client.command(Command::Discard { recording: 1 }).unwrap();
        assert_eq!((classes(&discarded), discarded.discarded), (vec![("walking", 0, 0)], 2));
        let cleared = client.command(Command::Clear { recording: 0 }).unwrap();
        assert_eq!((classes(&cleared), cleared.discarded), (vec![], 0));
        assert!(cleared.room > discarded.room);
    }
}

#[test]
fn full_memory_ends_a_recording_and_a_new_one_is_refused() {
    let address = RecordingBoard { words: 64, ..RecordingBoard::new(1) }.serve();
    let mut client = client(&address);
    client.command(start(1, "walking", false)).unwrap();
    let full = wait(&mut client, |rows| !rows.is_open);
    assert_eq!((full.ended(), full.room), (Some(RecordRefusal::RowsFull), 0));
    assert_eq!(u64::from(full.progress.rows), full.training());
    let error = client.command(start(2, "walking", false)).unwrap_err();
    let told =
        "its memory for rows is full; all rows are kept; train on them, or erase them with --clear";
    assert_eq!(error.to_string(), format!("{address}: {told}"));
    assert_eq!(client.command(Command::Status).unwrap().training(), full.training());
}

#[test]
fn boards_that_cannot_record_are_refused_with_a_sentence() {
    let blind = RecordingBoard { samples: vec![], ..RecordingBoard::new(1) }.serve();
    let error = client(&blind).command(start(1, "walking", false)).unwrap_err();
    assert!(error.to_string().contains("it has no sensor for such samples"), "{error}");

    let old = Ready { version: 1, ..ready("old", 5) };
    for board in [old, Ready { schema: [0; 8], ..ready("other", 5) }] {
        let error = client(&answering(board)).command(Command::Status).unwrap_err();
        assert!(matches!(error, ClientError::Firmware { .. }), "{error}");
        assert!(
            error.to_string().contains("flash the firmware that belongs to this host"),
            "{error}"
        );
    }
    let error = client(&crate::support::boards::board(6)).command(Command::Status).unwrap_err();
    assert!(error.to_string().contains("its firmware does not record"), "{error}");
}

#[test]
fn board_that_is_gone_is_reported() {
    let address = served_by(drop);
    // Nothing listens there any more.
    let error = client(&address).greet().unwrap_err();
    assert!(error.to_string().starts_with("no worker answers on tcp:127.0.0.1"), "{error}");
}

/// Runs `smidgen record` with these boards; returns its output and its errors.
fn smidgen_record(ports: &[&str], arguments: &str) -> (String, String) {
    let ports: String = ports.iter().map(|port| format!("--port {port} ")).collect();
    let output = smidgen(Path::new("."), &format!("record {ports}{arguments}"));
    (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
}

const WINDOWING: &str = "--window 20 --hop 10 --rate 1000";

#[test]
fn command_records_on_boards_at_once_and_lists_discards_and_clears() {
    let board = |identity, gaps| RecordingBoard { gaps, ..RecordingBoard::new(identity) }.serve();
    let boards = [board(1, vec![]), board(2, vec![25])];
    let ports = [&*boards[0], &*boards[1]];
    let (output, errors) =
        smidgen_record(&ports, &format!("--label walking --seconds 0.1 --test {WINDOWING}"));
    let lines: Vec<_> = output.lines().collect();
    let [first, second] = lines[..] else { panic!("{output}{errors}") };
    assert!(
        first.starts_with(&format!("{}: 9 rows of walking to hold out, room for", ports[0])),
        "{output}"
    );
    let told = format!("{}: 7 rows of walking to hold out (1 gap: no window spans one)", ports[1]);
    assert!(second.starts_with(&told), "{output}");

    let (output, _) =
        smidgen_record(&[&board(3, vec![])], "--label still --seconds 0.1 --window 20 --rate 100");
    assert!(output.contains("0 rows of still") && output.contains("record for longer"), "{output}");

    let (output, errors) = smidgen_record(&ports[..1], "--list");
    let recipe = "recipe: 3 channels at 1000 Hz, windows of 20 samples every 10, mean, std, mad";
    assert!(
        output.contains("walking     0         9") && output.contains(recipe),
        "{output}{errors}"
    );
    let (output, _) = smidgen_record(&ports[..1], "--discard");
    assert!(output.contains("discarded recording 1, 9 rows of walking"), "{output}");
    let (output, _) = smidgen_record(&ports[..1], "--discard");
    assert!(output.contains("there is no recording to discard"), "{output}");
    // A board whose rows are all discarded takes another recipe.
    let (output, errors) = smidgen_record(&ports, "--label running --hop 5 --seconds 0.3");
    assert!(output.contains(": 57 rows of running"), "{output}{errors}");
    assert!(errors.contains("it has rows of another recipe"), "{errors}");
    assert!(errors.contains("error: 1 board failed"), "{errors}");
    let (output, _) = smidgen_record(&ports, "--clear");
    assert_eq!(output.matches("all rows are erased").count(), 2, "{output}");
    assert_eq!(output.matches("no rows yet").count(), 2, "{output}");
    let (output, _) = smidgen_record(&ports[..1], "--list");
    assert!(output.contains("sensor: 3 channels"), "{output}");
    // One that cannot be reached does not keep another one from being asked.
    let (output, errors) = smidgen_record(&["unix:none", ports[0]], "--list");
    assert!(
        output.contains("no rows yet") && errors.contains("1 board failed"),
        "{output}{errors}"
    );
    for command in ["--list", "--label still --seconds 0.3"] {
        let (_, errors) = smidgen_record(&["unix:none"], command);
        assert!(errors.contains("error: ") && !errors.contains("failed"), "{errors}");
    }
    let (output, errors) = smidgen_record(
        &["unix:none", ports[0]],
        &format!("--label still --seconds 0.3 {WINDOWING}"),
    );
    assert!(output.contains("rows of still") && errors.contains("1 board failed"), "{errors}");
}

#[test]
fn recording_of_a_slow_sensor_ends_with_the_rows_that_it_has() {
    let address = RecordingBoard { count: 45, ..RecordingBoard::new(1) }.serve();
    let (output, errors) =
        smidgen_record(&[&address], &format!("--label walking --seconds 0.1 {WINDOWING}"));
    assert!(output.contains(": 3 rows of walking"), "{output}{errors}");
    assert!(output.contains("its sensor has delivered 45 of 100 samples"), "{output}{errors}");
}

#[test]
fn recording_without_an_end_ends_on_request_and_keeps_its_rows() {
    let board = RecordingBoard::new(1);
    let taken = board.taken.clone();
    let address = board.serve();
    let arguments = format!("record --port {address} --label walking {WINDOWING}");
    let mut program = Running::start(&mut command(Path::new("."), &arguments));
    program.wait_until("there are rows", || taken.load(Ordering::Relaxed) > 40);
    program.signal(Signal::INT);
    let output = program.output();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("ending the recording"), "{}", stderr(&output));
    let rows = classes_of(&address);
    assert!(rows > 0 && told.contains(&format!(": {rows} rows of walking, room for")), "{told}");
}

#[test]
fn first_request_ends_the_wait_for_a_silent_board() {
    for arguments in ["record --label walking", "record --list", "watch"] {
        let (listener, address) = listener();
        let arguments = format!("{arguments} --port {address}");
        let program = Running::start(&mut command(Path::new("."), &arguments));
        let (mut stream, _) = listener.accept().unwrap();
        let first = stream.read(&mut [0; FRAME_LEN_MAX]).unwrap();
        program.signal(Signal::INT);
        // Without the signal there is a second greeting.
        let mut rest = vec![];
        stream.read_to_end(&mut rest).unwrap();
        assert!(first + rest.len() < 2 * first, "{arguments}");
        let errors = stderr(&program.output());
        assert!(!errors.contains("no worker answers"), "{arguments}: {errors}");
        assert!(!errors.contains("ending the recording"), "{arguments}: {errors}");
    }
}

#[test]
fn restart_during_a_recording_tells_whether_rows_are_lost() {
    let board = RecordingBoard { count: 45, cut: Some(8), ..RecordingBoard::new(1) };
    let address = RecordingBoard { forgets: true, ..board }.serve();
    let (output, errors) =
        smidgen_record(&[&address], &format!("--label walking --seconds 5 {WINDOWING}"));
    let told =
        "it ended early, because the board was restarted, and 3 rows were lost with its power";
    assert!(output.contains(told), "{output}{errors}");
}

fn classes_of(address: &str) -> u64 {
    client(address).command(Command::Status).unwrap().training()
}

#[test]
fn lost_link_during_a_recording_loses_nothing() {
    let board = RecordingBoard { cut: Some(5), ..RecordingBoard::new(1) };
    let address = board.serve();
    let (output, errors) =
        smidgen_record(&[&address], &format!("--label walking --seconds 0.5 {WINDOWING}"));
    assert!(output.contains(": 49 rows of walking"), "{output}{errors}");
    assert!(errors.contains("is gone") && errors.contains("is back"), "{errors}");
}

#[test]
fn request_that_makes_no_sense_is_refused() {
    for (arguments, told) in [
        ("", "required arguments"),
        ("--label a --clear", "cannot be used with"),
        ("--list --seconds 3", "cannot be used with"),
        ("--clear --test", "cannot be used with"),
        ("--list --window 3", "give them with --label"),
        ("--label sixteen-bytes-it", "1 to 15 bytes"),
        ("--label a --features median", "mean, std, mad"),
        ("--label a --seconds 0", "0.1 to 1e6"),
    ] {
        let (_, errors) = smidgen_record(&["tcp:127.0.0.1:1"], arguments);
        assert!(errors.contains(told), "{arguments}: {errors}");
    }
}

/// Boards with rows of two classes each, three classes in all, and with rows that they hold out.
fn boards_with_rows() -> Vec<String> {
    const NAMES: [&str; 3] = ["rest", "walk", "run"];
    let samples = |class: i16| {
        let strength = [class * 900, 7000 - class * 2500, 40];
        let noise = move |t: i16| (t * 37 % 11 - 5) * 30 * (class + 1);
        (0..PERIOD as i16).map(move |t| strength.map(|strength| strength + noise(t)))
    };
    let board = |identity, classes: [usize; 2]| {
        let activity = Arc::new(AtomicUsize::new(0));
        let board = RecordingBoard {
            samples: (0..3).flat_map(samples).collect(),
            activity: Some(activity.clone()),
            words: 4096,
            full_scale: 4000,
            ..RecordingBoard::new(identity)
        };
        let address = board.serve();
        let mut client = client(&address);
        for (is_test, class) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
            let class = classes[class];
            activity.store(class, Ordering::Relaxed);
            let recording = client.command(Command::Status).unwrap().next;
            client.command(start(recording, NAMES[class], is_test)).unwrap();
            wait(&mut client, |rows| rows.progress.rows >= 3);
            client.command(Command::Stop { recording }).unwrap();
        }
        address
    };
    vec![board(9, [0, 1]), board(4, [1, 2])]
}

const ON_BOARD: &str = "--data on-board --objective softmax --k 6 --checkpoint-every 5";

#[test]
fn run_on_board_sends_no_row_scores_and_resumes() {
    let directory = tempdir().unwrap();
    let boards = boards_with_rows();
    let run = |ports: [&str; 2], options: &str| {
        let [one, other] = ports;
        let arguments = format!("run --port {one} --port {other} {ON_BOARD} {options}");
        let output = smidgen(directory.path(), &arguments);
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let ports = [&*boards[0], &*boards[1]];
    let (whole, errors) = run(ports, "--rounds 20 --out whole");
    assert!(
        whole.contains("that boards held out, the model of round 20 has accuracy"),
        "{whole}{errors}"
    );
    let told =
        "Boards hold the model of the run, until the power fails (no journal, or no room in it).";
    assert!(whole.contains(told), "{whole}");
    let summary = summary_of(&directory.path().join("whole"));
    let held_out = &summary["held_out"];
    let rows: u64 =
        boards.iter().map(|board| client(board).command(Command::Status).unwrap().test()).sum();
    assert_eq!(held_out["rows"], rows);
    assert!(2 * held_out["right"].as_u64().unwrap() > rows, "{held_out}");
    let workers = summary["workers"].as_array().unwrap();
    let right = |worker: &Value| worker["held_out"]["right"].as_u64().unwrap();
    assert_eq!(workers.iter().map(right).sum::<u64>(), held_out["right"].as_u64().unwrap());
    assert_eq!(summary["configuration"]["constants"], "boards");
    assert_eq!(summary["configuration"]["data"], "on-board");

    let model = fs::read_to_string(directory.path().join("whole/model.json")).unwrap();
    assert!(model.contains(r#"{"name":"channel3","full_scale":4.0}"#), "{model}");
    // Files in the unit of the sensor, whose channels have names.
    let recording: String =
        (0..30).map(|t| format!("1.5,-0.25,{}\n", f64::from(t) / 10.0)).collect();
    fs::write(directory.path().join("new.csv"), format!("x,y,z\n{recording}")).unwrap();
    let output = smidgen(directory.path(), "predict whole --recordings new.csv");
    assert!(output.status.success(), "{}", stderr(&output));

    // Cables in another order, a bad line, and a run in two parts give the same transcript.
    let (swapped, errors) =
        run([ports[1], ports[0]], "--rounds 20 --out swapped --faults loss=0.05,corrupt=0.05");
    assert!(swapped.contains("boards held out, the model of"), "{swapped}{errors}");
    run(ports, "--rounds 10 --out parts");
    let output = smidgen(directory.path(), "resume parts --rounds 20");
    assert!(output.status.success(), "{}", stderr(&output));
    let transcript = |run: &str| summary_of(&directory.path().join(run))["transcript"].clone();
    assert_eq!(transcript("swapped"), transcript("whole"));
    assert_eq!(transcript("parts"), transcript("whole"));

    // Rows that were recorded meanwhile.
    run(ports, "--rounds 10 --out parts");
    let mut first = client(ports[0]);
    let recording = first.command(Command::Status).unwrap().recording;
    first.command(Command::Discard { recording }).unwrap();
    // The board serves one connection at a time.
    drop(first);
    let output = smidgen(directory.path(), "resume parts --rounds 20");
    assert!(stderr(&output).contains("have changed since the checkpoint"), "{}", stderr(&output));
}

#[test]
fn board_continues_the_model_of_several() {
    let directory = tempdir().unwrap();
    let boards = boards_with_rows();
    let told = |arguments: &str| {
        let output = smidgen(directory.path(), arguments);
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
    };
    let refused = |arguments: &str| stderr(&smidgen(directory.path(), arguments));
    let model = |run: &str| Model::read(directory.path().join(run)).unwrap();
    let [one, other] = [&boards[0], &boards[1]];
    told(&format!("run --port {one} --port {other} {ON_BOARD} --rounds 20 --out all"));
    let run = format!("run --port {one} {ON_BOARD} --from all");
    told(&format!("{run} --rounds 20 --target 1e6 --out still"));
    told(&format!("{run} --rounds 20 --out mine"));
    told(&format!("{run} --rounds 10 --out parts"));
    told("resume parts --rounds 20");
    let [all, still, mine, parts] = ["all", "still", "mine", "parts"].map(model);
    assert_eq!(all.classes, ["rest", "run", "walk"]);
    assert!(is_unmoved(&still, &all) && !is_unmoved(&mine, &all));
    assert_eq!((&mine.input, &mine.classes), (&all.input, &all.classes));
    assert_eq!(parts.transcript, mine.transcript);

    // Without `rest` on the board its number would be another one.
    told(&format!("run --port {other} {ON_BOARD} --from all --rounds 20 --out yours"));
    assert_eq!(model("yours").classes, all.classes);
    let held_out = &summary_of(&directory.path().join("yours"))["held_out"];
    let [right, rows] = ["right", "rows"].map(|field| held_out[field].as_u64().unwrap());
    assert!(2 * right > rows, "{held_out}");

    let errors = refused(&format!("{run} --rounds 20 --out all"));
    assert!(errors.contains("a run in all would replace the model"), "{errors}");
    told("simulate --rounds 1 --objective softmax --out table");
    let errors = refused(&format!("run --port tcp:127.0.0.1:1 {ON_BOARD} --from table --out no"));
    assert!(errors.contains("the model predicts rows of a table, not windows"), "{errors}");
    for (options, expected) in [
        (
            "--label fly --window 20 --hop 10",
            "has rows of the class `fly`, which the model does not know, only rest, run",
        ),
        (
            "--label rest --window 10 --hop 10",
            "but those of the model are 3 channels at 1000 Hz, windows of 20",
        ),
    ] {
        let board = RecordingBoard { count: 60, ..RecordingBoard::new(3) }.serve();
        smidgen_record(&[&board], &format!("{options} --seconds 1 --rate 1000"));
        let errors = refused(&format!("run --port {board} {ON_BOARD} --from all --out no"));
        assert!(errors.contains(expected), "{options}: {errors}");
    }
}

#[test]
fn run_on_board_has_the_transcript_of_simulated_recordings() {
    const LEN: usize = 45;
    let directory = tempdir().unwrap();
    let samples: Vec<_> = (0..4 * LEN as i16)
        .map(|t| [t * 37 % 501 * (t / LEN as i16 + 1), 900 - t * 11 % 97, t % 7 * 300])
        .collect();
    let files = ["rest.csv", "walk.csv", "rest_TEST.csv", "walk_TEST.csv"];
    let mut ports = String::new();
    for identity in [2, 1] {
        let due = Arc::new(AtomicUsize::new(0));
        let mut samples = samples.clone();
        samples.rotate_left(identity as usize * 9);
        let board = RecordingBoard {
            samples: samples.clone(),
            due: Some(due.clone()),
            ..RecordingBoard::new(identity)
        };
        let address = board.serve();
        let mut client = client(&address);
        let mut csv = [String::from("x,y,z,label\n"), String::from("x,y,z,label\n")];
        for (part, file) in files.iter().enumerate() {
            let (class, is_test) = (&file[..4], file.contains("TEST"));
            let recording = client.command(Command::Status).unwrap().next;
            client.command(start(recording, class, is_test)).unwrap();
            due.store((part + 1) * LEN, Ordering::Relaxed);
            wait(&mut client, |rows| rows.progress.samples as usize >= LEN);
            client.command(Command::Stop { recording }).unwrap();
            for [x, y, z] in &samples[part * LEN..][..LEN] {
                csv[usize::from(is_test)].push_str(&format!("{x},{y},{z},{class}\n"));
            }
        }
        for (text, end) in csv.iter().zip(["", "_TEST"]) {
            fs::write(directory.path().join(format!("board{identity}{end}.csv")), text).unwrap();
        }
        ports.push_str(&format!(" --port {address}"));
    }
    let common = "--objective softmax --k 6 --rounds 12 --out";
    let on_board = format!("run{ports} --data on-board {common} boards");
    let simulated = format!(
        "simulate --recordings . --full-scale 32768 {WINDOWING} --constants boards {common} simulated"
    );
    let [boards, simulated] = [(on_board, "boards"), (simulated, "simulated")].map(|(run, out)| {
        let output = smidgen(directory.path(), &run);
        assert!(output.status.success(), "{}", stderr(&output));
        transcripts(&records(&directory.path().join(out))).join("\n")
    });
    assert_eq!(boards, simulated);
}

#[test]
fn run_on_board_is_refused_with_a_sentence() {
    let directory = tempdir().unwrap();
    let run = |arguments: &str| {
        stderr(&smidgen(directory.path(), &format!("run --data on-board {arguments}")))
    };
    let empty = RecordingBoard::new(1).serve();
    for (options, told) in [
        ("", "has no rows to train on; record some by `smidgen record"),
        ("--workers 1", "--workers needs them on the host"),
        ("--method ef21-w", "--method ef21-w needs them on the host"),
        ("--objective least-squares", "choose logistic, softmax, perceptron or svm"),
    ] {
        let errors = run(&format!("--port {empty} {options}"));
        assert!(errors.contains(told), "{options}: {errors}");
    }
    let boards = boards_with_rows();
    let errors = run(&format!("--port {} --port {}", boards[0], boards[1]));
    assert!(errors.contains("logistic learns two classes, but the boards have 3"), "{errors}");
    let errors = run(&format!("--port {} --objective perceptron --constants boards", boards[0]));
    assert!(errors.contains("--constants boards computes the step size from reports"), "{errors}");
    let strong = RecordingBoard { full_scale: 8000, ..RecordingBoard::new(5) }.serve();
    smidgen_record(&[&strong], &format!("--label rest --seconds 0.1 {WINDOWING}"));
    let errors = run(&format!("--port {} --port {strong} --objective softmax", boards[1]));
    let told = "are 8,8,8 g or °/s, but those of";
    assert!(errors.contains(told) && errors.contains("equal sensors"), "{errors}");
    let other = RecordingBoard { count: 60, ..RecordingBoard::new(3) }.serve();
    smidgen_record(&[&other], "--label rest --seconds 1 --window 10 --rate 1000");
    let errors = run(&format!("--port {} --port {other} --objective softmax", boards[0]));
    assert!(
        errors.contains("windows of 20 samples every 10")
            && errors.contains("record all with the same options"),
        "{errors}"
    );
}
