//! The subcommands, and what they share.

pub mod demo;
pub mod emulate;
pub mod image;
pub mod key;
pub mod plan;
pub mod ports;
pub mod report;
pub mod reproduce;
pub mod resume;
pub mod run;
pub mod simulate;

use anyhow::Result;
use smidgen::options::Options;
use smidgen::output::progress::Progress;
use smidgen::output::report::sentence::{best, slow_line, step, time};
use smidgen::output::report::write;
use smidgen::record::checkpoint::{Checkpoint, Checkpoints};
use smidgen::record::theory::Violation;
use smidgen::record::{Claim, Locks, Records, RunDirectory, Summary, TestRecord};
use smidgen::run::baseline;
use smidgen::run::experiment::{Experiment, ExperimentError};
use smidgen::run::recorder::{Failed, Recorded, Start, record};
use smidgen::run::training::{Goal, TrainingError};
use smidgen::units::quantity::{bytes, counted, number};
use smidgen::units::shown::{lines, shown, typed};
use smidgen::world::{World, WorldError};
use smidgen_aggregator::{Aggregator, Snapshot};
use std::ffi::OsString;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::id;
use std::time::UNIX_EPOCH;

/// Standard output cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; is there room where it goes?")]
pub struct OutputError(io::Error);

impl OutputError {
    /// Whether the reader closed its end, as `head` does; that is not a failure.
    pub fn is_end(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Says something on standard output.
fn say(text: impl std::fmt::Display) -> Result<(), OutputError> {
    let (mut stdout, text) = (stdout(), text.to_string());
    writeln!(stdout, "{}", lines(&text)).and_then(|()| stdout.flush()).map_err(OutputError)
}

/// Prints to standard error; errors of that are ignored.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", lines(text));
}

/// The experiment that the options ask for, with `boards` boards; in simulation as many as wanted.
fn prepare(
    options: &Options,
    boards: Option<usize>,
    progress: &mut Progress,
) -> Result<Experiment, ExperimentError> {
    progress.phase("loading data and computing smoothness constants");
    Experiment::new(options, boards, new_session())
}

/// A name for a run that boards have not heard before: they keep the state of a session they know.
fn new_session() -> u32 {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    ((since.as_nanos() as u32) ^ id().rotate_left(16)).max(1)
}

/// What a run goes back to.
pub enum Origin {
    /// The command line that asks for it.
    CommandLine(Vec<OsString>),
    /// An earlier part of itself: its state, its records, and the locks on its directories.
    Checkpoint(Box<Checkpoint>, Records, Locks),
}

/// A checkpoint does not fit what was loaded.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data in {} are not those of the checkpoint: put the file back as it was, or start the run again", shown(.0)
)]
pub struct OtherData(PathBuf);

