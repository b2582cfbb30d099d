//! What the tests of the binary share: they start it, stop it, wait for it, and read what it leaves.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod boards;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::mem;
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

    /// Whether it has ended. Its number stays its own until it is waited for.
    pub fn has_ended(&self) -> bool {
        is_over(self.id(), libc::WNOHANG)
    }

    /// Waits for something that happens before the program ends.
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let mut holds = false;
        wait_until(what, || {
            // Asked for its end first: what it does last counts.
            let has_ended = self.has_ended();
            holds = is_so();
            holds || has_ended
        });
        assert!(holds, "the program ended, and {what} is not so");
    }

    pub fn end(&mut self) -> ExitStatus {
        is_over(self.id(), 0);
        self.release().wait().expect("it is ours")
    }

    /// Waits for its end; what it says fits a pipe.
    pub fn output(mut self) -> Output {
        wait_until("the program has ended", || self.has_ended());
        self.release().wait_with_output().expect("it ends")
    }

    /// Ends what is left of its group, and gives the program away to be waited for.
    fn release(&mut self) -> Child {
        let child = self.child.take().expect("it was not waited for");
        if self.is_group {
            // It was not reaped, so the number is still that of its group.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        }
        child
    }
}

/// Whether a child of this process has ended, which is not waited for: with `WNOHANG` now, with 0 once it has.
fn is_over(id: u32, hang: libc::c_int) -> bool {
    // SAFETY: it is made of numbers.
    let mut how: libc::siginfo_t = unsafe { mem::zeroed() };
    let options = libc::WEXITED | libc::WNOWAIT | hang;
    // SAFETY: the call writes to `how` alone, which is one.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut how, options) };
    assert!(Errno::result(result).is_ok(), "it is ours: {}", Errno::last());
    // SAFETY: the call has set the number, or left it 0.
    unsafe { how.si_pid() != 0 }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        let mut child = self.release();
        // It fails only where the program has ended by itself.
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

/// Writes a program. A process of its own does it: a file is not run while anybody has it open to write, and what another
/// test starts at that moment would have it open too.
pub fn executable(path: &Path, content: &[u8]) {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"cat >"$0" && chmod 755 "$0""#]).arg(path).stdin(Stdio::piped());
    let mut writer = shell.spawn().expect("there is a shell");
    let mut pipe = writer.stdin.take().expect("it is piped");
    pipe.write_all(content).expect("it is read");
    drop(pipe);
    assert!(writer.wait().expect("it is ours").success(), "there is room");
}

/// Writes a program for the shell.
pub fn script(path: &Path, content: &str) {
    executable(path, format!("#!/bin/sh\n{content}\n").as_bytes());
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
