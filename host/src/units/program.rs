//! Programs that are run for what they say, and that do not outlive a request to end this one.

use crate::units::interrupt::{self, Ended};
use crate::units::shown::shown;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
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
    /// This process shall end.
    #[error(transparent)]
    Interrupted(#[from] Ended),
}

impl ProgramError {
    fn start(program: &OsStr, source: io::Error) -> Self {
        Self::Start { program: shown(program).to_string(), source }
    }

    /// Whether there is no such program.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Start { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Interrupted(_) => false,
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
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // It is ended with the programs that it started itself; Ctrl-C is for this process.
        .process_group(0)
        .spawn();
    let failed = |source| ProgramError::start(command.get_program(), source);
    let mut group = Group(spawned.map_err(failed)?);
    let stdout = read(group.0.stdout.take().expect("it is piped")).map_err(failed)?;
    let stderr = read(group.0.stderr.take().expect("it is piped")).map_err(failed)?;
    loop {
        let status = group.0.try_wait().map_err(failed)?;
        // What it started may still write after its end.
        if let Some(status) = status.filter(|_| stdout.is_finished() && stderr.is_finished()) {
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

/// A program and what it started, which end with this value.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Once it was waited for, the number may be that of another group.
        if let Ok(None) = self.0.try_wait() {
            let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_read_to_the_end_on_both_sides() {
        // More than a pipe holds, on the one before the other.
        let script = "head -c 300000 /dev/zero >&2; head -c 200000 /dev/zero; exit 3";
        let output = output(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!((output.stderr.len(), output.stdout.len()), (300_000, 200_000));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn an_absent_program_is_told_from_a_lack_of_processes() {
        let absent = output(&mut Command::new("/no/program")).unwrap_err();
        assert!(absent.is_absence());
        assert_eq!(
            absent.to_string(),
            "/no/program cannot be started (No such file or directory (os error 2)): run `scripts/setup.sh` once"
        );
        let scarce = io::Error::from_raw_os_error(nix::errno::Errno::EAGAIN as i32);
        let scarce = ProgramError::start(OsStr::new("cargo"), scarce);
        assert!(!scarce.is_absence());
        assert!(
            scarce.to_string().ends_with("raise the limit on processes (`ulimit -u`)"),
            "{scarce}"
        );
    }
}
