//! The sensor of an emulated board: samples from this process.

use super::process::{Emulator, Lines};
use smidgen_firmware::recorder::stream;
use smidgen_protocol::frame::FRAME_LEN_MAX;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use thiserror::Error;

/// Longest time for a board to take a sample once its line is full.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reasons why an emulated board gets no samples.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The emulator gives the board one serial line only.
    #[error(
        "the emulator gives the board {board} no line for a sensor: choose another board to record in emulation"
    )]
    NoLine {
        /// Name of the board.
        board: &'static str,
    },
    /// The board does not record, or the emulator has ended.
    #[error("the emulated {board} takes no samples ({source}): check that it records")]
    Line {
        /// Name of the board.
        board: &'static str,
        /// The reason.
        source: io::Error,
    },
}

/// The line of an emulated board's sensor.
///
/// To record a series: command the board to start, [`feed`](Self::feed) the samples, ask for its status until it has
/// them all, and only then command it to stop, since the line holds samples that the board has not read.
///
/// The line loses nothing: the board reads samples while it records, and the emulator holds them back otherwise.
#[derive(Debug)]
pub struct Feeder {
    board: &'static str,
    line: UnixStream,
    /// Number of the next sample, modulo 2^16.
    number: u16,
}

impl Feeder {
    /// Connects to a board. There is one feeder for a board at a time.
    pub fn connect(emulator: &Emulator) -> Result<Self, FeedError> {
        Self::on(&emulator.lines())
    }

    /// Connects to the board with these lines.
    pub(super) fn on(Lines { board, sensor, .. }: &Lines) -> Result<Self, FeedError> {
        let socket = sensor.as_ref().ok_or(FeedError::NoLine { board })?;
        let line = UnixStream::connect(socket).and_then(|line| {
            line.set_write_timeout(Some(PATIENCE))?;
            Ok(line)
        });
        let line = line.map_err(|source| FeedError::Line { board, source })?;
        Ok(Self { board, line, number: 0 })
    }

    /// Sends samples, one value per channel each; blocks while the line is full.
    pub fn feed<'s>(
        &mut self,
        samples: impl IntoIterator<Item = &'s [i16]>,
    ) -> Result<(), FeedError> {
        let mut frame = [0; FRAME_LEN_MAX];
        for sample in samples {
            let len = stream::emit(self.number, sample, &mut frame);
            let sent = self.line.write_all(&frame[..len]);
            sent.map_err(|source| FeedError::Line { board: self.board, source })?;
            self.number = self.number.wrapping_add(1);
        }
        Ok(())
    }

    /// Leaves out a sample, as a sensor that loses one; the board finds a gap.
    pub fn skip(&mut self) {
        self.number = self.number.wrapping_add(1);
    }
}
