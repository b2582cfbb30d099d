//! A link to one board: a thread that hears it, and opens again what was lost.

use super::lookout::{Found, Search};
use super::{Address, Lookout, POLL, Reader, TransportError, Writer, is_not_yet};
use std::convert::Infallible;
use std::ops::{Deref, Index, IndexMut};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

/// A frame that the operating system, whose buffers hold several, took longer to take than this met a full one.
const PROMPT_TIME_MAX: Duration = Duration::from_millis(60);
/// How long to wait before the first attempt to open a lost link again; then twice as long each time.
const REOPEN_PACE_MIN: Duration = Duration::from_millis(200);
/// The longest wait between two attempts.
const REOPEN_PACE_MAX: Duration = Duration::from_secs(2);
/// A link that was up for less than this is opened again as slowly as if it had not been up at all.
const UP_TIME_MIN: Duration = Duration::from_secs(2);
/// How long dropped links wait for their threads, which a connection in the making may hold up.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Why a link is lost if the operating system has no better word.
const GONE: &str = "the other end was closed or unplugged";
/// Bytes read at once.
const CHUNK_LEN_MAX: usize = 4096;
/// Chunks of a link that may wait to be handled.
const CHUNKS_MAX: usize = 4;

/// Bytes that came on a link.
///
/// Their buffer goes back to the link when they are dropped. A link has few, and reads on when one is free, so a board that
/// sends too much waits, takes no more than its share of the host's time, and little memory.
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
        // The link may have ended.
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

/// What happens on a link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// These bytes came, in order, cut anywhere.
    Bytes(Chunk),
    /// The link is lost, for this reason; it is being opened again if it can be.
    Down(String),
    /// The link is back. What was on its way is lost, and the board may have been reset.
    Up {
        /// Where it leads now.
        address: Address,
        /// Whether another board may be there, so that [`Link::look_elsewhere`] may be needed.
        is_guess: bool,
    },
}

/// The writing half, or why there is none. What is asked of a closed stream ends with it: opening puts a writer in its place.
type Outlet = Mutex<Result<Writer, Closed>>;

/// A stream that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Closed {
    reason: String,
    /// It was not the right one.
    is_wrong: bool,
    /// When it may be opened again at the earliest.
    not_before: Option<Instant>,
}

impl Closed {
    fn lost(reason: String) -> Self {
        Self { reason, is_wrong: false, not_before: None }
    }
}

/// A byte stream to one board that outlives unplugged cables and restarted servers.
///
/// It is up when it is made. From then on its thread sends what happens to `events`, with the number of the
/// link; each [`LinkEvent::Down`] comes once, and an [`LinkEvent::Up`] before the next one. A serial port that comes back under
/// another name is found by a [`Lookout`]. Dropping the link ends the thread and closes the stream.
pub struct Link {
    outlet: Arc<Outlet>,
    /// The other end was slow to take the last frame: the next one is not waited for.
    clogged: bool,
    /// Dropped to tell the thread to end.
    stop: Option<Sender<()>>,
    /// Disconnected when the thread has ended; none once that was waited for.
    ended: Option<Receiver<()>>,
}

impl Link {
    /// Opens `address` as [`open`](super::open) does, and keeps it open.
    ///
    /// # Errors
    /// If it cannot be opened now: a wrong address shall be noticed at the start, not waited for.
    pub fn open(
        link: usize,
        address: &Address,
        baud: u32,
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        Arc::new(Lookout::default()).open(link, address, baud, events)
    }

    /// A link over a stream that is open already and cannot be opened again, such as a
    /// [`loopback`](super::loopback).
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn attach(
        link: usize,
        halves: (Reader, Writer),
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        Self::start(link, halves, None, events)
    }

    pub(super) fn start(
        link: usize,
        (reader, writer): (Reader, Writer),
        search: Option<Search>,
        events: Sender<(usize, LinkEvent)>,
    ) -> Result<Self, TransportError> {
        let outlet = Arc::new(Mutex::new(Ok(writer)));
        let (stop, stopped) = channel();
        let (ending, ended) = channel::<()>();
        let listener = Listener::new(link, outlet.clone(), search, events, stopped);
        let listen = move || {
            // Dropped last and even by a panic: when the link hears of it, the stream is closed.
            let _ending = ending;
            let mut listener = listener;
            listener.run(reader)
        };
        thread::Builder::new().spawn(listen).map_err(TransportError::NoThread)?;
        Ok(Self { outlet, clogged: false, stop: Some(stop), ended: Some(ended) })
    }

