//! `smidgen reproduce`

use super::console::{eprint, print};
use crate::cli::Reproduce;
use crate::output::progress::Progress;
use crate::study::reproduction::{Study, measure, write};
use crate::units::quantity::{counted, seconds};
use crate::units::shown::shown;
use anyhow::{Result, bail};
use std::time::Instant;

/// Where to download the data files.
const SOURCE: &str = "it is among the binary sets of the LIBSVM data page, \
    www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets";

/// Runs experiments and writes their page.
pub(crate) fn run(Reproduce { names, data, out }: &Reproduce) -> Result<()> {
    let started = Instant::now();
    let mut studies = match names.as_slice() {
        [] => Study::all(),
        names => names.iter().map(Study::load).collect::<Result<_, _>>()?,
    };
    let mut skipped = vec![];
    for study in &mut studies {
        study.set_data_folder(data);
        study.skip_missing();
        skipped.extend(complaints(study));
    }
    skipped.iter().for_each(|line| eprint(line));
    let ran = studies.iter().filter(|study| !study.panels.is_empty()).count();
    if ran == 0 {
        bail!("no data set of any experiment was found; name their directory with --data");
    }
    let mut progress = Progress::new(0);
    progress.phase("running experiments");
    let measured = measure(&studies, &mut progress)?;
    progress.finish();
    let page = write(&studies, &measured, out)?;
    // Repeated, since the progress of the experiments may have scrolled them away.
    skipped.iter().for_each(|line| eprint(line));
    print(format_args!(
        "{} in {}: see {}.",
        counted(ran as u64, "experiment", "experiments"),
        seconds(started.elapsed().as_secs_f64()),
        shown(&page)
    ))?;
    Ok(())
}

/// Returns a line per skipped panel with the reason.
fn complaints(Study { name, skipped, .. }: &Study) -> impl Iterator<Item = String> {
    skipped.iter().map(move |panel| {
        let path = shown(panel.missing().expect("it is missing"));
        format!(
            "SKIPPED: {name}, {}: {path} does not exist; {SOURCE}; name your directory with --data",
            panel.name
        )
    })
}