/// There is nothing left to do.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run is complete, with {rounds} rounds; `--rounds` with a larger number adds some where it had no --target, and `smidgen report \
     {}` draws its report",
    typed(out)
)]
struct Complete {
    rounds: u32,
    out: PathBuf,
}

/// A run that was ended on request.
#[derive(Debug, thiserror::Error)]
#[error("stopped after round {round}; {advice}")]
pub struct Stopped {
    round: u32,
    advice: String,
}

/// A run whose files are taken, ready to be begun.
struct Launch {
    start: Start,
    checkpoints: Option<Checkpoints>,
    snapshot: Option<Snapshot>,
    /// Held until the report is written.
    locks: Locks,
}

/// Takes the files of a run; an earlier run there is not replaced without a word.
fn launch(experiment: &Experiment, origin: Origin, progress: &mut Progress) -> Result<Launch> {
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
        return Err(OtherData(options.dataset.clone()).into());
    }
    let Checkpoint { setup, wall_seconds, times, best, snapshot, .. } = *checkpoint;
    let round = snapshot.round();
    let goal = Goal { rounds: options.rounds, target: options.target };
    if records.rounds.last().is_some_and(|last| goal.is_over(last)) {
        return Err(Complete { rounds: round, out: options.out.clone() }.into());
    }
    progress.note(&format!("going on after round {round}"));
    let best = best.map(Box::new);
    let start = Start::Resumed { records, setup, wall_seconds, times, best };
    Ok(Launch { start, checkpoints, snapshot: Some(snapshot), locks })
}

/// Runs an experiment in a world, then gradient descent beside it, and leaves the report.
fn train_and_report(
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
        Halted { cause, advice }
    })?;
    progress.finish();
    let options = experiment.options();
    let complete = summary.rounds >= options.rounds || summary.target_reached == Some(true);
    if complete && experiment.has_baseline() && !summary.has_diverged() {
        match compare(experiment, &directory, &mut summary) {
            // The run itself is complete.
            Err(TrainingError::World(WorldError::Interrupted)) => {}
            outcome => outcome?,
        }
    }
    let report = write(&RunDirectory::read(directory.path())?, directory.path())?;
    conclude(experiment.options(), &summary)?;
    say(format_args!("Open {} in a browser.", shown(&report)))?;
    if complete { Ok(()) } else { Err(stopped(summary.rounds, at).into()) }
}

/// A run that came to a halt, and what can be done about it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{advice}")]
struct Halted {
    cause: Box<TrainingError>,
    advice: String,
}

/// What to do after a run has come to a halt: it has `checkpoints` somewhere, if it keeps any, the latest of them after the
/// round `resumable`.
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
            (None, _) => "; its workers keep vectors to themselves, so start the run again".into(),
        },
        TrainingError::World(WorldError::Stalled { .. }) | TrainingError::Theory(_) => {
            String::new()
        }
    }
}

/// What to say of a run that was ended on request, with its checkpoints in a directory.
fn stopped(round: u32, checkpoints: Option<PathBuf>) -> Stopped {
    let advice = match checkpoints {
        Some(directory) => format!("`smidgen resume {}` resumes it", typed(&directory)),
        None => "its workers keep vectors to themselves, so it cannot go on".into(),
    };
    Stopped { round, advice }
}

/// Dense gradient descent, until it is where the run ended or as many rounds are over.
fn compare(
    experiment: &Experiment,
    directory: &RunDirectory,
    summary: &mut Summary,
) -> Result<(), TrainingError> {
    let Options { rounds, baud, .. } = *experiment.options();
    let goal = Goal { rounds, target: summary.gradient_norm_squared };
    let mut progress = Progress::new(rounds);
    progress.phase("running dense gradient descent beside it, simulated on a line without faults");
    let setup = experiment.baseline();
    summary.baseline_gamma = Some(setup.gamma);
    let records = baseline::run(setup, baud, goal, |round, total| {
        progress.round(round.round, round.loss, round.norm(), total);
    })?;
    let reached = records.last().filter(|last| {
        let target = goal.target.unwrap_or(f64::NEG_INFINITY);
        last.gradient_norm_squared.is_some_and(|norm| norm <= target)
    });
    progress.conclude(&match reached {
        Some(last) => format!("dense gradient descent was there in round {}", last.round),
        None => format!(
            "dense gradient descent had not got there after {}",
            counted(rounds.into(), "round", "rounds")
        ),
    });
    directory.write_baseline(&records)?;
    directory.write_summary(summary)?;
    Ok(())
}

/// The last words of a run.
fn conclude(options: &Options, summary: &Summary) -> Result<(), OutputError> {
    let norm = summary.gradient_norm_squared;
    let norm = norm.map_or_else(String::new, |norm| format!(", ‖∇f‖² {}", number(norm)));
    say(format_args!(
        "{}, loss {}{norm}; {} up and {} down in {}.",
        counted(summary.rounds.into(), "round", "rounds"),
        number(summary.loss.unwrap_or(f64::NAN)),
        bytes(summary.uplink.wire_bytes),
        bytes(summary.downlink.wire_bytes),
        time(&summary.cost(), summary.clock, summary.baud),
    ))?;
    if let [slowest, rest @ ..] = &summary.slow_lines()[..] {
        let sentence = slow_line(&slowest.name, &slowest.times, options.baud);
        let more = match rest.len() {
            0 => String::new(),
            more => format!("; {} slow as well", counted(more as u64, "line is", "lines are")),
        };
        complain(&format!("warning: {sentence}{more}"));
    }
    if let Some(earlier) = summary.left_before_end() {
        say(format_args!("{}.", best(earlier)))?;
    }
    if let (Some(target), Some(reached)) = (options.target, summary.target_reached) {
        let reached = if reached { "was reached" } else { "was not reached" };
        say(format_args!("The target, ‖∇f‖² ≤ {}, {reached}.", number(target)))?;
    }
    if let Some(TestRecord { rows, loss, accuracy }) = summary.test {
        let accuracy = accuracy.map(|share| format!(", accuracy {:.1} %", 100.0 * share));
        let (loss, accuracy) = (number(loss), accuracy.unwrap_or_default());
        say(format_args!("On {rows} rows that were held out: loss {loss}{accuracy}."))?;
    }
    if summary.has_diverged() {
        complain("warning: the run diverged; give it a smaller step (--step)");
        say("It diverged: there is nothing to compare, and the model is of no use.")?;
    } else if let Some(sentence) =
        summary.gamma.and_then(|gamma| step(gamma, &summary.theory, summary.gamma_tuned))
    {
        say(format_args!("{sentence}."))?;
    }
    if options.check_theory {
        say(match summary.violation {
            None => "The inequalities of the proof held in every round.".into(),
            Some(Violation { round, inequality }) => {
                format!("In round {round} {inequality} did not hold, for the first time.")
            }
        })?;
    }
    say(format_args!("transcript {}", summary.transcript))
}
