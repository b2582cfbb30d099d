//! All links of a run, and the loop that serves them in the thread of the run.

#[cfg(test)]
mod tests;

use super::link::{BACKOFF_MIN, Closed, GONE, Link, LinkEvent, State, WriteError, reason};
use super::opening::make_room;
use super::rediscovery::{Rediscovery, Search};
use super::seeker::{Cause, Outbox, Reopened, Seeker, Task};
use super::stream::{Address, Stream, TransportError};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

/// Longest time that dropped links wait for their seekers, which may be connecting.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of bytes per read.
const CHUNK_LEN_MAX: usize = 4096;
/// Number of streams that become ready in one wait; the others do so in the next.
const READY_MAX: usize = 256;
/// Tells that a stream was reopened. Other tokens are indices of links.
const REOPENED: Token = Token(usize::MAX);

/// The links of a run.
///
/// Streams are watched, read and written in the thread that calls these methods. A link that is lost gets a thread,
/// which reopens it and ends. [`LinkEvent::Down`] and [`LinkEvent::Up`] of a link alternate, and a new link is up. A
/// serial port that comes back under another name is found by a [`Rediscovery`].
///
/// No byte is read before it is asked for. This back-pressure limits the time and memory that a board can use by sending
/// too much.
pub struct Links {
    poll: Poll,
    occurred: Events,
    links: Vec<Link>,
    /// Links that may have bytes, in the order of their turns.
    ready: VecDeque<usize>,
    /// Events that occurred without a read.
    reports: VecDeque<(usize, LinkEvent)>,
    buffer: Vec<u8>,
    rediscovery: Arc<Rediscovery>,
    reopened: Receiver<Reopened>,
    /// `None` once the links are being dropped.
    outbox: Option<Outbox>,
    /// Tasks for which the system had no thread, and when that is tried again.
    unstarted: Vec<(Task, Instant)>,
}

impl Links {
    /// Returns no links.
    ///
    /// # Errors
    /// If the system refuses the means to wait for several streams.
    pub fn new() -> Result<Self, TransportError> {
        Self::with(Arc::default())
    }

    /// Returns no links; those to come find lost ports by `rediscovery`.
    ///
    /// # Errors
    /// If the system refuses the means to wait for several streams.
    pub fn with(rediscovery: Arc<Rediscovery>) -> Result<Self, TransportError> {
        let poll = Poll::new().map_err(TransportError::NoPoll)?;
        let waker = Waker::new(poll.registry(), REOPENED).map_err(TransportError::NoPoll)?;
        let (sender, reopened) = channel();
        Ok(Self {
            poll,
            occurred: Events::with_capacity(READY_MAX),
            links: Vec::new(),
            ready: VecDeque::new(),
            reports: VecDeque::new(),
            buffer: vec![0; CHUNK_LEN_MAX],
            rediscovery,
            reopened,
            outbox: Some(Outbox { reopened: sender, waker: Arc::new(waker) }),
            unstarted: Vec::new(),
        })
    }

    /// Opens a link to each address.
    ///
    /// # Errors
    /// If one cannot be opened now, so that a wrong address is reported at the start.
    pub fn open_all(addresses: &[Address], baud: u32) -> Result<Self, TransportError> {
        make_room(addresses.len());
        let mut links = Self::new()?;
        addresses.iter().try_for_each(|address| links.open(address, baud).map(drop))?;
        Ok(links)
    }

    /// Adds a link to `address` and returns its index. A serial port is set to 8 data bits, no parity, one stop bit and
    /// no flow control at `baud` bit/s. The link is reopened whenever it is lost.
    ///
    /// Opening a serial port resets many boards, so the first frame may be lost and must be repeated.
    ///
    /// # Errors
    /// If it cannot be opened now.
    pub fn open(&mut self, address: &Address, baud: u32) -> Result<usize, TransportError> {
        let mut search = Search::new(self.rediscovery.clone(), address.clone(), baud);
        let stream = search.begin()?;
        self.add(stream, Some(search))
    }

