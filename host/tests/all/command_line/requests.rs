//! Tests of requests to stop before training: the first one ends the process and its children, even while it waits.

use crate::support::{Running, command, make_pipe, script, wait_until};
use rustix::fs::OFlags;
use rustix::process::Signal;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::{TempDir, tempdir};

/// A command in its own directory, which is killed when this value is dropped.
struct Waiting {
    running: Running,
    folder: TempDir,
}

impl Waiting {
    fn start(folder: TempDir, arguments: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let said = File::create(folder.path().join("said")).expect("there is room");
        let mut command = command(folder.path(), arguments);
        command.stdout(Stdio::null()).stderr(said);
        prepare(&mut command);
        Self { running: Running::start(&mut command), folder }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }

    /// Requests a stop, once or several times in a row.
    fn assert_ends(&mut self, requests: &[Signal], what: &str) {
        requests.iter().for_each(|&request| self.running.signal(request));
        wait_until("it has ended", || self.running.has_ended());
        let (status, said) = (self.running.end(), self.said());
        assert_eq!(status.code(), Some(130), "{what}: {said}");
        if let [_] = requests {
            let last = said.lines().last();
            assert_eq!(last, Some("stopped on request"), "{what}: {said}");
        }
        assert!(!self.folder.path().join("run/rounds.jsonl").exists(), "{what}");
    }
}

/// Returns a directory with a named pipe `data`.
fn with_pipe() -> TempDir {
    let folder = tempdir().expect("there is room");
    make_pipe(&folder.path().join("data"));
    folder
}

#[test]
fn request_ends_a_command_that_waits_for_more_data() {
    for (command, request) in [
        ("simulate", Signal::INT),
        ("simulate", Signal::TERM),
        ("simulate", Signal::HUP),
        ("plan", Signal::INT),
        ("run --port tcp:127.0.0.1:1", Signal::TERM),
        ("emulate --board mps2-m3", Signal::INT),
    ] {
        let arguments = format!("{command} --dataset data --out run");
        let mut waiting = Waiting::start(with_pipe(), &arguments, |_| {});
        let pipe = waiting.folder.path().join("data");
        let mut writer = None;
        wait_until("it opens the pipe", || {
            let mut options = File::options();
            // Without a reader, this fails instead of waiting.
            options.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
            writer = options.open(&pipe).ok();
            writer.is_some()
        });
        waiting.assert_ends(&[request], &arguments);
        drop(writer);
    }
}

#[test]
fn request_ends_a_command_that_waits_for_a_writer() {
    for (dataset, stdin) in [("data", Stdio::null()), ("/dev/stdin", Stdio::piped())] {
        let arguments = format!("simulate --dataset {dataset} --out run");
        let mut waiting = Waiting::start(with_pipe(), &arguments, |command| {
            command.stdin(stdin);
        });
        wait_until("it looks for its data", || waiting.said().contains("loading data"));
        waiting.assert_ends(&[Signal::INT], &arguments);
    }
}

/// Part of a script that waits while its directory exists, and part that writes process ids.
const WAIT: &str = r#"while [ -d "$PLACE" ]; do sleep 0.1; done"#;
const TELL: &str = r#"mv "$PLACE/part" "$PLACE/waits""#;

/// A script that waits, and has a child that waits.
fn waiting_together() -> String {
    format!("{WAIT} &\necho $$ $! >\"$PLACE/part\"; {TELL}; wait")
}

/// A script that waits without a child, like QEMU.
fn waiting_alone() -> String {
    format!("echo $$ >\"$PLACE/part\"; {TELL}; {WAIT}")
}

/// A script that ends, and leaves a waiting child with its open files.
fn leaving() -> String {
    format!("{WAIT} &\necho $! >\"$PLACE/part\"; {TELL}")
}

/// Writes stand-ins for smidgen's child programs, of which `waiting` does not end.
fn make_programs(place: &Path, waiting: &str, waits: &str) {
    let rustc = r#"case "$*" in *target-libdir*) echo "$PLACE" ;; esac"#;
    let cargo = r#"echo "{\"executable\":\"$PLACE/image\"}""#;
    for (name, content) in [("rustc", rustc), ("cargo", cargo), ("qemu", "exit 1")] {
        script(&place.join(name), if name == waiting { waits } else { content });
    }
    fs::write(place.join("image"), "").expect("there is room");
    fs::create_dir(place.join("temporary")).expect("there is room");
}

/// Returns whether a process has ended or is a zombie.
fn has_ended(process: &str) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).map_or(true, |line| line.is_empty())
}

#[test]
fn request_ends_a_command_and_its_child() {
    // The second of two requests arrives before the first is polled. QEMU's directory is then not removed.
    const TWO: &[Signal] = &[Signal::INT, Signal::TERM];
    let (int, term) = (&TWO[..1], &TWO[1..]);
    let (together, alone, leaving) = (waiting_together(), waiting_alone(), leaving());
    for (program, waits, command, requests) in [
        ("rustc", &together, "image --board mps2-m3", int),
        ("cargo", &together, "image --board mps2-m3", term),
        ("cargo", &together, "emulate --board mps2-m3 --rows 60 --out run", int),
        ("qemu", &alone, "emulate --board mps2-m3 --rows 60 --out run", int),
        ("qemu", &alone, "emulate --board mps2-m3=2 --rows 60 --out run", term),
        ("rustc", &leaving, "image --board mps2-m3", int),
        ("cargo", &leaving, "image --board mps2-m3", term),
        ("rustc", &together, "image --board mps2-m3", TWO),
        ("cargo", &together, "emulate --board mps2-m3 --rows 60 --out run", TWO),
        ("cargo", &leaving, "image --board mps2-m3", TWO),
    ] {
        let folder = tempdir().expect("there is room");
        let place = folder.path().to_owned();
        make_programs(&place, program, waits);
        let mut waiting = Waiting::start(folder, command, |command| {
            let path = [place.as_os_str(), "/usr/bin:/bin".as_ref()];
            command.env("PATH", path.join(std::ffi::OsStr::new(":"))).env("PLACE", &place);
            command.env("SMIDGEN_QEMU", place.join("qemu")).env("TMPDIR", place.join("temporary"));
            command.env_remove("SMIDGEN_BOARD_COMPILER");
        });
        let waits = place.join("waits");
        wait_until("the program runs", || waits.exists());
        let processes = fs::read_to_string(waits).expect("it was written");
        assert!(processes.split_whitespace().all(|process| !has_ended(process)), "{processes}");
        waiting.assert_ends(requests, &format!("{command}, {program}, {requests:?}"));
        wait_until("the program has ended", || processes.split_whitespace().all(has_ended));
        let mut left = fs::read_dir(place.join("temporary")).expect("it is there");
        assert!(left.next().is_none(), "{command}, {program}: something is left");
    }
}
