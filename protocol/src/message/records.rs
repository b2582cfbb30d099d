//! Recording of rows on a board: commands, and what a board answers.

use super::fields::Ticket;
use crate::recipe::Recipe;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Maximum number of classes of a board.
pub const CLASSES_MAX: usize = 16;
/// Longest name of a class in bytes.
pub const CLASS_NAME_LEN_MAX: usize = 15;
/// Largest number of rows of a class that is reported; more are reported as this many. Takes three bytes.
pub const ROW_COUNT_MAX: u32 = (1 << 21) - 1;
/// Longest list of classes in bytes.
pub const CLASSES_LEN_MAX: usize = CLASSES_MAX * (1 + CLASS_NAME_LEN_MAX + 2 * 3);

/// What a board is to do with its rows.
///
/// A command names the recording that it is about, so a repetition has no further effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Command<'a> {
    /// Nothing.
    Status,
    /// Starts a recording; none may be open.
    Start {
        /// Its number, [`Records::next`].
        recording: u16,
        /// How samples become rows.
        recipe: Recipe,
        /// Name of its class, of 1 to [`CLASS_NAME_LEN_MAX`] bytes.
        class: &'a str,
        /// Its rows are held out: scored, never trained on.
        is_test: bool,
        /// [`Progress::samples`] at which it ends by itself; 0 if it does not.
        samples: u32,
    },
    /// Ends a recording.
    Stop {
        /// Its number.
        recording: u16,
    },
    /// Discards a recording, which must be the latest that is left.
    Discard {
        /// Its number.
        recording: u16,
    },
    /// Erases all rows and classes.
    Clear {
        /// Number of the latest recording that is left.
        recording: u16,
    },
}

/// Reason for refusing a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum RecordRefusal {
    /// The board cannot record.
    Unsupported,
    /// The sensor has another number of channels than the recipe.
    Channels,
    /// The command is about another recording than the board's state allows.
    Recording,
    /// The recipe is invalid.
    Recipe,
    /// There are rows of another recipe.
    OtherRecipe,
    /// The memory for rows holds something else, or rows whose recipe is damaged. [`Command::Clear`] erases it.
    Foreign,
    /// The memory for rows has no room for a row of the recipe.
    TooSmall,
    /// The window does not fit in memory.
    Window {
        /// Values required.
        need: u32,
        /// Values available.
        room: u32,
    },
    /// The name of the class is empty or too long.
    Class,
    /// There is no room for another class.
    ClassesFull,
    /// There is no room for another row.
    RowsFull,
    /// There is no number for another recording.
    RecordingsFull,
    /// There is no room for another discard.
    DiscardsFull,
    /// The memory for rows does not hold what is written to it.
    Flash,
    /// The sensor is not sampled as often as the recipe says.
    Rate,
    /// The recording was ended by a button or a command, or because a run trains on the rows.
    Stopped,
}

/// Outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Outcome {
    /// It is carried out, now or before.
    Done,
    /// It is refused. For [`Command::Status`]: the reason why the latest recording ended before it had its samples.
    Refused(RecordRefusal),
}

/// Progress of the open recording, or of the latest since the board was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Progress {
    /// Number of samples, missed ones included.
    pub samples: u32,
    /// Number of rows.
    pub rows: u32,
    /// Number of gaps between samples.
    pub gaps: u32,
}

/// The rows of a board.
///
/// ```
/// use smidgen_protocol::message::*;
/// # use smidgen_protocol::{counters::Counters, frame::*};
/// let (mut classes, mut columns) = ([0; CLASSES_LEN_MAX], [0; COLUMNS_LEN_MAX]);
/// let walking = ClassRecords { name: "walking", training: 30, test: 7 };
/// let classes_len = walking.emit(&mut classes).unwrap();
/// let mut square = MeanSquare::default();
/// [300, -700].into_iter().for_each(|value| square.add(value));
/// set_column_bits(&mut columns, 1, square.bits());
/// let records = Records {
///     classes: &classes[..classes_len],
///     columns: &columns[..1],
///     ..Records::none(1)
/// };
/// assert!(records.classes().eq([walking]));
/// assert!(records.columns().eq([0, 9]));
///
/// let mut wire = [0; FRAME_LEN_MAX];
/// let len = Up::Records(records).emit(&[], &Context::SETUP, &mut wire);
/// # let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
/// # let frame = deframer.feed(&wire[..len], &mut counters).1.unwrap();
/// # let payload = frame.check(&Context::SETUP).unwrap();
/// assert_eq!(Up::parse(payload), Ok((Up::Records(records), &[][..])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Records<'a> {
    /// `echo` of the command that this answers.
    pub echo: Ticket,
    /// Outcome of the command.
    pub outcome: Outcome,
    /// Number of channels of the sensor; 0 without one.
    pub channels: u8,
    /// Recipe of the rows; `None` without rows.
    pub recipe: Option<Recipe>,
    /// Number of the open recording, or of the latest that is not discarded; 0 without one.
    pub recording: u16,
    /// Number of the next recording: that of the open one until it has a row.
    pub next: u16,
    /// The recording is open. Then the board does not look through its rows: `checksum`, lists and `discarded` are
    /// empty.
    pub is_open: bool,
    /// Progress of a recording.
    pub progress: Progress,
    /// Number of rows that still fit.
    pub room: u32,
    /// Number of discarded rows.
    pub discarded: u32,
    /// Checksum of all rows that are not discarded, see [`RowsChecksum`](crate::recorded::RowsChecksum).
    pub checksum: u32,
    /// Classes, see [`Records::classes`].
    pub classes: &'a [u8],
    /// Columns, see [`Records::columns`].
    pub columns: &'a [u8],
}

impl Records<'_> {
    /// No rows, and no place for any.
    pub const fn none(echo: Ticket) -> Self {
        Self {
            echo,
            outcome: Outcome::Refused(RecordRefusal::Unsupported),
            channels: 0,
            recipe: None,
            recording: 0,
            next: 0,
            is_open: false,
            progress: Progress { samples: 0, rows: 0, gaps: 0 },
            room: 0,
            discarded: 0,
            checksum: 0,
            classes: &[],
            columns: &[],
        }
    }
}

impl<'a> Records<'a> {
    /// The classes, in the order of their numbers on the board; ends at one that cannot be parsed.
    pub fn classes(&self) -> impl Iterator<Item = ClassRecords<'a>> + Clone + use<'a> {
        let mut rest = self.classes;
        core::iter::from_fn(move || {
            let class;
            (class, rest) = postcard::take_from_bytes(rest).ok()?;
            Some(class)
        })
    }

    /// [Bits](super::MeanSquare::bits) of all columns over the rows to train on, two columns to a byte.
    pub fn columns(&self) -> impl Iterator<Item = u8> + Clone + use<'a> {
        self.columns.iter().flat_map(|&both| [both & 15, both >> 4])
    }
}

/// Numbers of rows of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ClassRecords<'a> {
    /// Name.
    pub name: &'a str,
    /// Rows to train on, up to [`ROW_COUNT_MAX`].
    pub training: u32,
    /// Rows held out, up to [`ROW_COUNT_MAX`].
    pub test: u32,
}

impl ClassRecords<'_> {
    /// Appends the class to a list; returns its length in bytes, or `None` if it does not fit.
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let limited = Self {
            training: self.training.min(ROW_COUNT_MAX),
            test: self.test.min(ROW_COUNT_MAX),
            ..*self
        };
        postcard::to_slice(&limited, out).ok().map(|bytes| bytes.len())
    }
}
