//! A recording on one board.

use super::client::{BoardRows, Client, ClientError};
use crate::options::windowing::Windowing;
use crate::units::interrupt;
use crate::world::interface::WorldError;
use smidgen_protocol::message::{Command, Progress, RecordRefusal};
use smidgen_protocol::recipe::Recipe;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between two questions to a board that records.
const PERIOD: Duration = Duration::from_millis(200);
const PERIOD_MIN: Duration = Duration::from_millis(20);
/// Time, besides half of its own, that a recording may take longer than it should.
const MARGIN: Duration = Duration::from_secs(10);

const STILL_RECORDS: &str =
    "; the board may still be recording: another recording, or --discard, ends it";

/// A recording to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the class.
    pub label: String,
    /// Its rows are held out.
    pub is_test: bool,
    /// How samples become rows.
    pub windowing: Windowing,
    /// Its duration; `None` until the user stops it.
    pub duration: Option<Duration>,
}

/// A recording that has ended. The board keeps its rows.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Number of its rows.
    pub new_rows: u64,
    /// Number of its gaps.
    pub gaps: u32,
    /// Why it ended before its time.
    pub early: Option<Early>,
    /// The rows of the board.
    pub rows: BoardRows,
}

/// Why a recording ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// The board ended it.
    Refused(RecordRefusal),
    /// The board was restarted.
    Restarted {
        /// Number of rows, also of earlier recordings, that it no longer has.
        lost_rows: u64,
    },
    /// The sensor has delivered fewer samples than its rate promises.
    Slow {
        /// Number of samples.
        samples: u32,
        /// Number of samples due.
        due: u32,
    },
}

/// A recording that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}{}", if *.has_begun { STILL_RECORDS } else { "" })]
pub struct RecordingError {
    /// The reason.
    pub cause: ClientError,
    /// It had begun.
    pub has_begun: bool,
}

impl Client {
    /// Records on the board, and passes to `tell` its progress and the number of samples to record, 0 without an end.
    /// A recording that was left open is ended first.
    ///
    /// # Errors
    /// If the board does not answer or refuses.
    pub fn record(
        &mut self,
        plan: &Plan,
        tell: impl FnMut(Progress, u32),
    ) -> Result<Recorded, RecordingError> {
        let unbegun = |cause| RecordingError { cause, has_begun: false };
        let (before, recording, samples) = self.start(plan).map_err(unbegun)?;
        self.follow(recording, before, (samples, plan.duration), tell)
            .map_err(|cause| RecordingError { cause, has_begun: true })
    }

    /// Returns the rows of the board. A recording that was left open is ended first.
    ///
    /// # Errors
    /// If the board does not answer or cannot record.
    pub fn rows(&mut self) -> Result<BoardRows, ClientError> {
        let rows = self.command(Command::Status)?;
        if !rows.is_open {
            return Ok(rows);
        }
        self.note(format!("{}: a recording was left open; it is ended and kept", self.place()));
        self.command(Command::Stop { recording: rows.recording })
    }

    /// Starts a recording; returns the number of rows before it, its own number, and that of its samples.
    fn start(&mut self, plan: &Plan) -> Result<(u64, u16, u32), ClientError> {
        let rows = self.rows()?;
        if rows.channels == 0 {
            return Err(self.refused(RecordRefusal::Channels));
        }
        let existing = rows.recipe.filter(|_| !rows.classes.is_empty());
        let recipe = plan.windowing.recipe(rows.channels, existing);
        let samples = plan.duration.map_or(0, |duration| samples_in(duration, &recipe));
        let start = Command::Start {
            recording: rows.next,
            recipe,
            class: &plan.label,
            is_test: plan.is_test,
            samples,
        };
        let before = total(&rows);
        interrupt::begin_recording();
        // A board whose rows are all discarded numbers anew for another recipe.
        let begun = self.command(start)?;
        Ok((before, begun.recording, samples))
    }

    fn follow(
        &mut self,
        recording: u16,
        before: u64,
        (samples, duration): (u32, Option<Duration>),
        mut tell: impl FnMut(Progress, u32),
    ) -> Result<Recorded, ClientError> {
        let started = Instant::now();
        let patience = duration.map(|duration| duration + duration / 2 + MARGIN);
        let mut progress = Progress::default();
        let early = loop {
            let rows = match self.command(Command::Status) {
                // The request that gives up the question ends the recording, too.
                Err(ClientError::World(WorldError::Interrupted)) => break None,
                rows => rows?,
            };
            if !rows.is_open {
                let early = early(&rows, samples, before + u64::from(progress.rows));
                return Ok(Recorded::new(rows, before, progress, early));
            }
            progress = rows.progress;
            tell(progress, samples);
            if interrupt::is_requested() {
                break None;
            }
            if patience.is_some_and(|patience| started.elapsed() >= patience) {
                break Some(Early::Slow { samples: progress.samples, due: samples });
            }
            let left = duration.map_or(PERIOD, |time| time.saturating_sub(started.elapsed()));
            sleep(left.clamp(PERIOD_MIN, PERIOD));
        };
        let rows = self.command(Command::Stop { recording })?;
        tell(rows.progress, samples);
        Ok(Recorded::new(rows, before, progress, early))
    }
}

/// Number of samples in a time, at least 1.
fn samples_in(duration: Duration, recipe: &Recipe) -> u32 {
    let samples = duration.as_secs_f64() * f64::from(recipe.rate_millihertz) / 1000.0;
    (samples.round() as u32).max(1)
}

/// Why a recording that the board ended has not got its samples, of a board that had `known` rows; `None` if it has.
fn early(rows: &BoardRows, samples: u32, known: u64) -> Option<Early> {
    match rows.ended() {
        Some(refusal) => Some(Early::Refused(refusal)),
        None if samples == 0 || rows.progress.samples < samples => {
            Some(Early::Restarted { lost_rows: known.saturating_sub(total(rows)) })
        }
        None => None,
    }
}

impl Recorded {
    /// A recording that ended with these `rows` of the board, after `before` and its latest known `progress`.
    fn new(rows: BoardRows, before: u64, progress: Progress, early: Option<Early>) -> Self {
        let new_rows = total(&rows).saturating_sub(before);
        // A restarted board reports no gaps.
        Self { new_rows, gaps: rows.progress.gaps.max(progress.gaps), early, rows }
    }
}

fn total(rows: &BoardRows) -> u64 {
    rows.training() + rows.test()
}
