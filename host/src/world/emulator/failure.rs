//! Why an emulated board does not run, with the last line of the emulator's log.

use super::folder::FolderError;
use crate::boards::board::{Board, Emulation};
use crate::units::interrupt::StopRequested;
use crate::units::program::{ProgramError, scarcity};
use crate::units::shown::shown;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// Time-out for the emulator to open its socket.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Length of the end of the emulator's log that is searched for its last line.
const TAIL_LEN_MAX: u64 = 4096;

/// Reasons why an emulated board does not run.
#[derive(Debug, Error)]
pub enum EmulatorError {
    /// The emulator is not installed.
    #[error(
        "{} is not installed: run `scripts/setup.sh` once, or name another program in {variable}",
        shown(program)
    )]
    Missing {
        /// Its program.
        program: OsString,
        /// The environment variable that names another one.
        variable: &'static str,
    },
    /// The installed version of QEMU does not have the board.
    #[error(
        "the board {board} needs QEMU {needed} or later, but {} is QEMU {version}: name a newer one in {variable}",
        shown(program)
    )]
    TooOld {
        /// Name of the board.
        board: &'static str,
        /// The oldest version that has it.
        needed: u32,
        /// The program.
        program: OsString,
        /// Its version.
        version: u32,
        /// The environment variable that names another one.
        variable: &'static str,
    },
    /// QEMU does not tell its version.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Nothing emulates the board.
    #[error("no emulator has the board {0}: flash a real one, and train it with `smidgen run`")]
    NotEmulated(&'static str),
    /// The emulator does not open its socket.
    #[error("the emulator cannot run the board {board}: {failure}")]
    Failed {
        /// Name of the board.
        board: &'static str,
        /// The reason.
        failure: Failure,
    },
    /// This process was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] StopRequested),
    /// No directory can be created for it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Any other error.
    #[error(
        "the emulator of a board cannot be started ({0}): {advice}",
        advice = scarcity(.0).unwrap_or("check for `sh`, and for free space in the temporary directory")
    )]
    Io(#[from] io::Error),
}

impl EmulatorError {
    /// Returns whether a machine on which `scripts/setup.sh` succeeded may have this error: its QEMU is too old for the
    /// board, or an [extra](Emulation::is_extra) emulator is missing. Tests skip such a board by name.
    pub fn is_of_a_complete_setup(&self, board: &Board) -> bool {
        match self {
            Self::TooOld { .. } => true,
            Self::Missing { .. } => board.emulation.as_ref().is_some_and(Emulation::is_extra),
            Self::Program(_)
            | Self::NotEmulated(_)
            | Self::Failed { .. }
            | Self::Interrupted(_)
            | Self::Folder(_)
            | Self::Io(_) => false,
        }
    }
}

/// Failure of an emulator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The emulator has ended.
    #[error("it ended with {status}, {last_line}")]
    Ended {
        /// Its exit status.
        status: String,
        /// The last line of its log, as a part of a sentence.
        last_line: String,
        /// Time since its socket was first seen; `None` if it never was.
        uptime: Option<Duration>,
    },
    /// The emulator is running, but has not opened its socket.
    #[error("it did not open its socket in {START_TIMEOUT:?}; the machine may be overloaded")]
    NoSocket,
}

/// Returns the end of a file, at most [`TAIL_LEN_MAX`] bytes.
pub(super) fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(len.saturating_sub(TAIL_LEN_MAX)))?;
    let mut tail = Vec::new();
    file.take(TAIL_LEN_MAX).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Returns the last line of a log that is not blank, as a part of a sentence.
pub(super) fn last_line(log: &[u8]) -> String {
    let last = log.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).rfind(|l| !l.is_empty());
    last.map_or("without a message".into(), |last| {
        format!("saying `{}`", shown(OsStr::from_bytes(last)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn last_line_of_any_bytes_is_shown() {
        assert_eq!(last_line(b""), "without a message");
        assert_eq!(last_line(b"\n \r\n"), "without a message");
        assert_eq!(last_line(b"first\nno board \xff\x1b\r\n\n"), r"saying `no board \xff\u{1b}`");
    }

    #[test]
    fn last_line_of_a_long_log_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "x\n".repeat(100_000) + "the end\n").unwrap();
        assert_eq!(tail(&log).unwrap().len() as u64, TAIL_LEN_MAX);
        assert_eq!(last_line(&tail(&log).unwrap()), "saying `the end`");
    }
}
