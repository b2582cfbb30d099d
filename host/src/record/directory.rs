//! The directory of a run. The records of a run that was killed can be read up to the last complete line.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::units::files;
use crate::units::interrupt::Writing;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::error::{RecordError, line_error, place, read_error, replace_file, write_error};
use super::lock::Locks;
use super::names::{BASELINE, LOCK, REPORT, ROUNDS, SUMMARY};
use super::round::{BaselineRecord, RoundRecord};
use super::summary::Summary;

/// A locked directory for a new run. An earlier run in it is kept until [`Claim::begin`].
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    replaces: bool,
}

impl Claim {
    /// Creates and locks the directory at `path`, which may exist if it is empty or contains an earlier run. Checks
    /// that it is writable.
    ///
    /// # Errors
    /// If `path` is a file, a directory with files but no run, or not writable, or another process writes to it.
    pub fn new(path: impl Into<PathBuf>, locks: &mut Locks) -> Result<Self, RecordError> {
        let path = path.into();
        if path.exists() && !path.is_dir() {
            return Err(RecordError::NotADirectory(path));
        }
        files::make_directory(&path).map_err(write_error(&path))?;
        if !RunDirectory::is_at(&path) && !is_free(&path)? {
            return Err(RecordError::Occupied(path));
        }
        locks.take(&path)?;
        let _writing = Writing::begin();
        // A trial: missing permissions should be reported before the run, not at its end.
        NamedTempFile::new_in(&path).map_err(write_error(&path))?;
        // Checked again: another run may have begun and ended here before the lock was taken.
        Ok(Self { replaces: RunDirectory::is_at(&path), path })
    }

    /// Returns the path of the earlier run that [`Claim::begin`] will remove, if there is one.
    pub fn replaces(&self) -> Option<&Path> {
        self.replaces.then_some(&self.path)
    }

    /// Removes the files of an earlier run and begins a new one with `summary`. Other files stay, its model until the
    /// first round is kept.
    ///
    /// # Errors
    /// If files cannot be removed or written.
    pub fn begin(&self, summary: &Summary) -> Result<RunDirectory, RecordError> {
        let _writing = Writing::begin();
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

/// The directory of a run in progress.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    rounds: File,
}

impl RunDirectory {
    /// Opens the directory of a run to continue after the last of `records`. Later records are removed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn reopen(records: &Records) -> Result<Self, RecordError> {
        let file = records.path.join(ROUNDS);
        let mut rounds = File::options().append(true).open(&file).map_err(write_error(&file))?;
        rounds.set_len(records.end).map_err(write_error(&file))?;
        if records.unterminated {
            rounds.write_all(b"\n").map_err(write_error(&file))?;
        }
        Ok(Self { path: records.path.clone(), rounds })
    }

    /// Returns whether `path` is the directory of a run.
    pub fn is_at(path: &Path) -> bool {
        path.join(ROUNDS).is_file()
    }

    /// Syncs the appended records to disk, so that they survive a power failure.
    ///
    /// # Errors
    /// If the system reports an error.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.rounds.sync_data().map_err(write_error(&self.path.join(ROUNDS)))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one round as one line in a single write, so that it survives if this process is killed.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn append(&mut self, round: &RoundRecord) -> Result<(), RecordError> {
        self.rounds.write_all(&line(round)).map_err(write_error(&self.path.join(ROUNDS)))
    }

    /// Writes the records of dense gradient descent, which the report compares with the run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_baseline(&self, rounds: &[BaselineRecord]) -> Result<(), RecordError> {
        let lines: Vec<u8> = rounds.iter().flat_map(line).collect();
        replace_file(&self.path.join(BASELINE), &lines)
    }

    /// Writes the summary: before the first round, after the last one, and when the run fails.
    ///
    /// # Errors
    /// If the summary cannot be written.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), RecordError> {
        let mut text =
            serde_json::to_vec_pretty(summary).expect("records have no keys but strings");
        text.push(b'\n');
        replace_file(&self.path.join(SUMMARY), &text)
    }

    /// Reads the run at `path`.
    ///
    /// # Errors
    /// If there is no run, or one of its files is damaged; the message names file and line. A truncated last line is
    /// not an error, see [`Run::cut`].
    pub fn read(path: impl AsRef<Path>) -> Result<Run, RecordError> {
        let path = path.as_ref();
        let lines = read_rounds(path)?;
        let missing = lines.missing(|record| record.round);
        let Lines { records: rounds, cut, .. } = lines.whole()?;
        if rounds.is_empty() {
            return Err(RecordError::NoRounds(path.into()));
        }
        let mut summary = read_summary(&path.join(SUMMARY))?;
        if !summary.finished {
            summary.recount(&rounds);
        }
        let file = path.join(BASELINE);
        let baseline = read_lines(&file, |record: &BaselineRecord| record.round)?;
        let baseline = baseline.map_or(Ok(Vec::new()), |lines| lines.whole().map(|l| l.records))?;
        Ok(Run { rounds, cut, missing, summary, baseline })
    }
}

/// The records of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The rounds in ascending order, at least one.
    pub rounds: Vec<RoundRecord>,
    /// True if the last line was truncated and is not in `rounds`.
    pub cut: bool,
    /// The first round without a record although a later round has one.
    pub missing: Option<u32>,
    /// The summary. If the run did not finish, its totals are those of `rounds`, and values known only at the end may
    /// be missing.
    pub summary: Summary,
    /// Dense gradient descent on the same problem; empty if it was not computed.
    pub baseline: Vec<BaselineRecord>,
}

