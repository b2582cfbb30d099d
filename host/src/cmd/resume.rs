//! `smidgen resume`

use super::{Origin, complain, emulate, run, simulate};
use anyhow::Result;
use smidgen::checkpoint::Checkpoint;
use smidgen::config::Options;
use smidgen::config::cli::{self, Command, Resume};
use std::env;
use std::path::PathBuf;

/// There is nothing left to do.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run is complete: it has all its {rounds} rounds; `--rounds` with a larger number adds some, `smidgen report {}` \
     draws its report", out.display()
)]
struct Complete {
    rounds: u32,
    out: PathBuf,
}

/// Goes on with a run.
pub fn run(Resume { directory, rounds }: &Resume) -> Result<()> {
    let (checkpoint, flaws) = Checkpoint::latest(directory)?;
    flaws.iter().for_each(|flaw| complain(&format!("warning: {flaw}")));
    env::set_current_dir(&checkpoint.folder)?;
    let mut cli = cli::parse_whole(checkpoint.arguments.clone())?;
    if let Some(options) = options(&mut cli.command) {
        options.rounds = rounds.unwrap_or(options.rounds);
        if options.rounds <= checkpoint.snapshot.round() {
            return Err(Complete { rounds: options.rounds, out: options.out.clone() }.into());
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
