//! `smidgen run`

use super::{claim, prepare, train_and_report};
use anyhow::Result;
use smidgen::config::cli::Run;
use smidgen::progress::Progress;

/// Trains with boards behind ports.
pub fn run(Run { ports, options }: &Run) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let experiment = prepare(options, Some(ports.len()), &mut progress)?;
    let claim = claim(options, &mut progress)?;
    let places = ports.iter().map(ToString::to_string).collect();
    let mut driver = experiment.driver(ports, places)?;
    train_and_report(&experiment, &claim, &mut driver, progress)
}
