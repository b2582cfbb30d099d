//! `smidgen report`

use anyhow::Result;
use smidgen::config::cli::Report;
use smidgen::record::RunDirectory;
use smidgen::report;

/// Writes the report of a run anew.
pub fn run(Report { directory }: &Report) -> Result<()> {
    let run = RunDirectory::read(directory)?;
    println!("Open {} in a browser.", report::write(&run, directory)?.display());
    Ok(())
}
