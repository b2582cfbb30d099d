//! Names of files of any bytes, and text from outside.

use super::stderr;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::tempdir;

/// No UTF-8, a comma, a space, quotes, a line's end, an escape sequence.
const HOSTILE: &[u8] = b"\xff, 'it\"\n\x1b[31m";

fn name(end: &str) -> Vec<u8> {
    [HOSTILE, end.as_bytes()].concat()
}

/// Runs `smidgen` in `directory`; nothing that a terminal would obey may come out.
fn smidgen(directory: &Path, arguments: &[&[u8]]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_smidgen"))
        .args(arguments.iter().map(|argument| OsStr::from_bytes(argument)))
        .current_dir(directory)
        .output()
        .expect("the binary starts");
    for text in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(text).expect("what is said is UTF-8");
        assert!(!text.chars().any(|char| char != '\n' && char.is_control()), "{text:?}");
    }
    output
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
        b"--checkpoint",
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
fn an_option_that_must_be_text_is_named() {
    let directory = tempdir().expect("there is room");
    for option in ["--k", "--method", "--step", "--faults", "--absent", "--rounds", "--eta"] {
        let output = smidgen(directory.path(), &[b"simulate", option.as_bytes(), HOSTILE]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(option), "{}", stderr(&output));
    }
}
