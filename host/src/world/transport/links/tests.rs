//! Links over sockets, socket pairs and pseudo-terminals.

use super::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{iter, thread};

/// Time in which something that is not expected would happen.
const POLL: Duration = Duration::from_millis(50);
/// Time of an attempt to write.
const WRITE_POLL: Duration = Duration::from_millis(5);

const PATIENCE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(250);

/// One link.
fn opened(address: &Address) -> Links {
    let mut links = Links::new().unwrap();
    assert_eq!(links.open(address, 115_200).unwrap(), 0);
    links
}

/// One link over a stream that cannot be reopened.
fn attached(stream: impl Stream + 'static) -> Links {
    let mut links = Links::new().unwrap();
    assert_eq!(links.attach(stream).unwrap(), 0);
    links
}

/// The next event, of the first link.
fn next(links: &mut Links) -> LinkEvent {
    let (link, event) = links.receive(PATIENCE).expect("an event occurs");
    assert_eq!(link, 0);
    event
}

fn receive_bytes(links: &mut Links, len: usize) -> Vec<u8> {
    let mut received = vec![];
    while received.len() < len {
        match next(links) {
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

fn assert_echoes(links: &mut Links) {
    // Around the sizes of USB packets and the longest frame.
    for len in [1, 63, 64, 65, 128, 512] {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
        links.write(0, &bytes, SOON).unwrap();
        let answer: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        assert_eq!(receive_bytes(links, len), answer, "{len} bytes");
    }
}

#[test]
fn link_reconnects_to_a_restarted_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    let mut links = opened(&address);
    for _ in 0..2 {
        let stream = complement(&listener);
        assert_echoes(&mut links);
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(matches!(next(&mut links), LinkEvent::Down(_)), "reported once");
        assert_eq!(next(&mut links), LinkEvent::Up { address: address.clone(), is_guess: false });
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
    let mut links = opened(&server.address());
    server.leave();
    assert!(matches!(next(&mut links), LinkEvent::Down(_)));
    let error = links.write(0, b"anybody there?", SOON).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    assert_eq!(error.to_string(), GONE);
}

#[test]
fn dropped_link_ends_while_it_reopens() {
    let mut server = Server::new();
    let mut links = opened(&server.address());
    links.write(0, b"unread", SOON).unwrap();
    server.leave();
    assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()), "the system says that it was reset");
    let rediscovery = Arc::downgrade(&links.rediscovery);
    drop(links);
    assert_eq!(rediscovery.strong_count(), 0, "its seeker has ended");
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
    let start = Instant::now();
    let mut links = opened(&address);
    let ups = iter::repeat_with(|| next(&mut links));
    let ups = ups.filter(|event| matches!(event, LinkEvent::Up { .. }));
    assert_eq!(ups.take(4).count(), 4);
    // After 0.2, 0.4, 0.8 and 1.6 s, not after 0.2 s each.
    assert!(start.elapsed() >= 15 * BACKOFF_MIN, "{:?}", start.elapsed());
}

#[test]
fn link_that_was_shut_is_reopened_after_its_pause() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    let mut links = opened(&address);
    let (start, pause) = (Instant::now(), Duration::from_secs(1));
    links.shut(0, pause);
    assert_eq!(next(&mut links), LinkEvent::Down("the host has closed it".into()));
    assert_eq!(next(&mut links), LinkEvent::Up { address, is_guess: false });
    assert!(start.elapsed() >= pause);
}

#[test]
fn requests_on_a_lost_stream_do_not_affect_the_reopened_one() {
    let mut server = Server::new();
    let address = server.address();
    let mut links = opened(&address);
    let asks: [fn(&mut Links); 2] = [|links| links.shut(0, SOON), |links| links.reject_guess(0)];
    for ask in asks {
        // The server closes before the host does.
        server.leave();
        assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()));
        ask(&mut links);
        server.come();
        assert_eq!(next(&mut links), LinkEvent::Up { address: address.clone(), is_guess: false });
        server.leave();
        assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()));
        let State::Down(closed) = &links.links[0].state else { panic!("it is down") };
        assert_eq!((closed.reason.as_str(), closed.not_before), (GONE, None));
        server.come();
        assert_eq!(next(&mut links), LinkEvent::Up { address: address.clone(), is_guess: false });
    }
}

