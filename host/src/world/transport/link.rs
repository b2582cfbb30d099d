//! A link to one board: a thread that reads from it, and reopens the stream if it is lost.

#[cfg(test)]
mod tests;

use super::chunk::Chunk;
use super::rediscovery::{Found, Rediscovery, Search};
use super::stream::{Address, POLL, Reader, TransportError, Writer, is_not_yet};
use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time of a write that did not meet a full buffer. The operating system buffers several frames.
const PROMPT_TIME_MAX: Duration = Duration::from_millis(60);
/// Wait before the first attempt to reopen a lost link. It doubles with each attempt.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Time after which a link counts as up, so that the wait between attempts starts again from its minimum.
const UP_TIME_MIN: Duration = Duration::from_secs(2);
/// Longest time that dropped links wait for their threads, which may be connecting.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Reason for the loss of a link that its other end has closed, which systems report in several ways.
const GONE: &str = "the other end was closed or unplugged";
/// Maximum number of bytes per read.
const CHUNK_LEN_MAX: usize = 4096;
/// Number of buffers per link.
const CHUNKS_MAX: usize = 4;

/// Event on a link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Bytes were received. They are in order and may be split anywhere.
    Bytes(Chunk),
    /// The link was lost for this reason. It is being reopened, if that is possible.
    Down(String),
    /// The link is up again. Bytes in flight are lost, and the board may have been reset.
    Up {
        /// Its current address.
        address: Address,
        /// True if another board may be there, so that [`Link::reject_guess`] may be needed.
        is_guess: bool,
    },
}

/// The writing half, or the state of a closed stream, which reopening replaces by a writer.
type Outlet = Mutex<Result<Writer, Closed>>;

/// A stream that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Closed {
    reason: String,
    /// True if it led to the wrong board.
    is_rejected: bool,
    /// Earliest time to reopen it.
    not_before: Option<Instant>,
}

impl Closed {
    fn lost(reason: String) -> Self {
        Self { reason, is_rejected: false, not_before: None }
    }
}

/// A byte stream to one board that survives unplugged cables and restarted servers.
///
/// A new link is up. Its thread sends events with the number of the link to `events`: [`LinkEvent::Down`] and
/// [`LinkEvent::Up`] alternate. A serial port that comes back under another name is found by a [`Rediscovery`].
/// Dropping the link ends the thread and closes the stream.
pub struct Link {
    outlet: Arc<Outlet>,
    /// True if the last frame was accepted slowly or not at all, so that the next write must not wait.
    clogged: bool,
    /// Dropped to tell the thread to end.
    stop: Option<Sender<()>>,
    /// Disconnected when the thread has ended; `None` once that was waited for.
    ended: Option<Receiver<()>>,
}

impl Link {
    /// Opens `address` like [`open`](super::open), and reopens it whenever it is lost.
    ///
    /// # Errors
    /// If it cannot be opened now, so that a wrong address is reported at the start.
    pub fn open(
        link: usize,
        address: &Address,
        baud: u32,
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        Self::open_with(&Arc::default(), link, address, baud, events)
    }

    /// Opens `address` like [`Link::open`], and registers its port with those of the other links of the run.
    ///
    /// # Errors
    /// If it cannot be opened now.
    pub fn open_with(
        rediscovery: &Arc<Rediscovery>,
        link: usize,
        address: &Address,
        baud: u32,
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        let mut search = Search::new(rediscovery.clone(), address.clone(), baud);
        let halves = search.begin()?;
        Self::start(link, halves, Some(search), events)
    }

    /// Creates a link over an open stream that cannot be reopened, such as a [`loopback`](fn@super::loopback).
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn attach(
        link: usize,
        halves: (Reader, Writer),
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        Self::start(link, halves, None, events)
    }

    fn start(
        link: usize,
        (reader, writer): (Reader, Writer),
        search: Option<Search>,
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        let outlet = Arc::new(Mutex::new(Ok(writer)));
        let (stop, stopped) = channel();
        let (ending, ended) = channel::<()>();
        let listener = Listener::new(link, outlet.clone(), search, events, stopped);
        let read = move || {
            // Dropped last, also by a panic: the stream is closed by then.
            let _ending = ending;
            let mut listener = listener;
            listener.run(reader)
        };
        thread::Builder::new().spawn(read).map_err(TransportError::NoThread)?;
        Ok(Self { outlet, clogged: false, stop: Some(stop), ended: Some(ended) })
    }

    /// Writes `bytes`, waiting at most `patience`, or not at all if the last write met a full buffer: a board that
    /// reads nothing must not delay the others.
    ///
    /// # Errors
    /// `NotConnected` while the link is down. `TimedOut` if the bytes are not accepted in time: some may have been
    /// sent, the link stays up, and the receiver gets a damaged frame. Any other error takes the link down and causes
    /// a [`LinkEvent::Down`].
    pub fn write(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let mut outlet = lock(&self.outlet);
        let writer = outlet
            .as_mut()
            .map_err(|closed| io::Error::new(io::ErrorKind::NotConnected, closed.reason.clone()))?;
        let started = Instant::now();
        let patience = if self.clogged { Duration::ZERO } else { patience };
        let result = write_all(writer, bytes, started + patience);
        self.clogged = result.is_err() || started.elapsed() > PROMPT_TIME_MAX;
        if let Err(error) = result.as_ref()
            && !is_not_yet(error)
        {
            *outlet = Err(Closed::lost(reason(error)));
        }
        result
    }

    /// Closes a stream that was a wrong [guess](LinkEvent::Up), and continues the search.
    pub fn reject_guess(&mut self) {
        let mut outlet = lock(&self.outlet);
        // If the stream was lost meanwhile, the search already continues.
        if outlet.is_ok() {
            let reason = "no board of this run is there".into();
            *outlet = Err(Closed { is_rejected: true, ..Closed::lost(reason) });
        }
    }