    /// Hands `bytes` to the operating system, waiting for `patience` at most, and not at all if the other end was slow to
    /// take what came before: a board that reads nothing must not hold up the others.
    ///
    /// # Errors
    /// `NotConnected` while the link is down. `TimedOut` if the other end does not take the bytes: some may have
    /// gone out, the link stays up, and the receiver will find a damaged frame. Any other error takes the link
    /// down, as [`LinkEvent::Down`] will tell.
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

    /// Gives up the stream that was found, for a [guess](LinkEvent::Up) that was wrong, and looks on.
    pub fn look_elsewhere(&mut self) {
        let mut outlet = lock(&self.outlet);
        // What was lost in the meantime is looked for already.
        if outlet.is_ok() {
            let reason = "no board of this run is there".into();
            *outlet = Err(Closed { is_wrong: true, ..Closed::lost(reason) });
        }
    }

    /// Closes the stream, and opens it again after `pause` at the earliest.
    pub fn shut(&mut self, pause: Duration) {
        let mut outlet = lock(&self.outlet);
        let not_before = Some(Instant::now() + pause);
        match &mut *outlet {
            Ok(_) => {
                let closed = Closed::lost("the host has closed it".into());
                *outlet = Err(Closed { not_before, ..closed });
            }
            // The other end was faster.
            Err(closed) => closed.not_before = not_before,
        }
    }

    fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits for the thread until `deadline`; one that is still connecting ends by itself afterwards.
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

/// The links of a run, whose threads end together.
pub struct Links(Vec<Link>);

impl Links {
    /// Their number.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
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
        // Each thread notices within a read's time; in turn, many would take seconds.
        self.0.iter_mut().for_each(Link::stop);
        let deadline = Instant::now() + END_TIMEOUT;
        self.0.iter_mut().for_each(|link| link.join(deadline));
    }
}

fn lock(outlet: &Outlet) -> MutexGuard<'_, Result<Writer, Closed>> {
    outlet.lock().expect("nobody panics while writing")
}

