//! Requests to stop: Ctrl-C, SIGTERM, or a terminal that is closed.
//!
//! Before training starts, the first request ends the process, after the current write if a file is being written.
//! During a recording, the first request ends it; its rows are kept. During training, the first request stops the run
//! in order: the open round is closed, or abandoned if that takes too long, and checkpoint and report are written. The
//! second request stops the run immediately, the third ends the process.
//!
//! The requests that do not wait for a write (the second before training, the third during training) may leave a
//! partial file, as a power failure does. Equal signals that arrive while the message of another one is being written,
//! as on a stopped terminal, count once.

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use std::{process, thread};

static REQUESTS: AtomicU32 = AtomicU32::new(0);
/// State of this process. Locked while a request is counted, so that none arrives between two stages.
static STATE: Mutex<State> = Mutex::new(State { stage: Stage::Preparing, writes: 0 });
/// Time of the first request.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Process groups of child programs, which end with this process. Locked while one is started or waited for.
static CHILDREN: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Time limit for closing the open round. Service managers often allow ten seconds in total.
const ROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// Exit code of a run that stopped on request, the one that shells use for Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// Stage of the process, which decides the effect of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Before training. The process may block on a pipe, so it must end at once.
    Preparing,
    /// Child programs are running, which must be ended first.
    RunningChildren,
    /// Boards record, which must be told to end.
    Recording,
    /// A run is in progress, which must be stopped in order.
    Training,
}

/// State of the process.
struct State {
    stage: Stage,
    /// Number of writes in progress.
    writes: usize,
}

/// Guard of a write: a first request waits until it is dropped.
#[must_use = "the guard must live as long as the write"]
pub struct Writing(());

impl Writing {
    /// Begins a write; writes may be nested.
    pub fn begin() -> Self {
        state().writes += 1;
        Self(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = state();
        state.writes -= 1;
        match state.stage {
            Stage::Preparing if state.writes == 0 && is_requested() => stop_before_training(),
            Stage::Preparing | Stage::RunningChildren | Stage::Recording | Stage::Training => {}
        }
    }
}

/// The process was stopped on request before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped on request")]
pub struct StopRequested;

/// Starts to handle requests. Signals that were ignored at the start stay ignored: SIGHUP under `nohup`, or SIGINT of a
/// script's background job.
///
/// # Errors
/// If the system refuses the thread or the handlers.
pub fn listen() -> io::Result<()> {
    let mut requests = Signals::new::<[i32; 0], i32>([])?;
    let handle = requests.handle();
    // The thread is started first: without it, a handled signal would be lost.
    thread::Builder::new().spawn(move || requests.forever().for_each(|_| handle_request()))?;
    for request in [SIGINT, SIGTERM, SIGHUP] {
        if !disposition::is_ignored(request)? {
            handle.add_signal(request)?;
        }
    }
    Ok(())
}

/// Counts a request, and ends the process if there is nothing to wait for.
fn handle_request() {
    let state = state();
    let earlier = REQUESTS.fetch_add(1, Ordering::Relaxed);
    FIRST.get_or_init(Instant::now);
    // A closed stderr must not end the process, so errors are ignored.
    match (state.stage, earlier) {
        // The guard of the write ends the process when it is dropped.
        (Stage::Preparing, 0) if state.writes > 0 => {}
        (Stage::Preparing, _) => stop_before_training(),
        (Stage::Training, 0) => {
            let _ = writeln!(
                io::stderr(),
                "\nstopping after the open round, at most {} s from now; a second request stops at once",
                ROUND_TIMEOUT.as_secs()
            );
        }
        (Stage::Recording, 0) => {
            let _ = writeln!(
                io::stderr(),
                "\nending the recording; a second request stops at once, and boards keep recording"
            );
        }
        (Stage::RunningChildren, 0) | (Stage::Recording | Stage::Training, 1) => {}
        (Stage::RunningChildren, 1..) | (Stage::Recording | Stage::Training, 2..) => exit(),
    }
}

/// Prints a message and ends the process.
fn stop_before_training() -> ! {
    let _ = writeln!(io::stderr(), "\n{StopRequested}");
    exit()
}

/// Ends this process and its child programs.
fn exit() -> ! {
    // Locked until the end, so that no program is started any more.
    let children = children();
    for &group in children.iter() {
        // This fails only if the whole group has ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    process::exit(EXIT_CODE.into())
}

/// Locks the process groups that end with this process. A group must be removed as soon as it has been waited for,
/// since its id may then be reused.
pub fn children() -> MutexGuard<'static, Vec<Pid>> {
    CHILDREN.lock().expect("no panic while locked")
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().expect("no panic while locked")
}

fn enter(stage: Stage) {
    let mut state = state();
    state.stage = stage.max(state.stage);
}

/// Enters the stage in which the first request only sets a flag, which callers poll with [`check`].
pub fn begin_children() {
    enter(Stage::RunningChildren);
}

/// Enters the stage in which the first request ends recordings.
pub fn begin_recording() {
    enter(Stage::Recording);
}

/// Enters the stage in which the first request stops the run in order.
pub fn begin_training() {
    enter(Stage::Training);
}

/// Checks for a request to stop.
///
/// # Errors
/// If there was one.
pub fn check() -> Result<(), StopRequested> {
    match is_requested() {
        true => Err(StopRequested),
        false => Ok(()),
    }
}

/// Makes writes beyond the file size limit fail like on a full disk, instead of ending the process without a message.
pub fn survive_file_limits() {
    disposition::ignore_file_limits();
}

/// Returns whether the run should stop after its open round.
pub fn is_requested() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 0
}

