//! `smidgen run`

use super::training::{NoFeed, Origin, launch, new_session, prepare, train_and_report};
use anyhow::Result;
use smidgen::boards::key_file::KeyFile;
use smidgen::cli::Run;
use smidgen::options::{DataPlace, Options};
use smidgen::output::progress::Progress;
use smidgen::run::experiment::Experiment;
use smidgen::run::on_board::RecordingBoard;
use smidgen::world::client::Client;
use smidgen::world::simulation::Line;
use smidgen::world::transport::Address;

/// Trains with boards on ports.
pub(crate) fn run(Run { ports, data, options }: &Run, origin: Origin) -> Result<()> {
    let ports = &ports.addresses;
    options.recordings.as_ref().map_or(Ok(()), |_| Err(NoFeed))?;
    let mut progress = Progress::new(options.rounds);
    let (experiment, ports) = match data {
        DataPlace::Host => {
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

/// Prepares a run on rows that boards have recorded. Returns the ports in the order of the boards' identities, so that a
/// run does not depend on which port a board has.
fn prepare_on_board<'p>(
    options: &Options,
    ports: &'p [Address],
    progress: &mut Progress,
) -> Result<(Experiment, Vec<&'p Address>)> {
    Experiment::check_on_board(options)?;
    progress.phase("asking boards for their rows");
    let sealing = options.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    let line = Line { baud: options.baud, faults: options.faults, seed: options.seed.into() };
    let mut boards = vec![];
    for (index, port) in ports.iter().enumerate() {
        let client = Client::open(port, options.baud, sealing.clone())?;
        let mut client = client.with_faults(line, index);
        let (identity, rows) = (client.greet()?, client.rows()?);
        let place = client.place().to_owned();
        boards.push((identity.identity, port, RecordingBoard { place, rows }));
    }
    boards.sort_by_key(|(identity, ..)| *identity);
    let ports = boards.iter().map(|(_, port, _)| *port).collect();
    let boards: Vec<_> = boards.into_iter().map(|(.., board)| board).collect();
    Ok((Experiment::on_board(options, &boards, new_session())?, ports))
}
