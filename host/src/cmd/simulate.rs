//! `smidgen simulate`

use super::{claim, prepare, train_and_report};
use anyhow::Result;
use smidgen::config::Options;
use smidgen::progress::Progress;

/// Trains with simulated boards.
pub fn run(options: &Options) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let experiment = prepare(options, None, &mut progress)?;
    let claim = claim(options, &mut progress)?;
    train_and_report(&experiment, &claim, &mut experiment.simulation(), progress)
}
