//! Time series of a file.

/// The recordings of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    /// The file, for messages.
    pub name: String,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// The first line that shows the channels, counted from 1.
    pub line: usize,
    /// Samples per second, if the file says it.
    pub rate: Option<f64>,
    /// It has no classes; those of the recordings are empty.
    pub is_unlabelled: bool,
    /// The recordings, in order.
    pub stretches: Vec<Stretch>,
    /// Lines after a gap in a recording.
    pub gaps: Vec<usize>,
}

/// A recording: samples of one class without a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stretch {
    pub class: String,
    /// The line of each sample, counted from 1; of all if there is only one.
    pub lines: Vec<usize>,
    /// Values of all samples, one per channel each.
    pub values: Vec<f64>,
}

impl Stretch {
    /// Returns the line of a sample, counted from 0.
    pub(super) fn line(&self, sample: usize) -> usize {
        self.lines.get(sample).or(self.lines.last()).copied().unwrap_or(1)
    }
}
