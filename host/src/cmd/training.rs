//! From options to a finished run: preparation, training, report.

use super::console::{OutputError, eprint, print};
use crate::options::{Choice, ExportFormat, Options};
use crate::output::progress::Progress;
use crate::output::report::sentence::{accuracies, earlier, kept, slow_line, step, time};
use crate::output::report::write;
use crate::record::checkpoint::{Checkpoint, Checkpoints};
use crate::record::theory::Violation;
use crate::record::{Claim, Locks, MODEL, Model, RecordError, Records, RunDirectory, Summary};
use crate::run::baseline;
use crate::run::experiment::Experiment;
use crate::run::recorder::{Failed, Recorded, Start, record};
use crate::run::training::{Goal, TrainingError};
use crate::units::quantity::{bytes, counted, number};
use crate::units::shown::{shown, typed};
use crate::world::{World, WorldError};
use anyhow::Result;
use smidgen_aggregator::{Aggregator, Snapshot};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::id;
use std::time::UNIX_EPOCH;

/// Boards on ports have sensors of their own.
#[derive(Debug, thiserror::Error)]
#[error(
    "--recordings is for simulated and emulated boards; use `smidgen simulate` or `smidgen emulate`, or omit it"
)]
pub(super) struct NoFeed;

/// Prepares the experiment of `options` with this number of boards, or `None` in simulation.
pub(super) fn prepare(
    options: &Options,
    boards: Option<usize>,
    progress: &mut Progress,
) -> Result<Experiment> {
    check_origin(options)?;
    progress.phase("loading data and computing smoothness constants");
    let experiment = Experiment::new(options, boards, new_session())?;
    let notes = experiment.data.iter().flat_map(|data| &data.notes);
    notes.for_each(|note| progress.note(note));
    Ok(experiment)
}

/// Refuses to replace a model that a run builds on.
pub(super) fn check_origin(options: &Options) -> Result<(), RecordError> {
    let mut models = options.from.iter().chain(&options.features_from);
    models.try_for_each(|model| Model::check_kept(model, &options.out))
}

/// Returns a session number that boards do not know yet: for a known one they would keep the state of that session.
pub(super) fn new_session() -> u32 {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    ((since.as_nanos() as u32) ^ id().rotate_left(16)).max(1)
}

/// Origin of a run: new or resumed.
pub(crate) enum Origin {
    /// A new run by this command line.
    CommandLine(Vec<OsString>),
    /// A resumed run: its checkpoint, its records, and the locks on its directories.
    Checkpoint(Box<Checkpoint>, Records, Locks),
}

/// The data differ from those of the checkpoint.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data in {} have changed since the checkpoint was written: restore the file, or start the run again", shown(.0)
)]
pub(crate) struct DataChanged(PathBuf);

/// The rows on the boards differ from those of the checkpoint.
#[derive(Debug, thiserror::Error)]
#[error(
    "the boards, or their rows, have changed since the checkpoint was written: connect the same boards, discard what was \
     recorded since, or start the run again"
)]
struct RowsChanged;

/// The run to be resumed is complete.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run is complete, with {rounds} rounds; give --rounds a larger number to continue a run without --target, or \
     write its report by `smidgen report {}`",
    typed(out)
)]
struct Complete {
    rounds: u32,
    out: PathBuf,
}

/// A run that was stopped on request.
#[derive(Debug, thiserror::Error)]
#[error("stopped after round {round}; {advice}")]
pub(crate) struct Stopped {
    round: u32,
    advice: String,
}

/// A run whose directories are locked, ready to begin.
pub(super) struct Launch {
    start: Start,
    checkpoints: Option<Checkpoints>,
    snapshot: Option<Snapshot>,
    /// Held until the report is written.
    locks: Locks,
}

