//! Child programs that are run for their output, and that end on a request to stop.

use crate::units::interrupt::{self, StopRequested};
use crate::units::shown::shown;
use rustix::process::{Pid, Signal, kill_process_group};
use std::env;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Reasons why the output of a program is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be started.
    #[error("{program} cannot be started ({source}): {}", advice(source))]
    Start {
        /// The program.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// It was started, but its output or exit status cannot be waited for.
    #[error("{program} was started but cannot be waited for ({source}): {}", scarcity(source).unwrap_or("try again"))]
    Wait {
        /// The program.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// This process was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] StopRequested),
}

impl ProgramError {
    fn start(program: &OsStr, source: io::Error) -> Self {
        Self::Start { program: shown(program).to_string(), source }
    }

    fn wait(program: &OsStr, source: io::Error) -> Self {
        Self::Wait { program: shown(program).to_string(), source }
    }

    /// Returns whether the error is not the program's: it might work at another time.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Start { source, .. } | Self::Wait { source, .. } => scarcity(source).is_some(),
            Self::Interrupted(_) => true,
        }
    }
}

/// Returns what to do about a program that cannot be started.
fn advice(error: &io::Error) -> &'static str {
    match scarcity(error) {
        Some(advice) => advice,
        None if error.kind() == io::ErrorKind::PermissionDenied => {
            "make it executable, or run `scripts/setup.sh` once"
        }
        None => "run `scripts/setup.sh` once",
    }
}

/// Returns what to do if the system refuses another process or thread.
pub fn scarcity(error: &io::Error) -> Option<&'static str> {
    let is_scarce = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory);
    is_scarce.then_some("end other programs, or raise the limit on processes (`ulimit -u`)")
}

/// Runs a program to its end and returns its output.
///
/// # Errors
/// If it cannot be started, or if a request to stop arrives first, which kills it.
pub fn output(command: &mut Command) -> Result<Output, ProgramError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = Group::spawn(command);
    let mut group = spawned.map_err(|source| ProgramError::start(command.get_program(), source))?;
    let failed = |source| ProgramError::wait(command.get_program(), source);
    let stdout = read(group.program.stdout.take().expect("stdout is piped")).map_err(failed)?;
    let stderr = read(group.program.stderr.take().expect("it is piped")).map_err(failed)?;
    loop {
        // Its children may still write after its end. They can be killed until it is waited for, which frees its id.
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

/// Runs a program to its end, with the terminal of this process as its output.
///
/// # Errors
/// As those of [`output`].
pub fn attend(command: &mut Command) -> Result<ExitStatus, ProgramError> {
    command.stdin(Stdio::null());
    interrupt::begin_children();
    let spawned = Group::spawn(command);
    let mut group = spawned.map_err(|source| ProgramError::start(command.get_program(), source))?;
    loop {
        let failed = |source| ProgramError::wait(command.get_program(), source);
        if let Some(status) = group.try_wait().map_err(failed)? {
            return Ok(status);
        }
        interrupt::check()?;
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns whether a program exists. A name is searched in the path.
pub fn is_in_path(program: &OsStr) -> bool {
    is_in(&folders(), program)
}

/// Returns the folders of the path.
pub fn folders() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

/// Returns whether a program exists in one of these folders. An absolute path is not changed by joining.
pub fn is_in(folders: &[PathBuf], program: &OsStr) -> bool {
    folders.iter().any(|folder| folder.join(program).is_file())
}

/// Reads to the end or up to an error in a thread, since a program blocks while its pipe is full.
fn read(mut from: impl Read + Send + 'static) -> io::Result<JoinHandle<Vec<u8>>> {
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        // After an error, return the bytes before it.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// A program and its children, which are killed when this value is dropped or this process is stopped.
struct Group {
    program: Child,
    /// Id of the process group; `None` once the program was waited for, since the id may then be reused.
    id: Option<Pid>,
}

impl Group {
    /// Starts a program in a new process group, so that Ctrl-C reaches only this process.
    fn spawn(command: &mut Command) -> io::Result<Self> {
        // Locked so that no request arrives between the start and the entry in the list.
        let mut children = interrupt::children();
        let program = command.process_group(0).spawn()?;
        let id = Pid::from_child(&program);
        children.push(id);
        Ok(Self { program, id: Some(id) })
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut children = interrupt::children();
        let status = self.program.try_wait();
        if !matches!(status, Ok(None)) {
            self.forget(&mut children);
        }
        status
    }

    /// Removes its id from the list and returns it, unless the program was waited for already.
    fn forget(&mut self, children: &mut Vec<Pid>) -> Option<Pid> {
        let id = self.id.take()?;
        children.retain(|&group| group != id);
        Some(id)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut children = interrupt::children();
        if let Some(id) = self.forget(&mut children) {
            // This fails only if the whole group has ended.
            let _ = kill_process_group(id, Signal::KILL);
            // Unlocked because the end may take a while, and a request must not wait for it.
            drop(children);
            let _ = self.program.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn both_outputs_are_read_to_the_end() {
        // More than the capacity of a pipe, on one after the other.
        let script = "head -c 300000 /dev/zero >&2; head -c 200000 /dev/zero; exit 3";
        let output = output(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!((output.stderr.len(), output.stdout.len()), (300_000, 200_000));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn children_of_a_program_end_with_its_group() {
        let script = "sleep 120 & exec echo told";
        let mut command = Command::new("sh");
        let mut group = Group::spawn(command.args(["-c", script]).stdout(Stdio::piped())).unwrap();
        let mut stdout = group.program.stdout.take().unwrap();
        let mut told = [0; 5];
        stdout.read_exact(&mut told).unwrap();
        // The program itself may or may not have ended by now.
        thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        drop(group);
        // The pipe ends once no process has it open.
        assert_eq!((told, stdout.read_to_end(&mut Vec::new()).unwrap()), (*b"told\n", 0));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn failed_wait_is_distinguished_from_a_failed_start() {
        let lost = io::Error::from(rustix::io::Errno::CHILD);
        let lost = ProgramError::wait(OsStr::new("cargo"), lost);
        assert_eq!(
            lost.to_string(),
            "cargo was started but cannot be waited for (No child processes (os error 10)): try again"
        );
    }

    #[test]
    fn missing_program_is_distinguished_from_a_process_limit() {
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
