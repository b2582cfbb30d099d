//! `smidgen run`

use super::training::{NoFeed, Origin, launch, prepare, train_and_report};
use anyhow::Result;
use smidgen::cli::Run;
use smidgen::output::progress::Progress;

/// Trains with boards on ports.
pub(crate) fn run(Run { ports, options }: &Run, origin: Origin) -> Result<()> {
    options.recordings.as_ref().map_or(Ok(()), |_| Err(NoFeed))?;
    let mut progress = Progress::new(options.rounds);
    let experiment = prepare(options, Some(ports.len()), &mut progress)?;
    let launch = launch(&experiment, origin, &mut progress)?;
    let places = ports.iter().map(ToString::to_string).collect();
    let mut driver = experiment.driver(ports, places)?;
    train_and_report(&experiment, launch, &mut driver, progress)
}
