//! What the tests of the binary share: they start it, stop it, wait for it, and read what it leaves.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod boards;

use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_smidgen");

/// The longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary in `directory`, with arguments that spaces separate.
pub fn command(directory: &Path, arguments: &str) -> Command {
    program(BINARY, directory, arguments)
}

/// A program that hears signals and nothing else; it keeps what it says for its [`Output`].
pub fn program(path: impl AsRef<OsStr>, directory: &Path, arguments: &str) -> Command {
    let mut command = Command::new(path);
    command.args(arguments.split_whitespace()).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Tests in the background of a script ignore SIGINT, under `nohup` SIGHUP, and what they start would inherit that.
    handle(&mut command, &[Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM], SigHandler::SigDfl);
    command
}

/// Sets what a program does about these signals when it starts.
pub fn handle(command: &mut Command, signals: &'static [Signal], handler: SigHandler) {
    // SAFETY: `SigDfl` and `SigIgn` are not functions.
    let set = move |&number: &Signal| unsafe { signal(number, handler) }.map(drop);
    // SAFETY: between fork and exec it makes system calls that are safe there, and nothing else.
    unsafe { command.pre_exec(move || Ok(signals.iter().try_for_each(set)?)) };
}

/// Runs the binary to its end.
pub fn smidgen(directory: &Path, arguments: &str) -> Output {
    command(directory, arguments).output().expect("the binary starts")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program that ends with this value, also when a test fails.
pub struct Running {
    child: Option<Child>,
    is_group: bool,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self::of(command, false)
    }

    /// All that the program starts end with it.
    pub fn group(command: &mut Command) -> Self {
        Self::of(command.process_group(0), true)
    }

    fn of(command: &mut Command, is_group: bool) -> Self {
        Self { child: Some(command.spawn().expect("the program starts")), is_group }
    }

    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for")
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it was not waited for").id()
    }

    pub fn signal(&self, signal: Signal) {
        // It fails where the program has ended by itself.
        let _ = kill(Pid::from_raw(self.id().cast_signed()), signal);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().expect("it is ours").is_some()
    }

    /// Waits for something that happens before the program ends.
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        wait_until(what, || is_so() || self.has_ended());
        assert!(is_so(), "the program ended, and {what} is not so");
    }

    pub fn end(&mut self) -> ExitStatus {
        self.child().wait().expect("it is ours")
    }

    /// Waits for its end; what it says fits a pipe.
    pub fn output(mut self) -> Output {
        wait_until("the program has ended", || self.has_ended());
        let child = self.child.take().expect("it was not waited for");
        child.wait_with_output().expect("it ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // All fail only where they have ended by themselves.
        if self.is_group {
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, is_so);
}

pub fn wait_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} is not so after {patience:?}");
        sleep(Duration::from_millis(10));
    }
}

/// Says that a test is skipped; with `SMIDGEN_NO_SKIP` that is a failure.
pub fn skip(test: &str, why: &str) {
    assert!(env::var_os("SMIDGEN_NO_SKIP").is_none(), "{test}: {why}");
    writeln!(std::io::stderr(), "SKIPPED: {test}: {why}").expect("standard error is open");
}

pub fn summary_of(run: &Path) -> Value {
    let text = fs::read(run.join("summary.json")).expect("the summary is there");
    serde_json::from_slice(&text).expect("the summary is JSON")
}

/// The records of a run, as they are in their file.
pub fn records(run: &Path) -> String {
    fs::read_to_string(run.join("rounds.jsonl")).expect("the records are there")
}

pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the records are there");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// The transcripts of records, in which bytes may differ: those of a restoration come on top.
pub fn transcripts(records: &str) -> Vec<&str> {
    records.lines().map(|line| line.split("\"transcript\":").nth(1).expect("it has one")).collect()
}
