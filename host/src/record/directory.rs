//! The directory of a run. A run that was killed can be read up to its last whole line.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::{BaselineRecord, RoundRecord, Summary};
use crate::shown::shown;

pub(super) const ROUNDS: &str = "rounds.jsonl";
pub(super) const SUMMARY: &str = "summary.json";
const BASELINE: &str = "baseline.jsonl";
/// Name of the report in the directory of a run.
pub const REPORT: &str = "report.html";

/// Why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The path for a run is taken by a file.
    #[error("{} is a file: name a directory for the run", shown(.0))]
    NotADirectory(PathBuf),
    /// The directory holds something, but not a run that may be replaced.
    #[error("{} holds files but no run: name another directory, or empty this one", shown(.0))]
    Occupied(PathBuf),
    /// There is no run to read.
    #[error("{} holds no run: name a directory that a run was written to with --out", shown(.0))]
    NoRun(PathBuf),
    /// The run ended before its first round did.
    #[error("{} holds no whole round: the run ended before its first round was closed", shown(.0))]
    NoRounds(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}; is there room, and may you write there?", shown(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no record.
    #[error("{}, line {line}: {reason}; repair or remove the line", shown(path))]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The summary is no summary.
    #[error(
        "{}, line {line}: {reason}; remove the file, and the report does without it",
        shown(path)
    )]
    Summary {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A run that is to go on behind a round has no record of it.
    #[error(
        "{} does not reach round {round}, behind which the run would go on; start the run again",
        shown(path)
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// The round.
        round: u32,
    },
    /// The records are not those of the run that is to go on.
    #[error(
        "{} is of another run: its round {round} has another transcript than the checkpoint; put the run's own records back, \
         or start the run again",
        shown(path)
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The round behind which the run would go on.
        round: u32,
    },
    /// A round does not come after the one before it.
    #[error(
        "{}, line {line}: round {round} follows round {previous}; remove one of the two runs in this file",
        shown(path)
    )]
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

/// A path at which a run may be written, and at which an earlier run is whole until then.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    replaces: bool,
}

impl Claim {
    /// Makes the directory at `path`, or takes one that is empty or holds an earlier run, and finds out whether it
    /// can be written.
    ///
    /// # Errors
    /// If `path` is a file, or a directory with files but no run, or cannot be written.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        if path.exists() && !path.is_dir() {
            return Err(RecordError::NotADirectory(path));
        }
        fs::create_dir_all(&path).map_err(write_error(&path))?;
        let replaces = RunDirectory::is_at(&path);
        let mut entries = fs::read_dir(&path).map_err(read_error(&path))?;
        if entries.next().is_some() && !replaces {
            return Err(RecordError::Occupied(path));
        }
        NamedTempFile::new_in(&path).map_err(write_error(&path))?;
        Ok(Self { path, replaces })
    }

    /// The path of an earlier run that [`Claim::begin`] will remove.
    pub fn replaces(&self) -> Option<&Path> {
        self.replaces.then_some(&self.path)
    }

    /// Removes the files of an earlier run, and begins one of which `summary` is known. Files that are not of a run stay.
    ///
    /// # Errors
    /// If files cannot be removed or written.
    pub fn begin(&self, summary: &Summary) -> Result<RunDirectory, RecordError> {
        let path = self.path.clone();
        for name in [SUMMARY, BASELINE, REPORT] {
            remove_if_there(&path.join(name))?;
        }
        let file = path.join(ROUNDS);
        let rounds = File::create(&file).map_err(write_error(&file))?;
        let directory = RunDirectory { path, rounds };
        directory.write_summary(summary)?;
        Ok(directory)
    }
}

/// The directory of a run that is going on.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    rounds: File,
}

impl RunDirectory {
    /// Opens a run to go on behind `round`, where it had `transcript`; later rounds are forgotten. Returns its rounds as well.
    ///
    /// # Errors
    /// If there is no such run, or another one; a record before that is damaged; or it cannot be written.
    pub fn reopen(
        path: &Path,
        round: u32,
        transcript: u64,
    ) -> Result<(Self, Vec<RoundRecord>), RecordError> {
        let file = path.join(ROUNDS);
        let lines = read_lines(&file, |record: &RoundRecord| record.round, Some(round))?;
        let Lines { records, len, .. } = lines.ok_or_else(|| RecordError::NoRun(path.into()))?;
        let last = records.last().filter(|last| last.round == round);
        let last = last.ok_or(RecordError::Short { path: file.clone(), round })?;
        if last.transcript != format!("{transcript:016x}") {
            return Err(RecordError::OtherRun { path: file, round });
        }
        let rounds = File::options().append(true).open(&file).map_err(write_error(&file))?;
        rounds.set_len(len).map_err(write_error(&file))?;
        Ok((Self { path: path.into(), rounds }, records))
    }

    /// Whether there is a run at `path`.
    pub fn is_at(path: &Path) -> bool {
        path.join(ROUNDS).is_file()
    }

