//! The thread that reopens a lost stream: to open a port or to look up a name may take its time.

use super::rediscovery::{Found, Search};
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Why a stream is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was lost.
    Lost,
    /// It led to the wrong board.
    Rejected,
    /// It was found, but could not be used.
    Unused,
}

/// What a seeker does.
pub(super) struct Task {
    /// Index of the link.
    pub link: usize,
    pub search: Search,
    pub cause: Cause,
    /// Wait before the next attempt, which doubles.
    pub backoff: Duration,
}

/// A stream that is open again.
pub(super) struct Reopened {
    /// Index of the link.
    pub link: usize,
    pub search: Search,
    pub backoff: Duration,
    pub found: Found,
}

/// Takes streams that are open again, and wakes who waits for them.
#[derive(Clone)]
pub(super) struct Outbox {
    pub reopened: Sender<Reopened>,
    pub waker: Arc<Waker>,
}

/// The host's side of a thread that looks for a stream. The thread ends once it has found it or this is dropped.
pub(super) struct Seeker {
    postpone: Sender<Instant>,
}

impl Seeker {
    /// Starts a thread, or returns the task if the system refuses one.
    pub(super) fn start(task: Task, outbox: Outbox) -> Result<Self, Box<Task>> {
        let (postpone, postponed) = channel();
        let (hand, handed) = channel::<Task>();
        let seek = move || {
            if let Some(reopened) = handed.recv().ok().and_then(|task| task.seek(&postponed)) {
                // This fails if the run has ended.
                let _ = outbox.reopened.send(reopened);
                let _ = outbox.waker.wake();
            }
        };
        // The task is handed over afterwards, so that it is not lost with the thread.
        match thread::Builder::new().spawn(seek) {
            Ok(_) => {
                hand.send(task).map(|()| Self { postpone }).map_err(|unsent| Box::new(unsent.0))
            }
            Err(_) => Err(Box::new(task)),
        }
    }

    /// Makes no attempt before this time.
    pub(super) fn postpone(&self, time: Instant) {
        // This fails if the stream is found: then its link looks at the time.
        let _ = self.postpone.send(time);
    }
}

impl Task {
    /// Returns the stream once it is open, or `None` if the link was dropped before.
    fn seek(self, postponed: &Receiver<Instant>) -> Option<Reopened> {
        let Self { link, mut search, cause, mut backoff } = self;
        match cause {
            Cause::Lost => search.lose(),
            Cause::Rejected => search.reject(),
            Cause::Unused => search.free(),
        }
        let mut time = Instant::now() + backoff;
        loop {
            match postponed.recv_timeout(time.saturating_duration_since(Instant::now())) {
                Ok(earliest) => time = time.max(earliest),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    backoff = BACKOFF_MAX.min(2 * backoff);
                    if let Some(found) = search.attempt() {
                        return Some(Reopened { link, search, backoff, found });
                    }
                    time = Instant::now() + backoff;
                }
            }
        }
    }
}
