//! Tests of emulated boards and the temporary directory: no file there contains a key, files of a killed run are
//! removed by the next one, a directory of any name works, and an unusable one is named.

use super::{
    BUILD_MAX, Running, command, emulation, simulated, smidgen, stderr, transcript, wait_until,
    wait_within,
};
use rustix::process::Signal;
use smidgen::boards::board::Board;
use smidgen::boards::image::{self, build};
use smidgen::boards::key_file::KeyFile;
use smidgen_protocol::seal::KEY_LEN;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Comma and space are special in QEMU's options, and one byte is not UTF-8.
const NAME: &[u8] = b"a, b=\xff";

/// More rounds than a test waits for.
const ENDLESS: &str = "1000000";

/// Returns a run of two boards with a key, with its temporary files in `temporary`.
fn keyed(directory: &Path, temporary: &Path, rounds: &str) -> Command {
    let options = format!("--rows 60 --step am --rounds {rounds} --key fleet.key --out keyed");
    let mut command = command(directory, &format!("emulate --board mps2-m3=2 {options}"));
    command.env("TMPDIR", temporary).stdout(Stdio::null());
    command
}

/// Returns all regular files in a directory, recursively.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        match path.symlink_metadata().expect("it exists").file_type() {
            kind if kind.is_dir() => found.extend(files(&path)),
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found
}

/// Returns the processes whose working directory is or was in a directory, as of emulators and their watches.
fn processes_in(folder: &Path) -> usize {
    let entries = fs::read_dir("/proc").expect("Linux has it");
    let places = entries.flatten().filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
    places.filter(|place| place.starts_with(folder)).count()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("the folder is there").next().is_none()
}

/// Runs with a key are ended in every way that leaves no time to clean up.
#[test]
fn killed_run_with_a_key_leaves_no_key_and_no_emulator() {
    let test = "killed_run_with_a_key_leaves_no_key_and_no_emulator";
    let Some(directory) = emulation(test, &["mps2-m3"]) else { return };
    let directory = directory.path().canonicalize().expect("it is there");
    assert!(smidgen(&directory, "key fleet.key").status.success());
    let key = KeyFile::read(&directory.join("fleet.key")).expect("it was just made");
    let temporary = directory.join(OsStr::from_bytes(NAME));
    fs::create_dir(&temporary).expect("there is room");
    let holds_key = |file: &PathBuf| {
        let bytes = fs::read(file).expect("it can be read");
        bytes.windows(KEY_LEN).any(|window| window == key.bytes())
    };
    // The search does find a key if a file contains it.
    let (image, control) = (build(Board::find("mps2-m3").unwrap()), directory.join("control"));
    image::keyed(&image.expect("it was built before"), &key, &control).expect("there is room");
    assert!(holds_key(&control));
    fs::remove_file(control).expect("it was there");

    let begun = Instant::now();
    let whole = keyed(&directory, &temporary, "2").output().expect("the binary starts");
    assert!(whole.status.success(), "{}", stderr(&whole));
    assert!(is_empty(&temporary));
    let duration = begun.elapsed();

    // While it starts, and once when both boards are certainly running.
    let mut left = 0;
    for moment in (1..=6).map(|n| Some(duration * n / 5)).chain([None, None]) {
        let mut run = keyed(&directory, &temporary, ENDLESS);
        let mut run = Running::start(run.stderr(Stdio::null()));
        if let Some(moment) = moment {
            sleep(moment);
            run.signal(Signal::KILL);
            assert_eq!(run.end().signal(), Some(9));
        } else {
            wait_within(BUILD_MAX, "both boards work", || processes_in(&temporary) >= 2 * 2);
            // Pending signals of one kind are merged, so the third is sent after a while.
            while !run.has_ended() {
                run.signal(Signal::TERM);
                sleep(Duration::from_millis(2));
            }
            assert_eq!(run.end().code(), Some(130));
        }
        let found = files(&directory);
        assert!(found.len() > 2, "the records of earlier runs at least");
        let keys: Vec<_> = found.iter().filter(|file| holds_key(file)).collect();
        assert!(keys.is_empty(), "after {moment:?}: {keys:?}");
        left += usize::from(!is_empty(&temporary));
        wait_until("no emulator is left", || processes_in(&temporary) == 0);
    }
    println!("a run takes {duration:?}; {left} of 8 left a folder for the next");
    assert!(left > 0, "none was killed while it had boards");

    let next = keyed(&directory, &temporary, "2").output().expect("the binary starts");
    assert!(next.status.success(), "{}", stderr(&next));
    assert!(is_empty(&temporary), "{:?}", files(&temporary));
}

