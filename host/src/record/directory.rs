//! The directory of a run. A run that was killed can be read up to its last whole line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{BaselineRecord, RoundRecord, Summary};

pub(super) const ROUNDS: &str = "rounds.jsonl";
pub(super) const SUMMARY: &str = "summary.json";
const BASELINE: &str = "baseline.jsonl";
/// Name of the report in the directory of a run.
pub const REPORT: &str = "report.html";

/// Why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The path for a run is taken by a file.
    #[error("{} is a file: name a directory for the run", .0.display())]
    NotADirectory(PathBuf),
    /// The directory holds something, but not a run that may be replaced.
    #[error("{} holds files but no run: name another directory, or empty this one", .0.display())]
    Occupied(PathBuf),
    /// There is no run to read.
    #[error("{} holds no run: name a directory that a run was written to with --out", .0.display())]
    NoRun(PathBuf),
    /// The run ended before its first round did.
    #[error("{} holds no whole round: the run ended before its first round was closed", .0.display())]
    NoRounds(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}; is there room, and may you write there?", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no record.
    #[error("{}, line {line}: {reason}; repair or remove the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A round does not come after the one before it.
    #[error("{}, line {line}: round {round} follows round {previous}; remove one of the two runs in this file", path.display())]
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

/// The directory of a run that is going on.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    rounds: File,
}

impl RunDirectory {
    /// Makes the directory at `path`, or takes it over if it is empty or holds an earlier run, whose
    /// files are removed. Files that are not of a run stay.
    ///
    /// # Errors
    /// If `path` is a file, or a directory with files but no run, or cannot be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        Self::check(&path)?;
        fs::create_dir_all(&path).map_err(write_error(&path))?;
        for name in [SUMMARY, BASELINE, REPORT] {
            remove_if_there(&path.join(name))?;
        }
        let file = path.join(ROUNDS);
        let rounds = File::create(&file).map_err(write_error(&file))?;
        Ok(Self { path, rounds })
    }

    /// Whether [`RunDirectory::create`] would take this path; changes nothing.
    ///
    /// # Errors
    /// As there, except that writing is not tried.
    pub fn check(path: &Path) -> Result<(), RecordError> {
        if !path.exists() {
            return Ok(());
        }
        if !path.is_dir() {
            return Err(RecordError::NotADirectory(path.into()));
        }
        let mut entries = fs::read_dir(path).map_err(read_error(path))?;
        if entries.next().is_some() && !path.join(ROUNDS).is_file() {
            return Err(RecordError::Occupied(path.into()));
        }
        Ok(())
    }

    /// Where the run is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is known before the first round, so that a killed run can tell its configuration.
    ///
    /// # Errors
    /// If the summary cannot be written.
    pub fn begin(&self, summary: &Summary) -> Result<(), RecordError> {
        self.write_summary(false, summary)
    }

    /// Writes one round as one line with one call to the system: what was appended survives the
    /// end of this process, however it ends.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn append(&mut self, round: &RoundRecord) -> Result<(), RecordError> {
        self.rounds.write_all(&line(round)).map_err(write_error(&self.path.join(ROUNDS)))
    }

    /// Writes dense gradient descent, for the report to draw beside the run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_baseline(&self, rounds: &[BaselineRecord]) -> Result<(), RecordError> {
        let lines: Vec<u8> = rounds.iter().flat_map(line).collect();
        write_whole(&self.path.join(BASELINE), &lines)
    }

    /// Writes the summary of the complete run.
    ///
    /// # Errors
    /// If the summary cannot be written.
    pub fn finish(&self, summary: &Summary) -> Result<(), RecordError> {
        self.write_summary(true, summary)
    }

    fn write_summary(&self, finished: bool, summary: &Summary) -> Result<(), RecordError> {
        let mut text = serde_json::to_vec_pretty(&SummaryFile { finished, summary })
            .expect("records have no keys but strings");
        text.push(b'\n');
        write_whole(&self.path.join(SUMMARY), &text)
    }

    /// Reads the run at `path`.
    ///
    /// # Errors
    /// If there is no run, or if a file of it is damaged: the message names file and line. A last
    /// line that was cut off is no error, see [`Run::cut`].
    pub fn read(path: impl AsRef<Path>) -> Result<Run, RecordError> {
        let path = path.as_ref();
        let file = path.join(ROUNDS);
        let bytes = read_if_there(&file)?.ok_or_else(|| RecordError::NoRun(path.into()))?;
        let (rounds, cut) = parse_lines(&file, &bytes, |record: &RoundRecord| record.round)?;
        if rounds.is_empty() {
            return Err(RecordError::NoRounds(path.into()));
        }
        let SummaryFile { finished, summary } = read_summary(&path.join(SUMMARY))?;
        let file = path.join(BASELINE);
        let bytes = read_if_there(&file)?.unwrap_or_default();
        let (baseline, _) = parse_lines(&file, &bytes, |record: &BaselineRecord| record.round)?;
        Ok(Run { rounds, cut, finished, summary, baseline })
    }
}

