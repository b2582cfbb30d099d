//! `smidgen resume`

use super::{Origin, complain, emulate, run, simulate};
use anyhow::Result;
use smidgen::checkpoint::Checkpoint;
use smidgen::config::Options;
use smidgen::config::cli::{self, Command, Resume};
use smidgen::record::RunDirectory;
use smidgen::shown::shown;
use std::path::{self, PathBuf};
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
    let (checkpoint, flaws) = Checkpoint::latest(&directory)?;
    flaws.iter().for_each(|flaw| complain(&format!("warning: {flaw}")));
    let path = PathBuf::from(checkpoint.folder.clone());
    env::set_current_dir(&path).map_err(|source| Folder { path, source })?;
    let mut cli = cli::parse_whole(checkpoint.arguments.clone())?;
    if let Some(options) = options(&mut cli.command) {
        options.rounds = rounds.unwrap_or(checkpoint.rounds);
        // A directory that was moved is still the run's own.
        if RunDirectory::is_at(&directory) {
            options.out = directory;
        }
    }
    let origin = Origin::Checkpoint(Box::new(checkpoint));
    match &cli.command {
        Command::Simulate(options) => simulate::run(options, origin),
        Command::Run(arguments) => run::run(arguments, origin),
        Command::Emulate(arguments) => emulate::run(arguments, origin),
        other => unreachable!("{other:?} leaves no checkpoints"),
    }
}

/// The options of a run.
fn options(command: &mut Command) -> Option<&mut Options> {
    match command {
        Command::Simulate(options) => Some(options),
        Command::Run(run) => Some(&mut run.options),
        Command::Emulate(emulate) => Some(&mut emulate.options),
        _ => None,
    }
}