/// The records of a run to be resumed.
#[derive(Debug)]
pub struct Records {
    /// Directory of the run.
    pub path: PathBuf,
    /// The rounds from 0.
    pub rounds: Vec<RoundRecord>,
    /// End of the line of the last round, in bytes from the start of the file.
    end: u64,
    /// True if that line lacks its newline.
    unterminated: bool,
}

impl Records {
    /// Reads the records of the run at `path` up to `round`, whose transcript must be `transcript`.
    ///
    /// # Errors
    /// If there is no run or another one, or a record up to `round` is damaged or missing.
    pub fn read(path: &Path, round: u32, transcript: u64) -> Result<Self, RecordError> {
        let (file, lines) = (path.join(ROUNDS), read_rounds(path)?);
        let missing = lines.missing(|record| record.round);
        if let Some(round) = missing.filter(|&missing| missing <= round) {
            return Err(RecordError::Missing { path: file, round });
        }
        let Lines { records: mut rounds, ends, unterminated, flaw, .. } = lines;
        let Some(last) = rounds.get(round as usize) else {
            return Err(flaw.unwrap_or(RecordError::Short { path: file, round }));
        };
        if last.transcript != format!("{transcript:016x}") {
            return Err(RecordError::OtherRun { path: file, round });
        }
        let kept = round as usize + 1;
        let (end, unterminated) = (ends[kept - 1], unterminated && kept == rounds.len());
        rounds.truncate(kept);
        Ok(Self { path: path.into(), rounds, end, unterminated })
    }
}

fn read_summary(file: &Path) -> Result<Summary, RecordError> {
    let Some(bytes) = read_if_there(file)? else { return Ok(Summary::default()) };
    serde_json::from_slice(&bytes).map_err(|error| {
        let (path, line, reason) = place(file, error.line(), &error);
        RecordError::Summary { path, line, reason }
    })
}

/// The records of a file, up to the first line that is not a record.
struct Lines<R> {
    records: Vec<R>,
    /// End of the line of each record, in bytes from the start of the file.
    ends: Vec<u64>,
    /// True if the last line was truncated and is not in `records`.
    cut: bool,
    /// True if the last line lacks only its newline.
    unterminated: bool,
    /// Error in the line after the last record.
    flaw: Option<RecordError>,
}

impl<R> Lines<R> {
    /// Returns itself if every line of the file is a record.
    fn whole(self) -> Result<Self, RecordError> {
        match self.flaw {
            Some(flaw) => Err(RecordError::Damaged(Box::new(flaw))),
            None => Ok(self),
        }
    }

    /// Returns the first round without a record although a later round has one.
    fn missing(&self, round: impl Fn(&R) -> u32) -> Option<u32> {
        (0..).zip(&self.records).find_map(|(n, record)| (round(record) != n).then_some(n))
    }
}

/// Reads the rounds of the run at `path`.
fn read_rounds(path: &Path) -> Result<Lines<RoundRecord>, RecordError> {
    let lines = read_lines(&path.join(ROUNDS), |record: &RoundRecord| record.round)?;
    lines.ok_or_else(|| RecordError::NoRun(path.into()))
}

/// Reads records, one per line in ascending order. Returns `None` if the file does not exist.
fn read_lines<R: DeserializeOwned>(
    file: &Path,
    round: impl Fn(&R) -> u32,
) -> Result<Option<Lines<R>>, RecordError> {
    let mut reader = match files::open(file) {
        Ok(opened) => BufReader::new(opened),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(read_error(file)(error)),
    };
    let mut lines = Lines {
        records: Vec::new(),
        ends: Vec::new(),
        cut: false,
        unterminated: false,
        flaw: None,
    };
    let (mut text, mut end) = (Vec::new(), 0);
    loop {
        text.clear();
        let len = reader.read_until(b'\n', &mut text).map_err(read_error(file))?;
        if len == 0 {
            break;
        }
        let line = lines.records.len() + 1;
        let record: R = match serde_json::from_slice(&text) {
            Ok(record) => record,
            Err(error) if text.ends_with(b"\n") => {
                lines.flaw = Some(line_error(file, line, &error));
                break;
            }
            // A run that was killed during a write leaves a line without a newline.
            Err(_) => {
                lines.cut = true;
                break;
            }
        };
        let this = round(&record);
        if let Some(previous) = lines.records.last().map(&round).filter(|&last| last >= this) {
            let path = file.into();
            lines.flaw = Some(RecordError::Order { path, line, round: this, previous });
            break;
        }
        end += len as u64;
        lines.unterminated = !text.ends_with(b"\n");
        lines.records.push(record);
        lines.ends.push(end);
    }
    Ok(Some(lines))
}

/// Returns whether a directory is empty except for a lock.
fn is_free(path: &Path) -> Result<bool, RecordError> {
    for entry in fs::read_dir(path).map_err(read_error(path))? {
        if entry.map_err(read_error(path))?.file_name() != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn line<R: Serialize>(record: &R) -> Vec<u8> {
    let mut text = serde_json::to_vec(record).expect("records have no keys but strings");
    text.push(b'\n');
    text
}

fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match files::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(read_error(file)(error)),
    }
}

fn remove_if_there(file: &Path) -> Result<(), RecordError> {
    match fs::remove_file(file) {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(write_error(file)(error)),
    }
}

/// Returns whether the error means that the file does not exist, or that a parent of it is not a directory.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