/// Locks the directories of a run, and reports an earlier run that it will replace.
pub(super) fn launch(
    experiment: &Experiment,
    origin: Origin,
    progress: &mut Progress,
) -> Result<Launch> {
    let options = experiment.options();
    let (arguments, resumed, mut locks) = match origin {
        Origin::CommandLine(arguments) => (arguments, None, Locks::default()),
        Origin::Checkpoint(checkpoint, records, locks) => {
            (checkpoint.arguments.clone(), Some((checkpoint, records)), locks)
        }
    };
    let checkpoints = experiment.checkpoints(arguments)?;
    let Some((checkpoint, records)) = resumed else {
        let claim = Claim::new(&options.out, &mut locks)?;
        checkpoints.as_ref().map_or(Ok(()), |checkpoints| checkpoints.claim(&mut locks))?;
        if let Some(path) = claim.replaces() {
            progress.note(&format!("replacing the run in {}", shown(path)));
            for export in ExportFormat::ALL.iter().map(|format| path.join(format.file_name())) {
                if export.exists() {
                    let export = shown(&export);
                    progress.note(&format!(
                        "{export} is an export of that run: export the new model once it is trained"
                    ));
                }
            }
        }
        if let Some(kept) =
            checkpoints.as_ref().filter(|kept| kept.directory != options.out && kept.any())
        {
            progress.note(&format!("replacing the checkpoints in {}", shown(&kept.directory)));
        }
        return Ok(Launch { start: Start::New(claim), checkpoints, snapshot: None, locks });
    };
    checkpoints.as_ref().map_or(Ok(()), |checkpoints| checkpoints.claim(&mut locks))?;
    if checkpoint.data_checksum != experiment.data_checksum() {
        return match experiment.data {
            Some(_) => Err(DataChanged(options.source().into()).into()),
            None => Err(RowsChanged.into()),
        };
    }
    let Checkpoint { setup, wall_seconds, times, snapshot, .. } = *checkpoint;
    let round = snapshot.round();
    let goal = Goal { rounds: options.rounds, target: options.target };
    if records.rounds.last().is_some_and(|last| goal.is_over(last)) {
        return Err(Complete { rounds: round, out: options.out.clone() }.into());
    }
    progress.note(&format!("resuming after round {round}"));
    let start = Start::Resumed { records, setup, wall_seconds, times };
    Ok(Launch { start, checkpoints, snapshot: Some(snapshot), locks })
}

/// Runs an experiment in a world, then dense gradient descent to compare with, and writes the report.
pub(super) fn train_and_report(
    experiment: &Experiment,
    launch: Launch,
    world: &mut impl World,
    mut progress: Progress,
) -> Result<()> {
    let Launch { start, checkpoints, snapshot, locks: _locks } = launch;
    if let Some(snapshot) = snapshot {
        *world.aggregator() = Aggregator::resume(experiment.setup.clone(), snapshot)?;
    }
    let at = checkpoints.as_ref().map(|checkpoints| checkpoints.directory.clone());
    let recorded = record(experiment, start, checkpoints, world, &mut progress);
    let Recorded { directory, mut summary } = recorded.map_err(|Failed { cause, resumable }| {
        let advice = advice(&cause, at.as_deref(), resumable);
        RunFailed { cause, advice }
    })?;
    progress.finish();
    let options = experiment.options();
    let complete = summary.rounds >= options.rounds || summary.target_reached == Some(true);
    if complete && experiment.has_baseline() && !summary.has_diverged() {
        match compare(experiment, &directory, &mut summary) {
            // The run itself is complete and has a report even without the comparison.
            Err(TrainingError::World(WorldError::Interrupted)) => {}
            outcome => outcome?,
        }
    }
    let report = write(&RunDirectory::read(directory.path())?, directory.path())?;
    conclude(experiment.options(), &summary)?;
    if summary.has_model() {
        let (model, run) = (directory.path().join(MODEL), typed(directory.path()));
        let rows = match &experiment.shape.preparation.windows {
            Some(windows) if windows.knows_full_scales() => "--recordings PATH",
            Some(_) => "--recordings PATH --full-scale X",
            None => "--dataset FILE",
        };
        print(format_args!(
            "The model of round {} is {}: try `smidgen predict {run} {rows}` or `smidgen export {run} --format onnx`.",
            summary.model_round(),
            shown(&model)
        ))?;
    }
    // Simulated and emulated boards end with the run.
    let kept = kept(&summary.workers).filter(|_| experiment.data.is_none());
    kept.map_or(Ok(()), |kept| print(format_args!("{kept}.")))?;
    print(format_args!("Open {} in a browser.", shown(&report)))?;
    if complete { Ok(()) } else { Err(stopped(summary.rounds, at).into()) }
}

/// A run that failed, with advice.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{advice}")]
struct RunFailed {
    cause: Box<TrainingError>,
    advice: String,
}

