//! `smidgen resume`

use super::console::eprint;
use super::training::Origin;
use super::{emulate, run, simulate};
use crate::cli::{self, Command, Emulate, Resume, Run};
use crate::options::{Choice, Objective, Options};
use crate::problem::dataset::{self, Dataset};
use crate::record::checkpoint::{self, Checkpoint};
use crate::record::{Locks, RecordError, Records, RunDirectory};
use crate::units::files;
use crate::units::shown::shown;
use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use std::path::{self, Component, Path, PathBuf};
use std::{env, fs, io};

/// The directory in which the run was started cannot be entered.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run was started in {}, which cannot be entered ({source}), and its paths are relative to it; restore the \
     directory, or start the run again",
    shown(path)
)]
struct WorkingDirectory {
    path: PathBuf,
    source: io::Error,
}

/// The data of a run cannot be read a second time.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data in {} cannot be read again: {source}; replace it by a regular file with the same data, or start the run \
     again",
    shown(path)
)]
struct Unrepeatable {
    path: PathBuf,
    source: io::Error,
}

/// The run has an objective of another program.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run has the objective `{}`, which this program does not know: it knows {}; resume the run with the program \
     that started it",
    shown(name),
    Objective::listed("and", |_| true)
)]
struct ForeignObjective {
    name: String,
}

/// Returns why the command line of a run is not valid any more.
fn invalid(error: clap::Error) -> anyhow::Error {
    let text = |kind| {
        // clap has values of other types for other kinds of contexts.
        let Some(ContextValue::String(text)) = error.get(kind) else { return "" };
        text.as_str()
    };
    match text(ContextKind::InvalidArg).starts_with("--objective") {
        true => ForeignObjective { name: text(ContextKind::InvalidValue).into() }.into(),
        false => error.into(),
    }
}

/// Resumes a run.
pub(crate) fn run(Resume { directory, rounds }: &Resume) -> Result<()> {
    let directory = path::absolute(directory)?;
    let mut locks = Locks::default();
    // Locked before it is read, because another process may be writing to it. A directory without checkpoints is not
    // touched.
    if checkpoint::any(&directory) {
        locks.take(&directory)?;
    }
    let (checkpoint, found, flaws) =
        Checkpoint::latest(&directory, |checkpoint| find(checkpoint, &directory, &mut locks))?;
    flaws.iter().for_each(|flaw| eprint(&format!("warning: {flaw}")));
    let path = PathBuf::from(checkpoint.folder.clone());
    env::set_current_dir(&path).map_err(|source| WorkingDirectory { path, source })?;
    let Found { mut training, out, records } = found.map_err(invalid)?;
    let options = training.options();
    // Files of recordings are opened only if they are regular.
    if options.recordings.is_none() {
        check_data(&options.dataset)?;
    }
    options.label.as_deref().and_then(dataset::label_file).map_or(Ok(()), check_data)?;
    options.rounds = rounds.unwrap_or(checkpoint.rounds);
    // Not the paths of the checkpoint: the directories may have been moved or copied.
    (options.out, options.checkpoint_dir) = (out, Some(directory));
    training.run(Origin::Checkpoint(Box::new(checkpoint), records, locks))
}

/// Refuses data such as pipes, which cannot be read again and for which this process would wait forever.
fn check_data(path: &Path) -> Result<(), Unrepeatable> {
    if Dataset::is_built_in(path) {
        return Ok(());
    }
    let obstacle = fs::metadata(path).err().or_else(|| files::not_regular(path));
    obstacle.map_or(Ok(()), |source| Err(Unrepeatable { path: path.into(), source }))
}

/// A command that writes checkpoints.
enum Training {
    Simulate(Options),
    Run(Run),
    Emulate(Emulate),
}

