//! `smidgen simulate`

use super::{line, train_and_report};
use anyhow::Result;
use smidgen::config::Options;
use smidgen::experiment::{Experiment, new_session};
use smidgen::progress::Progress;

/// Trains with simulated boards.
pub fn run(options: &Options) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    progress.phase("loading data and computing smoothness constants");
    let experiment = Experiment::new(options, None, new_session())?;
    let mut world = experiment.simulation(line(options));
    train_and_report(&experiment, &mut world, progress)
}
