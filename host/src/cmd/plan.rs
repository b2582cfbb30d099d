//! `smidgen plan`

use super::console::print;
use super::training::new_session;
use crate::cli;
use crate::run::experiment::Experiment;
use crate::study::plan::Plan;
use anyhow::Result;

/// Prints what a run needs.
pub(crate) fn run(arguments: &cli::Plan) -> Result<()> {
    let experiment = Experiment::new(&arguments.options, None, new_session())?;
    let plan = Plan::new(&experiment)?;
    if arguments.json {
        return Ok(print(serde_json::to_string_pretty(&plan)?)?);
    }
    Ok(print(plan)?)
}