impl Training {
    /// Returns `None` for a command that writes none.
    fn of(command: Command) -> Option<Self> {
        match command {
            Command::Simulate(options) => Some(Self::Simulate(options)),
            Command::Run(run) => Some(Self::Run(run)),
            Command::Emulate(emulate) => Some(Self::Emulate(emulate)),
            Command::Demo(_)
            | Command::Record(_)
            | Command::Boards(_)
            | Command::Plan(_)
            | Command::Resume(_)
            | Command::Predict(_)
            | Command::Load(_)
            | Command::Watch(_)
            | Command::Export(_)
            | Command::Ports
            | Command::Report(_)
            | Command::Reproduce(_)
            | Command::Flash(_)
            | Command::Image(_)
            | Command::Key(_)
            | Command::NewBoard(_) => None,
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

/// The run of a checkpoint.
struct Found {
    /// Its parsed command line.
    training: Training,
    /// Directory of the records.
    out: PathBuf,
    records: Records,
}

/// Finds the run of a checkpoint in `directory`, and locks the directory of its records.
///
/// # Errors
/// The outer one if the records do not match the checkpoint, the inner one if its command line is no longer valid.
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
    let out = records_directory(training.options(), Path::new(&checkpoint.folder), directory);
    if RunDirectory::is_at(&out) {
        locks.take(&out)?;
    }
    let snapshot = &checkpoint.snapshot;
    let records = Records::read(&out, snapshot.round(), snapshot.transcript())?;
    Ok(Ok(Found { training, out, records }))
}

/// Returns the directory of the records of a run that was started in `folder` and has checkpoints in `directory`.
///
/// It is at the same place relative to `directory` as at the start, so that a copied run is resumed in the copy; if
/// there is no run, at its absolute place.
fn records_directory(options: &Options, folder: &Path, directory: &Path) -> PathBuf {
    if RunDirectory::is_at(directory) {
        return directory.into();
    }
    let out = folder.join(&options.out);
    let checkpoints = folder.join(options.checkpoint_dir.as_ref().unwrap_or(&options.out));
    let beside = rebase(&checkpoints, &out, directory);
    beside.filter(|beside| RunDirectory::is_at(beside)).unwrap_or(out)
}

/// Returns the path reached from `start` by the relative path from `from` to `to`.
fn rebase(from: &Path, to: &Path, start: &Path) -> Option<PathBuf> {
    let (from, to) = (&normalise(from), &normalise(to));
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other);
    let common = common.count();
    let mut place = start;
    for _ in from.components().skip(common) {
        place = place.parent()?;
    }
    Some(place.join(to.components().skip(common).collect::<PathBuf>()))
}

/// Removes `.` and `..` from an absolute path.
fn normalise(path: &Path) -> PathBuf {
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
    fn foreign_objective_is_refused_with_a_sentence() {
        let refused = |arguments: &str| {
            let arguments = arguments.split(' ').map(Into::into).collect();
            invalid(cli::parse_whole(arguments).unwrap_err()).to_string()
        };
        assert_eq!(
            refused("smidgen simulate --objective huber"),
            "the run has the objective `huber`, which this program does not know: it knows logistic, least-squares, \
             softmax, perceptron and svm; resume the run with the program that started it"
        );
        assert!(refused("smidgen simulate --method sgd").contains("--method"));
    }

    #[test]
    fn relative_path_is_followed_from_another_place() {
        for (from, to, start, seen) in [
            ("/a/run", "/a/run", "/b/run", "/b/run"),
            ("/a/run/safe", "/a/run", "/b/run/safe", "/b/run"),
            ("/a/safe", "/a/run", "/b/safe", "/b/run"),
            ("/a/deep/../safe", "/a/deep/run", "/b/safe", "/b/deep/run"),
            ("/a/run", "/a/run/records", "/b", "/b/records"),
        ] {
            let [from, to, start] = [from, to, start].map(Path::new);
            assert_eq!(rebase(from, to, start).as_deref(), Some(Path::new(seen)));
        }
        assert_eq!(rebase(Path::new("/a/b/c"), Path::new("/d"), Path::new("/e")), None);
    }
}
