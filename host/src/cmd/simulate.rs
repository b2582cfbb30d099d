//! `smidgen simulate`

use super::{line, train_and_report};
use anyhow::Result;
use smidgen::config::Options;
use smidgen::experiment::{Experiment, new_session};
use smidgen::progress::Progress;
use smidgen::simulation::Simulation;
use smidgen_firmware::logistic::Logistic;

/// Trains with simulated boards.
pub fn run(options: &Options) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    progress.phase("loading data and computing smoothness constants");
    let experiment = Experiment::new(options, None, new_session())?;
    let mut world = Simulation::new(experiment.setup.clone(), Logistic, line(options));
    train_and_report(&experiment, &mut world, progress)
}
