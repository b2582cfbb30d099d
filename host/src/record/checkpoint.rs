//! Checkpoints: what a run needs to go on in another process, in files that are whole or not there.
//!
//! ```text
//! file     = head ‖ Checkpoint in postcard's encoding ‖ CRC-64 of all before it, little-endian
//! DIR/checkpoint-0000001000   named by its round; the two latest are kept
//! ```
//!
//! A file is written beside its place, synced, and renamed. Whatever happens to the newest one, the one before it is
//! whole: a run resumes from the latest file that passes its check and fits the records of its rounds.

use crate::record::best::Best;
use crate::record::{Cost, Locks, RecordError, WorkerTimes, write_error, write_whole};
use crate::units::files;
use crate::units::shown::shown;
use crc::{CRC_64_XZ, Crc};
use serde::{Deserialize, Serialize};
use smidgen_aggregator::Snapshot;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// What a file begins with: name and version of the format, for people as well.
const HEAD: &[u8] = b"smidgen checkpoint 3\n";
/// What all versions begin with; they end in the same check.
const NAME: &[u8] = b"smidgen checkpoint ";
const CHECK: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);
/// How the name of a file begins; ten digits of its round follow.
const PREFIX: &str = "checkpoint-";
/// Files that are kept.
const KEPT: usize = 2;

/// Everything that a run needs to resume after a closed round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The command line that the run was started with, including the options of its `--config` file.
    pub arguments: Vec<OsString>,
    /// The folder in which it was started, to which relative paths belong; serde takes a path for text, which it need not be.
    pub folder: OsString,
    /// CRC-64 of the data of all workers as they are loaded.
    pub data_checksum: u64,
    /// The last round that the run is to have.
    pub rounds: u32,
    /// What it cost to load them.
    pub setup: Cost,
    /// Seconds that the run has taken by the clocks of its hosts.
    pub wall_seconds: f64,
    /// Where the time of each worker's rounds went. Apart from the state, which knows no time.
    pub times: Vec<WorkerTimes>,
    /// The best model so far, which need not be that of the state.
    pub best: Option<Best>,
    /// The state.
    pub snapshot: Snapshot,
}

/// Where a run leaves checkpoints, how often, and what is the same in all of them.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// The directory.
    pub directory: PathBuf,
    /// Rounds from one to the next.
    pub every: u32,
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
    /// Makes the directory and locks it.
    ///
    /// # Errors
    /// If it cannot be made, or another process writes there.
    pub fn claim(&self, locks: &mut Locks) -> Result<(), RecordError> {
        files::make_directory(&self.directory).map_err(write_error(&self.directory))?;
        locks.take(&self.directory)
    }

    /// Whether there are some, of an earlier run.
    pub fn any(&self) -> bool {
        any(&self.directory)
    }

    /// Removes the checkpoints after this round: those of an earlier run, or damaged ones.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn forget_from(&self, round: u32) -> Result<(), RecordError> {
        let (directory, first) = (&self.directory, file(&self.directory, round));
        let removed = written(directory).and_then(|files| {
            files.into_iter().filter(|file| *file >= first).try_for_each(fs::remove_file)
        });
        removed.map_err(write_error(directory))
    }

    /// Whether there is to be one after a round, even if it is not the last. Round 0 has one: nothing of it need be sent again.
    pub fn is_due(&self, round: u32) -> bool {
        round.is_multiple_of(self.every)
    }

    /// The round of the latest one.
    pub fn latest_round(&self) -> Option<u32> {
        let latest = written(&self.directory).ok()?.into_iter().next()?;
        round_of(latest.file_name()?.to_str()?)
    }

    /// Writes the checkpoint after a closed round.
    ///
    /// # Errors
    /// If it cannot be written: then those before it are as they were.
    pub fn write(
        &self,
        setup: Cost,
        wall_seconds: f64,
        times: Vec<WorkerTimes>,
        best: Option<Best>,
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
            best,
            snapshot,
        };
        checkpoint.write(&self.directory)
    }
}

