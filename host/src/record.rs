//! Records: what a run leaves in its directory, and how it is read back.
//!
//! ```text
//! DIR/rounds.jsonl     one RoundRecord a line, written whole as soon as the round is closed
//! DIR/baseline.jsonl   one BaselineRecord a line: dense gradient descent on the same problem
//! DIR/summary.json     one Summary: what is known before the first round, then everything
//! DIR/report.html      see `report`
//! ```
//!
//! A run that was killed can be read up to its last whole line. JSON has no word for numbers that are
//! not finite: they are written as `null`, and read as NaN or, where a value may be absent, as absent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use smidgen_protocol::counters::Reject;

const ROUNDS: &str = "rounds.jsonl";
const BASELINE: &str = "baseline.jsonl";
const SUMMARY: &str = "summary.json";
/// Name of the report in the directory of a run.
pub const REPORT: &str = "report.html";

/// What passed the links in one direction, counted where it passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes of packed bodies, each body counted once however often it was sent.
    pub payload_bytes: u64,
    /// All bytes on the wire: bodies, frames around them, and everything that was sent again.
    pub wire_bytes: u64,
    /// Frames, those that were sent again included.
    pub frames: u64,
    /// Frames that were sent again.
    pub retransmitted_frames: u64,
    /// Bytes on the wire of the frames that were sent again.
    pub retransmitted_bytes: u64,
}

impl Traffic {
    /// Wire bytes that are neither payload nor sent again: headers, checksums, delimiters.
    pub const fn framing_bytes(&self) -> u64 {
        self.wire_bytes.saturating_sub(self.payload_bytes + self.retransmitted_bytes)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.payload_bytes += other.payload_bytes;
        self.wire_bytes += other.wire_bytes;
        self.frames += other.frames;
        self.retransmitted_frames += other.retransmitted_frames;
        self.retransmitted_bytes += other.retransmitted_bytes;
    }
}

/// What a round, or many, cost on the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// From the workers to the host.
    pub uplink: Traffic,
    /// From the host to the workers.
    pub downlink: Traffic,
    /// Seconds until the slowest link had carried its bytes.
    pub link_seconds: f64,
}

impl Cost {
    /// Bytes on the wire, up and down.
    pub const fn wire_bytes(&self) -> u64 {
        self.uplink.wire_bytes + self.downlink.wire_bytes
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.uplink += other.uplink;
        self.downlink += other.downlink;
        self.link_seconds += other.link_seconds;
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// Running totals: the n-th item is what the first n + 1 `costs` make together.
pub fn running_totals(costs: impl IntoIterator<Item = Cost>) -> impl Iterator<Item = Cost> {
    costs.into_iter().scan(Cost::default(), |total, cost| {
        *total += cost;
        Some(*total)
    })
}

/// One round. Traffic and seconds are those of this round alone, not totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The round t.
    pub round: u32,
    /// f(x^t), the mean of the workers' losses.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// ‖∇f(x^t)‖², where the data are at hand.
    pub gradient_norm_squared: Option<f64>,
    /// ‖g^t‖², the squared norm of the estimator, which the host always knows.
    #[serde(deserialize_with = "null_is_nan")]
    pub estimator_norm_squared: f64,
    /// From the workers to the host.
    pub uplink: Traffic,
    /// From the host to the workers.
    pub downlink: Traffic,
    /// Seconds until the slowest link had carried the bytes of the round.
    pub link_seconds: f64,
    /// Digest of the run up to and with this round, 16 hexadecimal digits.
    pub transcript: String,
}

impl RoundRecord {
    /// What the round cost.
    pub const fn cost(&self) -> Cost {
        Cost { uplink: self.uplink, downlink: self.downlink, link_seconds: self.link_seconds }
    }
}

/// One round of dense gradient descent on the same problem over the same links. Per round, as above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineRecord {
    /// The round t.
    pub round: u32,
    /// f(x^t).
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// ‖∇f(x^t)‖².
    pub gradient_norm_squared: Option<f64>,
    /// What the round would cost with one dense vector up from and one down to each worker.
    #[serde(flatten)]
    pub cost: Cost,
}

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Every option of the run by its name on the command line, defaults included.
    pub configuration: Map<String, Value>,
    /// Line rate for which `link_seconds` hold, in baud; absent where they were measured.
    pub baud: Option<u32>,
    /// Smoothness constant L of f.
    pub l: Option<f64>,
    /// L_AM, the arithmetic mean of the L_i.
    pub l_am: Option<f64>,
    /// L_QM, the quadratic mean of the L_i.
    pub l_qm: Option<f64>,
    /// Step size γ, as the workers apply it.
    pub gamma: Option<f64>,
    /// Step size of the dense gradient descent in `baseline.jsonl`.
    pub baseline_gamma: Option<f64>,
    /// Rounds that were closed.
    pub rounds: u32,
    /// f(x) at the last round.
    pub loss: Option<f64>,
    /// ‖∇f(x)‖² at the last round, where the data are at hand.
    pub gradient_norm_squared: Option<f64>,
    /// What came before the first round: greetings, configuration, shards.
    pub setup: Cost,
    /// Total over all rounds, from the workers to the host.
    pub uplink: Traffic,
    /// Total over all rounds, from the host to the workers.
    pub downlink: Traffic,
    /// Total over all rounds.
    pub link_seconds: f64,
    /// What the updates would take if they were coded perfectly, and what they took.
    pub information_limit: Option<InformationLimit>,
    /// Digest of the whole run, 16 hexadecimal digits.
    pub transcript: String,
    /// Seconds on the host's clock, from start to end.
    pub wall_seconds: f64,
    /// One entry a worker, in the order of their numbers.
    pub workers: Vec<WorkerRecord>,
}