/// Returns all files of a run.
fn contents(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |file: PathBuf| (file.clone(), fs::read(file).expect("it can be read"));
    files(run).into_iter().map(read).collect()
}

#[test]
fn unusable_temporary_directory_is_reported_first() {
    let test = "unusable_temporary_directory_is_reported_first";
    let Some(directory) = emulation(test, &["mps2-m3"]) else { return };
    let directory = directory.path();
    assert!(smidgen(directory, "key fleet.key").status.success());
    let whole = keyed(directory, directory, "2").output().expect("the binary starts");
    assert!(whole.status.success(), "{}", stderr(&whole));
    let before = contents(&directory.join("keyed"));
    assert!(before.len() > 2);

    let long = directory.join("long".repeat(30));
    fs::create_dir(&long).expect("there is room");
    fs::write(directory.join("file"), "").expect("there is room");
    for bad in [directory.join("missing"), directory.join("file"), "/proc".into(), long] {
        let output = keyed(directory, &bad, "2").output().expect("the binary starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let sentence = said.lines().last().expect("it says something");
        assert!(sentence.starts_with("error: no directory can be created in "), "{said}");
        assert!(sentence.contains("TMPDIR") && sentence.contains(super::text(&bad)), "{said}");
        assert!(!said.contains("replacing"), "{said}");
        assert_eq!(contents(&directory.join("keyed")), before, "{said}");
    }
}

#[test]
fn temporary_directory_of_any_name_works() {
    let test = "temporary_directory_of_any_name_works";
    let Some(directory) = emulation(test, &["microbit", "mps2-m3"]) else { return };
    let directory = directory.path();
    let expected = simulated(directory, 2);
    // Also a path of the maximum length, a relative one, and an empty one.
    let longest = vec![b'x'; 70 - directory.as_os_str().len() - 1];
    for name in [NAME, &longest, b"'\"\n\x1b[31m%s$(x)", b"./plain", b""] {
        if !name.is_empty() {
            fs::create_dir(directory.join(OsStr::from_bytes(name))).expect("there is room");
        }
        for key in ["", "--key fleet.key"] {
            let _ = smidgen(directory, "key fleet.key");
            let boards = "--board microbit --board mps2-m3";
            let emulate = format!("emulate {boards} {} {key} --out any", super::SHORT);
            let output =
                command(directory, &emulate).env("TMPDIR", OsStr::from_bytes(name)).output();
            let output = output.expect("the binary starts");
            assert!(output.status.success(), "{name:?}: {}", stderr(&output));
            assert_eq!(transcript(&directory.join("any")), expected);
        }
    }
}

#[test]
fn image_is_built_with_environment_variables_of_any_bytes() {
    let test = "image_is_built_with_environment_variables_of_any_bytes";
    let Some(directory) = emulation(test, &["mps2-m3"]) else { return };
    for variable in ["HOME", "CARGO_TARGET_DIR", "TMPDIR", "RUSTFLAGS", "CARGO_HOME", "LANG"] {
        let output = command(directory.path(), "image --board mps2-m3")
            .env(variable, directory.path().join(OsStr::from_bytes(NAME)))
            .output()
            .expect("the binary starts");
        assert!(output.status.success(), "{variable}: {}", stderr(&output));
    }
}
