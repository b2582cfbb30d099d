//! `smidgen emulate`

use super::image::build;
use super::training::{Origin, launch, prepare, train_and_report};
use crate::boards::board::Boards;
use crate::boards::image;
use crate::cli::Emulate;
use crate::output::progress::Progress;
use crate::problem::dataset::recordings::WorkerRecordings;
use crate::run::experiment::Experiment;
use crate::world::emulator::{Emulator, FeedError, Rows, record, supervise};
use crate::world::transport::Address;
use anyhow::Result;
use smidgen_protocol::seal::Key;
use std::iter::repeat;
use std::thread;

/// Trains with emulated boards.
pub(crate) fn run(Emulate { boards, options }: &Emulate, origin: Origin) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let count = boards.iter().map(|boards| boards.count).sum();
    let experiment = prepare(options, Some(count), &mut progress)?;
    // Checked before an earlier run is replaced.
    boards.iter().try_for_each(|boards| Emulator::check(boards.board))?;
    if experiment.recordings().is_some() {
        check_sensors(boards)?;
    }
    let launch = launch(&experiment, origin, &mut progress)?;
    let key = experiment.setup.seal.as_ref().map(|sealing| &sealing.key);
    let emulators = start(boards, key, None, &mut progress)?;
    let rows = rows(&experiment);
    record_all(&rows, &emulators, &mut progress)?;
    emulators.iter().try_for_each(Emulator::show)?;
    let address = |e: &Emulator| Address::Unix(e.shown_socket());
    let addresses: Vec<_> = emulators.iter().map(address).collect();
    let place = |(n, e): (usize, &Emulator)| format!("emulated {} {}", e.board().name, n + 1);
    let places = emulators.iter().enumerate().map(place).collect();
    let driver = experiment.driver(&addresses, places)?;
    let rows = rows.into_iter().map(Some).chain(repeat(None));
    let mut driver = driver.with_watch(supervise(emulators.into_iter().zip(rows).collect()));
    train_and_report(&experiment, launch, &mut driver, progress)
}

/// Refuses boards whose sensors have no line in emulation.
pub(crate) fn check_sensors(boards: &[Boards]) -> Result<(), FeedError> {
    let mute = boards.iter().find(|boards| !boards.board.has_sensor_line());
    mute.map_or(Ok(()), |mute| Err(FeedError::NoLine { board: mute.board.name }))
}

/// Returns what each board records; nothing if the run is not on recordings.
fn rows(experiment: &Experiment) -> Vec<Rows> {
    let Some(recordings) = experiment.recordings() else { return vec![] };
    let rows = |recordings_of_worker: &WorkerRecordings| Rows {
        baud: experiment.options().baud,
        sealing: experiment.setup.seal.clone(),
        recipe: recordings.windows.recipe(),
        recordings: recordings_of_worker.clone(),
    };
    recordings.workers.iter().map(rows).collect()
}

/// Has every board record its rows, if the run is on recordings.
fn record_all(rows: &[Rows], emulators: &[Emulator], progress: &mut Progress) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    progress.phase("recording rows on the boards");
    thread::scope(|scope| {
        let mut boards = vec![];
        for (emulator, Rows { baud, sealing, recipe, recordings }) in emulators.iter().zip(rows) {
            let record = || record(emulator, (*baud, sealing.clone()), recipe, recordings);
            boards.push(thread::Builder::new().spawn_scoped(scope, record)?);
        }
        for board in boards {
            board.join().expect("no thread panics")?;
        }
        Ok(())
    })
}

/// Builds missing images and starts all boards, each with its own identity, and sensors with this many channels.
pub(crate) fn start(
    boards: &[Boards],
    key: Option<&Key>,
    channels: Option<u8>,
    progress: &mut Progress,
) -> Result<Vec<Emulator>> {
    let mut emulators = Vec::new();
    for Boards { board, count } in boards {
        let path = build(board, progress)?;
        for _ in 0..*count {
            let image = match key {
                Some(key) => image::keyed_unnamed(&path, key)?,
                None => image::open(&path)?,
            };
            let identity = emulators.len() as u64 + 1;
            emulators.push(Emulator::start_with(board, image, identity, channels)?);
        }
    }
    Ok(emulators)
}
