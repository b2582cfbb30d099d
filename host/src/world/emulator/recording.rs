//! Recordings of emulated boards: the samples of files, by the line of the sensor.

use super::failure::START_TIMEOUT;
use super::feeder::{FeedError, Feeder};
use super::process::{Emulator, Lines};
use crate::problem::dataset::recordings::{Recording, WorkerRecordings};
use crate::units::interrupt;
use crate::world::client::{BoardRows, Client, ClientError, advice};
use crate::world::interface::WorldError;
use crate::world::transport::{Address, TransportError};
use smidgen_aggregator::Sealing;
use smidgen_protocol::message::{Command, RecordRefusal};
use smidgen_protocol::recipe::Recipe;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between two questions to a board that takes samples.
const PERIOD: Duration = Duration::from_millis(20);
/// Time for a board to take the samples of its line.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reasons why an emulated board does not record.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Its line cannot be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It has no line for samples, or does not read it.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// It does not answer, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It ended a recording before it had all samples.
    #[error("{place} has ended a recording before its time: {}", reason(*.refusal))]
    Ended {
        /// The board.
        place: String,
        /// Its reason.
        refusal: Option<RecordRefusal>,
    },
    /// Samples were lost.
    #[error("{place} has lost samples {gaps} times; run it again on a less busy computer")]
    Gaps {
        /// The board.
        place: String,
        /// Number of gaps.
        gaps: u32,
    },
    /// The last samples were lost.
    #[error(
        "{place} has {found} of {sent} samples after {seconds} seconds; run it again on a less busy computer"
    )]
    Lost {
        /// The board.
        place: String,
        /// Number of samples that it has.
        found: u32,
        /// Number of samples that it was sent.
        sent: u32,
        /// How long it was waited for.
        seconds: u64,
    },
}

fn reason(refusal: Option<RecordRefusal>) -> String {
    refusal.map_or_else(|| "it was restarted; start the run again".into(), advice)
}

/// Has a board that was just started record rows, by the commands of a host.
///
/// # Errors
/// If it cannot record them all.
pub fn record(
    emulator: &Emulator,
    (baud, sealing): (u32, Option<Sealing>),
    recipe: &Recipe,
    recordings: &WorkerRecordings,
) -> Result<(), RecordingError> {
    record_on(&emulator.lines(), (baud, sealing), recipe, recordings)
}

/// What a board records before a run, and again if it has lost it.
#[derive(Clone)]
pub struct Rows {
    /// Rate of its line.
    pub baud: u32,
    /// Key of its image.
    pub sealing: Option<Sealing>,
    /// How samples become rows.
    pub recipe: Recipe,
    /// The samples.
    pub recordings: WorkerRecordings,
}

impl Rows {
    /// Waits for a board that starts, and has it record.
    ///
    /// # Errors
    /// If it does not start, or cannot record them all.
    pub(super) fn record(self, lines: &Lines) -> Result<(), RecordingError> {
        let Self { baud, sealing, recipe, recordings } = self;
        let deadline = Instant::now() + START_TIMEOUT;
        // If it does not start, recording fails.
        while UnixStream::connect(&lines.host).is_err() && Instant::now() < deadline {
            sleep(PERIOD);
        }
        record_on(lines, (baud, sealing), &recipe, &recordings)
    }
}

fn record_on(
    lines: &Lines,
    (baud, sealing): (u32, Option<Sealing>),
    recipe: &Recipe,
    recordings: &WorkerRecordings,
) -> Result<(), RecordingError> {
    let mut feeder = Feeder::on(lines)?;
    let address = Address::Unix(lines.host.clone());
    let mut client = Client::open(&address, baud, sealing, drop)?;
    let mut rows = client.command(Command::Status)?;
    for Recording { class, is_test, samples } in &recordings.recordings {
        let recording = rows.next;
        let is_test = *is_test;
        let channels = usize::from(recipe.channels);
        let count = (samples.len() / channels) as u32;
        let start = Command::Start { recording, recipe: *recipe, class, is_test, samples: count };
        client.command(start)?;
        feeder.feed(samples.chunks(channels))?;
        rows = await_samples(&mut client, count)?;
    }
    Ok(())
}

/// Waits until a board has ended a recording of this many samples: its line holds those that it has not read.
fn await_samples(client: &mut Client, sent: u32) -> Result<BoardRows, RecordingError> {
    let started = Instant::now();
    loop {
        let rows = client.command(Command::Status)?;
        let BoardRows { is_open, progress, .. } = rows;
        let place = || client.place().to_owned();
        if !is_open {
            let refusal = rows.ended();
            if refusal.is_some() || progress.samples < sent {
                return Err(RecordingError::Ended { place: place(), refusal });
            }
            if progress.gaps > 0 {
                let (gaps, place) = (progress.gaps, place());
                return Err(RecordingError::Gaps { place, gaps });
            }
            return Ok(rows);
        }
        if interrupt::is_requested() {
            return Err(ClientError::from(WorldError::Interrupted).into());
        }
        if started.elapsed() > PATIENCE {
            let (found, seconds) = (progress.samples, PATIENCE.as_secs());
            return Err(RecordingError::Lost { place: place(), found, sent, seconds });
        }
        sleep(PERIOD);
    }
}
