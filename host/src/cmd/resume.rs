//! `smidgen resume`

use super::{Origin, complain, emulate, run, simulate};
use anyhow::Result;
use smidgen::cli::{self, Command, Emulate, Resume, Run};
use smidgen::options::Options;
use smidgen::problem::dataset::Dataset;
use smidgen::record::checkpoint::{self, Checkpoint};
use smidgen::record::{Locks, RecordError, Records, RunDirectory};
use smidgen::units::files;
use smidgen::units::shown::shown;
use std::path::{self, Component, Path, PathBuf};
use std::{env, fs, io};

/// The folder to which the paths of the run belong is gone.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run was started in {}, which cannot be entered ({source}): its paths belong there; put the folder back, or start \
     the run again",
    shown(path)
)]
struct Folder {
    path: PathBuf,
    source: io::Error,
}

/// The data of a run cannot be read once more.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data in {} cannot be read once more: {source}; put a plain file with the same data there, or start the run again",
    shown(path)
)]
struct Unrepeatable {
    path: PathBuf,
    source: io::Error,
}

/// Goes on with a run.
pub fn run(Resume { directory, rounds }: &Resume) -> Result<()> {
    let directory = path::absolute(directory)?;
    let mut locks = Locks::default();
    // What another process is about to write is not read; a directory without checkpoints is left as it is.
    if checkpoint::any(&directory) {
        locks.take(&directory)?;
    }
    let (checkpoint, found, flaws) =
        Checkpoint::latest(&directory, |checkpoint| find(checkpoint, &directory, &mut locks))?;
    flaws.iter().for_each(|flaw| complain(&format!("warning: {flaw}")));
    let path = PathBuf::from(checkpoint.folder.clone());
    env::set_current_dir(&path).map_err(|source| Folder { path, source })?;
    let Found { mut training, out, records } = found?;
    let options = training.options();
    check_data(&options.dataset)?;
    options.rounds = rounds.unwrap_or(checkpoint.rounds);
    // Where they were found, which is elsewhere if they were moved or copied.
    (options.out, options.checkpoint_dir) = (out, Some(directory));
    training.run(Origin::Checkpoint(Box::new(checkpoint), records, locks))
}

/// Refuses data that only one process can read, and for which this one would wait.
fn check_data(path: &Path) -> Result<(), Unrepeatable> {
    if Dataset::is_built_in(path) {
        return Ok(());
    }
    let obstacle = fs::metadata(path).err().or_else(|| files::what_else(path));
    obstacle.map_or(Ok(()), |source| Err(Unrepeatable { path: path.into(), source }))
}

/// A command that leaves checkpoints.
enum Training {
    Simulate(Options),
    Run(Run),
    Emulate(Emulate),
}

impl Training {
    /// `None` for a command that leaves none.
    fn of(command: Command) -> Option<Self> {
        match command {
            Command::Simulate(options) => Some(Self::Simulate(options)),
            Command::Run(run) => Some(Self::Run(run)),
            Command::Emulate(emulate) => Some(Self::Emulate(emulate)),
            Command::Demo(_)
            | Command::Plan(_)
            | Command::Resume(_)
            | Command::Ports
            | Command::Report(_)
            | Command::Reproduce(_)
            | Command::Image(_)
            | Command::Key(_) => None,
        }
    }

    fn options(&mut self) -> &mut Options {
        match self {
            Self::Simulate(options) => options,
            Self::Run(run) => &mut run.options,
            Self::Emulate(emulate) => &mut emulate.options,
        }
    }

    fn run(&self, origin: Origin) -> Result<()> {
        match self {
            Self::Simulate(options) => simulate::run(options, origin),
            Self::Run(arguments) => run::run(arguments, origin),
            Self::Emulate(arguments) => emulate::run(arguments, origin),
        }
    }
}

/// What goes with a checkpoint.
struct Found {
    /// What its command line asks for.
    training: Training,
    /// Where the records are.
    out: PathBuf,
    records: Records,
}

/// Finds what goes with a checkpoint that was found in `directory`, and locks where it is.
///
/// # Errors
/// If the records do not go with it, and, within, if its command line cannot be understood any more.
fn find(
    checkpoint: &Checkpoint,
    directory: &Path,
    locks: &mut Locks,
) -> Result<Result<Found, clap::Error>, RecordError> {
    let command = match cli::parse_whole(checkpoint.arguments.clone()) {
        Ok(cli) => cli.command,
        Err(error) => return Ok(Err(error)),
    };
    let mut training = Training::of(command).ok_or_else(|| RecordError::NoRun(directory.into()))?;
    let out = records_place(training.options(), Path::new(&checkpoint.folder), directory);
    if RunDirectory::is_at(&out) {
        locks.take(&out)?;
    }
    let snapshot = &checkpoint.snapshot;
    let records = Records::read(&out, snapshot.round(), snapshot.transcript())?;
    Ok(Ok(Found { training, out, records }))
}

/// Where the records of a run are that was started in `folder` and whose checkpoints were found in `directory`: at the same
/// place seen from there as at the start, so that a copy is resumed in the copy, or else where they were.
fn records_place(options: &Options, folder: &Path, directory: &Path) -> PathBuf {
    if RunDirectory::is_at(directory) {
        return directory.into();
    }
    let out = folder.join(&options.out);
    let checkpoints = folder.join(options.checkpoint_dir.as_ref().unwrap_or(&options.out));
    let beside = seen_from(&checkpoints, &out, directory);
    beside.filter(|beside| RunDirectory::is_at(beside)).unwrap_or(out)
}

/// The path that leads to `to` from `from`, followed from `start`.
fn seen_from(from: &Path, to: &Path, start: &Path) -> Option<PathBuf> {
    let (from, to) = (&without_detours(from), &without_detours(to));
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other);
    let common = common.count();
    let mut place = start;
    for _ in from.components().skip(common) {
        place = place.parent()?;
    }
    Some(place.join(to.components().skip(common).collect::<PathBuf>()))
}

/// An absolute path without `.` and `..`.
fn without_detours(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut place, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(place.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => place.push(part),
        }
        place
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_seen_from_another_one_as_it_was() {
        for (from, to, start, seen) in [
            ("/a/run", "/a/run", "/b/run", "/b/run"),
            ("/a/run/safe", "/a/run", "/b/run/safe", "/b/run"),
            ("/a/safe", "/a/run", "/b/safe", "/b/run"),
            ("/a/deep/../safe", "/a/deep/run", "/b/safe", "/b/deep/run"),
            ("/a/run", "/a/run/records", "/b", "/b/records"),
        ] {
            let [from, to, start] = [from, to, start].map(Path::new);
            assert_eq!(seen_from(from, to, start).as_deref(), Some(Path::new(seen)));
        }
        assert_eq!(seen_from(Path::new("/a/b/c"), Path::new("/d"), Path::new("/e")), None);
    }
}
