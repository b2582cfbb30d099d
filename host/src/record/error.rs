//! Reasons why a run cannot be written or read.

use crate::units::files;
use crate::units::shown::shown;
use std::io;
use std::path::{Path, PathBuf};

/// Reasons why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The path of the run is a file.
    #[error("{} is a file: name a directory for the run", shown(.0))]
    NotADirectory(PathBuf),
    /// The directory contains files, but no run that may be replaced.
    #[error("{} contains files but no run: name another directory, or empty this one", shown(.0))]
    Occupied(PathBuf),
    /// The directory contains no run.
    #[error("{} contains no run: name a directory that a run wrote with --out", shown(.0))]
    NoRun(PathBuf),
    /// The run ended before its first round was closed.
    #[error("{} contains no complete round: the run ended before its first round was closed", shown(.0))]
    NoRounds(PathBuf),
    /// Another process writes to the directory.
    #[error(
        "{holder} is writing to {}: wait until it ends, or name another directory",
        shown(path)
    )]
    Busy {
        /// The directory.
        path: PathBuf,
        /// The process.
        holder: String,
    },
    /// A file that a command reads would be replaced by what it writes.
    #[error("--out {} is a file that this command reads, and would be replaced; name another file", shown(.0))]
    Input(PathBuf),
    /// There is no directory for a file.
    #[error("the directory {} does not exist: create it, or name another file with --out", shown(.0))]
    NoDirectory(PathBuf),
    /// A file that smidgen did not write would be replaced.
    #[error("{} exists and has no predictions; name another file with --out, or remove it", shown(.0))]
    Foreign(PathBuf),
    /// A run would replace the model that it builds on.
    #[error("a run in {} would replace the model that it builds on; name another directory with --out", shown(.0))]
    Origin(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}{}", shown(path), files::advice(.source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("{0}; repair the line, or truncate the file before it")]
    Damaged(Box<RecordError>),
    /// A line is not a record.
    #[error(
        "{}, line {line}: {reason}; repair the line, or truncate the file before it",
        shown(path)
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// The summary is malformed.
    #[error(
        "{}, line {line}: {reason}; repair the file, or remove it: the report does not need it",
        shown(path)
    )]
    Summary {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// The records end before the round from which the run should resume.
    #[error("{} ends before round {round}", shown(path))]
    Short {
        /// The file.
        path: PathBuf,
        /// The round.
        round: u32,
    },
    /// A round before the one from which the run should resume has no record.
    #[error("round {round} is missing in {}", shown(path))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The round.
        round: u32,
    },
    /// The records belong to another run than the checkpoint.
    #[error(
        "{} belongs to another run: the transcript of its round {round} differs from the checkpoint's",
        shown(path)
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The round of the checkpoint.
        round: u32,
    },
    /// A round does not follow the one before it.
    #[error("{}, line {line}: round {round} follows round {previous}", shown(path))]
    Order {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Its round.
        round: u32,
        /// The round before it.
        previous: u32,
    },
}

/// [Replaces](files::replace) a file.
pub(crate) fn replace_file(file: &Path, text: &[u8]) -> Result<(), RecordError> {
    files::replace(file, text).map_err(write_error(file))
}

/// Refuses to replace one of the files that a command reads, and to write where there is no directory.
///
/// # Errors
/// If `out` is one of `inputs`, or its directory does not exist.
pub fn check_output(out: &Path, inputs: &[&Path]) -> Result<(), RecordError> {
    if let Some(directory) = out.parent().filter(|it| !it.as_os_str().is_empty() && !it.exists()) {
        return Err(RecordError::NoDirectory(directory.into()));
    }
    match inputs.iter().any(|input| files::is_same(out, input)) {
        true => Err(RecordError::Input(out.into())),
        false => Ok(()),
    }
}

pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Write { path: path.into(), source }
}

pub(super) fn read_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Read { path: path.into(), source }
}

pub(super) fn line_error(file: &Path, line: usize, error: &serde_json::Error) -> RecordError {
    let (path, line, reason) = place(file, line, error);
    RecordError::Line { path, line, reason }
}

/// Returns path, line and reason of a parse error. The parser counts lines from where it starts, `line` from the file's
/// start.
pub(super) fn place(
    path: &Path,
    line: usize,
    error: &serde_json::Error,
) -> (PathBuf, usize, String) {
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = reason.strip_suffix(&place).unwrap_or(&reason);
    (path.into(), line, format!("column {}, {reason}", error.column()))
}