#[test]
fn lost_stream_that_is_shut_is_reopened_after_its_pause() {
    let mut server = Server::new();
    let address = server.address();
    let mut links = opened(&address);
    server.leave();
    assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()));
    let (start, pause) = (Instant::now(), Duration::from_secs(1));
    links.shut(0, pause);
    server.come();
    assert_eq!(next(&mut links), LinkEvent::Up { address, is_guess: false });
    assert!(start.elapsed() >= pause);
}

/// Accepts one byte per [`WRITE_POLL`] and counts them.
struct Drip(UnixStream, Arc<AtomicU32>);

impl AsFd for Drip {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Drip {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        thread::sleep(WRITE_POLL);
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn write_that_is_accepted_byte_by_byte_times_out() {
    let (host, _board) = UnixStream::pair().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let mut links = attached(Drip(host, count.clone()));
    let error = links.write(0, &[0; 10_000], 20 * WRITE_POLL).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(count.load(Ordering::Relaxed) <= 21, "{count:?} bytes");
}

#[test]
fn unhandled_flood_is_limited_by_the_buffers() {
    let (host, mut board) = UnixStream::pair().unwrap();
    let mut links = attached(host);
    let flood = thread::spawn(move || {
        let full = (0..1000).take_while(|_| board.write_all(&[0; CHUNK_LEN_MAX]).is_ok());
        full.count()
    });
    let held = [(); 4].map(|()| next(&mut links));
    thread::sleep(4 * POLL);
    assert!(!flood.is_finished(), "the sender is blocked");
    drop(held);
    assert_eq!(receive_bytes(&mut links, 900 * CHUNK_LEN_MAX).len(), 900 * CHUNK_LEN_MAX);
}

#[test]
fn flood_leaves_others_their_turns() {
    let mut links = Links::new().unwrap();
    let mut boards = vec![];
    for _ in 0..3 {
        let (host, board) = UnixStream::pair().unwrap();
        links.attach(host).unwrap();
        boards.push(board);
    }
    let mut flooding = boards[0].try_clone().unwrap();
    let flood = thread::spawn(move || while flooding.write_all(&[0; CHUNK_LEN_MAX]).is_ok() {});
    // The flood is there before the others speak.
    assert_eq!(next(&mut links), LinkEvent::Bytes(vec![0; CHUNK_LEN_MAX]));
    boards[1..].iter_mut().for_each(|board| board.write_all(b"me too").unwrap());
    for _ in 0..2 {
        links.wait(PATIENCE);
        let turns = iter::from_fn(|| links.next_event()).take(4);
        let heard: Vec<usize> = turns.map(|(link, _)| link).collect();
        if heard.contains(&1) && heard.contains(&2) {
            drop(links);
            return flood.join().unwrap();
        }
    }
    panic!("the others are not heard");
}

/// More links than a computer has processors, all lost at the same time.
#[test]
fn many_links_end_at_the_same_time() {
    let server = Server::new();
    let mut links = Links::new().unwrap();
    for _ in 0..64 {
        links.open(&server.address(), 115_200).unwrap();
    }
    drop(server);
    for _ in 0..64 {
        let event = links.receive(PATIENCE).map(|(_, event)| event);
        assert_eq!(event, Some(LinkEvent::Down(GONE.into())));
    }
    let rediscovery = Arc::downgrade(&links.rediscovery);
    let start = Instant::now();
    drop(links);
    assert_eq!(rediscovery.strong_count(), 0, "they end");
    let in_turn = 64 * BACKOFF_MIN;
    assert!(start.elapsed() < in_turn, "{:?} of {in_turn:?}", start.elapsed());
}

#[test]
fn link_over_a_socket_pair_ends_with_the_other_end() {
    let (host, mut board) = UnixStream::pair().unwrap();
    let mut links = attached(host);
    links.write(0, b"ping", SOON).unwrap();
    let mut bytes = [0; 4];
    board.read_exact(&mut bytes).unwrap();
    board.write_all(&bytes).unwrap();
    assert_eq!(receive_bytes(&mut links, 4), b"ping");
    drop(board);
    assert!(matches!(next(&mut links), LinkEvent::Down(_)));
    assert_eq!(links.receive(2 * BACKOFF_MIN), None, "nothing reopens it");
}

#[test]
fn failed_write_takes_the_link_down() {
    let (host, board) = UnixStream::pair().unwrap();
    let mut links = attached(host);
    board.shutdown(Shutdown::Read).unwrap();
    assert_eq!(links.write(0, b"ping", SOON).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()), "although reading still works");
}

#[test]
fn serial_port_carries_every_byte_and_reports_its_end() {
    use serialport::SerialPort;
    let (mut master, slave) = serialport::TTYPort::pair().unwrap();
    let address = Address::Serial(slave.name().unwrap());
    let mut links = opened(&address);
    let every: Vec<u8> = (0..=255).cycle().take(512).collect();
    for len in [1, 63, 64, 65, 128, 256, 512] {
        links.write(0, &every[..len], SOON).unwrap();
        let mut received = vec![0; len];
        master.read_exact(&mut received).unwrap();
        master.write_all(&received).unwrap();
        assert_eq!(receive_bytes(&mut links, len), every[..len]);
    }
    // The port stays open here, so that its name is not reused and opened in its place.
    drop(master);
    assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()));
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
    let (board, port) = plug_in();
    let address = Address::Serial(name.to_str().unwrap().into());
    let mut links = opened(&address);
    std::fs::remove_file(&name).unwrap();
    drop((board, port));
    assert_eq!(next(&mut links), LinkEvent::Down(GONE.into()));
    let (mut board, _port) = plug_in();
    assert_eq!(next(&mut links), LinkEvent::Up { address, is_guess: false });
    links.write(0, b"here I am", SOON).unwrap();
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
        let info = |port: &String| SerialPortInfo { port_name: port.clone(), port_type: Unknown };
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
    let mut links = Links::with(rediscovery).unwrap();
    links.open(&board.2, 115_200).unwrap();
    links.open(&neighbour.2, 115_200).unwrap();
    let _name = hub.pull(board);
    assert!(matches!(next(&mut links), LinkEvent::Down(_)));
    // It takes neither a port that existed before nor one of another link.
    hub.wait_for_listings(3);
    hub.plug_in(&wrong);
    assert_eq!(next(&mut links), LinkEvent::Up { address: wrong.2.clone(), is_guess: true });
    links.reject_guess(0);
    assert_eq!(next(&mut links), LinkEvent::Down("no board of this run is there".into()));
    hub.plug_in(&right);
    assert_eq!(next(&mut links), LinkEvent::Up { address: right.2.clone(), is_guess: true });
    links.write(0, b"here I am", SOON).unwrap();
    let mut received = [0; 9];
    right.0.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"here I am");
}

#[test]
fn write_to_a_full_port_times_out_and_the_link_stays_up() {
    use serialport::SerialPort;
    let (mut master, slave) = serialport::TTYPort::pair().unwrap();
    let address = Address::Serial(slave.name().unwrap());
    let mut links = opened(&address);
    let error = (0..1000).find_map(|_| links.write(0, &[0x55; 4096], SOON).err());
    assert_eq!(
        error.expect("the buffer is smaller than four megabytes").kind(),
        io::ErrorKind::TimedOut
    );
    master.write_all(b"sorry").unwrap();
    assert_eq!(receive_bytes(&mut links, 5), b"sorry");
}
