//! `smidgen run`

use super::train_and_report;
use anyhow::Result;
use smidgen::config::cli::Run;
use smidgen::driver::Driver;
use smidgen::experiment::{Experiment, new_session};
use smidgen::progress::Progress;
use smidgen::transport::{Address, Link, TransportError};
use std::sync::mpsc::channel;

/// Trains with boards behind ports.
pub fn run(Run { ports, options }: &Run) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    progress.phase("loading data and computing smoothness constants");
    let experiment = Experiment::new(options, Some(ports.len()), new_session())?;
    let places = ports.iter().map(ToString::to_string).collect();
    let mut driver = connect(&experiment, ports, places)?;
    train_and_report(&experiment, &mut driver, progress)
}

/// Opens all links of an experiment; `places` says for people where they lead.
pub fn connect(
    experiment: &Experiment,
    addresses: &[Address],
    places: Vec<String>,
) -> Result<Driver, TransportError> {
    let (events, received) = channel();
    let baud = experiment.options().baud;
    let open = |(index, address)| Link::open(index, address, baud, events.clone());
    let links = addresses.iter().enumerate().map(open).collect::<Result<_, _>>()?;
    let driver = Driver::new(experiment.setup.clone(), links, places, received);
    Ok(driver.with_objective(experiment.objective()))
}