    /// Adds a link over an open stream that cannot be reopened, such as one of a socket pair, and returns its index.
    ///
    /// # Errors
    /// If the system does not watch it.
    pub fn attach(&mut self, stream: impl Stream + 'static) -> Result<usize, TransportError> {
        let flags = fcntl_getfl(&stream);
        let nonblocking = flags.and_then(|flags| fcntl_setfl(&stream, flags | OFlags::NONBLOCK));
        nonblocking.map_err(|error| TransportError::NoPoll(error.into()))?;
        self.add(Box::new(stream), None)
    }

    fn add(
        &mut self,
        stream: Box<dyn Stream>,
        search: Option<Search>,
    ) -> Result<usize, TransportError> {
        let index = self.links.len();
        watch(&self.poll, index, stream.as_ref()).map_err(TransportError::NoPoll)?;
        self.links.push(Link::new(stream, search));
        Ok(index)
    }

    /// Returns the number of links.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Returns whether there are no links.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Waits until something happens on a link, but at most `patience`.
    pub fn wait(&mut self, patience: Duration) {
        self.start_late_seekers();
        let patience = match (self.ready.is_empty() && self.reports.is_empty(), &self.unstarted[..])
        {
            (false, _) => Duration::ZERO,
            (true, []) => patience,
            (true, _) => patience.min(BACKOFF_MIN),
        };
        if let Err(error) = self.poll.poll(&mut self.occurred, Some(patience)) {
            // Nothing has occurred. An error that stays must not keep the processor busy.
            if error.kind() != io::ErrorKind::Interrupted {
                thread::sleep(patience);
            }
            return;
        }
        for event in &self.occurred {
            queue(&mut self.ready, &mut self.links, event.token().0);
        }
        while let Ok(reopened) = self.reopened.try_recv() {
            self.admit(reopened);
        }
    }

    /// Returns the next event that has occurred, and the link, without waiting. Links take turns.
    pub fn next_event(&mut self) -> Option<(usize, LinkEvent)> {
        loop {
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            let index = self.ready.pop_front()?;
            if let Some(bytes) = self.read(index) {
                return Some((index, LinkEvent::Bytes(bytes)));
            }
        }
    }

    /// Returns the next event and its link; `None` if none occurs within `patience`.
    pub fn receive(&mut self, patience: Duration) -> Option<(usize, LinkEvent)> {
        let start = Instant::now();
        loop {
            if let Some(event) = self.next_event() {
                return Some(event);
            }
            let left = patience.saturating_sub(start.elapsed());
            self.wait(left);
            if left.is_zero() {
                return self.next_event();
            }
        }
    }

    /// Writes `bytes` to a link, waiting at most `patience`, or not at all if the last write met a full buffer: a board
    /// that reads nothing must not delay the others.
    ///
    /// # Errors
    /// `NotConnected` while the link is down. `TimedOut` if the bytes are not accepted in time: some may have been
    /// sent, the link stays up, and the receiver gets a damaged frame. Any other error takes the link down and causes
    /// a [`LinkEvent::Down`].
    pub fn write(&mut self, link: usize, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let result = self.links[link].write(bytes, patience);
        if let Err(WriteError::Lost(error)) = &result {
            self.close(link, reason(error), Cause::Lost, None);
        }
        Ok(result?)
    }

    /// Closes a stream that was a wrong [guess](LinkEvent::Up), and continues the search.
    pub fn reject_guess(&mut self, link: usize) {
        // If the stream was lost meanwhile, the search already continues.
        self.close(link, "no board of this run is there".into(), Cause::Rejected, None);
    }

    /// Closes the stream of a link, and reopens it no sooner than after `pause`.
    pub fn shut(&mut self, link: usize, pause: Duration) {
        let time = Instant::now() + pause;
        match &mut self.links[link].state {
            State::Up(_) => {
                self.close(link, "the host has closed it".into(), Cause::Lost, Some(time));
            }
            // The peer closed it first.
            State::Down(closed) => {
                closed.not_before = Some(time);
                if let Some(seeker) = &closed.seeker {
                    seeker.postpone(time);
                }
            }
        }
    }