    /// Closes the stream, and reopens it no sooner than after `pause`.
    pub fn shut(&mut self, pause: Duration) {
        let mut outlet = lock(&self.outlet);
        let not_before = Some(Instant::now() + pause);
        match &mut *outlet {
            Ok(_) => {
                let closed = Closed::lost("the host has closed it".into());
                *outlet = Err(Closed { not_before, ..closed });
            }
            // The peer closed it first.
            Err(closed) => closed.not_before = not_before,
        }
    }

    pub(super) fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits for the thread until `deadline`. A thread that is still connecting then ends later.
    pub(super) fn join(&mut self, deadline: Instant) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop();
        self.join(Instant::now() + END_TIMEOUT);
    }
}

/// Returns why an error takes a link down.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted => GONE.into(),
        _ => error.to_string(),
    }
}

fn lock(outlet: &Outlet) -> MutexGuard<'_, Result<Writer, Closed>> {
    outlet.lock().expect("no panic while locked")
}

/// Returns how long a stream must stay closed from now on.
fn pause(outlet: &Outlet) -> Duration {
    let not_before = lock(outlet).as_ref().err().and_then(|closed| closed.not_before);
    not_before.map_or(Duration::ZERO, |time| time.saturating_duration_since(Instant::now()))
}

fn write_all(writer: &mut Writer, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if is_not_yet(&error) => {}
            Err(error) => return Err(error),
        }
        // Also checked after progress: a peer that accepts a byte at a time must time out as well.
        if !bytes.is_empty() && Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the other end does not accept the bytes",
            ));
        }
    }
    Ok(())
}

/// The thread's side of a [`Link`].
struct Listener {
    link: usize,
    outlet: Arc<Outlet>,
    search: Option<Search>,
    events: Sender<(usize, LinkEvent)>,
    /// Disconnected when the link is dropped.
    stopped: Receiver<()>,
    /// Free buffers.
    buffers: Receiver<Vec<u8>>,
    /// Returns buffers to `buffers`.
    home: Sender<Vec<u8>>,
    /// Wait before the next attempt to reopen a lost link.
    backoff: Duration,
}

impl Listener {
    fn new(
        link: usize,
        outlet: Arc<Outlet>,
        search: Option<Search>,
        events: Sender<(usize, LinkEvent)>,
        stopped: Receiver<()>,
    ) -> Self {
        let (home, buffers) = channel();
        for _ in 0..CHUNKS_MAX {
            home.send(vec![0; CHUNK_LEN_MAX]).expect("the receiver exists");
        }
        let backoff = BACKOFF_MIN;
        Self { link, outlet, search, events, stopped, buffers, home, backoff }
    }

    /// Reads and reopens the stream. Returns `None` when the link or the receiver of its events is dropped, or the
    /// stream cannot be reopened.
    fn run(&mut self, mut reader: Reader) -> Option<Infallible> {
        loop {
            let since = Instant::now();
            let reason = self.receive(reader)?;
            if since.elapsed() >= UP_TIME_MIN {
                self.backoff = BACKOFF_MIN;
            }
            let Closed { reason, is_rejected, .. } = self.close(reason);
            self.report(LinkEvent::Down(reason))?;
            let Found { halves, address, is_guess } = self.open_again(is_rejected)?;
            let writer;
            (reader, writer) = halves;
            *lock(&self.outlet) = Ok(writer);
            self.report(LinkEvent::Up { address, is_guess })?;
        }
    }

    /// Forwards received bytes until the stream is lost, and returns the reason.
    fn receive(&self, mut reader: Reader) -> Option<String> {
        while self.stopped.try_recv() == Err(TryRecvError::Empty) {
            if let Ok(buffer) = self.buffers.recv_timeout(POLL) {
                let mut chunk = Chunk { buffer, len: 0, home: self.home.clone() };
                match reader.read(&mut chunk.buffer) {
                    Ok(0) => return Some(GONE.into()),
                    Ok(len) => {
                        chunk.len = len;
                        self.report(LinkEvent::Bytes(chunk))?;
                    }
                    Err(error) if is_not_yet(&error) => {}
                    Err(error) => return Some(reason(&error)),
                }
            }
            // A write in progress holds the lock. Its outcome is seen in the next turn.
            if let Ok(outlet) = self.outlet.try_lock()
                && let Err(closed) = &*outlet
            {
                return Some(closed.reason.clone());
            }
        }
        None
    }

    /// Closes the stream for `reason`, unless it is closed already. Returns its state.
    fn close(&self, reason: String) -> Closed {
        let mut outlet = lock(&self.outlet);
        if outlet.is_ok() {
            *outlet = Err(Closed::lost(reason.clone()));
        }
        outlet.as_ref().err().cloned().unwrap_or_else(|| Closed::lost(reason))
    }

    fn open_again(&mut self, is_rejected: bool) -> Option<Found> {
        let search = self.search.as_mut()?;
        if is_rejected {
            search.reject();
        } else {
            search.lose();
        }
        let mut wait = self.backoff;
        while self.stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            // `shut` may have been called since it was lost.
            wait = pause(&self.outlet);
            if !wait.is_zero() {
                continue;
            }
            self.backoff = BACKOFF_MAX.min(2 * self.backoff);
            wait = self.backoff;
            if let Some(found) = search.attempt() {
                return Some(found);
            }
        }
        None
    }

    fn report(&self, event: LinkEvent) -> Option<()> {
        self.events.send((self.link, event)).ok()
    }
}
