//! Reasons why recordings cannot be used.

use crate::options::WorkersError;
use crate::problem::dataset::error::DatasetError;
use crate::units::quantity::counted;
use crate::units::shown::shown;
use crate::units::text::TextError;
use smidgen_protocol::message::{CLASS_NAME_LEN_MAX, CLASSES_MAX};
use smidgen_protocol::recipe::CHANNELS_MAX;
use std::io;

/// Reasons why recordings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// A file is not a table of numbers and classes.
    #[error(transparent)]
    Table(#[from] DatasetError),
    /// The numbers of boards and workers differ.
    #[error(transparent)]
    Boards(#[from] WorkersError),
    /// The path cannot be read.
    #[error("cannot read recordings from {name}: {source}; give a directory, a file, or `example`")]
    Unreadable {
        /// The path.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// A file is not text.
    #[error("{name} cannot be read as recordings: {source}")]
    Text {
        /// The file.
        name: String,
        /// The reason.
        source: TextError,
    },
    /// A directory has no files of a known format.
    #[error("{0} contains no recordings; put one .csv or .ts file per worker into it")]
    Empty(String),
    /// A worker has only held-out recordings.
    #[error(
        "{name} has held-out recordings of the worker `{}`, but no file has recordings to train on; add one without \
         _TEST in its name",
        shown(worker)
    )]
    HeldOutAlone {
        /// The file.
        name: String,
        /// The worker.
        worker: String,
    },
    /// Two files are of the same worker.
    #[error("{one} and {other} are both of the worker `{}`; rename or join them", shown(worker))]
    SameWorker {
        /// A file.
        one: String,
        /// The other.
        other: String,
        /// The worker.
        worker: String,
    },
    /// A part of a file cannot be used.
    #[error("{name}, line {line}: {flaw}")]
    Line {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        flaw: Flaw,
    },
    /// A column is named in a file without columns.
    #[error("each series of {0} ends with its class; omit --label")]
    Label(String),
    /// Files have different rates.
    #[error("{name} has {rate} samples per second, but {expected}; resample it, or leave it out")]
    Rate {
        /// The file.
        name: String,
        /// Its rate.
        rate: f64,
        /// What else has which rate.
        expected: String,
    },
    /// There are too many classes.
    #[error(
        "{0} has {1} classes, but a board has at most {CLASSES_MAX}; leave some out, or, if the last column is none of \
         classes, name theirs by --label"
    )]
    Classes(String, usize),
    /// There is nothing to tell apart.
    #[error("{0} has recordings of one class only; add some of another class")]
    OneClass(String),
    /// The objective needs real targets.
    #[error("{0} has classes, but --objective {1} needs real targets; choose --objective softmax")]
    Targets(String, &'static str),
    /// The full scales are not those of the channels.
    #[error(
        "--full-scale lists {given} values for {}; give one for all, or one per channel",
        counted(*.channels as u64, "channel", "channels")
    )]
    FullScales {
        /// Number of values.
        given: usize,
        /// Number of channels.
        channels: usize,
    },
    /// The model has full scales.
    #[error("the model knows the full scale of its sensor; omit --full-scale")]
    KnownFullScale,
    /// A worker has no rows.
    #[error(
        "the worker `{}` has no recording of {window} samples to train on, the length of a window; give a smaller \
         --window, or longer recordings",
        shown(worker)
    )]
    Short {
        /// The worker.
        worker: String,
        /// Samples of a window.
        window: u16,
    },
    /// A board has no numbers for all recordings.
    #[error("the worker `{}` has more than 65535 recordings; join or leave out some", shown(.0))]
    Many(String),
    /// A directory has another number of workers than asked for.
    #[error(
        "{name} has the recordings of {}, but {asked}; add or remove files, or change that number",
        counted(*.found as u64, "worker", "workers")
    )]
    Workers {
        /// The directory.
        name: String,
        /// Number of workers.
        found: usize,
        /// Who asks for how many.
        asked: String,
    },
    /// There are too few recordings to deal.
    #[error(
        "{name} has {} to train on, too few for {workers} workers; give at most {found}",
        counted(*.found as u64, "recording", "recordings")
    )]
    Few {
        /// The file.
        name: String,
        /// Number of recordings.
        found: usize,
        /// Number of workers.
        workers: usize,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// There are no channels, or too many.
    #[error(
        "{}, but a board records 1 to {CHANNELS_MAX}; leave some out",
        counted(*.0 as u64, "channel", "channels")
    )]
    ChannelCount(usize),
    /// The channels are not those of another file.
    #[error(
        "the channels are {found}, but {} has {expected}; give all files the same channels in the same order",
        shown(other)
    )]
    Channels {
        /// The channels.
        found: String,
        /// Those of the other file.
        expected: String,
        /// The other file.
        other: String,
    },
    /// The number of channels is not that of a board's sensor.
    #[error(
        "{}, but the sensor of the model has {expected}; give its channels in its order",
        counted(*.found as u64, "channel", "channels")
    )]
    OtherCount {
        /// The number of channels.
        found: usize,
        /// That of the sensor.
        expected: usize,
    },
    /// The name of a class is too long.
    #[error(
        "the class `{}` has {} bytes, but a board stores at most {CLASS_NAME_LEN_MAX}; shorten it everywhere",
        shown(.0), .0.len()
    )]
    LongClass(String),
    /// A held-out recording has a class without recordings to train on.
    #[error(
        "no recording to train on has the class `{}`, only {}; leave it out, or record it for training as well",
        shown(class),
        shown(known)
    )]
    UnknownClass {
        /// The class.
        class: String,
        /// The known ones.
        known: String,
    },
    /// A value exceeds the full scale.
    #[error(
        "{value:?} of channel `{}` exceeds the full scale of {full_scale:?}; give a larger --full-scale",
        shown(channel)
    )]
    FullScale {
        /// The value.
        value: f64,
        /// The channel.
        channel: String,
        /// Its full scale.
        full_scale: f64,
    },
    /// A value is no sample of a sensor.
    #[error(
        "{value:?} of channel `{}` is no integer of 16 bits, as its sensor gives them, and the model does not know the \
         unit of that; say by --full-scale which value of the file is 2^15 of the sensor",
        shown(channel)
    )]
    Integer {
        /// The value.
        value: f64,
        /// The channel.
        channel: String,
    },
    /// Time does not increase.
    #[error(
        "time does not increase after {0} s; sort the rows, or number the recordings in a column `recording`"
    )]
    Time(f64),
    /// A value is not a number.
    #[error("`{}` is not a number", shown(.0))]
    Number(String),
    /// A value is missing.
    #[error("value {0} of channel {1} is missing; fill it in, or leave out the series")]
    Missing(usize, usize),
    /// Channels of a series have different lengths.
    #[error(
        "channel {channel} has {found} samples, but channel 1 has {expected}; give all channels the same length"
    )]
    Ragged {
        /// The channel, counted from 1.
        channel: usize,
        /// Its length.
        found: usize,
        /// The length of the first channel.
        expected: usize,
    },
    /// A series has another number of channels than the file.
    #[error(
        "{found} channels and a class, but the file has {expected} channels; channels are separated by colons"
    )]
    Dimensions {
        /// Number of channels.
        found: usize,
        /// That of the file.
        expected: usize,
    },
    /// A series has a class that the file does not list.
    #[error("`{}` is not one of the classes of the file, {}", shown(class), shown(known))]
    Unlisted {
        /// The class.
        class: String,
        /// The listed classes.
        known: String,
    },
    /// The file has series without classes, or with time stamps.
    #[error("`{}` is not supported; {advice}", shown(entry))]
    Unsupported {
        /// The entry of the header.
        entry: String,
        /// What to do.
        advice: &'static str,
    },
    /// The line belongs to no series.
    #[error("series begin after a line `@data`, which is missing")]
    NoData,
}

impl Flaw {
    /// Returns the error for this flaw in a line of a file.
    pub(super) fn at(self, name: &str, line: usize) -> RecordingsError {
        RecordingsError::Line { name: name.into(), line, flaw: self }
    }
}
