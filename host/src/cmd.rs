//! The subcommands, and what they share.

pub mod demo;
pub mod emulate;
pub mod image;
pub mod plan;
pub mod ports;
pub mod report;
pub mod run;
pub mod simulate;

use anyhow::Result;
use smidgen::baseline;
use smidgen::config::{Faults, Options};
use smidgen::experiment::Experiment;
use smidgen::progress::Progress;
use smidgen::record::{Cost, RoundRecord, RunDirectory, Summary};
use smidgen::recorder::{Recorded, record};
use smidgen::report::{quantity, write};
use smidgen::simulation::Line;
use smidgen::training::{Goal, World};
use std::path::Path;

/// Runs an experiment in a world, then gradient descent beside it, and leaves the report.
fn train_and_report(
    experiment: &Experiment,
    world: &mut impl World,
    mut progress: Progress,
) -> Result<()> {
    let Recorded { directory, mut summary } = record(experiment, world, &mut progress)?;
    progress.finish();
    compare(experiment, &directory, &mut summary)?;
    directory.finish(&summary)?;
    let report = write(&RunDirectory::read(directory.path())?, directory.path())?;
    conclude(&summary, &report);
    Ok(())
}

/// Dense gradient descent, until it is where the run ended or as many rounds are over.
fn compare(experiment: &Experiment, directory: &RunDirectory, summary: &mut Summary) -> Result<()> {
    let options = experiment.options();
    let goal = Goal { rounds: options.rounds, target: summary.gradient_norm_squared };
    let mut progress = Progress::new(goal.rounds);
    progress.phase("running dense gradient descent beside it, in simulation");
    let setup = experiment.baseline();
    summary.baseline_gamma = Some(setup.gamma);
    let line = Line { faults: Faults::default(), ..line(options) };
    let mut total = Cost::default();
    let records = baseline::run(setup, line, goal, |record| {
        total += record.cost;
        progress.round(&shown(record), total);
    })?;
    progress.finish();
    directory.write_baseline(&records)?;
    Ok(())
}

/// A baseline round as progress shows it.
fn shown(record: &smidgen::record::BaselineRecord) -> RoundRecord {
    RoundRecord {
        round: record.round,
        loss: record.loss,
        gradient_norm_squared: record.gradient_norm_squared,
        ..RoundRecord::default()
    }
}

/// The modelled line that the options ask for.
fn line(options: &Options) -> Line {
    Line { baud: options.baud, faults: options.faults, seed: options.seed }
}

/// The last words of a run.
fn conclude(summary: &Summary, report: &Path) {
    let norm = summary
        .gradient_norm_squared
        .map_or_else(String::new, |norm| format!(", ‖∇f‖² {}", quantity::number(norm)));
    println!(
        "{} rounds, loss {}{norm}; {} up and {} down in {} on the link.",
        summary.rounds,
        quantity::number(summary.loss.unwrap_or(f64::NAN)),
        quantity::bytes(summary.uplink.wire_bytes),
        quantity::bytes(summary.downlink.wire_bytes),
        quantity::seconds(summary.link_seconds),
    );
    println!("transcript {}", summary.transcript);
    println!("Open {} in a browser.", report.display());
}
