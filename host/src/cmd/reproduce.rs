//! `smidgen reproduce`

use super::{complain, say};
use anyhow::{Result, bail};
use smidgen::config::cli::Reproduce;
use smidgen::progress::Progress;
use smidgen::report::quantity::{counted, seconds};
use smidgen::reproduction::{Study, measure, write};
use std::time::Instant;

/// Where the files are kept, for whoever has none.
const SOURCE: &str = "the LIBSVM data page, www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets, keeps it among its binary sets";

/// Runs experiments of the papers and writes their page.
pub fn run(Reproduce { names, data, out }: &Reproduce) -> Result<()> {
    let started = Instant::now();
    let mut studies = match names.as_slice() {
        [] => Study::all(),
        names => names.iter().map(|name| Study::load(name)).collect::<Result<_, _>>()?,
    };
    let mut skipped = vec![];
    for study in &mut studies {
        study.set_data_folder(data);
        skipped.extend(skip(study));
    }
    skipped.iter().for_each(|line| complain(line));
    studies.retain(|study| !study.panels.is_empty());
    if studies.is_empty() {
        bail!("there are no data for any experiment; say with --data where the files are");
    }
    let mut progress = Progress::new(0);
    progress.phase("running experiments");
    let measured = measure(&studies, &mut progress)?;
    progress.finish();
    let page = write(&studies, &measured, out)?;
    // Said again, where it is seen.
    skipped.iter().for_each(|line| complain(line));
    say(format_args!(
        "{} in {}: see {}.",
        counted(studies.len() as u64, "experiment", "experiments"),
        seconds(started.elapsed().as_secs_f64()),
        page.display()
    ))?;
    Ok(())
}

/// Leaves out the panels whose data are missing, and says so.
fn skip(study: &mut Study) -> Vec<String> {
    let name = study.name.clone();
    let missing = study.panels.extract_if(.., |panel| panel.missing().is_some());
    let said = missing.map(|panel| {
        let path = panel.missing().expect("it is missing").display();
        format!("SKIPPED: {name}, {}: {path} is not here; {SOURCE}; say with --data where your files are", panel.name)
    });
    said.collect()
}
