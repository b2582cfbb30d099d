//! What the tests of the binary share: they start it, stop it, wait for it, and read what it leaves.

pub mod boards;

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
    set_signals(&mut command, &[Signal::HUP, Signal::INT, Signal::TERM], libc::SIG_DFL);
    command
}

/// Has a program ignore these signals from its start.
pub fn ignore(command: &mut Command, signals: &'static [Signal]) {
    set_signals(command, signals, libc::SIG_IGN);
}

fn set_signals(command: &mut Command, signals: &'static [Signal], action: libc::sighandler_t) {
    let set = move |signal: &Signal| {
        // SAFETY: `SIG_DFL` and `SIG_IGN` are not functions.
        match unsafe { libc::signal(signal.as_raw(), action) } {
            libc::SIG_ERR => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: between fork and exec it makes system calls that are safe there, and nothing else.
    unsafe { command.pre_exec(move || signals.iter().try_for_each(set)) };
}

/// Makes a named pipe.
pub fn make_pipe(path: &Path) {
    // By the program: macOS has no such call in rustix.
    let made = Command::new("mkfifo").arg(path).status().expect("there is a program for it");
    assert!(made.success(), "{made}");
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

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it was not waited for"))
    }

    pub fn signal(&self, signal: Signal) {
        // It fails where the program has ended by itself.
        let _ = kill_process(self.pid(), signal);
    }

    /// Whether it has ended. Its number stays its own until it is waited for.
    pub fn has_ended(&self) -> bool {
        is_over(self.pid(), WaitIdOptions::NOHANG)
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
        is_over(self.pid(), WaitIdOptions::empty());
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
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        child
    }
}

/// Tells whether a child of this process has ended, and leaves it to be waited for: with `NOHANG` now, without once it has.
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
