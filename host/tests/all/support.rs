//! Helpers of the binary's tests: they start and stop it, wait for it, and read its files.

pub(crate) mod boards;
pub(crate) mod recording;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_smidgen");

/// Time-out of every wait, generous for a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns a command that runs the binary in `directory`, with arguments separated by spaces.
pub(crate) fn command(directory: &Path, arguments: &str) -> Command {
    program(BINARY, directory, arguments)
}

/// Returns a command with default signal handling, no input, and captured [`Output`].
pub(crate) fn program(path: impl AsRef<OsStr>, directory: &Path, arguments: &str) -> Command {
    let mut command = Command::new(path);
    command.args(arguments.split_whitespace()).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Tests in the background of a script ignore SIGINT, and under `nohup` SIGHUP. A child would inherit that.
    set_signals(&mut command, &[Signal::HUP, Signal::INT, Signal::TERM], libc::SIG_DFL);
    command
}

/// Makes a command ignore these signals.
pub(crate) fn ignore(command: &mut Command, signals: &'static [Signal]) {
    set_signals(command, signals, libc::SIG_IGN);
}

fn set_signals(command: &mut Command, signals: &'static [Signal], action: libc::sighandler_t) {
    let set = move |signal: &Signal| {
        // SAFETY: `SIG_DFL` and `SIG_IGN` are not handlers, so no function is called in a signal context.
        match unsafe { libc::signal(signal.as_raw(), action) } {
            libc::SIG_ERR => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: between fork and exec the closure makes only system calls that are async-signal-safe.
    unsafe { command.pre_exec(move || signals.iter().try_for_each(set)) };
}

/// Creates a named pipe.
pub(crate) fn make_pipe(path: &Path) {
    // By the command: rustix has no `mkfifo` on macOS.
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo starts");
    assert!(made.success(), "{made}");
}

/// Runs the binary to its end.
pub(crate) fn smidgen(directory: &Path, arguments: &str) -> Output {
    command(directory, arguments).output().expect("the binary starts")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running program, which is killed when this value is dropped, also when a test fails.
pub(crate) struct Running {
    child: Option<Child>,
    is_group: bool,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::of(command, false)
    }

    /// Starts a program in a process group, which is killed with it.
    pub(crate) fn group(command: &mut Command) -> Self {
        Self::of(command.process_group(0), true)
    }

    fn of(command: &mut Command, is_group: bool) -> Self {
        Self { child: Some(command.spawn().expect("the program starts")), is_group }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it was not waited for").id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it was not waited for"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // This fails if the program has ended by itself.
        let _ = kill_process(self.pid(), signal);
    }

    /// Returns whether it has ended, without reaping it, so that its id is not reused.
    pub(crate) fn has_ended(&self) -> bool {
        is_over(self.pid(), WaitIdOptions::NOHANG)
    }

    /// Waits for a condition that must hold before the program ends.
    pub(crate) fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let mut holds = false;
        wait_until(what, || {
            // Checked before the condition, so that the last actions of the program count.
            let has_ended = self.has_ended();
            holds = is_so();
            holds || has_ended
        });
        assert!(holds, "the program ended before this was true: {what}");
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        is_over(self.pid(), WaitIdOptions::empty());
        self.release().wait().expect("it is ours")
    }

    /// Waits for its end and returns its output, which must fit into a pipe.
    pub(crate) fn output(mut self) -> Output {
        wait_until("the program has ended", || self.has_ended());
        self.release().wait_with_output().expect("it ends")
    }

    /// Kills the rest of its group, and returns the child to be reaped.
    fn release(&mut self) -> Child {
        let child = self.child.take().expect("it was not waited for");
        if self.is_group {
            // The child was not reaped, so the id is still that of its group.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        child
    }
}

/// Returns whether a child has ended, without reaping it. With `NOHANG` it does not wait for the end.
fn is_over(child: Pid, hang: WaitIdOptions) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | hang;
    waitid(WaitId::Pid(child), options).expect("it is ours").is_some()
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        let mut child = self.release();
        // This fails only if the program has ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub(crate) fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, is_so);
}

pub(crate) fn wait_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "not true after {patience:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Writes an executable file, in a separate process. Linux refuses to run a file that is open for writing, and a child
/// that another test starts at that moment would inherit the open file.
pub(crate) fn executable(path: &Path, content: &[u8]) {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"cat >"$0" && chmod 755 "$0""#]).arg(path).stdin(Stdio::piped());
    let mut writer = shell.spawn().expect("there is a shell");
    let mut pipe = writer.stdin.take().expect("it is piped");
    pipe.write_all(content).expect("it is read");
    drop(pipe);
    assert!(writer.wait().expect("it is ours").success(), "there is room");
}

/// Writes an executable shell script.
pub(crate) fn script(path: &Path, content: &str) {
    executable(path, format!("#!/bin/sh\n{content}\n").as_bytes());
}

/// Reports that a test is skipped; with `SMIDGEN_NO_SKIP` set, fails it.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(env::var_os("SMIDGEN_NO_SKIP").is_none(), "{test}: {why}");
    writeln!(std::io::stderr(), "SKIPPED: {test}: {why}").expect("standard error is open");
}

pub(crate) fn summary_of(run: &Path) -> Value {
    let text = fs::read(run.join("summary.json")).expect("the summary is there");
    serde_json::from_slice(&text).expect("the summary is JSON")
}

/// Returns the text of the records of a run.
pub(crate) fn records(run: &Path) -> String {
    fs::read_to_string(run.join("rounds.jsonl")).expect("the records are there")
}

pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the records are there");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Returns the transcripts of records. Their bytes may differ, since restoring a board costs some.
pub(crate) fn transcripts(records: &str) -> Vec<&str> {
    records.lines().map(|line| line.split("\"transcript\":").nth(1).expect("it has one")).collect()
}