    /// Reads once from a link. Returns `None` if it has nothing, or is lost.
    fn read(&mut self, index: usize) -> Option<Vec<u8>> {
        let link = &mut self.links[index];
        link.is_ready = false;
        let State::Up(open) = &mut link.state else { return None };
        let lost = match open.stream.read(&mut self.buffer) {
            Ok(0) => GONE.into(),
            Ok(len) => {
                // There may be more, and the system tells only of what comes from now on.
                queue(&mut self.ready, &mut self.links, index);
                return Some(self.buffer[..len].to_vec());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                queue(&mut self.ready, &mut self.links, index);
                return None;
            }
            Err(error) => reason(&error),
        };
        self.close(index, lost, Cause::Lost, None);
        None
    }

    /// Closes the stream of a link, if it is open, and has it reopened, if that is possible.
    fn close(&mut self, index: usize, reason: String, cause: Cause, not_before: Option<Instant>) {
        let link = &mut self.links[index];
        let closed = Closed { reason: reason.clone(), not_before, seeker: None };
        let Some(open) = link.close(closed) else { return };
        unwatch(&self.poll, open.stream.as_ref());
        drop(open.stream);
        self.reports.push_back((index, LinkEvent::Down(reason)));
        if let Some(search) = open.search {
            let backoff = link.backoff;
            self.seek(Task { link: index, search, cause, backoff });
        }
    }

    fn seek(&mut self, task: Task) {
        let State::Down(closed) = &mut self.links[task.link].state else { return };
        let Some(outbox) = self.outbox.clone() else { return };
        match Seeker::start(task, outbox) {
            Ok(seeker) => {
                closed.not_before.into_iter().for_each(|time| seeker.postpone(time));
                closed.seeker = Some(seeker);
            }
            Err(task) => self.unstarted.push((*task, Instant::now() + BACKOFF_MIN)),
        }
    }

    fn start_late_seekers(&mut self) {
        let now = Instant::now();
        for (task, time) in mem::take(&mut self.unstarted) {
            match time <= now {
                true => self.seek(task),
                false => self.unstarted.push((task, time)),
            }
        }
    }

    /// Puts a stream that was found in the place of the lost one.
    fn admit(&mut self, reopened: Reopened) {
        let Reopened { link: index, search, backoff, found } = reopened;
        let link = &mut self.links[index];
        link.backoff = backoff;
        let not_before = match &link.state {
            State::Up(_) => return,
            State::Down(closed) => closed.not_before,
        };
        let is_early = not_before.is_some_and(|time| Instant::now() < time);
        if is_early || watch(&self.poll, index, found.stream.as_ref()).is_err() {
            drop(found);
            return self.seek(Task { link: index, search, cause: Cause::Unused, backoff });
        }
        link.reopen(found.stream, search);
        let up = LinkEvent::Up { address: found.address, is_guess: found.is_guess };
        self.reports.push_back((index, up));
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // Seekers end when nobody waits for them, and hold a clone of the outbox until then.
        self.links.clear();
        self.unstarted.clear();
        self.outbox = None;
        let deadline = Instant::now() + END_TIMEOUT;
        let left = || deadline.saturating_duration_since(Instant::now());
        while self.reopened.recv_timeout(left()).is_ok() {}
    }
}

/// Gives a link its turn, unless it waits for that already.
fn queue(ready: &mut VecDeque<usize>, links: &mut [Link], index: usize) {
    if let Some(link) = links.get_mut(index).filter(|link| !link.is_ready) {
        link.is_ready = true;
        ready.push_back(index);
    }
}

/// Has a stream tell when it has bytes, or ends.
fn watch(poll: &Poll, index: usize, stream: &dyn Stream) -> io::Result<()> {
    let descriptor = stream.as_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&descriptor), Token(index), Interest::READABLE)
}

fn unwatch(poll: &Poll, stream: &dyn Stream) {
    let descriptor = stream.as_fd().as_raw_fd();
    // It may be gone already.
    let _ = poll.registry().deregister(&mut SourceFd(&descriptor));
}
