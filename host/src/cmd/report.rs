//! `smidgen report`

use super::console::{eprint, print};
use crate::cli::Report;
use crate::output::report;
use crate::record::RunDirectory;
use crate::units::shown::shown;
use anyhow::Result;

/// Writes the report of a run.
pub(crate) fn run(Report { directory }: &Report) -> Result<()> {
    let run = RunDirectory::read(directory)?;
    if let Some(round) = run.missing {
        eprint(&format!("warning: the record of round {round} is missing in {}", shown(directory)));
    }
    let report = report::write(&run, directory)?;
    Ok(print(format_args!("Open {} in a browser.", shown(&report)))?)
}