/// Returns what to do after a run has failed. `checkpoints` is their directory if the run writes any, and `resumable`
/// the round of the latest one.
fn advice(cause: &TrainingError, checkpoints: Option<&Path>, resumable: Option<u32>) -> String {
    match cause {
        TrainingError::World(
            WorldError::Silent { .. }
            | WorldError::Lost { .. }
            | WorldError::Evasive { .. }
            | WorldError::Ended { .. }
            | WorldError::Interrupted,
        )
        | TrainingError::Failure { .. }
        | TrainingError::Record(_) => match (checkpoints, resumable) {
            (Some(directory), Some(round)) => {
                format!("; `smidgen resume {}` resumes after round {round}", typed(directory))
            }
            (Some(_), None) => "; no round was closed, so start the run again".into(),
            (None, _) => "; its method cannot be resumed, so start the run again".into(),
        },
        TrainingError::World(WorldError::Stalled { .. }) | TrainingError::Theory(_) => {
            String::new()
        }
    }
}

/// Returns the outcome of a run that was stopped on request, with its checkpoints in a directory.
fn stopped(round: u32, checkpoints: Option<PathBuf>) -> Stopped {
    let advice = match checkpoints {
        Some(directory) => format!("`smidgen resume {}` resumes it", typed(&directory)),
        None => "its method cannot be resumed".into(),
    };
    Stopped { round, advice }
}

/// Runs dense gradient descent until it reaches the norm at which the run ended, or for as many rounds.
fn compare(
    experiment: &Experiment,
    directory: &RunDirectory,
    summary: &mut Summary,
) -> Result<(), TrainingError> {
    let rounds = experiment.options().rounds;
    let goal = Goal { rounds, target: summary.gradient_norm_squared };
    let mut progress = Progress::new(rounds);
    progress.phase("simulating dense gradient descent on a line without faults");
    let setup = experiment.baseline();
    summary.baseline_gamma = Some(setup.method.gamma);
    let records = baseline::run(experiment, setup, goal, |round, total| {
        progress.round(round.round, round.loss, round.norm(), total);
    })?;
    let reached = records.last().filter(|last| {
        let target = goal.target.unwrap_or(f64::NEG_INFINITY);
        last.gradient_norm_squared.is_some_and(|norm| norm <= target)
    });
    progress.conclude(&match reached {
        Some(last) => {
            format!("dense gradient descent reached the same norm in round {}", last.round)
        }
        None => format!(
            "dense gradient descent did not reach the same norm in {}",
            counted(rounds.into(), "round", "rounds")
        ),
    });
    directory.write_baseline(&records)?;
    directory.write_summary(summary)?;
    Ok(())
}

/// Prints the result of a run.
fn conclude(options: &Options, summary: &Summary) -> Result<(), OutputError> {
    let norm = summary.gradient_norm_squared;
    let norm = norm.map_or_else(String::new, |norm| format!(", ‖∇f‖² {}", number(norm)));
    print(format_args!(
        "{}, loss {}{norm}; {} uplink and {} downlink in {}.",
        counted(summary.rounds.into(), "round", "rounds"),
        number(summary.loss.unwrap_or(f64::NAN)),
        bytes(summary.cost.uplink.wire_bytes),
        bytes(summary.cost.downlink.wire_bytes),
        time(&summary.cost, summary.clock, summary.baud),
    ))?;
    if let [slowest, rest @ ..] = &summary.slow_lines()[..] {
        let sentence = slow_line(&slowest.name, &slowest.times, options.baud);
        let more = match rest.len() {
            0 => String::new(),
            more => {
                format!("; {} also slow", counted(more as u64, "other line is", "other lines are"))
            }
        };
        eprint(&format!("warning: {sentence}{more}"));
    }
    if let Some(model) = summary.earlier_model() {
        print(format_args!("{}.", earlier(model)))?;
    }
    if let (Some(target), Some(reached)) = (options.target, summary.target_reached) {
        let reached = if reached { "was reached" } else { "was not reached" };
        print(format_args!("The target, ‖∇f‖² ≤ {}, {reached}.", number(target)))?;
    }
    for sentence in accuracies(summary) {
        print(format_args!("{sentence}."))?;
    }
    if summary.has_diverged() {
        eprint("warning: the run diverged; try a smaller step size (--step)");
        let useless = if summary.has_model() { "" } else { ", and the model is useless" };
        print(format_args!("It diverged: it is not compared{useless}."))?;
    } else if let Some(sentence) =
        summary.gamma.and_then(|gamma| step(gamma, &summary.theory, summary.gamma_tuned))
    {
        print(format_args!("{sentence}."))?;
    }
    if options.check_theory {
        print(match summary.violation {
            None => "The inequalities of the proof held in every round.".into(),
            Some(Violation { round, inequality }) => {
                format!("Round {round} was the first in which {inequality} did not hold.")
            }
        })?;
    }
    print(format_args!("transcript {}", summary.transcript))
}
