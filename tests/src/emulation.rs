//! Emulated boards for tests: QEMU runs the images for real boards.

use crate::conformance::{run, simulated, transcripts};
use smidgen::boards::board::Board;
use smidgen::boards::image::{self, ImageError};
use smidgen::boards::tested::{self, Tested};
use smidgen::run::experiment::Experiment;
use smidgen::world::World;
use smidgen::world::driver::Driver;
use smidgen::world::emulator::Emulator;
use smidgen::world::simulation::memory_len;
use smidgen::world::transport::Address;
use smidgen_firmware::objectives::Objectives;
use smidgen_protocol::seal::Key;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The image of a board, built and tried once for all tests of a process.
///
/// Where a compiler is missing or images cannot run, a line on standard error says that `test` is skipped. With
/// `SMIDGEN_NO_SKIP` set, as `scripts/test.sh` does where its setup succeeds, that is a failure.
///
/// # Panics
/// If there is no such board, its image cannot be built with an installed compiler, or skipping is not allowed.
pub fn image_of(name: &str, test: &str) -> Option<(&'static Board, PathBuf)> {
    static READY: Mutex<BTreeMap<&str, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let board = Board::find(name).unwrap_or_else(|error| panic!("{error}"));
    // A test that panics here leaves no entry.
    let mut all = READY.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = all.entry(board.name).or_insert_with(|| ready(board)).clone();
    drop(all);
    match ready {
        Ok(image) => Some((board, image)),
        Err(why) if std::env::var_os("SMIDGEN_NO_SKIP").is_some() => panic!("{name}: {why}"),
        Err(why) => {
            skip(test, name, &why);
            None
        }
    }
}

/// Says that `test` is skipped for a board.
///
/// # Panics
/// If standard error is closed.
pub fn skip(test: &str, board: &str, why: &str) {
    let skipped = format!("SKIPPED: {test}: {board}: {why}\n");
    std::io::stderr().write_all(skipped.as_bytes()).expect("standard error is open");
}

/// Returns whether a board can be emulated here, or says that `test` is skipped for it. An older QEMU is no failure of
/// the setup, since a test of the command line runs all boards in a second one; nor is a missing emulator that comes
/// from a registry of packages, which may be out of reach.
fn is_emulated_here(board: &Board, test: &str) -> bool {
    match Emulator::check(board) {
        Err(error) if error.is_of_a_complete_setup(board) => {
            skip(test, board.name, &error.to_string());
            false
        }
        // Other failures are reported by what starts the board.
        Ok(()) | Err(_) => true,
    }
}

/// The boards of a test of all boards. If `SMIDGEN_BOARDS` names some, a line on standard error says that `test` is
/// skipped for the others.
///
/// # Panics
/// If the variable names an unknown board.
pub fn tested(test: &str) -> Vec<&'static Board> {
    let tested = tested::tested().unwrap_or_else(|error| panic!("{}: {error}", tested::VARIABLE));
    let Tested { boards, notice } = tested;
    notice.into_iter().for_each(|notice| skip(test, "other boards", &notice));
    boards
}

/// The boards of a test of all boards that are emulated here.
pub fn boards(test: &str) -> Vec<&'static Board> {
    let boards = tested(test).into_iter().filter(|board| board.emulation.is_some());
    boards.filter(|board| is_emulated_here(board, test)).collect()
}

/// Builds the image of a board and starts it once. Returns the image, or why it cannot run.
fn ready(board: &'static Board) -> Result<PathBuf, String> {
    let built = present(image::build(board));
    let image = built.unwrap_or_else(|error| panic!("{}: {error}", board.name))?;
    match board.emulation.as_ref().map(|_| Emulator::start(board, opened(&image), 1)) {
        None | Some(Ok(_)) => Ok(image),
        Some(Err(error)) if error.is_of_a_complete_setup(board) => Ok(image),
        Some(Err(error)) => Err(error.to_string()),
    }
}

/// Separates a missing compiler, for which steps and tests are skipped, from other errors, with which they fail.
///
/// # Errors
/// Any error but that of a missing compiler.
pub fn present<T>(outcome: Result<T, ImageError>) -> Result<Result<T, String>, ImageError> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(missing @ ImageError::NoCompiler { .. }) => Ok(Err(missing.to_string())),
        Err(error) => Err(error),
    }
}

/// As [`image_of`], of a board that is emulated here.
fn emulated_image_of(name: &str, test: &str) -> Option<(&'static Board, PathBuf)> {
    image_of(name, test).filter(|(board, _)| is_emulated_here(board, test))
}

/// Starts an emulated board for each name, with identities from 1.
pub fn start(names: &[&str], test: &str) -> Option<Vec<Emulator>> {
    let mut emulators = Vec::new();
    for name in names {
        let (board, image) = emulated_image_of(name, test)?;
        let identity = emulators.len() as u64 + 1;
        let emulator = Emulator::start(board, opened(&image), identity);
        emulators.push(emulator.unwrap_or_else(|error| panic!("{error}")));
    }
    Some(emulators)
}

fn opened(image: &Path) -> File {
    image::open(image).unwrap_or_else(|error| panic!("{error}"))
}

/// The same with a key in their images.
pub fn start_keyed(names: &[&str], key: &Key, test: &str) -> Option<Vec<Emulator>> {
    let mut emulators = Vec::new();
    for name in names {
        let (board, image) = emulated_image_of(name, test)?;
        let keyed = image::keyed_unnamed(&image, key).unwrap_or_else(|error| panic!("{error}"));
        let emulator = Emulator::start(board, keyed, emulators.len() as u64 + 1);
        emulators.push(emulator.unwrap_or_else(|error| panic!("{error}")));
    }
    Some(emulators)
}

/// The boards in the installed QEMU that have the memory for any worker of an experiment.
pub fn boards_for(experiment: &Experiment, test: &str) -> Vec<&'static str> {
    let need = memory_len::<Objectives>(&experiment.setup);
    let boards = boards(test).into_iter();
    boards.filter(|board| board.memory_len >= need).map(|board| board.name).collect()
}

/// A driver for an experiment on these boards.
///
/// # Panics
/// If a board cannot be reached.
pub fn driver(experiment: &Experiment, emulators: &[Emulator]) -> Driver {
    let address = |e: &Emulator| Address::Unix(e.socket().into());
    let addresses: Vec<_> = emulators.iter().map(address).collect();
    let places = emulators.iter().map(|e| e.board().name.to_owned()).collect();
    experiment.driver(&addresses, places).unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that a run on these boards has the transcript of simulation, and that no board loses a byte.
///
/// # Panics
/// If one of them is violated.
pub fn assert_conforms(experiment: &Experiment, emulators: &[Emulator], test: &str) {
    let mut driver = driver(experiment, emulators);
    let rounds = run(experiment, &mut driver).unwrap_or_else(|error| panic!("{test}: {error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(experiment)), "{test}");
    for worker in 0..emulators.len() {
        assert_eq!(driver.aggregator().statistics(worker).overruns, 0, "{test}: bytes were lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_compiler_is_a_reason_to_skip() {
        let missing = ImageError::NoCompiler { target: "thumbv6m-none-eabi" };
        let why = missing.to_string();
        assert_eq!(present::<()>(Err(missing)).unwrap(), Err(why));
        assert_eq!(present(Ok(1)).unwrap(), Ok(1));
        for error in [
            ImageError::Choice("clang".into()),
            ImageError::SourcesGone("boards".into()),
            ImageError::Build {
                reason: "an error".into(),
                command: "cargo".into(),
                folder: "boards".into(),
            },
        ] {
            present::<()>(Err(error)).unwrap_err();
        }
    }
}
