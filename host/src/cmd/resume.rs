//! `smidgen resume`

use super::{Origin, complain, emulate, run, simulate};
use anyhow::{Result, bail};
use smidgen::checkpoint::Checkpoint;
use smidgen::config::Options;
use smidgen::config::cli::{self, Command, Resume};
use smidgen::record::{Locks, RecordError, Records, RunDirectory};
use smidgen::shown::shown;
use std::path::{self, Path, PathBuf};
use std::{env, io};

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

/// Goes on with a run.
pub fn run(Resume { directory, rounds }: &Resume) -> Result<()> {
    let directory = path::absolute(directory)?;
    let mut locks = Locks::default();
    // What another process is about to write is not read.
    if directory.is_dir() {
        locks.take(&directory)?;
    }
    let (checkpoint, found, flaws) =
        Checkpoint::latest(&directory, |checkpoint| find(checkpoint, &directory))?;
    flaws.iter().for_each(|flaw| complain(&format!("warning: {flaw}")));
    let path = PathBuf::from(checkpoint.folder.clone());
    env::set_current_dir(&path).map_err(|source| Folder { path, source })?;
    let Found { mut command, out, records } = found?;
    if let Some(options) = options(&mut command) {
        options.rounds = rounds.unwrap_or(checkpoint.rounds);
        // Where they were found, which is elsewhere if they were moved or copied.
        (options.out, options.checkpoint) = (out, Some(directory));
    }
    let origin = Origin::Checkpoint(Box::new(checkpoint), records, locks);
    match &command {
        Command::Simulate(options) => simulate::run(options, origin),
        Command::Run(arguments) => run::run(arguments, origin),
        Command::Emulate(arguments) => emulate::run(arguments, origin),
        Command::Demo(_)
        | Command::Plan(_)
        | Command::Resume(_)
        | Command::Ports
        | Command::Report(_)
        | Command::Reproduce(_)
        | Command::Image(_)
        | Command::Key(_) => bail!("the checkpoint is of a command that leaves none"),
    }
}

/// What goes with a checkpoint.
struct Found {
    /// The command line of its run.
    command: Command,
    /// Where the records are.
    out: PathBuf,
    records: Records,
}

/// Finds what goes with a checkpoint that was found in `directory`.
///
/// # Errors
/// If the records do not go with it, and, within, if its command line cannot be understood any more.
fn find(
    checkpoint: &Checkpoint,
    directory: &Path,
) -> Result<Result<Found, clap::Error>, RecordError> {
    let mut command = match cli::parse_whole(checkpoint.arguments.clone()) {
        Ok(cli) => cli.command,
        Err(error) => return Ok(Err(error)),
    };
    let folder = Path::new(&checkpoint.folder);
    let out = options(&mut command).map(|options| records_place(options, folder, directory));
    let out = out.ok_or_else(|| RecordError::NoRun(directory.into()))?;
    let snapshot = &checkpoint.snapshot;
    let records = Records::read(&out, snapshot.round(), snapshot.transcript())?;
    Ok(Ok(Found { command, out, records }))
}

/// Where the records of a run are that was started in `folder` and whose checkpoints were found in `directory`: at the same
/// place seen from there as at the start, so that a copy goes on in the copy, or else where they were.
fn records_place(options: &Options, folder: &Path, directory: &Path) -> PathBuf {
    if RunDirectory::is_at(directory) {
        return directory.into();
    }
    let out = folder.join(&options.out);
    let checkpoints = folder.join(options.checkpoint.as_ref().unwrap_or(&options.out));
    let beside = seen_from(&checkpoints, &out, directory);
    beside.filter(|beside| RunDirectory::is_at(beside)).unwrap_or(out)
}

/// The path that leads to `to` from `from`, followed from `start`.
fn seen_from(from: &Path, to: &Path, start: &Path) -> Option<PathBuf> {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other);
    let common = common.count();
    let mut place = start;
    for _ in from.components().skip(common) {
        place = place.parent()?;
    }
    Some(place.join(to.components().skip(common).collect::<PathBuf>()))
}

/// The options of a command that leaves checkpoints.
fn options(command: &mut Command) -> Option<&mut Options> {
    match command {
        Command::Simulate(options) => Some(options),
        Command::Run(run) => Some(&mut run.options),
        Command::Emulate(emulate) => Some(&mut emulate.options),
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
