//! Checkpoints: everything a run needs to resume in another process, in files that are written atomically.
//!
//! ```text
//! file     = head ‖ Checkpoint in postcard's encoding ‖ CRC-64 of all before it, little-endian
//! DIR/checkpoint-0000001000   named by its round; the latest two are kept
//! ```
//!
//! A file is written under a temporary name, synced, and renamed. If the latest one is damaged, the one before it is
//! intact: a run resumes from the latest file that passes its check and matches the records of its rounds.

use super::cost::Cost;
use super::error::{RecordError, replace_file, write_error};
use super::lock::Locks;
use super::names::{PREFIX, round_of};
use super::times::WorkerTimes;
use crate::units::files;
use crate::units::shown::shown;
use crc::{CRC_64_XZ, Crc};
use serde::{Deserialize, Serialize};
use smidgen_aggregator::Snapshot;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Head of a file: name and version of the format, readable in a pager.
const HEAD: &[u8] = b"smidgen checkpoint 6\n";
/// Prefix of the head in every version. Every version also ends in the same check.
const NAME: &[u8] = b"smidgen checkpoint ";
const CHECK: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);
/// Number of files that are kept.
const KEPT: usize = 2;

/// Everything that a run needs to resume after a closed round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The command line that the run was started with, including the options of its `--config` file.
    pub arguments: Vec<OsString>,
    /// Working directory at the start, the base of relative paths. Not a `PathBuf`: serde fails for paths that are
    /// not UTF-8.
    pub folder: OsString,
    /// CRC-64 of the data of all workers, in the form sent to them.
    pub data_checksum: u64,
    /// The last round of the run.
    pub rounds: u32,
    /// Cost of the setup.
    pub setup: Cost,
    /// Seconds that the run has taken, summed over its processes.
    pub wall_seconds: f64,
    /// Measured times of each worker. Not part of the snapshot, whose state machine has no clock.
    pub times: Vec<WorkerTimes>,
    /// State of the aggregator.
    pub snapshot: Snapshot,
}

/// Directory of the checkpoints of a run, and the fields that are the same in all of them.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// The directory.
    pub directory: PathBuf,
    /// See [`Checkpoint::arguments`].
    pub arguments: Vec<OsString>,
    /// See [`Checkpoint::folder`].
    pub folder: OsString,
    /// See [`Checkpoint::data_checksum`].
    pub data_checksum: u64,
    /// See [`Checkpoint::rounds`].
    pub rounds: u32,
}

impl Checkpoints {
    /// Creates the directory and locks it.
    ///
    /// # Errors
    /// If it cannot be created, or another process writes to it.
    pub fn claim(&self, locks: &mut Locks) -> Result<(), RecordError> {
        files::make_directory(&self.directory).map_err(write_error(&self.directory))?;
        locks.take(&self.directory)
    }

    /// Returns whether the directory contains checkpoints, which are those of an earlier run.
    pub fn any(&self) -> bool {
        any(&self.directory)
    }

    /// Removes the checkpoints of `round` and later rounds: those of an earlier run, or damaged ones.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn remove_from(&self, round: u32) -> Result<(), RecordError> {
        let (directory, first) = (&self.directory, file(&self.directory, round));
        let removed = written(directory).and_then(|files| {
            files.into_iter().filter(|file| *file >= first).try_for_each(fs::remove_file)
        });
        removed.map_err(write_error(directory))
    }

    /// Returns the round of the latest checkpoint.
    pub fn latest_round(&self) -> Option<u32> {
        let latest = written(&self.directory).ok()?.into_iter().next()?;
        round_of(latest.file_name()?.to_str()?)
    }

    /// Writes the checkpoint of a closed round.
    ///
    /// # Errors
    /// If it cannot be written; earlier checkpoints are not changed then.
    pub fn write(
        &self,
        setup: Cost,
        wall_seconds: f64,
        times: Vec<WorkerTimes>,
        snapshot: Snapshot,
    ) -> Result<(), RecordError> {
        let Self { arguments, folder, data_checksum, rounds, .. } = self.clone();
        let checkpoint = Checkpoint {
            arguments,
            folder,
            data_checksum,
            rounds,
            setup,
            wall_seconds,
            times,
            snapshot,
        };
        checkpoint.write(&self.directory)
    }
}

/// Reasons why a run cannot resume.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The directory cannot be read.
    #[error("cannot read {}: {source}; name the directory of a run", shown(path))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory contains no checkpoint.
    #[error(
        "{} contains no checkpoint: the run did not close its first round, or its checkpoints are in another \
         directory (--checkpoint-dir); start the run again, or name the directory of the checkpoints", shown(.0)
    )]
    None(PathBuf),
    /// The directory contains no valid checkpoint.
    #[error(
        "no checkpoint in {} is valid; the latest is {}: {flaw}{}", shown(path), shown(file), flaw.advice()
    )]
    Flawed {
        /// The directory.
        path: PathBuf,
        /// The latest file.
        file: PathBuf,
        /// The reason.
        flaw: Flaw,
    },
}

/// Reasons why a file cannot be used.
#[derive(Debug, Error)]
pub enum Flaw {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is not a checkpoint.
    #[error("it is not a checkpoint")]
    Foreign,
    /// Another version wrote it.
    #[error(
        "it was written by another version of smidgen; resume with that version, or start the run again"
    )]
    Version,
    /// Its check fails.
    #[error("it is damaged or truncated")]
    Damaged,
    /// The records do not match it.
    #[error("it is valid, but {0}")]
    Records(RecordError),
}

