//! A link to one board: its stream, or why that is closed.

use super::rediscovery::Search;
use super::seeker::Seeker;
use super::stream::{Address, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};
use std::{io, mem};

/// Longest time of a write that did not meet a full buffer. The operating system buffers several frames.
const PROMPT_TIME_MAX: Duration = Duration::from_millis(60);
/// Wait before the first attempt to reopen a lost link. It doubles with each attempt.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Time after which a link counts as up, so that the wait between attempts starts again from its minimum.
const UP_TIME_MIN: Duration = Duration::from_secs(2);
/// Reason for the loss of a link that its other end has closed, which systems report in several ways.
pub(super) const GONE: &str = "the other end was closed or unplugged";

/// Event on a link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Bytes were received. They are in order and may be split anywhere.
    Bytes(Vec<u8>),
    /// The link was lost for this reason. It is being reopened, if that is possible.
    Down(String),
    /// The link is up again. Bytes in flight are lost, and the board may have been reset.
    Up {
        /// Its current address.
        address: Address,
        /// True if another board may be there, so that [`Links::reject_guess`](super::Links::reject_guess) may be
        /// needed.
        is_guess: bool,
    },
}

/// A byte stream to one board that survives unplugged cables and restarted servers.
pub(super) struct Link {
    pub state: State,
    /// True if the last frame was accepted slowly or not at all, so that the next write must not wait.
    clogged: bool,
    /// Wait before the next attempt to reopen it.
    pub backoff: Duration,
    /// True while it waits for its turn to be read.
    pub is_ready: bool,
}

/// State of a link.
pub(super) enum State {
    Up(Open),
    Down(Closed),
}

/// A stream that is open.
pub(super) struct Open {
    pub stream: Box<dyn Stream>,
    /// What finds it again; `None` if it cannot be reopened.
    pub search: Option<Search>,
    pub since: Instant,
}

/// A stream that was closed.
#[derive(Default)]
pub(super) struct Closed {
    pub reason: String,
    /// Earliest time to reopen it.
    pub not_before: Option<Instant>,
    /// What reopens it.
    pub seeker: Option<Seeker>,
}

/// Why bytes were not accepted.
pub(super) enum WriteError {
    /// The link is down for this reason.
    Down(String),
    /// It takes too long. The link stays up.
    Late,
    /// The stream is lost.
    Lost(io::Error),
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Down(reason) => Self::new(io::ErrorKind::NotConnected, reason),
            WriteError::Late => {
                Self::new(io::ErrorKind::TimedOut, "the other end does not accept the bytes")
            }
            WriteError::Lost(error) => error,
        }
    }
}

impl Link {
    pub(super) fn new(stream: Box<dyn Stream>, search: Option<Search>) -> Self {
        let state = State::Up(Open { stream, search, since: Instant::now() });
        Self { state, clogged: false, backoff: BACKOFF_MIN, is_ready: false }
    }

    /// Closes the stream and returns it, unless it is closed already.
    pub(super) fn close(&mut self, closed: Closed) -> Option<Open> {
        if let State::Down(_) = self.state {
            return None;
        }
        match mem::replace(&mut self.state, State::Down(closed)) {
            State::Up(open) => {
                if open.since.elapsed() >= UP_TIME_MIN {
                    self.backoff = BACKOFF_MIN;
                }
                Some(open)
            }
            State::Down(_) => None,
        }
    }

    /// Replaces a lost stream.
    pub(super) fn reopen(&mut self, stream: Box<dyn Stream>, search: Search) {
        self.state = State::Up(Open { stream, search: Some(search), since: Instant::now() });
    }

    /// Writes `bytes`, waiting at most `patience`, or not at all if the last write met a full buffer.
    pub(super) fn write(&mut self, bytes: &[u8], patience: Duration) -> Result<(), WriteError> {
        let stream = match &mut self.state {
            State::Up(open) => open.stream.as_mut(),
            State::Down(closed) => return Err(WriteError::Down(closed.reason.clone())),
        };
        let started = Instant::now();
        let patience = if self.clogged { Duration::ZERO } else { patience };
        let result = write_all(stream, bytes, started + patience);
        self.clogged = result.is_err() || started.elapsed() > PROMPT_TIME_MAX;
        result
    }
}

fn write_all(
    stream: &mut dyn Stream,
    mut bytes: &[u8],
    deadline: Instant,
) -> Result<(), WriteError> {
    while !bytes.is_empty() {
        let is_full = match stream.write(bytes) {
            Ok(0) => return Err(WriteError::Lost(io::ErrorKind::WriteZero.into())),
            Ok(len) => {
                bytes = &bytes[len..];
                false
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => true,
                io::ErrorKind::Interrupted => false,
                _ => return Err(WriteError::Lost(error)),
            },
        };
        // Also after progress: a peer that accepts a byte at a time must time out as well.
        let patience = deadline.saturating_duration_since(Instant::now());
        if !bytes.is_empty() && patience.is_zero() {
            return Err(WriteError::Late);
        }
        if is_full {
            wait_for_space(stream, patience);
        }
    }
    Ok(())
}

/// Waits until a stream accepts bytes, but at most `patience`. What goes wrong is met by the next write.
fn wait_for_space(stream: &dyn Stream, patience: Duration) {
    let patience = Timespec::try_from(patience).ok();
    let _ =
        poll(&mut [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)], patience.as_ref());
}

/// Returns why an error takes a link down.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted => GONE.into(),
        _ => error.to_string(),
    }
}
