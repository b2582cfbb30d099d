//! `smidgen emulate`

use super::image::build;
use super::training::{Origin, launch, prepare, train_and_report};
use anyhow::Result;
use smidgen::boards::board::Boards;
use smidgen::boards::image;
use smidgen::cli::Emulate;
use smidgen::output::progress::Progress;
use smidgen::run::experiment::Experiment;
use smidgen::world::emulator::{Emulator, FeedError, record, supervise};
use smidgen::world::transport::Address;
use smidgen_protocol::seal::Key;
use std::thread;

/// Trains with emulated boards.
pub(crate) fn run(Emulate { boards, options }: &Emulate, origin: Origin) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let count = boards.iter().map(|boards| boards.count).sum();
    let experiment = prepare(options, Some(count), &mut progress)?;
    // Checked before an earlier run is replaced.
    Emulator::check()?;
    if experiment.recordings().is_some() {
        check_sensors(boards)?;
    }
    let launch = launch(&experiment, origin, &mut progress)?;
    let key = experiment.setup.seal.as_ref().map(|sealing| &sealing.key);
    let emulators = start(boards, key, None, &mut progress)?;
    record_all(&experiment, &emulators, &mut progress)?;
    let address = |e: &Emulator| Address::Unix(e.socket().into());
    let addresses: Vec<_> = emulators.iter().map(address).collect();
    let place = |(n, e): (usize, &Emulator)| format!("emulated {} {}", e.board().name, n + 1);
    let places = emulators.iter().enumerate().map(place).collect();
    let driver = experiment.driver(&addresses, places)?;
    let mut driver = driver.with_watch(supervise(emulators));
    train_and_report(&experiment, launch, &mut driver, progress)
}

/// Refuses boards whose sensors have no line in emulation.
pub(crate) fn check_sensors(boards: &[Boards]) -> Result<(), FeedError> {
    let mute = boards.iter().find(|boards| !boards.board.has_sensor_line);
    mute.map_or(Ok(()), |mute| Err(FeedError::NoLine { board: mute.board.name }))
}

/// Has every board record its rows, if the run is on recordings.
fn record_all(
    experiment: &Experiment,
    emulators: &[Emulator],
    progress: &mut Progress,
) -> Result<()> {
    let Some(recordings) = experiment.recordings() else { return Ok(()) };
    progress.phase("recording rows on the boards");
    let (recipe, baud) = (recordings.windows.recipe(), experiment.options().baud);
    let seal = &experiment.setup.seal;
    thread::scope(|scope| {
        let start = |(emulator, worker)| {
            let record = move || record(emulator, (baud, seal.clone()), &recipe, worker);
            thread::Builder::new().spawn_scoped(scope, record)
        };
        let pairs = emulators.iter().zip(&recordings.workers);
        let boards = pairs.map(start).collect::<Result<Vec<_>, _>>()?;
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
