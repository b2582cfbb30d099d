//! Runs the curves of studies in parallel.

use super::float;
use super::study::{Curve, Study};
use crate::output::progress::Progress;
use crate::output::report::curve::of_run;
use crate::output::report::mark::Mark;
use crate::problem::theory::Smoothness;
use crate::run::ExperimentError;
use crate::run::experiment::Experiment;
use crate::run::training::{Goal, TrainingError, collect};
use crate::units::quantity::{number, seconds};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;
use thiserror::Error;

/// Session number of all runs; results do not depend on it.
const SESSION: u32 = 1;
/// Rounds between two progress messages of a run.
const ROUNDS_PER_MESSAGE: u32 = 16;

/// Measurement of a curve.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Number of workers n.
    pub worker_count: usize,
    /// Dimension d.
    pub dimension: u32,
    /// The constants of the problem, if they are known.
    pub smoothness: Option<Smoothness>,
    /// The step size; if it is tuned, the first one.
    pub gamma: f64,
    /// Progress in every round.
    pub marks: Vec<Mark>,
}

/// A curve cannot be measured.
#[derive(Debug, Error)]
#[error("{study}, {panel}, {label}: {source}")]
pub struct MeasureError {
    /// The study.
    study: String,
    /// The panel.
    panel: String,
    /// The curve.
    label: String,
    /// The reason.
    source: Box<CurveError>,
}

/// Reasons why the run of a curve fails.
#[derive(Debug, Error)]
enum CurveError {
    /// Its options do not fit its data.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// It stops before its last round.
    #[error(transparent)]
    Training(#[from] TrainingError),
}

/// A curve to be run.
struct Job<'a> {
    study: &'a Study,
    panel: usize,
    curve: &'a Curve,
}

/// Message of a thread.
enum Message {
    /// This many more rounds are closed.
    Rounds(u32),
    /// The job with this index is done: its result, and the seconds that it took.
    Done(usize, Result<Measured, CurveError>, f64),
}

/// Runs all curves of all panels of `studies`, whose data exist. Returns measurements by study, panel and curve.
///
/// # Errors
/// The first error of a curve.
pub fn measure(
    studies: &[Study],
    progress: &mut Progress,
) -> Result<Vec<Vec<Vec<Measured>>>, MeasureError> {
    let jobs: Vec<Job> = studies.iter().flat_map(jobs).collect();
    let queue = Mutex::new(jobs.iter().enumerate());
    let (sender, messages) = mpsc::channel();
    let measured = thread::scope(|scope| {
        let count = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
        let start = |_| {
            let (queue, sender) = (&queue, sender.clone());
            thread::Builder::new().spawn_scoped(scope, move || work(queue, &sender)).ok()
        };
        // If the system starts fewer threads, those that run do all the work.
        if (0..count).map_while(start).count() == 0 {
            work(&queue, &sender);
        }
        drop(sender);
        gather(&jobs, messages, progress)
    })?;
    let mut measured = measured.into_values();
    let mut take = |count: usize| measured.by_ref().take(count).collect::<Vec<_>>();
    Ok(studies.iter().map(|s| s.panels.iter().map(|p| take(p.curves.len())).collect()).collect())
}

/// Collects the messages of the threads until all jobs are done or one fails. Returns measurements by job index.
fn gather(
    jobs: &[Job<'_>],
    messages: Receiver<Message>,
    progress: &mut Progress,
) -> Result<BTreeMap<usize, Measured>, MeasureError> {
    let total = jobs.iter().map(|job| u64::from(job.curve.options.rounds) + 1).sum();
    let mut rounds = 0;
    let mut done = BTreeMap::new();
    for message in messages {
        match message {
            Message::Rounds(more) => rounds += u64::from(more),
            Message::Done(index, outcome, took) => {
                let measured = outcome.map_err(|source| jobs[index].error(source))?;
                progress.note(&jobs[index].conclusion(&measured, took));
                done.insert(index, measured);
            }
        }
        progress.work(rounds, total, &format!("{}/{} curves", done.len(), jobs.len()));
    }
    Ok(done)
}

fn jobs(study: &Study) -> impl Iterator<Item = Job<'_>> {
    let curves = study.panels.iter().enumerate();
    curves.flat_map(move |(panel, p)| p.curves.iter().map(move |curve| Job { study, panel, curve }))
}

/// Takes and runs jobs until none is left or one has failed.
fn work<'a>(queue: &Mutex<impl Iterator<Item = (usize, &'a Job<'a>)>>, sender: &Sender<Message>) {
    loop {
        let next = queue.lock().expect("no thread panics here").next();
        let Some((index, job)) = next else { return };
        let started = Instant::now();
        let outcome = run(job.curve, sender);
        // The receiver is dropped once another job has failed.
        if sender.send(Message::Done(index, outcome, started.elapsed().as_secs_f64())).is_err() {
            return;
        }
    }
}

fn run(curve: &Curve, sender: &Sender<Message>) -> Result<Measured, CurveError> {
    let options = &curve.options;
    let experiment = Experiment::new(options, None, SESSION)?;
    let mut reported = 0;
    let mut report = |round: u32| {
        let closed = round + 1;
        if closed - reported >= ROUNDS_PER_MESSAGE {
            let _ = sender.send(Message::Rounds(closed - reported));
            reported = closed;
        }
    };
    let marks = if curve.float {
        float::run(&experiment, options.rounds, &mut report)
    } else {
        let goal = Goal { rounds: options.rounds, target: options.target };
        let mut world = experiment.simulation();
        of_run(&collect(&mut world, goal, options.baud, |record| report(record.round))?.rounds)
    };
    let _ = sender.send(Message::Rounds(options.rounds + 1 - reported));
    Ok(Measured {
        worker_count: experiment.setup.shares.len(),
        dimension: experiment.setup.dimension,
        smoothness: experiment.smoothness,
        gamma: experiment.setup.method.gamma,
        marks,
    })
}

impl Job<'_> {
    fn place(&self) -> [&str; 3] {
        [&self.study.name, &self.study.panels[self.panel].name, &self.curve.label]
    }

    fn error(&self, source: CurveError) -> MeasureError {
        let [study, panel, label] = self.place().map(String::from);
        MeasureError { study, panel, label, source: Box::new(source) }
    }

    /// Returns the line to print when the job is done.
    fn conclusion(&self, measured: &Measured, took: f64) -> String {
        let last = measured.marks.last().expect("every run has round 0");
        let norm = last
            .gradient_norm_squared
            .map_or_else(String::new, |norm| format!(", ‖∇f‖² {}", number(norm)));
        format!("{}: round {}{norm}; took {}", self.place().join(", "), last.round, seconds(took))
    }
}
