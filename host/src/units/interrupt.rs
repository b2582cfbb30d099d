//! Requests from outside to end a run: Ctrl-C, SIGTERM, a terminal that is closed.
//!
//! Before the training there is nothing to lose, and the first one ends the process; if it is writing a file, once the file is
//! whole. From then on the first one asks for an end in good order: the open round is closed, or given up if that takes too
//! long, the state is written, the report made. The second ends the run where it is, the third the process.
//!
//! What was written before the end remains. The request that does not wait for a write, the second before the training and
//! the third in it, may leave a part of a file as well, as a loss of power does.

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use std::{process, thread};

static REQUESTS: AtomicU32 = AtomicU32::new(0);
/// What this process does; held while a request is counted, so that none falls between two stages.
static STATE: Mutex<State> = Mutex::new(State { stage: Stage::Preparing, writes: 0 });
/// When the first one came.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Groups of programs that work for this process and end with it; held while one is started or waited for.
static EMPLOYED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// How long an end in good order may wait for boards: services are often given ten seconds to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exit code of a run that ended on request: that of a shell for Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// How far a process is, and so what a request may cost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It may wait for a pipe for ever, and leaves nothing where it ends.
    Preparing,
    /// Other programs work for it, which it ends before itself.
    Employing,
    /// It has a run to end in good order.
    Training,
}

/// What a process does.
struct State {
    stage: Stage,
    /// Files that are not whole at the moment.
    writes: usize,
}

/// Puts the end that a first request asks for off until this is dropped, and a file is whole.
#[must_use = "it lasts as long as the write"]
pub struct Writing(());

impl Writing {
    /// Begins a write, which may be part of another one.
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
            Stage::Preparing if state.writes == 0 && is_requested() => leave(),
            Stage::Preparing | Stage::Employing | Stage::Training => {}
        }
    }
}

/// A process that ends before its training, since somebody asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ended on request")]
pub struct Ended;

/// Counts requests from now on instead of ending at the first. A signal that this program was started to ignore stays
/// ignored: SIGHUP under `nohup`, SIGINT of a job that a script runs in the background.
///
/// # Errors
/// If the system has no thread to wait for signals, or does not let them be handled.
pub fn listen() -> io::Result<()> {
    let mut requests = Signals::new::<[i32; 0], i32>([])?;
    let handle = requests.handle();
    // The thread comes first: without it, a handled signal would reach nobody.
    thread::Builder::new().spawn(move || requests.forever().for_each(|_| hear()))?;
    for request in [SIGINT, SIGTERM, SIGHUP] {
        if !disposition::is_ignored(request)? {
            handle.add_signal(request)?;
        }
    }
    Ok(())
}

/// Counts a request, and ends the process where nothing is left to wait for.
fn hear() {
    let state = state();
    let earlier = REQUESTS.fetch_add(1, Ordering::Relaxed);
    FIRST.get_or_init(Instant::now);
    // That nobody hears a sentence is no reason to die.
    match (state.stage, earlier) {
        // The write ends the process once it is done.
        (Stage::Preparing, 0) if state.writes > 0 => {}
        (Stage::Preparing, _) => leave(),
        (Stage::Training, 0) => {
            let _ = writeln!(
                io::stderr(),
                "\nending after the open round, or without it in {} s; once more ends at once",
                PATIENCE.as_secs()
            );
        }
        (Stage::Employing, 0) | (Stage::Training, 1) => {}
        (Stage::Employing, 1..) | (Stage::Training, 2..) => exit(),
    }
}

/// Says so, and ends the process.
fn leave() -> ! {
    let _ = writeln!(io::stderr(), "\n{Ended}");
    exit()
}

/// Ends this process and the programs that work for it.
fn exit() -> ! {
    // Held to the end, so that no program is started from now on.
    let employed = employed();
    for &group in employed.iter() {
        // It fails only where all of them have ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    process::exit(EXIT_CODE.into())
}

/// The groups of programs that end with this process. One that is waited for leaves the list at once: its number may then be
/// that of another group.
pub fn employed() -> MutexGuard<'static, Vec<Pid>> {
    EMPLOYED.lock().expect("nobody panics while starting a program")
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().expect("nobody panics while counting")
}

fn enter(stage: Stage) {
    let mut state = state();
    state.stage = stage.max(state.stage);
}

/// From now on the first request only sets a flag; callers poll it with [`check`].
pub fn employ() {
    enter(Stage::Employing);
}

/// Has the first request end the run in good order from now on.
pub fn begin_training() {
    enter(Stage::Training);
}

/// Fails once the process shall end.
///
/// # Errors
/// If that was requested.
pub fn check() -> Result<(), Ended> {
    match is_requested() {
        true => Err(Ended),
        false => Ok(()),
    }
}

/// Has a file that grows beyond the limit of this process fail to be written, as on a full disk, instead of ending the
/// process without a word.
pub fn survive_file_limits() {
    disposition::ignore_file_limits();
}

/// Whether the run shall end after its open round.
pub fn is_requested() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 0
}

/// Whether the run shall end without its open round, for which it has waited since the request.
pub fn is_overdue() -> bool {
    FIRST.get().is_some_and(|first| first.elapsed() > PATIENCE)
}

/// Whether the run shall end at once.
pub fn is_urgent() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 1
}

/// What the system does with signals that are not handled. No safe crate sets or reads it.
mod disposition {
    #![expect(unsafe_code)]

    use libc::{SIG_IGN, SIGXFSZ};
    use std::io;
    use std::mem::MaybeUninit;
    use std::ptr;

    /// Tells whether a signal is ignored.
    pub fn is_ignored(signal: i32) -> io::Result<bool> {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the first pointer is null, so the call changes nothing and writes one `sigaction` to the second.
        match unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } {
            // SAFETY: the call has written it, and zeros were valid before.
            0 => Ok(unsafe { action.assume_init() }.sa_sigaction == SIG_IGN),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub fn ignore_file_limits() {
        // SAFETY: no function becomes a handler. The call fails only for numbers that are no signals.
        unsafe { libc::signal(SIGXFSZ, SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;
    use std::{env, fs};

    /// Set in the process that [`write_and_be_asked_to_end`]: how many requests come in the middle of its write.
    const TIMES: &str = "SMIDGEN_TEST_REQUESTS";

    /// Does nothing unless it has a process of its own, which it ends.
    #[test]
    fn write_and_be_asked_to_end() {
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
    fn the_first_request_waits_for_the_end_of_a_write_and_the_second_does_not() {
        for (times, expected) in [("1", Some("whole")), ("2", None)] {
            let folder = tempfile::tempdir().unwrap();
            let mut process = Command::new(env::current_exe().unwrap());
            process.args(["--exact", "units::interrupt::tests::write_and_be_asked_to_end"]);
            let output = process.env(TIMES, times).current_dir(&folder).output().unwrap();
            assert_eq!(output.status.code(), Some(EXIT_CODE.into()), "{output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said.lines().last(), Some("ended on request"));
            let file = fs::read_to_string(folder.path().join("file"));
            assert_eq!(file.ok().as_deref(), expected, "{times}");
        }
    }
}
