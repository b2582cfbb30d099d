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

/// How long a frame may take to be handed to the operating system, whose buffers hold several.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);
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

/// The writing half, or why there is none.
type Outlet = Mutex<Result<Writer, String>>;

/// How a stream that is given up is opened again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reopening {
    /// As one that was lost.
    #[default]
    AsLost,
    /// Elsewhere: what was found is not the right one.
    Elsewhere,
    /// Not before this time has passed.
    After(Duration),
}

/// A byte stream to one board that outlives unplugged cables and restarted servers.
///
/// It is up when it is made. From then on its thread sends what happens to `events`, with the number of the
/// link; each [`LinkEvent::Down`] comes once, and an [`LinkEvent::Up`] before the next one. A serial port that comes back under
/// another name is found by a [`Lookout`]. Dropping the link ends the thread and closes the stream.
pub struct Link {
    outlet: Arc<Outlet>,
    reopening: Arc<Mutex<Reopening>>,
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
        let reopening = Arc::new(Mutex::default());
        let (stop, stopped) = channel();
        let (ending, ended) = channel::<()>();
        let shared = (outlet.clone(), reopening.clone());
        let listener = Listener::new(link, shared, search, events, stopped);
        let listen = move || {
            // Dropped last and even by a panic: when the link hears of it, the stream is closed.
            let _ending = ending;
            let mut listener = listener;
            listener.run(reader)
        };
        thread::Builder::new().spawn(listen).map_err(TransportError::NoThread)?;
        Ok(Self { outlet, reopening, clogged: false, stop: Some(stop), ended: Some(ended) })
    }

    /// Hands `bytes` to the operating system, waiting a quarter of a second at most, and not at all if the other end was slow to
    /// take what came before: a board that reads nothing must not hold up the others.
    ///
    /// # Errors
    /// `NotConnected` while the link is down. `TimedOut` if the other end does not take the bytes: some may have
    /// gone out, the link stays up, and the receiver will find a damaged frame. Any other error takes the link
    /// down, as [`LinkEvent::Down`] will tell.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outlet = lock(&self.outlet);
        let writer = outlet
            .as_mut()
            .map_err(|reason| io::Error::new(io::ErrorKind::NotConnected, reason.clone()))?;
        let started = Instant::now();
        let patience = if self.clogged { Duration::ZERO } else { WRITE_TIMEOUT };
        let result = write_all(writer, bytes, started + patience);
        self.clogged = result.is_err() || started.elapsed() > WRITE_TIMEOUT / 4;
        if let Err(error) = result.as_ref()
            && !is_not_yet(error)
        {
            *outlet = Err(error.to_string());
        }
        result
    }

    /// Gives up the stream that was found, for a [guess](LinkEvent::Up) that was wrong, and looks on.
    pub fn look_elsewhere(&mut self) {
        self.give_up(Reopening::Elsewhere, "no board of this run is there");
    }

    /// Closes the stream, and opens it again after `pause` at the earliest.
    pub fn shut(&mut self, pause: Duration) {
        self.give_up(Reopening::After(pause), "the host has closed it");
    }

    fn give_up(&mut self, reopening: Reopening, reason: &str) {
        *self.reopening.lock().expect("nobody panics while writing") = reopening;
        *lock(&self.outlet) = Err(reason.into());
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

fn lock(outlet: &Outlet) -> MutexGuard<'_, Result<Writer, String>> {
    outlet.lock().expect("nobody panics while writing")
}

fn write_all(writer: &mut Writer, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if !is_not_yet(&error) => return Err(error),
            Err(_) if Instant::now() > deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the other end takes no bytes",
                ));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// The thread's side of a [`Link`].
