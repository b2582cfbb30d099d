//! A link to one board: a thread that reads from it, and reopens the stream if it is lost.

use super::rediscovery::{Found, Rediscovery, Search};
use super::stream::{Address, POLL, Reader, TransportError, Writer, is_not_yet};
use std::convert::Infallible;
use std::ops::{Deref, Index, IndexMut};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

/// Longest time of a write that did not meet a full buffer. The operating system buffers several frames.
const PROMPT_TIME_MAX: Duration = Duration::from_millis(60);
/// Wait before the first attempt to reopen a lost link. It doubles with each attempt.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Time after which a link counts as up, so that the wait between attempts starts again from its minimum.
const UP_TIME_MIN: Duration = Duration::from_secs(2);
/// Longest time that dropped links wait for their threads, which may be connecting.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Reason for the loss of a link if the operating system gives none.
const GONE: &str = "the other end was closed or unplugged";
/// Maximum number of bytes per read.
const CHUNK_LEN_MAX: usize = 4096;
/// Number of buffers per link.
const CHUNKS_MAX: usize = 4;

/// Bytes received on a link.
///
/// When a chunk is dropped, its buffer returns to the link. A link has few buffers and reads only if one is free. This
/// back-pressure limits the time and memory that a board can use by sending too much.
pub struct Chunk {
    buffer: Vec<u8>,
    len: usize,
    home: Sender<Vec<u8>>,
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // This fails if the link has ended.
        let _ = self.home.send(mem::take(&mut self.buffer));
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Chunk {}

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
            *outlet = Err(Closed::lost(error.to_string()));
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

    fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits for the thread until `deadline`. A thread that is still connecting then ends later.
    fn join(&mut self, deadline: Instant) {
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

/// The links of a run. When they are dropped, their threads end at the same time.
pub struct Links(Vec<Link>);

impl Links {
    /// Returns the number of links.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no links.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Link> for Links {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        Self(links.into_iter().collect())
    }
}

impl From<Vec<Link>> for Links {
    fn from(links: Vec<Link>) -> Self {
        Self(links)
    }
}

impl Index<usize> for Links {
    type Output = Link;

    fn index(&self, link: usize) -> &Link {
        &self.0[link]
    }
}

impl IndexMut<usize> for Links {
    fn index_mut(&mut self, link: usize) -> &mut Link {
        &mut self.0[link]
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // A thread notices the stop within a read's time-out. Stopping many one after the other would take seconds.
        self.0.iter_mut().for_each(Link::stop);
        let deadline = Instant::now() + END_TIMEOUT;
        self.0.iter_mut().for_each(|link| link.join(deadline));
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
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Some(GONE.into());
                    }
                    Err(error) => return Some(error.to_string()),
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

#[cfg(test)]
mod tests {
    use super::super::{End, WRITE_POLL, loopback};
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    const PATIENCE: Duration = Duration::from_secs(60);
    const SOON: Duration = Duration::from_millis(250);

    fn next(events: &Receiver<(usize, LinkEvent)>) -> LinkEvent {
        let (link, event) = events.recv_timeout(PATIENCE).expect("an event occurs");
        assert_eq!(link, 7);
        event
    }

    fn receive_bytes(events: &Receiver<(usize, LinkEvent)>, len: usize) -> Vec<u8> {
        let mut received = vec![];
        while received.len() < len {
            match next(events) {
                LinkEvent::Bytes(bytes) => received.extend_from_slice(&bytes),
                other => panic!("{other:?} instead of bytes"),
            }
        }
        received
    }

    /// Serves one connection: answers every byte with its complement.
    fn complement(listener: &TcpListener) -> TcpStream {
        let (stream, _) = listener.accept().unwrap();
        let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        thread::spawn(move || {
            let mut chunk = [0; 100];
            while let Ok(len @ 1..) = reader.read(&mut chunk) {
                let answer: Vec<u8> = chunk[..len].iter().map(|byte| !byte).collect();
                writer.write_all(&answer).unwrap();
            }
        });
        stream
    }

    fn assert_echoes(link: &mut Link, events: &Receiver<(usize, LinkEvent)>) {
        // Around the sizes of USB packets and the longest frame.
        for len in [1, 63, 64, 65, 128, 512] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
            link.write(&bytes, SOON).unwrap();
            let answer: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
            assert_eq!(receive_bytes(events, len), answer, "{len} bytes");
        }
    }