/// A run that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The rounds in ascending order, at least one.
    pub rounds: Vec<RoundRecord>,
    /// Whether the last line was cut off and is left out.
    pub cut: bool,
    /// Whether the run came to its end; if not, the summary is what was known before the first round.
    pub finished: bool,
    /// The summary; empty if the run was killed before one was written.
    pub summary: Summary,
    /// Dense gradient descent on the same problem; empty if it was not computed.
    pub baseline: Vec<BaselineRecord>,
}

/// `summary.json`: the summary, and whether it is the last word.
#[derive(Default, Serialize, Deserialize)]
struct SummaryFile<S> {
    finished: bool,
    #[serde(flatten)]
    summary: S,
}

fn read_summary(file: &Path) -> Result<SummaryFile<Summary>, RecordError> {
    let Some(bytes) = read_if_there(file)? else { return Ok(SummaryFile::default()) };
    serde_json::from_slice(&bytes).map_err(|error| line_error(file, error.line(), &error))
}

/// Parses records, one a line and in ascending order; whether the last line was cut off comes with them.
fn parse_lines<R: DeserializeOwned>(
    file: &Path,
    bytes: &[u8],
    round: impl Fn(&R) -> u32,
) -> Result<(Vec<R>, bool), RecordError> {
    let mut records: Vec<R> = Vec::new();
    for (n, text) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let record = match serde_json::from_slice(text) {
            Ok(record) => record,
            Err(_) if !text.ends_with(b"\n") => return Ok((records, true)),
            Err(error) => return Err(line_error(file, n + 1, &error)),
        };
        if let Some(previous) = records.last().map(&round).filter(|p| *p >= round(&record)) {
            let (path, round) = (file.into(), round(&record));
            return Err(RecordError::Order { path, line: n + 1, round, previous });
        }
        records.push(record);
    }
    Ok((records, false))
}

pub(super) fn line<R: Serialize>(record: &R) -> Vec<u8> {
    let mut text = serde_json::to_vec(record).expect("records have no keys but strings");
    text.push(b'\n');
    text
}

/// Replaces `file` at once: a reader sees the old text or the new one, never half of it.
pub(crate) fn write_whole(file: &Path, text: &[u8]) -> Result<(), RecordError> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fs::write(&part, text).and_then(|()| fs::rename(&part, file)).map_err(write_error(file))
}

fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(read_error(file)(error)),
    }
}

fn remove_if_there(file: &Path) -> Result<(), RecordError> {
    match fs::remove_file(file) {
        Err(error) if !is_absent(&error) => Err(write_error(file)(error)),
        _ => Ok(()),
    }
}

/// Whether there is no such file, which includes a path that goes through a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Write { path: path.into(), source }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Read { path: path.into(), source }
}

/// A parser counts lines from where it starts; ours are those of the file.
fn line_error(path: &Path, line: usize, error: &serde_json::Error) -> RecordError {
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = reason.strip_suffix(&place).unwrap_or(&reason);
    let reason = format!("column {}, {reason}", error.column());
    RecordError::Line { path: path.into(), line, reason }
}