struct Listener {
    link: usize,
    outlet: Arc<Outlet>,
    reopening: Arc<Mutex<Reopening>>,
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
        (outlet, reopening): (Arc<Outlet>, Arc<Mutex<Reopening>>),
        search: Option<Search>,
        events: Sender<(usize, LinkEvent)>,
        stopped: Receiver<()>,
    ) -> Self {
        let (home, buffers) = channel();
        for _ in 0..CHUNKS_MAX {
            home.send(vec![0; CHUNK_LEN_MAX]).expect("the other half is here");
        }
        let pace = REOPEN_PACE_MIN;
        Self { link, outlet, reopening, search, events, stopped, buffers, home, pace }
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
            *lock(&self.outlet) = Err(reason.clone());
            self.report(LinkEvent::Down(reason))?;
            let Found { halves, address, is_guess } = self.open_again()?;
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
                && let Err(reason) = &*outlet
            {
                return Some(reason.clone());
            }
        }
        None
    }

    fn open_again(&mut self) -> Option<Found> {
        let search = self.search.as_mut()?;
        let reopening =
            mem::take(&mut *self.reopening.lock().expect("nobody panics while writing"));
        let mut wait = self.pace;
        match reopening {
            Reopening::AsLost => search.lose(),
            Reopening::Elsewhere => search.pass(),
            Reopening::After(pause) => {
                search.lose();
                wait = wait.max(pause);
            }
        }
        while self.stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
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
    use super::super::{End, loopback};
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicU32, Ordering};

    const PATIENCE: Duration = Duration::from_secs(10);

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
            link.write(&bytes).unwrap();
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

    #[test]
    fn a_write_while_down_says_why_and_does_not_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (sender, events) = channel();
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        // Server and connection end, and nobody listens any more.
        drop((listener.accept().unwrap(), listener));
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        let error = link.write(b"anybody there?").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        assert_eq!(error.to_string(), GONE);
    }

    #[test]
    fn a_link_that_is_dropped_ends_at_once_even_while_it_tries_to_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (sender, events) = channel();
        let link = Link::open(7, &address, 115_200, sender).unwrap();
        drop((listener.accept().unwrap(), listener));
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        let start = Instant::now();
        drop(link);
        assert!(start.elapsed() < END_TIMEOUT, "the thread ends before its time is up");
        assert_eq!(events.recv(), Err(std::sync::mpsc::RecvError), "the thread is gone");
    }

    /// Accepts and closes, over and over; counts how often.
    fn close_loop(listener: TcpListener) -> Arc<AtomicU32> {
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        count
    }

    #[test]
    fn a_link_that_is_lost_as_soon_as_it_is_up_is_opened_ever_more_slowly() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let count = close_loop(listener);
        let (sender, events) = channel();
        let link = Link::open(7, &address, 115_200, sender).unwrap();
        // After 0.2, 0.6, 1.4, and 3 s, instead of 15 times.
        thread::sleep(Duration::from_secs(3));
        drop(link);
        assert!((2..=5).contains(&count.load(Ordering::Relaxed)), "{count:?}");
        let downs = events.iter().filter(|(_, event)| matches!(event, LinkEvent::Down(_)));
        assert!(downs.count() <= 5);
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

    #[test]
    fn links_end_together_however_many() {
        let (sender, _events) = channel();
        let ends: Vec<_> = (0..256).map(|_| loopback()).collect();
        let mut boards = vec![];
        let attach = |(link, (host, board)): (usize, (End, End))| {
            boards.push(board);
            Link::attach(link, host.into_halves(), sender.clone())
        };
        let links: Links =
            ends.into_iter().enumerate().map(attach).collect::<Result<_, _>>().unwrap();
        assert_eq!(links.len(), 256);
        let ended: Vec<_> = links.0.iter().map(|link| Arc::downgrade(&link.outlet)).collect();
        let start = Instant::now();
        drop(links);
        assert!(ended.iter().all(|outlet| outlet.strong_count() == 0), "a thread lives on");
        // In turn it would be 6 s and more.
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[test]
    fn a_loopback_is_lost_for_good_when_its_end_is_dropped() {
        let (host, mut board) = loopback();
        let (sender, events) = channel();
        let mut link = Link::attach(7, host.into_halves(), sender).unwrap();
        link.write(b"ping").unwrap();
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
        assert_eq!(link.write(b"ping").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(matches!(next(&events), LinkEvent::Down(_)), "though reading still works");
        drop(outgoing);
    }

    #[cfg(unix)]
    #[test]
    fn a_serial_port_carries_every_byte_and_notices_the_end() {
        use serialport::SerialPort;
        let (mut master, slave) = serialport::TTYPort::pair().unwrap();
        let (sender, events) = channel();
        let address = Address::Serial(slave.name().unwrap());
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let every: Vec<u8> = (0..=255).cycle().take(512).collect();
        for len in [1, 63, 64, 65, 128, 256, 512] {
            link.write(&every[..len]).unwrap();
            let mut received = vec![0; len];
            master.read_exact(&mut received).unwrap();
            master.write_all(&received).unwrap();
            assert_eq!(hear_bytes(&events, len), every[..len]);
        }
        drop((master, slave));
        assert_eq!(next(&events), LinkEvent::Down(GONE.into()));
    }

    #[cfg(unix)]
    #[test]
    fn a_serial_port_that_comes_back_is_opened_again() {
        use serialport::{SerialPort, TTYPort};
        let directory = tempfile::tempdir().unwrap();
        // The name that stays while what is behind it changes, as /dev/serial/by-id/… do.
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
        link.write(b"here I am").unwrap();
        let mut received = [0; 9];
        board.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"here I am");
    }

    /// Ports that a test plugs in and pulls.
    #[cfg(unix)]
    #[derive(Clone, Default)]
    struct Hub(Arc<Mutex<Vec<String>>>);

    #[cfg(unix)]
    impl Hub {
        fn lookout(&self) -> Arc<Lookout> {
            use serialport::{SerialPortInfo, SerialPortType::Unknown};
            let ports = self.0.clone();
            let info =
                |port: &String| SerialPortInfo { port_name: port.clone(), port_type: Unknown };
            Arc::new(Lookout::over(move || ports.lock().unwrap().iter().map(info).collect()))
        }

        fn plug_in(&self, (.., address): &Plug) {
            self.0.lock().unwrap().push(address.to_string());
        }

        fn pull(&self, (board, port, address): Plug) {
            self.0.lock().unwrap().retain(|name| *name != address.to_string());
            drop((board, port));
        }
    }

    /// A board, its port, and the name of that.
    #[cfg(unix)]
    type Plug = (serialport::TTYPort, serialport::TTYPort, Address);

    #[cfg(unix)]
    fn plug() -> Plug {
        let (board, port) = serialport::TTYPort::pair().unwrap();
        let name = serialport::SerialPort::name(&port).unwrap();
        (board, port, Address::Serial(name))
    }

    #[cfg(unix)]
    #[test]
    fn a_serial_port_that_is_lost_is_looked_for_where_others_have_appeared() {
        let hub = Hub::default();
        // The names of those that are pulled are given again, so all are there from the beginning.
        let [bystander, board, neighbour, wrong, mut right] = [(); 5].map(|()| plug());
        [&bystander, &board, &neighbour].into_iter().for_each(|plug| hub.plug_in(plug));
        let lookout = hub.lookout();
        let (sender, events) = channel();
        let mut link = lookout.open(7, &board.2, 115_200, sender.clone()).unwrap();
        let _other = lookout.open(8, &neighbour.2, 115_200, sender).unwrap();
        hub.pull(board);
        assert!(matches!(next(&events), LinkEvent::Down(_)));
        // Neither what was there before nor what another link has.
        thread::sleep(2 * REOPEN_PACE_MIN);
        hub.plug_in(&wrong);
        assert_eq!(next(&events), LinkEvent::Up { address: wrong.2.clone(), is_guess: true });
        link.look_elsewhere();
        assert_eq!(next(&events), LinkEvent::Down("no board of this run is there".into()));
        hub.plug_in(&right);
        assert_eq!(next(&events), LinkEvent::Up { address: right.2.clone(), is_guess: true });
        link.write(b"here I am").unwrap();
        let mut received = [0; 9];
        right.0.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"here I am");
    }

    #[cfg(unix)]
    #[test]
    fn a_write_that_nobody_takes_gives_up_and_the_link_stays_up() {
        use serialport::SerialPort;
        let (mut master, slave) = serialport::TTYPort::pair().unwrap();
        let (sender, events) = channel();
        let address = Address::Serial(slave.name().unwrap());
        let mut link = Link::open(7, &address, 115_200, sender).unwrap();
        let error = (0..1000).find_map(|_| link.write(&[0x55; 4096]).err());
        assert_eq!(error.expect("four megabytes fit nowhere").kind(), io::ErrorKind::TimedOut);
        master.write_all(b"sorry").unwrap();
        assert_eq!(hear_bytes(&events, 5), b"sorry");
    }
}