/// Returns whether the time to close the open round is over.
pub fn is_overdue() -> bool {
    FIRST.get().is_some_and(|first| first.elapsed() > ROUND_TIMEOUT)
}

/// Returns whether the run should stop at once.
pub fn is_immediate() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 1
}

/// Dispositions of signals. No safe crate sets or reads them.
mod disposition {
    #![expect(unsafe_code)]

    use libc::{SIG_IGN, SIGXFSZ};
    use std::io;
    use std::mem::MaybeUninit;
    use std::ptr;

    /// Returns whether a signal is ignored.
    pub(super) fn is_ignored(signal: i32) -> io::Result<bool> {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the first pointer is null, so the call changes nothing and writes one `sigaction` to the second.
        match unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } {
            // SAFETY: the call has written it, and zeros were valid before.
            0 => Ok(unsafe { action.assume_init() }.sa_sigaction == SIG_IGN),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub(super) fn ignore_file_limits() {
        // SAFETY: no function becomes a handler. The call fails only for invalid signal numbers.
        unsafe { libc::signal(SIGXFSZ, SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;
    use std::{env, fs};

    /// Environment variable of the child process: the number of requests during its write.
    const TIMES: &str = "SMIDGEN_TEST_REQUESTS";

    /// Body of the child process; does nothing in other processes.
    #[test]
    fn child_that_writes() {
        let Ok(times) = env::var(TIMES) else { return };
        listen().unwrap();
        let writing = Writing::begin();
        let part = Writing::begin();
        for count in 1..=times.parse().unwrap() {
            raise(SIGTERM).unwrap();
            while REQUESTS.load(Ordering::Relaxed) < count {
                thread::yield_now();
            }
        }
        drop(part);
        fs::write("file", "whole").unwrap();
        drop(writing);
        fs::write("file", "replaced").unwrap();
    }

    #[test]
    fn first_request_waits_for_a_write_and_second_does_not() {
        for (times, expected) in [("1", Some("whole")), ("2", None)] {
            let folder = tempfile::tempdir().unwrap();
            let mut process = Command::new(env::current_exe().unwrap());
            process.args(["--exact", "units::interrupt::tests::child_that_writes"]);
            let output = process.env(TIMES, times).current_dir(&folder).output().unwrap();
            assert_eq!(output.status.code(), Some(EXIT_CODE.into()), "{output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said.lines().last(), Some("stopped on request"));
            let file = fs::read_to_string(folder.path().join("file"));
            assert_eq!(file.ok().as_deref(), expected, "{times}");
        }
    }
}