impl Summary {
    /// Copies what `rounds` say about the end of the run: rounds, loss, norm, totals, transcript.
    pub fn conclude(&mut self, rounds: &[RoundRecord]) {
        let total: Cost = rounds.iter().map(RoundRecord::cost).sum();
        (self.uplink, self.downlink, self.link_seconds) =
            (total.uplink, total.downlink, total.link_seconds);
        self.rounds = rounds.len() as u32;
        let Some(last) = rounds.last() else { return };
        self.loss = Some(last.loss);
        self.gradient_norm_squared = last.gradient_norm_squared;
        self.transcript.clone_from(&last.transcript);
    }
}

/// The limit that information theory sets for updates, beside what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InformationLimit {
    /// Bits of one update, see [`InformationLimit::bits_per_update`].
    pub bits_per_update: f64,
    /// Updates that were applied.
    pub updates: u64,
    /// Bytes of the bodies of these updates, each counted once.
    pub sent_bytes: u64,
}

impl InformationLimit {
    /// log2 C(d, K) + K · b: the bits that name K of d coordinates and give each a mantissa of b bits.
    pub fn bits_per_update(dimension: u32, k: u32, value_bits: u8) -> f64 {
        let subsets: f64 =
            (0..k).map(|i| f64::from(dimension - i).log2() - f64::from(i + 1).log2()).sum();
        subsets + f64::from(k) * f64::from(value_bits)
    }

    /// Bytes that all updates would take if they were coded perfectly.
    pub fn bytes(&self) -> f64 {
        self.bits_per_update * self.updates as f64 / 8.0
    }
}

/// One worker over the whole run, setup included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// What it is, for people: a board and its number, or a simulated worker.
    pub name: String,
    /// What it says it is, by which it is found again.
    pub identity: String,
    /// Rows of its shard.
    pub rows: u64,
    /// From the worker to the host.
    pub uplink: Traffic,
    /// From the host to the worker.
    pub downlink: Traffic,
    /// Frames from the worker that the host dropped, by [`Reject::name`].
    pub rejected_by_host: BTreeMap<String, u64>,
    /// Frames from the host that the worker dropped, by [`Reject::name`].
    pub rejected_by_worker: BTreeMap<String, u64>,
    /// Mantissas that the worker cut to their range.
    pub saturated: u64,
    /// Times that it came back with a new boot nonce.
    pub reboots: u32,
}

