//! `smidgen plan`

use super::{new_session, say};
use anyhow::Result;
use smidgen::config::Options;
use smidgen::experiment::Experiment;
use smidgen::plan::Plan;

/// Tells what a run will take.
pub fn run(options: &Options) -> Result<()> {
    let experiment = Experiment::new(options, None, new_session())?;
    Ok(say(Plan::new(&experiment)?)?)
}