/// How long it must stay closed from now on.
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
        // One that takes a byte at a time is as slow as one that takes none.
        if !bytes.is_empty() && Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes no bytes"));
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
    /// Free buffers, and where they come back.
    buffers: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    /// How long to wait before the next attempt to open a lost link.
    pace: Duration,
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
            home.send(vec![0; CHUNK_LEN_MAX]).expect("the other half is here");
        }
        let pace = REOPEN_PACE_MIN;
        Self { link, outlet, search, events, stopped, buffers, home, pace }
    }

    /// Hears and reopens. `None` when the link was dropped, nobody wants its events any more, or it was lost
    /// for good.
    fn run(&mut self, mut reader: Reader) -> Option<Infallible> {
        loop {
            let since = Instant::now();
            let reason = self.hear(reader)?;
            if since.elapsed() >= UP_TIME_MIN {
                self.pace = REOPEN_PACE_MIN;
            }
            let Closed { reason, is_wrong, .. } = self.close(reason);
            self.report(LinkEvent::Down(reason))?;
            let Found { halves, address, is_guess } = self.open_again(is_wrong)?;
            let writer;
            (reader, writer) = halves;
            *lock(&self.outlet) = Ok(writer);
            self.report(LinkEvent::Up { address, is_guess })?;
        }
    }

    /// Passes on what comes in, until the link is lost for the reason returned.
    fn hear(&self, mut reader: Reader) -> Option<String> {
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
            // A writer at work holds the lock; what becomes of it can be seen the next time.
            if let Ok(outlet) = self.outlet.try_lock()
                && let Err(closed) = &*outlet
            {
                return Some(closed.reason.clone());
            }
        }
        None
    }

    /// Closes the stream for `reason`, unless it was closed for another one before.
    fn close(&self, reason: String) -> Closed {
        let mut outlet = lock(&self.outlet);
        if outlet.is_ok() {
            *outlet = Err(Closed::lost(reason.clone()));
        }
        outlet.as_ref().err().cloned().unwrap_or_else(|| Closed::lost(reason))
    }

    fn open_again(&mut self, is_wrong: bool) -> Option<Found> {
        let search = self.search.as_mut()?;
        if is_wrong {
            search.pass();
        } else {
            search.lose();
        }
        let mut wait = self.pace;
        while self.stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            // It may have been shut since it was lost.
            wait = pause(&self.outlet);
            if !wait.is_zero() {
                continue;
            }
            self.pace = REOPEN_PACE_MAX.min(2 * self.pace);
            wait = self.pace;
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
        let (link, event) = events.recv_timeout(PATIENCE).expect("something happens on the link");
        assert_eq!(link, 7);
        event
    }

    fn hear_bytes(events: &Receiver<(usize, LinkEvent)>, len: usize) -> Vec<u8> {
        let mut heard = vec![];
        while heard.len() < len {
            match next(events) {
                LinkEvent::Bytes(bytes) => heard.extend_from_slice(&bytes),
                other => panic!("{other:?} instead of bytes"),
            }
        }
        heard
    }

    /// A server that answers every byte with its complement, on its first connection.
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
        // Around the packets of USB and the longest frame.
        for len in [1, 63, 64, 65, 128, 512] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
            link.write(&bytes, SOON).unwrap();
            let answer: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
            assert_eq!(hear_bytes(events, len), answer, "{len} bytes");
        }
    }

    #[test]
    fn a_link_outlives_its_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        for _ in 0..2 {
            let stream = complement(&listener);
            assert_echoes(&mut link, &events);
            stream.shutdown(std::net::Shutdown::Both).unwrap();
            assert!(matches!(next(&events), LinkEvent::Down(_)), "told once");
            assert_eq!(next(&events), LinkEvent::Up { address: address.clone(), is_guess: false });
        }
    }

    /// A server on a unix socket in a private folder: unlike a port, its address stays free while it is away.
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

        /// Ends its connection, and takes no other.
        fn leave(&mut self) {
            std::fs::remove_file(self.path()).unwrap();
            drop(self.listener.take().unwrap().accept().unwrap());
        }
    }

    #[test]
    fn a_write_while_down_says_why_and_does_not_wait() {
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
    fn a_dropped_link_ends_while_it_tries_to_open() {
        let mut server = Server::new();
        let (sender, events) = channel();
        let link = Link::open(7, &server.address(), 115_200, sender).unwrap();
        server.leave();
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        drop(link);
        assert_eq!(events.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it ends");
    }

    /// Accepts and closes, over and over.
    fn close_loop(listener: TcpListener) {
        thread::spawn(move || listener.incoming().for_each(drop));
    }

    #[test]
    fn a_link_lost_at_once_is_opened_ever_more_slowly() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        close_loop(listener);
        let (sender, events) = channel();
        let start = Instant::now();
        let _link = Link::open(7, &address, 115_200, sender).unwrap();
        let ups = events.iter().filter(|(_, event)| matches!(event, LinkEvent::Up { .. }));
        assert_eq!(ups.take(4).count(), 4);
        // After 0.2, 0.4, 0.8 and 1.6 s, instead of 0.2 s each.
        assert!(start.elapsed() >= 15 * REOPEN_PACE_MIN, "{:?}", start.elapsed());
    }

    #[test]
    fn a_link_that_was_shut_is_opened_when_its_pause_is_over() {
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
    fn what_is_asked_of_a_lost_stream_ends_when_it_is_open_again() {
        let mut server = Server::new();
        let address = server.address();
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let asks: [fn(&mut Link); 2] = [|link| link.shut(SOON), Link::look_elsewhere];
        for ask in asks {
            // The peer closes before the host does.
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
    fn a_lost_stream_that_is_shut_opens_after_the_pause() {
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

    /// Takes a byte in each [`WRITE_POLL`]; counts them.
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
    fn a_write_that_is_taken_byte_by_byte_times_out() {
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
    fn a_flood_that_nobody_handles_waits_in_few_buffers() {
        let (host, mut board) = loopback();
        let (sender, events) = channel();
        let _link = Link::attach(7, host.into_halves(), sender).unwrap();
        let flood = thread::spawn(move || {
            let full = (0..1000).take_while(|_| board.write_all(&[0; CHUNK_LEN_MAX]).is_ok());
            full.count()
        });
        let held = [(); CHUNKS_MAX].map(|()| next(&events));
        assert!(events.recv_timeout(4 * POLL).is_err(), "there is no buffer left");
        assert!(!flood.is_finished(), "the sender is held up");
        drop(held);
        assert_eq!(hear_bytes(&events, 900 * CHUNK_LEN_MAX).len(), 900 * CHUNK_LEN_MAX);
    }

    /// Hears nothing, slowly.
    struct Slow;

    impl Read for Slow {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            thread::sleep(6 * POLL);
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn links_end_together_however_many() {
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
    fn a_loopback_is_lost_for_good_when_its_end_is_dropped() {
        let (host, mut board) = loopback();
        let (sender, events) = channel();
        let mut link = Link::attach(7, host.into_halves(), sender).unwrap();
        link.write(b"ping", SOON).unwrap();
        let mut bytes = [0; 4];
        board.read_exact(&mut bytes).unwrap();
        board.write_all(&bytes).unwrap();
        assert_eq!(hear_bytes(&events, 4), b"ping");
        drop(board);
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        assert_eq!(events.recv(), Err(std::sync::mpsc::RecvError), "the thread is gone");
    }

    #[test]
    fn a_failed_write_takes_the_link_down() {
        let (host, board) = loopback();
        let (sender, events) = channel();
        let mut link = Link::attach(7, host.into_halves(), sender).unwrap();
        let End { incoming, outgoing } = board;
        drop(incoming);
        assert_eq!(link.write(b"ping", SOON).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(matches!(next(&events), LinkEvent::Down(_)), "though reading still works");
        drop(outgoing);
    }

    #[test]
    fn a_serial_port_carries_every_byte_and_notices_the_end() {
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
            assert_eq!(hear_bytes(&events, len), every[..len]);
        }
        // The port stays open here, so that no other one gets its name and is opened in its place.
        drop(master);
        assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
    }

    #[test]
    fn a_serial_port_that_comes_back_is_opened_again() {
        use serialport::{SerialPort, TTYPort};
        let directory = tempfile::tempdir().unwrap();
        // A stable name whose target changes, as in /dev/serial/by-id.
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

    /// Ports that a test plugs in and pulls.
    #[derive(Clone, Default)]
    struct Hub {
        ports: Arc<Mutex<Vec<String>>>,
        looks: Arc<AtomicU32>,
    }

    impl Hub {
        fn lookout(&self) -> Arc<Lookout> {
            use serialport::{SerialPortInfo, SerialPortType::Unknown};
            let hub = self.clone();
            let info =
                |port: &String| SerialPortInfo { port_name: port.clone(), port_type: Unknown };
            Arc::new(Lookout::over(move || {
                let listed = hub.ports.lock().unwrap().iter().map(info).collect();
                hub.looks.fetch_add(1, Ordering::Relaxed);
                listed
            }))
        }

        fn plug_in(&self, (.., address): &Plug) {
            self.ports.lock().unwrap().push(address.to_string());
        }

        /// What it returns keeps the name of the port from being given to a port of another test.
        fn pull(&self, (board, port, address): Plug) -> serialport::TTYPort {
            self.ports.lock().unwrap().retain(|name| *name != address.to_string());
            self.looks.store(0, Ordering::Relaxed);
            drop(board);
            port
        }

        /// Waits until somebody has looked as often since a port was pulled.
        fn wait_for_looks(&self, count: u32) {
            while self.looks.load(Ordering::Relaxed) < count {
                thread::sleep(POLL);
            }
        }
    }

    /// A board, its port, and the name of that.
    type Plug = (serialport::TTYPort, serialport::TTYPort, Address);

    fn plug() -> Plug {
        let (board, port) = serialport::TTYPort::pair().unwrap();
        let name = serialport::SerialPort::name(&port).unwrap();
        (board, port, Address::Serial(name))
    }

    #[test]
    fn a_lost_serial_port_is_found_at_a_new_name() {
        let hub = Hub::default();
        let [bystander, board, neighbour, wrong, mut right] = [(); 5].map(|()| plug());
        [&bystander, &board, &neighbour].into_iter().for_each(|plug| hub.plug_in(plug));
        let lookout = hub.lookout();
        let (sender, events) = channel();
        let mut link = lookout.open(7, &board.2, 115_200, sender.clone()).unwrap();
        let _other = lookout.open(8, &neighbour.2, 115_200, sender).unwrap();
        let _name = hub.pull(board);
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        // It takes neither what was there before nor what another link has.
        hub.wait_for_looks(3);
        hub.plug_in(&wrong);
        assert_eq!(next(&events), LinkEvent::Up { address: wrong.2.clone(), is_guess: true });
        link.look_elsewhere();
        assert_eq!(next(&events), LinkEvent::Down("no board of this run is there".into()));
        hub.plug_in(&right);
        assert_eq!(next(&events), LinkEvent::Up { address: right.2.clone(), is_guess: true });
        link.write(b"here I am", SOON).unwrap();
        let mut received = [0; 9];
        right.0.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"here I am");
    }

    #[test]
    fn a_write_that_nobody_takes_gives_up_and_the_link_stays_up() {
        use serialport::SerialPort;
        let (mut master, slave) = serialport::TTYPort::pair().unwrap();
        let (sender, events) = channel();
        let address = Address::Serial(slave.name().unwrap());
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let error = (0..1000).find_map(|_| link.write(&[0x55; 4096], SOON).err());
        assert_eq!(error.expect("four megabytes fit nowhere").kind(), io::ErrorKind::TimedOut);
        master.write_all(b"sorry").unwrap();
        assert_eq!(hear_bytes(&events, 5), b"sorry");
    }
}