    #[test]
    fn link_reconnects_to_a_restarted_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        for _ in 0..2 {
            let stream = complement(&listener);
            assert_echoes(&mut link, &events);
            stream.shutdown(std::net::Shutdown::Both).unwrap();
            assert!(matches!(next(&events), LinkEvent::Down(_)), "reported once");
            assert_eq!(next(&events), LinkEvent::Up { address: address.clone(), is_guess: false });
        }
    }

    /// A server on a unix socket in a private directory. Unlike a TCP port, its address stays free while it is down.
    struct Server {
        folder: tempfile::TempDir,
        listener: Option<UnixListener>,
    }

    impl Server {
        fn new() -> Self {
            let mut server = Self { folder: tempfile::tempdir().unwrap(), listener: None };
            server.come();
            server
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("server")
        }

        fn address(&self) -> Address {
            Address::Unix(self.path())
        }

        fn come(&mut self) {
            self.listener = Some(UnixListener::bind(self.path()).unwrap());
        }

        /// Closes its connection and stops listening.
        fn leave(&mut self) {
            std::fs::remove_file(self.path()).unwrap();
            drop(self.listener.take().unwrap().accept().unwrap());
        }
    }

    #[test]
    fn write_while_down_fails_with_the_reason() {
        let mut server = Server::new();
        let (sender, events) = channel();
        let mut link = Link::open(7, &server.address(), 115_200, sender).unwrap();
        server.leave();
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        let error = link.write(b"anybody there?", SOON).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        assert_eq!(error.to_string(), GONE);
    }

    #[test]
    fn dropped_link_ends_while_it_reopens() {
        let mut server = Server::new();
        let (sender, events) = channel();
        let link = Link::open(7, &server.address(), 115_200, sender).unwrap();
        server.leave();
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        drop(link);
        assert_eq!(events.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it ends");
    }

    /// Accepts and closes connections forever.
    fn close_loop(listener: TcpListener) {
        thread::spawn(move || listener.incoming().for_each(drop));
    }

    #[test]
    fn link_that_is_lost_at_once_is_reopened_at_growing_intervals() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        close_loop(listener);
        let (sender, events) = channel();
        let start = Instant::now();
        let _link = Link::open(7, &address, 115_200, sender).unwrap();
        let ups = events.iter().filter(|(_, event)| matches!(event, LinkEvent::Up { .. }));
        assert_eq!(ups.take(4).count(), 4);
        // After 0.2, 0.4, 0.8 and 1.6 s, not after 0.2 s each.
        assert!(start.elapsed() >= 15 * BACKOFF_MIN, "{:?}", start.elapsed());
    }