impl Flaw {
    /// Returns whether the file may be valid all the same, so that the run must not resume from an older one.
    fn ends_search(&self) -> bool {
        match self {
            Self::Version => true,
            Self::Unreadable(error) => !files::is_not_regular(error),
            Self::Foreign | Self::Damaged => false,
            Self::Records(error) => match error {
                RecordError::Busy { .. } | RecordError::Write { .. } | RecordError::Read { .. } => {
                    true
                }
                RecordError::NotADirectory(_)
                | RecordError::Occupied(_)
                | RecordError::Input(_)
                | RecordError::NoDirectory(_)
                | RecordError::Foreign(_)
                | RecordError::Origin(_)
                | RecordError::NoRun(_)
                | RecordError::NoRounds(_)
                | RecordError::Damaged(_)
                | RecordError::Line { .. }
                | RecordError::Summary { .. }
                | RecordError::Short { .. }
                | RecordError::Missing { .. }
                | RecordError::OtherRun { .. }
                | RecordError::Order { .. } => false,
            },
        }
    }

    /// Returns what to do if this is the flaw of the latest file and no older one is valid.
    fn advice(&self) -> &'static str {
        if self.ends_search() { "" } else { "; start the run again" }
    }
}

/// Returns the CRC-64 of the data of all workers.
pub fn data_checksum<'d>(data: impl IntoIterator<Item = &'d [u8]>) -> u64 {
    let mut digest = CHECK.digest();
    for data in data {
        digest.update(&(data.len() as u64).to_le_bytes());
        digest.update(data);
    }
    digest.finalize()
}

impl Checkpoint {
    /// Returns the bytes of its file.
    ///
    /// # Panics
    /// Never, unless memory runs out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = postcard::to_extend(self, HEAD.to_vec()).expect("a vector grows");
        let check = CHECK.checksum(&bytes);
        bytes.extend(check.to_le_bytes());
        bytes
    }

    /// Parses the bytes of a file.
    ///
    /// # Errors
    /// If they were not made by [`Checkpoint::to_bytes`] of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Flaw> {
        if !bytes.starts_with(NAME) {
            return Err(Flaw::Foreign);
        }
        let (content, check) = bytes.split_last_chunk().ok_or(Flaw::Damaged)?;
        if CHECK.checksum(content) != u64::from_le_bytes(*check) {
            return Err(Flaw::Damaged);
        }
        let content = content.strip_prefix(HEAD).ok_or(Flaw::Version)?;
        postcard::from_bytes(content).map_err(|_| Flaw::Damaged)
    }

    /// Writes its file to `directory`, and removes all but the latest two.
    ///
    /// # Errors
    /// If it cannot be written; earlier checkpoints are not changed then.
    pub fn write(&self, directory: &Path) -> Result<(), RecordError> {
        replace_file(&file(directory, self.snapshot.round()), &self.to_bytes())?;
        for old in written(directory).unwrap_or_default().into_iter().skip(KEPT) {
            // A file that stays does no harm.
            let _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// Returns the latest valid checkpoint in `directory` that matches the records, the result of `match_records` for
    /// it, and a sentence about each later one that is skipped.
    ///
    /// # Errors
    /// If there is none.
    pub fn latest<T>(
        directory: &Path,
        mut match_records: impl FnMut(&Self) -> Result<T, RecordError>,
    ) -> Result<(Self, T, Vec<String>), CheckpointError> {
        let path = directory.to_owned();
        let found = listed(directory)
            .map_err(|source| CheckpointError::Directory { path: path.clone(), source })?;
        let mut flaws = Vec::new();
        for file in found {
            let read = files::read(&file).map_err(Flaw::Unreadable);
            let whole = read.and_then(|bytes| Self::from_bytes(&bytes));
            let fitting = whole.and_then(|checkpoint| {
                let matched = match_records(&checkpoint).map_err(Flaw::Records)?;
                Ok((checkpoint, matched))
            });
            match fitting {
                Ok((checkpoint, matched)) => {
                    let note = |(file, flaw): &(PathBuf, Flaw)| {
                        format!("skipped the checkpoint {}: {flaw}", shown(file))
                    };
                    return Ok((checkpoint, matched, flaws.iter().map(note).collect()));
                }
                // It may be valid: resuming from an older one would discard it.
                Err(flaw) if flaw.ends_search() => {
                    return Err(CheckpointError::Flawed { path, file, flaw });
                }
                Err(flaw) => flaws.push((file, flaw)),
            }
        }
        // Report the latest file that can be read: a directory with the name of a checkpoint says less.
        let telling = |(_, flaw): &(PathBuf, Flaw)| matches!(flaw, Flaw::Unreadable(_));
        Err(match flaws.into_iter().min_by_key(telling) {
            Some((file, flaw)) => CheckpointError::Flawed { path, file, flaw },
            None => CheckpointError::None(path),
        })
    }
}

/// Returns the path of the checkpoint of a round.
fn file(directory: &Path, round: u32) -> PathBuf {
    directory.join(format!("{PREFIX}{round:010}"))
}

/// Returns whether a directory contains checkpoints.
pub fn any(directory: &Path) -> bool {
    written(directory).is_ok_and(|files| !files.is_empty())
}

/// Lists the checkpoint files in a directory, the latest first. Directories and devices with such a name are not ours.
fn written(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = listed(directory)?;
    files.retain(|file| file.is_file());
    Ok(files)
}

/// Lists the entries of a directory that are named like a checkpoint, the latest first.
fn listed(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().and_then(round_of).is_some() {
            files.push(entry.path());
        }
    }
    files.sort_unstable_by(|one, other| other.cmp(one));
    Ok(files)
}

#[cfg(test)]
mod tests;
