//! Programs that are run for what they say, and that do not outlive a request to end this one.

use crate::units::interrupt::{self, Ended};
use crate::units::shown::shown;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Why nothing is known of what a program says.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be started.
    #[error("{program} cannot be started ({source}): {}", advice(source))]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It was started, but its output or its end cannot be waited for.
    #[error("{program} was started and cannot be waited for ({source}): {}", scarcity(source).unwrap_or("try it again"))]
    Wait {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// This process shall end.
    #[error(transparent)]
    Interrupted(#[from] Ended),
}

impl ProgramError {
    fn start(program: &OsStr, source: io::Error) -> Self {
        Self::Start { program: shown(program).to_string(), source }
    }

    fn wait(program: &OsStr, source: io::Error) -> Self {
        Self::Wait { program: shown(program).to_string(), source }
    }

    /// Whether this says nothing about the program: at another time it might work.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Start { source, .. } | Self::Wait { source, .. } => scarcity(source).is_some(),
            Self::Interrupted(_) => true,
        }
    }
}

/// What to do about a program that cannot be started.
fn advice(error: &io::Error) -> &'static str {
    match scarcity(error) {
        Some(advice) => advice,
        None if error.kind() == io::ErrorKind::PermissionDenied => {
            "see to it that you may run it, or run `scripts/setup.sh` once"
        }
        None => "run `scripts/setup.sh` once",
    }
}

/// What to do where the system has no room for one more process or thread.
pub fn scarcity(error: &io::Error) -> Option<&'static str> {
    let is_scarce = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory);
    is_scarce.then_some("end other programs, or raise the limit on processes (`ulimit -u`)")
}

/// Runs a program to its end.
///
/// # Errors
/// If it cannot be started, or if a request arrives first; the program is killed.
pub fn output(command: &mut Command) -> Result<Output, ProgramError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = Group::spawn(command);
    let mut group = spawned.map_err(|source| ProgramError::start(command.get_program(), source))?;
    let failed = |source| ProgramError::wait(command.get_program(), source);
    let stdout = read(group.program.stdout.take().expect("it is piped")).map_err(failed)?;
    let stderr = read(group.program.stderr.take().expect("it is piped")).map_err(failed)?;
    loop {
        // What it started may still write after its end, and can be ended until it is waited for.
        let is_silent = stdout.is_finished() && stderr.is_finished();
        let status = if is_silent { group.try_wait().map_err(failed)? } else { None };
        if let Some(status) = status {
            let [stdout, stderr] =
                [stdout, stderr].map(|reader| reader.join().expect("reading does not panic"));
            return Ok(Output { status, stdout, stderr });
        }
        interrupt::check()?;
        thread::sleep(POLL_INTERVAL);
    }
}

/// Reads to the end, or up to an error, in a thread: a program waits where nobody reads.
fn read(mut from: impl Read + Send + 'static) -> io::Result<JoinHandle<Vec<u8>>> {
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is all that can be known.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// A program and what it started, which end with this value, and with a request that ends this process.
struct Group {
    program: Child,
    /// None once the program was waited for: the number may then be that of another group.
    id: Option<Pid>,
}

impl Group {
    /// Starts a program as the first of its group: Ctrl-C is for this process.
    fn spawn(command: &mut Command) -> io::Result<Self> {
        // Held so that no request comes between the start and the list.
        let mut employed = interrupt::employed();
        let program = command.process_group(0).spawn()?;
        let id = Pid::from_child(&program);
        employed.push(id);
        Ok(Self { program, id: Some(id) })
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut employed = interrupt::employed();
        let status = self.program.try_wait();
        if !matches!(status, Ok(None)) {
            self.forget(&mut employed);
        }
        status
    }

    /// Takes its number off the list; returns it if it was still that of its group.
    fn forget(&mut self, employed: &mut Vec<Pid>) -> Option<Pid> {
        let id = self.id.take()?;
        employed.retain(|&group| group != id);
        Some(id)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut employed = interrupt::employed();
        if let Some(id) = self.forget(&mut employed) {
            // It fails only where all of them have ended.
            let _ = kill_process_group(id, Signal::KILL);
            // The end may take a while, and a request nothing of it.
            drop(employed);
            let _ = self.program.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_a_program_says_is_read_to_the_end_on_both_sides() {
        // More than a pipe holds, on the one before the other.
        let script = "head -c 300000 /dev/zero >&2; head -c 200000 /dev/zero; exit 3";
        let output = output(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!((output.stderr.len(), output.stdout.len()), (300_000, 200_000));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn what_a_program_leaves_behind_ends_with_its_group() {
        let script = "sleep 120 & exec echo told";
        let mut command = Command::new("sh");
        let mut group = Group::spawn(command.args(["-c", script]).stdout(Stdio::piped())).unwrap();
        let mut stdout = group.program.stdout.take().unwrap();
        let mut told = [0; 5];
        stdout.read_exact(&mut told).unwrap();
        // Whether the program has ended by now or ends later is the same to its group.
        thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        drop(group);
        // The end comes once nobody holds the pipe.
        assert_eq!((told, stdout.read_to_end(&mut Vec::new()).unwrap()), (*b"told\n", 0));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_program_that_cannot_be_waited_for_is_not_said_to_be_unable_to_start() {
        let lost = io::Error::from(rustix::io::Errno::CHILD);
        let lost = ProgramError::wait(OsStr::new("cargo"), lost);
        assert_eq!(
            lost.to_string(),
            "cargo was started and cannot be waited for (No child processes (os error 10)): try it again"
        );
    }

    #[test]
    fn an_absent_program_is_told_from_a_lack_of_processes() {
        let absent = output(&mut Command::new("/no/program")).unwrap_err();
        assert!(!absent.is_temporary());
        assert_eq!(
            absent.to_string(),
            "/no/program cannot be started (No such file or directory (os error 2)): run `scripts/setup.sh` once"
        );
        let scarce = io::Error::from(rustix::io::Errno::AGAIN);
        let scarce = ProgramError::start(OsStr::new("cargo"), scarce);
        assert!(scarce.is_temporary());
        assert!(
            scarce.to_string().ends_with("raise the limit on processes (`ulimit -u`)"),
            "{scarce}"
        );
    }
}
