//! Tests of file names of any bytes, and of text from outside.

use super::{EXPERIMENT, Ready, answering, board, board_named, ready, stderr, work, worker};
use crate::support::command as plain;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use tempfile::tempdir;

/// Not UTF-8, with a comma, a space, quotes, a newline and an escape sequence.
const HOSTILE: &[u8] = b"\xff, 'it\"\n\x1b[31m";

/// Characters that reorder text, are invisible, or end a line, but are not control characters.
const STRANGE: &str = "\u{202e}\u{2066}\u{200b}\u{2028}";

/// The name of a board that would clear and retitle a terminal, forge an error, and break out of a page.
const STRANGER: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}\r\nerror: no\u{9b}31m\u{202e}\u{2066}\u{200b}\u{2028}<b>\"&";

fn name(end: &str) -> Vec<u8> {
    [HOSTILE, end.as_bytes()].concat()
}

/// Runs `smidgen` in `directory`, and asserts that it prints nothing that a terminal would interpret.
fn smidgen(directory: &Path, arguments: &[&[u8]]) -> Output {
    run(command(directory, arguments))
}

fn command(directory: &Path, arguments: &[&[u8]]) -> Command {
    let mut command = plain(directory, "");
    command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
    command
}

fn run(mut command: Command) -> Output {
    let output = command.output().expect("the binary starts");
    for text in [&output.stdout, &output.stderr] {
        assert_harmless(text);
    }
    output
}

/// Asserts that a text consists of visible characters and newlines.
fn assert_harmless(text: &[u8]) {
    let text = std::str::from_utf8(text).expect("what is said is UTF-8");
    let is_hostile = |char: char| char != '\n' && (char.is_control() || STRANGE.contains(char));
    assert!(!text.contains(is_hostile), "{text:?}");
}

#[test]
fn paths_of_any_bytes_work_everywhere() {
    let directory = tempdir().expect("there is room");
    let folder = directory.path().join(OsStr::from_bytes(HOSTILE));
    fs::create_dir(&folder).expect("there is room");
    let [key, data, config, kept, out] = ["key", "data", "config", "kept", "out"].map(name);
    let rows = "1 1:1 2:-1\n-1 1:-1 2:1\n".repeat(8);
    fs::write(folder.join(OsStr::from_bytes(&data)), rows).expect("there is room");
    fs::write(folder.join(OsStr::from_bytes(&config)), "rounds = 3\n").expect("there is room");
    let simulate: [&[u8]; 11] = [
        b"simulate",
        b"--key",
        &key,
        b"--dataset",
        &data,
        b"--config",
        &config,
        b"--checkpoint-dir",
        &kept,
        b"--out",
        &out,
    ];
    let commands: [&[&[u8]]; 5] = [
        &[b"key", &key],
        &simulate,
        &[b"resume", &kept, b"--rounds", b"5"],
        &[b"report", &out],
        &[b"plan", b"--dataset", &data],
    ];
    for command in commands {
        let output = smidgen(&folder, command);
        assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    }
}

#[test]
fn option_that_must_be_utf8_is_named() {
    let directory = tempdir().expect("there is room");
    for option in ["--k", "--method", "--step", "--faults", "--absent", "--rounds", "--eta"] {
        let output = smidgen(directory.path(), &[b"simulate", option.as_bytes(), HOSTILE]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(option), "{}", stderr(&output));
    }
}

/// Commands with a board of a hostile name: one that trains, and those that refuse it.
#[test]
fn text_from_a_board_is_escaped_on_terminal_and_page() {
    let directory = tempdir().expect("there is room");
    let trains = board_named(STRANGER, 1);
    let arguments: [&[u8]; 11] = [
        b"run",
        b"--port",
        trains.as_bytes(),
        b"--rows",
        b"60",
        b"--rounds",
        b"5",
        b"--step",
        b"am",
        b"--out",
        b"run",
    ];
    let output = smidgen(directory.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut files = 0;
    for entry in fs::read_dir(directory.path().join("run")).expect("the run is there") {
        let path = entry.expect("it can be read").path();
        if path.is_file() && path.extension().is_some_and(|end| end != "checkpoint") {
            assert_harmless(&fs::read(&path).expect("it can be read"));
            files += 1;
        }
    }
    assert!(files >= 3, "records, summary and report");
    let page = fs::read_to_string(directory.path().join("run/report.html")).expect("it is there");
    assert!(page.contains(r"\u{1b}[2J") && page.contains("&lt;b&gt;"), "the page tells its name");
    assert!(!page.contains("\u{1b}") && !page.contains("<b>\"&"));
    let report = smidgen(directory.path(), &[b"report", b"run"]);
    assert!(report.status.success(), "{}", stderr(&report));

    let twins = [board_named(STRANGER, 7), board_named(STRANGER, 7)];
    let other = answering(Ready { objectives: STRANGER, ..ready(STRANGER, 1) });
    let first: &[&str] = &[&twins[0], &twins[1]];
    for ports in [first, &[&other]] {
        let mut arguments: Vec<&[u8]> = vec![b"run", b"--rows", b"60"];
        ports.iter().for_each(|port| arguments.extend([&b"--port"[..], port.as_bytes()]));
        let refused = smidgen(directory.path(), &arguments);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(r"\u{1b}[2J"), "{}", stderr(&refused));
    }
}

#[test]
fn board_on_a_socket_of_any_name_trains() {
    let directory = tempdir().expect("there is room");
    let listener = UnixListener::bind(directory.path().join(OsStr::from_bytes(HOSTILE)));
    let listener = listener.expect("a socket may have such a name");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the host connects");
        work(stream, &mut worker("thread", 1));
    });
    let (socket, other) = ([b"unix:", HOSTILE].concat(), board(2));
    let ports: [&[u8]; 4] = [b"--port", &socket, b"--port", other.as_bytes()];
    let options: [&[u8]; 4] = [b"--rows", b"60", b"--rounds", b"3"];
    let output = smidgen(directory.path(), &[&[&b"run"[..]], &ports[..], &options].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn experiments_accept_paths_of_any_bytes() {
    let directory = tempdir().expect("there is room");
    let [study, data, out] = ["study.toml", "data", "page"].map(name);
    let at = |name: &[u8]| directory.path().join(OsStr::from_bytes(name));
    fs::write(at(&study), EXPERIMENT).expect("there is room");
    fs::create_dir(at(&data)).expect("there is room");
    let rows = "+1 1:1 2:-1\n-1 1:-1 2:1\n".repeat(50);
    fs::write(at(&data).join("nowhere"), rows).expect("there is room");
    let command: [&[u8]; 6] = [b"reproduce", &study, b"--data", &data, b"--out", &out];
    let output = smidgen(directory.path(), &command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("SKIPPED"), "{}", stderr(&output));
    let page = fs::read(at(&out).join("reproduction.md")).expect("the page is there");
    assert_harmless(&page);
}

#[test]
fn environment_variables_of_any_bytes_are_accepted() {
    let directory = tempdir().expect("there is room");
    for command_line in [&[&b"simulate"[..], b"--rows", b"60", b"--rounds", b"2"][..], &[b"ports"]]
    {
        let mut command = command(directory.path(), command_line);
        for variable in
            ["HOME", "TMPDIR", "CARGO_TARGET_DIR", "LANG", "TERM", "COLUMNS", "NO_COLOR"]
        {
            command.env(variable, OsStr::from_bytes(HOSTILE));
        }
        let output = run(command);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}