impl WorkerRecord {
    /// Dropped frames by name, those reasons that occurred.
    pub fn by_reason(frames: &[u32; Reject::COUNT]) -> BTreeMap<String, u64> {
        let named = Reject::ALL.iter().zip(frames).filter(|(_, frames)| **frames > 0);
        named.map(|(reason, frames)| (reason.name().to_owned(), u64::from(*frames))).collect()
    }
}

/// Why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The path for a run is taken by a file.
    #[error("{} is a file: name a directory for the run", .0.display())]
    NotADirectory(PathBuf),
    /// The directory holds something, but not a run that may be replaced.
    #[error("{} holds files but no run: name another directory, or empty this one", .0.display())]
    Occupied(PathBuf),
    /// There is no run to read.
    #[error("{} holds no run: name a directory that a run was written to with --out", .0.display())]
    NoRun(PathBuf),
    /// The run ended before its first round did.
    #[error("{} holds no whole round: the run ended before its first round was closed", .0.display())]
    NoRounds(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}; is there room, and may you write there?", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no record.
    #[error("{}, line {line}: {reason}; repair or remove the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A round does not come after the one before it.
    #[error("{}, line {line}: round {round} follows round {previous}; remove one of the two runs in this file", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Its round.
        round: u32,
        /// The round before it.
        previous: u32,
    },
}

/// The directory of a run that is going on.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    rounds: File,
}

impl RunDirectory {
    /// Makes the directory at `path`, or takes it over if it is empty or holds an earlier run, whose
    /// files are removed. Files that are not of a run stay.
    ///
    /// # Errors
    /// If `path` is a file, or a directory with files but no run, or cannot be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        if path.exists() && !path.is_dir() {
            return Err(RecordError::NotADirectory(path));
        }
        fs::create_dir_all(&path).map_err(write_error(&path))?;
        let mut entries = fs::read_dir(&path).map_err(read_error(&path))?;
        if entries.next().is_some() && !path.join(ROUNDS).is_file() {
            return Err(RecordError::Occupied(path));
        }
        for name in [SUMMARY, BASELINE, REPORT] {
            remove_if_there(&path.join(name))?;
        }
        let file = path.join(ROUNDS);
        let rounds = File::create(&file).map_err(write_error(&file))?;
        Ok(Self { path, rounds })
    }

    /// Where the run is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is known before the first round, so that a killed run can tell its configuration.
    ///
    /// # Errors
    /// If the summary cannot be written.
    pub fn begin(&self, summary: &Summary) -> Result<(), RecordError> {
        self.write_summary(false, summary)
    }

    /// Writes one round as one line with one call to the system: what was appended survives the
    /// end of this process, however it ends.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn append(&mut self, round: &RoundRecord) -> Result<(), RecordError> {
        self.rounds.write_all(&line(round)).map_err(write_error(&self.path.join(ROUNDS)))
    }

    /// Writes dense gradient descent, for the report to draw beside the run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_baseline(&self, rounds: &[BaselineRecord]) -> Result<(), RecordError> {
        let lines: Vec<u8> = rounds.iter().flat_map(line).collect();
        write_whole(&self.path.join(BASELINE), &lines)
    }

    /// Writes the summary of the complete run.
    ///
    /// # Errors
    /// If the summary cannot be written.
    pub fn finish(&self, summary: &Summary) -> Result<(), RecordError> {
        self.write_summary(true, summary)
    }

    fn write_summary(&self, finished: bool, summary: &Summary) -> Result<(), RecordError> {
        let mut text = serde_json::to_vec_pretty(&SummaryFile { finished, summary })
            .expect("records have no keys but strings");
        text.push(b'\n');
        write_whole(&self.path.join(SUMMARY), &text)
    }

    /// Reads the run at `path`.
    ///
    /// # Errors
    /// If there is no run, or if a file of it is damaged: the message names file and line. A last
    /// line that was cut off is no error, see [`Run::cut`].
    pub fn read(path: impl AsRef<Path>) -> Result<Run, RecordError> {
        let path = path.as_ref();
        let file = path.join(ROUNDS);
        let bytes = read_if_there(&file)?.ok_or_else(|| RecordError::NoRun(path.into()))?;
        let (rounds, cut) = parse_lines(&file, &bytes, |record: &RoundRecord| record.round)?;
        if rounds.is_empty() {
            return Err(RecordError::NoRounds(path.into()));
        }
        let SummaryFile { finished, summary } = read_summary(&path.join(SUMMARY))?;
        let file = path.join(BASELINE);
        let bytes = read_if_there(&file)?.unwrap_or_default();
        let (baseline, _) = parse_lines(&file, &bytes, |record: &BaselineRecord| record.round)?;
        Ok(Run { rounds, cut, finished, summary, baseline })
    }
}