/// Why there is nothing to go on from.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The directory cannot be read.
    #[error("cannot read {}: {source}; name the directory of a run", shown(path))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds none.
    #[error(
        "{} holds no checkpoint: the run did not close its first round, or its checkpoints are elsewhere (--checkpoint-dir); start \
         it again, or name the directory of the checkpoints", shown(.0)
    )]
    None(PathBuf),
    /// It holds none that is whole.
    #[error(
        "no checkpoint in {} can be used; the latest, {}: {flaw}{}", shown(path), shown(file), flaw.advice()
    )]
    Flawed {
        /// The directory.
        path: PathBuf,
        /// The latest file.
        file: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What may be wrong with a file.
#[derive(Debug, Error)]
pub enum Flaw {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is something else.
    #[error("it is not a checkpoint")]
    Foreign,
    /// Another version wrote it.
    #[error(
        "it is of another version of smidgen; resume with that version, or start the run again"
    )]
    Version,
    /// It is not what was written.
    #[error("it is damaged or cut off")]
    Damaged,
    /// The records do not go with it.
    #[error("it is whole, but {0}")]
    Records(RecordError),
}

impl Flaw {
    /// Whether the file may be whole all the same, so that no older one shall take its place.
    fn ends_search(&self) -> bool {
        match self {
            Self::Version => true,
            Self::Unreadable(error) => !files::is_not_plain(error),
            Self::Foreign | Self::Damaged => false,
            Self::Records(error) => match error {
                RecordError::Busy { .. } | RecordError::Write { .. } | RecordError::Read { .. } => {
                    true
                }
                RecordError::NotADirectory(_)
                | RecordError::Occupied(_)
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

    /// What to do where this is the flaw of the latest file and no older one can be used.
    fn advice(&self) -> &'static str {
        if self.ends_search() { "" } else { "; start the run again" }
    }
}

/// Checksum of the data of all workers.
pub fn data_checksum<'d>(data: impl IntoIterator<Item = &'d [u8]>) -> u64 {
    let mut digest = CHECK.digest();
    for data in data {
        digest.update(&(data.len() as u64).to_le_bytes());
        digest.update(data);
    }
    digest.finalize()
}

impl Checkpoint {
    /// As the bytes of a file.
    ///
    /// # Panics
    /// Never, unless memory runs out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            postcard::to_extend(self, HEAD.to_vec()).expect("a vector takes whatever comes");
        let check = CHECK.checksum(&bytes);
        bytes.extend(check.to_le_bytes());
        bytes
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// If they are not those that [`Checkpoint::to_bytes`] of this version made.
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

    /// Writes it where `directory` is, and removes those before the last but one.
    ///
    /// # Errors
    /// If it cannot be written: then those before it are as they were.
    pub fn write(&self, directory: &Path) -> Result<(), RecordError> {
        write_whole(&file(directory, self.snapshot.round()), &self.to_bytes())?;
        for old in written(directory).unwrap_or_default().into_iter().skip(KEPT) {
            // One too many does no harm.
            let _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// The latest one in `directory` that is whole and goes with the records, what `match_records` makes of it, and a
    /// sentence for each later one that is left out.
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
                        format!("{} is left out: {flaw}", shown(file))
                    };
                    return Ok((checkpoint, matched, flaws.iter().map(note).collect()));
                }
                // It may be whole: to go on from an older one would throw it away.
                Err(flaw) if flaw.ends_search() => {
                    return Err(CheckpointError::Flawed { path, file, flaw });
                }
                Err(flaw) => flaws.push((file, flaw)),
            }
        }
        // The latest, but what only has the name of one is not it.
        let telling = |(_, flaw): &(PathBuf, Flaw)| matches!(flaw, Flaw::Unreadable(_));
        Err(match flaws.into_iter().min_by_key(telling) {
            Some((file, flaw)) => CheckpointError::Flawed { path, file, flaw },
            None => CheckpointError::None(path),
        })
    }
}

/// The file of the checkpoint after a round.
fn file(directory: &Path, round: u32) -> PathBuf {
    directory.join(format!("{PREFIX}{round:010}"))
}

/// The round that the name of a checkpoint tells.
pub(crate) fn round_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    let are_digits = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| are_digits)
}

/// Whether there are checkpoints in a directory.
pub fn any(directory: &Path) -> bool {
    written(directory).is_ok_and(|files| !files.is_empty())
}

/// The files of checkpoints in a directory, the latest first: what only has the name of one is not ours.
fn written(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = listed(directory)?;
    files.retain(|file| file.is_file());
    Ok(files)
}

/// What has the name of a checkpoint in a directory, the latest first.
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
