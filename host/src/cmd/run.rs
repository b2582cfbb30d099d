//! `smidgen run`

use super::training::{
    NoFeed, Origin, check_origin, launch, new_session, prepare, train_and_report,
};
use crate::boards::key_file::KeyFile;
use crate::cli::Run;
use crate::options::{DATASET, DataPlace, Options};
use crate::output::progress::Progress;
use crate::run::experiment::Experiment;
use crate::run::on_board::RecordingBoard;
use crate::world::client::Client;
use crate::world::simulation::Line;
use crate::world::transport::Address;
use anyhow::{Result, bail};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Trains with boards on ports.
pub(crate) fn run(Run { ports, data, options }: &Run, origin: Origin) -> Result<()> {
    let ports = &ports.addresses;
    options.recordings.as_ref().map_or(Ok(()), |_| Err(NoFeed))?;
    if !options.windowing.is_default() {
        bail!(
            "--window, --hop, --features and --rate say how boards record rows; give them to `smidgen record`, and \
             train on its rows by --data on-board"
        );
    }
    let mut progress = Progress::new(options.rounds);
    let (experiment, ports) = match data {
        DataPlace::Host => {
            if options.dataset == Path::new(DATASET) {
                progress.note(
                    "training on the bundled digits, which boards are sent; --dataset names other data, and \
                     --data on-board trains on rows that boards have recorded",
                );
            }
            (prepare(options, Some(ports.len()), &mut progress)?, ports.iter().collect())
        }
        DataPlace::OnBoard => prepare_on_board(options, ports, &mut progress)?,
    };
    let ports: Vec<Address> = ports.into_iter().cloned().collect();
    let launch = launch(&experiment, origin, &mut progress)?;
    let places = ports.iter().map(ToString::to_string).collect();
    let mut driver = experiment.driver(&ports, places)?;
    train_and_report(&experiment, launch, &mut driver, progress)
}

/// Prepares a run on rows that boards have recorded. Returns the ports in the order of the boards' identities, so that
/// a run does not depend on which port a board has.
fn prepare_on_board<'p>(
    options: &Options,
    ports: &'p [Address],
    progress: &mut Progress,
) -> Result<(Experiment, Vec<&'p Address>)> {
    check_origin(options)?;
    Experiment::check_on_board(options)?;
    progress.phase("asking boards for their rows");
    let (sender, notes) = channel();
    let mut boards = thread::scope(|scope| {
        let ask = || ask_boards(options, ports, sender);
        let asked = thread::Builder::new().spawn_scoped(scope, ask)?;
        notes.iter().for_each(|note: String| progress.note(&note));
        asked.join().unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    boards.sort_by_key(|(identity, ..)| *identity);
    let ports = boards.iter().map(|(_, port, _)| *port).collect();
    let boards: Vec<_> = boards.into_iter().map(|(.., board)| board).collect();
    Ok((Experiment::on_board(options, &boards, new_session())?, ports))
}

/// Asks each board for its rows; returns them with its identity and port.
fn ask_boards<'p>(
    options: &Options,
    ports: &'p [Address],
    notes: Sender<String>,
) -> Result<Vec<(u64, &'p Address, RecordingBoard)>> {
    let sealing = options.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    let line = Line { baud: options.baud, faults: options.faults, seed: options.seed.into() };
    let ask = |(index, port): (usize, &'p Address)| {
        let notes = notes.clone();
        // The receiver lives until all boards have been asked.
        let note = move |note| drop(notes.send(note));
        let client = Client::open(port, options.baud, sealing.clone(), note)?;
        let mut client = client.with_faults(line, index);
        let (identity, rows) = (client.greet()?, client.rows()?);
        let (place, full_scales) = (client.place().to_owned(), client.live()?.full_scales);
        Ok((identity.identity, port, RecordingBoard { place, rows, full_scales }))
    };
    ports.iter().enumerate().map(ask).collect()
}
