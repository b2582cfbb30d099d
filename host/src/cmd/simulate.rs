//! `smidgen simulate`

use super::training::{Origin, launch, prepare, train_and_report};
use crate::options::Options;
use crate::output::progress::Progress;
use anyhow::Result;

/// Trains with simulated boards.
pub(crate) fn run(options: &Options, origin: Origin) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let experiment = prepare(options, None, &mut progress)?;
    let launch = launch(&experiment, origin, &mut progress)?;
    train_and_report(&experiment, launch, &mut experiment.simulation(), progress)
}