    /// Sees to it that all that was appended outlives a loss of power.
    ///
    /// # Errors
    /// If the system cannot promise that.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.rounds.sync_data().map_err(write_error(&self.path.join(ROUNDS)))
    }

    /// Where the run is.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Writes what is known of the run by now: before the first round, after the last one, and when it failed.
    ///
    /// # Errors
    /// If the summary cannot be written.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), RecordError> {
        let mut text =
            serde_json::to_vec_pretty(summary).expect("records have no keys but strings");
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
        let lines = read_lines(&file, |record: &RoundRecord| record.round, None)?;
        let Lines { records: rounds, cut, .. } =
            lines.ok_or_else(|| RecordError::NoRun(path.into()))?;
        if rounds.is_empty() {
            return Err(RecordError::NoRounds(path.into()));
        }
        let mut summary = read_summary(&path.join(SUMMARY))?;
        if !summary.finished {
            summary.recount(&rounds);
        }
        let file = path.join(BASELINE);
        let baseline = read_lines(&file, |record: &BaselineRecord| record.round, None)?;
        let baseline = baseline.map_or_else(Vec::new, |lines| lines.records);
        Ok(Run { rounds, cut, summary, baseline })
    }
}

/// A run that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The rounds in ascending order, at least one.
    pub rounds: Vec<RoundRecord>,
    /// Whether the last line was cut off and is left out.
    pub cut: bool,
    /// The summary. Of a run that did not come to its end, its totals are those of `rounds`, and what is known only at
    /// the end may be missing.
    pub summary: Summary,
    /// Dense gradient descent on the same problem; empty if it was not computed.
    pub baseline: Vec<BaselineRecord>,
}

fn read_summary(file: &Path) -> Result<Summary, RecordError> {
    let Some(bytes) = read_if_there(file)? else { return Ok(Summary::default()) };
    serde_json::from_slice(&bytes).map_err(|error| {
        let (path, line, reason) = place(file, error.line(), &error);
        RecordError::Summary { path, line, reason }
    })
}

/// The records of a file.
struct Lines<R> {
    records: Vec<R>,
    /// Bytes of their lines.
    len: u64,
    /// Whether the last line was cut off and is left out.
    cut: bool,
}

/// Reads records, one a line and in ascending order, up to that of the round `until`; nothing if there is no such file.
fn read_lines<R: DeserializeOwned>(
    file: &Path,
    round: impl Fn(&R) -> u32,
    until: Option<u32>,
) -> Result<Option<Lines<R>>, RecordError> {
    let mut reader = match File::open(file) {
        Ok(opened) => BufReader::new(opened),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(read_error(file)(error)),
    };
    let mut lines = Lines { records: Vec::new(), len: 0, cut: false };
    let (mut text, mut last) = (Vec::new(), None);
    while last.is_none() || last != until {
        text.clear();
        let len = reader.read_until(b'\n', &mut text).map_err(read_error(file))?;
        if len == 0 {
            break;
        }
        let (line, ended) = (lines.records.len() + 1, text.ends_with(b"\n"));
        let record = match serde_json::from_slice(&text) {
            // Another record may be appended behind `until`.
            Ok(record) if ended || until.is_none() => record,
            Err(error) if ended => return Err(line_error(file, line, &error)),
            _ => {
                lines.cut = true;
                break;
            }
        };
        let this = round(&record);
        if let Some(previous) = last.filter(|&last| last >= this) {
            return Err(RecordError::Order { path: file.into(), line, round: this, previous });
        }
        last = Some(this);
        lines.records.push(record);
        lines.len += len as u64;
    }
    Ok(Some(lines))
}

pub(super) fn line<R: Serialize>(record: &R) -> Vec<u8> {
    let mut text = serde_json::to_vec(record).expect("records have no keys but strings");
    text.push(b'\n');
    text
}

/// Replaces `file` at once and for good: a reader sees the old text or the new one, never half of it, also after a loss
/// of power.
pub(crate) fn write_whole(file: &Path, text: &[u8]) -> Result<(), RecordError> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = || {
        let mut whole = File::create(&part)?;
        whole.write_all(text)?;
        whole.sync_all()?;
        fs::rename(&part, file)?;
        sync_directory(file.parent())
    };
    written().map_err(write_error(file))
}

/// Sees to it that the names in a directory outlive a loss of power; some systems do not open directories.
fn sync_directory(directory: Option<&Path>) -> io::Result<()> {
    match directory.filter(|path| cfg!(unix) && !path.as_os_str().is_empty()) {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
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

pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Write { path: path.into(), source }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Read { path: path.into(), source }
}

fn line_error(file: &Path, line: usize, error: &serde_json::Error) -> RecordError {
    let (path, line, reason) = place(file, line, error);
    RecordError::Line { path, line, reason }
}

/// A parser counts lines from where it starts; ours are those of the file.
fn place(path: &Path, line: usize, error: &serde_json::Error) -> (PathBuf, usize, String) {
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = reason.strip_suffix(&place).unwrap_or(&reason);
    (path.into(), line, format!("column {}, {reason}", error.column()))
}
