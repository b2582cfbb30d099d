//! `smidgen plan`

use super::line;
use anyhow::Result;
use smidgen::config::Options;
use smidgen::experiment::{Experiment, new_session};
use smidgen::plan::Plan;

/// Tells what a run will take.
pub fn run(options: &Options) -> Result<()> {
    let experiment = Experiment::new(options, None, new_session())?;
    print!("{}", Plan::new(&experiment, line(options))?);
    Ok(())
}