    #[test]
    fn link_that_was_shut_is_reopened_after_its_pause() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let (start, pause) = (Instant::now(), Duration::from_secs(1));
        link.shut(pause);
        assert_eq!(next(&events), LinkEvent::Down("the host has closed it".into()));
        assert_eq!(next(&events), LinkEvent::Up { address, is_guess: false });
        assert!(start.elapsed() >= pause);
    }

    #[test]
    fn requests_on_a_lost_stream_do_not_affect_the_reopened_one() {
        let mut server = Server::new();
        let address = server.address();
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let asks: [fn(&mut Link); 2] = [|link| link.shut(SOON), Link::reject_guess];
        for ask in asks {
            // The server closes before the host does.
            server.leave();
            assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
            ask(&mut link);
            server.come();
            assert_eq!(next(&events), LinkEvent::Up { address: address.clone(), is_guess: false });
            server.leave();
            assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
            assert_eq!(lock(&link.outlet).as_ref().err(), Some(&Closed::lost(GONE.into())));
            server.come();
            assert_eq!(next(&events), LinkEvent::Up { address: address.clone(), is_guess: false });
        }
    }

    #[test]
    fn lost_stream_that_is_shut_is_reopened_after_its_pause() {
        let mut server = Server::new();
        let address = server.address();
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        server.leave();
        assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
        let (start, pause) = (Instant::now(), Duration::from_secs(1));
        link.shut(pause);
        server.come();
        assert_eq!(next(&events), LinkEvent::Up { address, is_guess: false });
        assert!(start.elapsed() >= pause);
    }

    /// Accepts one byte per [`WRITE_POLL`] and counts them.
    struct Drip(Arc<AtomicU32>);

    impl Write for Drip {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            thread::sleep(WRITE_POLL);
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn write_that_is_accepted_byte_by_byte_times_out() {
        let (host, _board) = loopback();
        let (reader, _) = host.into_halves();
        let count = Arc::new(AtomicU32::new(0));
        let (sender, _events) = channel();
        let writer = Box::new(Drip(count.clone()));
        let mut link = Link::attach(7, (reader, writer), sender).unwrap();
        let error = link.write(&[0; 10_000], 20 * WRITE_POLL).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(count.load(Ordering::Relaxed) <= 21, "{count:?} bytes");
    }

    #[test]
    fn unhandled_flood_is_limited_by_the_buffers() {
        let (host, mut board) = loopback();
        let (sender, events) = channel();
        let _link = Link::attach(7, host.into_halves(), sender).unwrap();
        let flood = thread::spawn(move || {
            let full = (0..1000).take_while(|_| board.write_all(&[0; CHUNK_LEN_MAX]).is_ok());
            full.count()
        });
        let held = [(); CHUNKS_MAX].map(|()| next(&events));
        assert!(events.recv_timeout(4 * POLL).is_err(), "no buffer is free");
        assert!(!flood.is_finished(), "the sender is blocked");
        drop(held);
        assert_eq!(receive_bytes(&events, 900 * CHUNK_LEN_MAX).len(), 900 * CHUNK_LEN_MAX);
    }

    /// Receives nothing, slowly.
    struct Slow;

    impl Read for Slow {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            thread::sleep(6 * POLL);
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn many_links_end_at_the_same_time() {
        let (sender, events) = channel();
        let attach = |link| {
            let halves = (Box::new(Slow) as Reader, Box::new(io::sink()) as Writer);
            Link::attach(link, halves, sender.clone())
        };
        let links: Links = (0..256).map(attach).collect::<Result<_, _>>().unwrap();
        drop(sender);
        let start = Instant::now();
        drop(links);
        assert_eq!(events.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "they end");
        let in_turn = 256 * 6 * POLL;
        assert!(start.elapsed() < in_turn, "{:?} of {in_turn:?}", start.elapsed());
    }

    #[test]
    fn link_over_a_loopback_ends_with_the_other_end() {
        let (host, mut board) = loopback();
        let (sender, events) = channel();
        let mut link = Link::attach(7, host.into_halves(), sender).unwrap();
        link.write(b"ping", SOON).unwrap();
        let mut bytes = [0; 4];
        board.read_exact(&mut bytes).unwrap();
        board.write_all(&bytes).unwrap();
        assert_eq!(receive_bytes(&events, 4), b"ping");
        drop(board);
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        assert_eq!(events.recv(), Err(std::sync::mpsc::RecvError), "the thread has ended");
    }

    #[test]
    fn failed_write_takes_the_link_down() {
        let (host, board) = loopback();
        let (sender, events) = channel();
        let mut link = Link::attach(7, host.into_halves(), sender).unwrap();
        let End { incoming, outgoing } = board;
        drop(incoming);
        assert_eq!(link.write(b"ping", SOON).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(matches!(next(&events), LinkEvent::Down(_)), "although reading still works");
        drop(outgoing);
    }

    #[test]
    fn serial_port_carries_every_byte_and_reports_its_end() {
        use serialport::SerialPort;
        let (mut master, slave) = serialport::TTYPort::pair().unwrap();
        let (sender, events) = channel();
        let address = Address::Serial(slave.name().unwrap());
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let every: Vec<u8> = (0..=255).cycle().take(512).collect();
        for len in [1, 63, 64, 65, 128, 256, 512] {
            link.write(&every[..len], SOON).unwrap();
            let mut received = vec![0; len];
            master.read_exact(&mut received).unwrap();
            master.write_all(&received).unwrap();
            assert_eq!(receive_bytes(&events, len), every[..len]);
        }
        // The port stays open here, so that its name is not reused and opened in its place.
        drop(master);
        assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
    }

    #[test]
    fn serial_port_that_comes_back_is_reopened() {
        use serialport::{SerialPort, TTYPort};
        let directory = tempfile::tempdir().unwrap();
        // A stable name with a changing target, as in /dev/serial/by-id.
        let name = directory.path().join("board");
        let plug_in = || {
            let (board, port) = TTYPort::pair().unwrap();
            std::os::unix::fs::symlink(port.name().unwrap(), &name).unwrap();
            (board, port)
        };
        let (sender, events) = channel();
        let (board, port) = plug_in();
        let address = Address::Serial(name.to_str().unwrap().into());
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        std::fs::remove_file(&name).unwrap();
        drop((board, port));
        assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
        let (mut board, _port) = plug_in();
        assert_eq!(next(&events), LinkEvent::Up { address, is_guess: false });
        link.write(b"here I am", SOON).unwrap();
        let mut received = [0; 9];
        board.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"here I am");
    }

    /// Ports that a test plugs in and unplugs.
    #[derive(Clone, Default)]
    struct Hub {
        ports: Arc<Mutex<Vec<String>>>,
        listings: Arc<AtomicU32>,
    }

    impl Hub {
        fn rediscovery(&self) -> Arc<Rediscovery> {
            use serialport::{SerialPortInfo, SerialPortType::Unknown};
            let hub = self.clone();
            let info =
                |port: &String| SerialPortInfo { port_name: port.clone(), port_type: Unknown };
            Arc::new(Rediscovery::over(move || {
                let listed = hub.ports.lock().unwrap().iter().map(info).collect();
                hub.listings.fetch_add(1, Ordering::Relaxed);
                listed
            }))
        }

        fn plug_in(&self, (.., address): &Plug) {
            self.ports.lock().unwrap().push(address.to_string());
        }

        /// Unplugs a port. The returned value keeps its name from being reused by another test.
        fn pull(&self, (board, port, address): Plug) -> serialport::TTYPort {
            self.ports.lock().unwrap().retain(|name| *name != address.to_string());
            self.listings.store(0, Ordering::Relaxed);
            drop(board);
            port
        }

        /// Waits until the ports have been listed `count` times since one was unplugged.
        fn wait_for_listings(&self, count: u32) {
            while self.listings.load(Ordering::Relaxed) < count {
                thread::sleep(POLL);
            }
        }
    }

    /// A board, its port, and the port's address.
    type Plug = (serialport::TTYPort, serialport::TTYPort, Address);

    fn plug() -> Plug {
        let (board, port) = serialport::TTYPort::pair().unwrap();
        let name = serialport::SerialPort::name(&port).unwrap();
        (board, port, Address::Serial(name))
    }

    #[test]
    fn lost_serial_port_is_found_under_a_new_name() {
        let hub = Hub::default();
        let [bystander, board, neighbour, wrong, mut right] = [(); 5].map(|()| plug());
        [&bystander, &board, &neighbour].into_iter().for_each(|plug| hub.plug_in(plug));
        let rediscovery = hub.rediscovery();
        let (sender, events) = channel();
        let mut link = Link::open_with(&rediscovery, 7, &board.2, 115_200, sender.clone()).unwrap();
        let _other = Link::open_with(&rediscovery, 8, &neighbour.2, 115_200, sender).unwrap();
        let _name = hub.pull(board);
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        // It takes neither a port that existed before nor one of another link.
        hub.wait_for_listings(3);
        hub.plug_in(&wrong);
        assert_eq!(next(&events), LinkEvent::Up { address: wrong.2.clone(), is_guess: true });
        link.reject_guess();
        assert_eq!(next(&events), LinkEvent::Down("no board of this run is there".into()));
        hub.plug_in(&right);
        assert_eq!(next(&events), LinkEvent::Up { address: right.2.clone(), is_guess: true });
        link.write(b"here I am", SOON).unwrap();
        let mut received = [0; 9];
        right.0.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"here I am");
    }

    #[test]
    fn write_to_a_full_port_times_out_and_the_link_stays_up() {
        use serialport::SerialPort;
        let (mut master, slave) = serialport::TTYPort::pair().unwrap();
        let (sender, events) = channel();
        let address = Address::Serial(slave.name().unwrap());
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let error = (0..1000).find_map(|_| link.write(&[0x55; 4096], SOON).err());
        assert_eq!(
            error.expect("the buffer is smaller than four megabytes").kind(),
            io::ErrorKind::TimedOut
        );
        master.write_all(b"sorry").unwrap();
        assert_eq!(receive_bytes(&events, 5), b"sorry");
    }
}