/// A run that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The rounds in ascending order, at least one.
    pub rounds: Vec<RoundRecord>,
    /// Whether the last line was cut off and is left out.
    pub cut: bool,
    /// Whether the run came to its end; if not, the summary is what was known before the first round.
    pub finished: bool,
    /// The summary; empty if the run was killed before one was written.
    pub summary: Summary,
    /// Dense gradient descent on the same problem; empty if it was not computed.
    pub baseline: Vec<BaselineRecord>,
}

/// `summary.json`: the summary, and whether it is the last word.
#[derive(Default, Serialize, Deserialize)]
struct SummaryFile<S> {
    finished: bool,
    #[serde(flatten)]
    summary: S,
}

fn read_summary(file: &Path) -> Result<SummaryFile<Summary>, RecordError> {
    let Some(bytes) = read_if_there(file)? else { return Ok(SummaryFile::default()) };
    serde_json::from_slice(&bytes).map_err(|error| line_error(file, error.line(), &error))
}

/// Parses records, one a line and in ascending order; whether the last line was cut off comes with them.
fn parse_lines<R: DeserializeOwned>(
    file: &Path,
    bytes: &[u8],
    round: impl Fn(&R) -> u32,
) -> Result<(Vec<R>, bool), RecordError> {
    let mut records: Vec<R> = Vec::new();
    for (n, text) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let record = match serde_json::from_slice(text) {
            Ok(record) => record,
            Err(_) if !text.ends_with(b"\n") => return Ok((records, true)),
            Err(error) => return Err(line_error(file, n + 1, &error)),
        };
        if let Some(previous) = records.last().map(&round).filter(|p| *p >= round(&record)) {
            let (path, round) = (file.into(), round(&record));
            return Err(RecordError::Order { path, line: n + 1, round, previous });
        }
        records.push(record);
    }
    Ok((records, false))
}

fn line<R: Serialize>(record: &R) -> Vec<u8> {
    let mut text = serde_json::to_vec(record).expect("records have no keys but strings");
    text.push(b'\n');
    text
}

/// Replaces `file` at once: a reader sees the old text or the new one, never half of it.
pub(crate) fn write_whole(file: &Path, text: &[u8]) -> Result<(), RecordError> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fs::write(&part, text).and_then(|()| fs::rename(&part, file)).map_err(write_error(file))
}

fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(read_error(file)(error)),
    }
}

fn remove_if_there(file: &Path) -> Result<(), RecordError> {
    match fs::remove_file(file) {
        Err(error) if !is_absent(&error) => Err(write_error(file)(error)),
        _ => Ok(()),
    }
}

/// Whether there is no such file, which includes a path that goes through a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Write { path: path.into(), source }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    |source| RecordError::Read { path: path.into(), source }
}

/// A parser counts lines from where it starts; ours are those of the file.
fn line_error(path: &Path, line: usize, error: &serde_json::Error) -> RecordError {
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = reason.strip_suffix(&place).unwrap_or(&reason);
    let reason = format!("column {}, {reason}", error.column());
    RecordError::Line { path: path.into(), line, reason }
}

#[cfg(test)]
mod tests;
