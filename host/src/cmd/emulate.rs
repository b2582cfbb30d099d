//! `smidgen emulate`

use super::image::build;
use super::{Origin, launch, prepare, train_and_report};
use anyhow::Result;
use smidgen::board::Boards;
use smidgen::config::cli::Emulate;
use smidgen::driver::Watch;
use smidgen::emulator::Emulator;
use smidgen::image;
use smidgen::progress::Progress;
use smidgen::transport::Address;
use smidgen_protocol::seal::Key;
use std::path::Path;

/// Trains with emulated boards.
pub fn run(Emulate { boards, options }: &Emulate, origin: Origin) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let count = boards.iter().map(|boards| boards.count).sum();
    let experiment = prepare(options, Some(count), &mut progress)?;
    let launch = launch(&experiment, origin, &mut progress)?;
    // The images hold the key, and are gone with the run.
    let folder = tempfile::tempdir()?;
    let key = experiment.setup.seal.as_ref().map(|sealing| (&sealing.key, folder.path()));
    let emulators = start(boards, key, &mut progress)?;
    let address = |e: &Emulator| Address::Unix(e.socket().into());
    let addresses: Vec<_> = emulators.iter().map(address).collect();
    let place = |(n, e): (usize, &Emulator)| format!("emulated {} {}", e.board().name, n + 1);
    let places = emulators.iter().enumerate().map(place).collect();
    let driver = experiment.driver(&addresses, places)?;
    let mut driver = driver.with_watch(restart_dead(emulators));
    train_and_report(&experiment, launch, &mut driver, progress)
}

/// Builds what images are missing and starts all boards, each with an identity of its own.
fn start(
    boards: &[Boards],
    key: Option<(&Key, &Path)>,
    progress: &mut Progress,
) -> Result<Vec<Emulator>> {
    let mut emulators = Vec::new();
    for Boards { board, count } in boards {
        let mut image = build(board, progress)?;
        if let Some((key, folder)) = key {
            let keyed = folder.join(board.name);
            image::keyed(&image, key, &keyed)?;
            image = keyed;
        }
        for _ in 0..*count {
            emulators.push(Emulator::start(board, &image, emulators.len() as u64 + 1)?);
        }
    }
    Ok(emulators)
}

/// Starts a board again whose emulator has ended.
fn restart_dead(mut emulators: Vec<Emulator>) -> Watch {
    Box::new(move || {
        let index = emulators.iter_mut().position(|emulator| !emulator.is_running())?;
        let dead = &mut emulators[index];
        let name = dead.board().name;
        Some(match dead.restart() {
            Ok(()) => format!("the emulated {name} had ended and was started again"),
            Err(error) => {
                // Each attempt holds up the other boards, and what fails now fails again.
                emulators.remove(index);
                format!("the emulated {name} has ended and does not start again: {error}")
            }
        })
    })
}
