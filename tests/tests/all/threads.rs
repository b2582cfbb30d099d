//! Workers in threads of this process, on socket pairs and on pseudo-terminals.

use embedded_io_adapters::std::FromStd;
use smidgen::run::experiment::Experiment;
use smidgen::world::World;
use smidgen::world::driver::Driver;
use smidgen::world::transport::{Address, Links, Rediscovery};
use smidgen_aggregator::Event;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_tests::conformance::{FEW_DIGITS, experiment, run, simulated, transcripts};
use smidgen_tests::pty::{self, Port};
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Words of memory of a worker, as on a small board.
const MEMORY_LEN: usize = 1 << 12;

/// Starts a worker in a thread that ends with its line.
fn start(index: usize, line: impl Read + Write + Send + 'static) {
    thread::spawn(move || {
        let board = Board { name: "thread", identity: index as u64 + 1 };
        let mut worker = Worker::new::<Objectives>(board, vec![0; MEMORY_LEN]);
        // It ends when the host closes the line, with or without an error.
        let _ = serve(&mut FromStd::new(line), &mut worker, &mut Objectives, &mut ());
    });
}

fn assert_conforms(experiment: &Experiment, driver: Driver) {
    let mut driver = driver.with_objective(experiment.objective().expect("the host has the rows"));
    let rounds = run(experiment, &mut driver).unwrap_or_else(|error| panic!("{error}"));
    let simulated = simulated(experiment);
    assert_eq!(transcripts(&rounds), transcripts(&simulated));
    for (real, model) in rounds.iter().zip(&simulated) {
        let (f64s, fixed) = (real.gradient_norm_squared, model.gradient_norm_squared);
        let (Some(f64s), Some(fixed)) = (f64s, fixed) else { panic!("both know the gradient") };
        assert!((f64s / fixed - 1.0).abs() < 1e-5, "round {}: {f64s} and {fixed}", real.round);
    }
    let identities = [0, 1, 2, 3].map(|worker| driver.aggregator().identity(worker).cloned());
    assert_eq!(identities.map(|identity| identity.map_or(0, |it| it.identity)), [1, 2, 3, 4]);
}

#[test]
fn workers_on_socket_pairs_conform() {
    let experiment = experiment(FEW_DIGITS);
    let mut links = Links::new().unwrap_or_else(|error| panic!("{error}"));
    for index in 0..4 {
        let (host, board) = UnixStream::pair().expect("there is room");
        start(index, board);
        links.attach(host).unwrap_or_else(|error| panic!("{error}"));
    }
    let places = (1..=4).map(|n| format!("socket {n}")).collect();
    assert_conforms(&experiment, Driver::new(experiment.setup.clone(), links, places));
}

#[test]
fn workers_on_pseudo_terminals_conform() {
    use smidgen_tests::pty::pair;
    let experiment = experiment(FEW_DIGITS);
    let mut links = Links::new().unwrap_or_else(|error| panic!("{error}"));
    let (mut ports, mut places) = (Vec::new(), Vec::new());
    for index in 0..4 {
        let (board, port) = pair();
        start(index, board);
        let address = port.address();
        links.open(&address, 115_200).unwrap_or_else(|error| panic!("{error}"));
        places.push(address.to_string());
        ports.push(port);
    }
    assert_conforms(&experiment, Driver::new(experiment.setup.clone(), links, places));
}

/// A line that notes how long its board waits from each answer to the next request.
struct Watched {
    line: TcpStream,
    answered: Instant,
    waits: Arc<Mutex<Vec<Duration>>>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.line.read(buffer)?;
        self.waits.lock().unwrap().push(self.answered.elapsed());
        Ok(len)
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answered = Instant::now();
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

/// Neither a turn of the loop, which is up to 100 ms, nor Nagle's algorithm, which is 40 ms, holds up a request.
#[test]
fn the_next_round_leaves_as_soon_as_the_last_update_is_there() {
    let experiment = experiment(FEW_DIGITS);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = Address::Tcp(listener.local_addr().expect("it has an address").to_string());
    let waits = Arc::new(Mutex::new(Vec::new()));
    let mut links = Links::new().unwrap_or_else(|error| panic!("{error}"));
    for index in 0..4 {
        links.open(&address, 115_200).unwrap_or_else(|error| panic!("{error}"));
        let (line, _) = listener.accept().expect("the host has connected");
        line.set_nodelay(true).expect("a socket has it");
        start(index, Watched { line, answered: Instant::now(), waits: waits.clone() });
    }
    let places = (1..=4).map(|n| format!("socket {n}")).collect();
    let mut driver = Driver::new(experiment.setup.clone(), links, places);
    run(&experiment, &mut driver).unwrap_or_else(|error| panic!("{error}"));
    let mut waits = waits.lock().unwrap().clone();
    waits.sort_unstable();
    let median = waits[waits.len() / 2];
    assert!(waits.len() >= 200, "{} requests", waits.len());
    assert!(median < Duration::from_millis(10), "{median:?}");
}

/// A line that ends when it is unplugged.
struct Cable {
    line: smidgen_tests::pty::Board,
    pulled: Arc<AtomicBool>,
}

impl Read for Cable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.line.read(buffer)?;
        Ok(if self.pulled.load(Relaxed) { 0 } else { len })
    }
}

impl Write for Cable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

/// Serial ports that come and go.
#[derive(Clone, Default)]
struct Hub {
    names: Arc<Mutex<Vec<String>>>,
    /// Threads of links that have listed the ports since one was unplugged.
    seekers: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Hub {
    fn rediscovery(&self) -> Arc<Rediscovery> {
        use serialport::{SerialPortInfo, SerialPortType::Unknown};
        let hub = self.clone();
        let info = |name: &String| SerialPortInfo { port_name: name.clone(), port_type: Unknown };
        Arc::new(Rediscovery::over(move || {
            let listed = hub.names.lock().unwrap().iter().map(info).collect();
            hub.seekers.lock().unwrap().insert(thread::current().id());
            listed
        }))
    }

    /// Plugs in a board of this index; returns a flag that unplugs it, and its port.
    fn plug_in(&self, index: usize, (line, port): (pty::Board, Port)) -> (Arc<AtomicBool>, Port) {
        let pulled = Arc::new(AtomicBool::new(false));
        start(index, Cable { line, pulled: pulled.clone() });
        self.names.lock().unwrap().push(port.address().to_string());
        (pulled, port)
    }

    /// Unplugs a board. The returned port keeps its name from being reused.
    fn pull(&self, (pulled, port): (Arc<AtomicBool>, Port)) -> Port {
        self.names.lock().unwrap().retain(|name| *name != port.address().to_string());
        self.seekers.lock().unwrap().clear();
        pulled.store(true, Relaxed);
        port
    }
}

/// Two boards are unplugged during a run, and return restarted, in the other order and at ports with other names.
#[test]
fn boards_that_return_at_other_ports_are_told_apart() {
    let experiment = experiment(FEW_DIGITS);
    let hub = Hub::default();
    let mut links = Links::with(hub.rediscovery()).unwrap_or_else(|error| panic!("{error}"));
    let mut ports: Vec<_> = (0..4).map(|index| hub.plug_in(index, pty::pair())).collect();
    let addresses: Vec<_> = ports.iter().map(|(_, port)| port.address()).collect();
    for address in &addresses {
        links.open(address, 115_200).unwrap_or_else(|error| panic!("{error}"));
    }
    let (put_back, _those_put_back) = channel();
    let mut names = vec![];
    let places = addresses.iter().map(ToString::to_string).collect();
    let mut driver = Driver::new(experiment.setup.clone(), links, places);
    let (mut so_far, mut notes) = (vec![], String::new());
    loop {
        let event = driver.next_event().unwrap_or_else(|error| panic!("{error}"));
        notes.extend(std::iter::from_fn(|| driver.poll_note()).map(|note| note + "\n"));
        match event {
            Event::Closed(closed) => {
                so_far.push(format!("{:016x}", closed.transcript));
                if closed.round == 10 {
                    names.extend(ports.drain(1..3).map(|port| hub.pull(port)));
                    let (hub, lines) = (hub.clone(), [(2, pty::pair()), (1, pty::pair())]);
                    let put_back = put_back.clone();
                    thread::spawn(move || {
                        // Both links must first have listed the ports without them.
                        while hub.seekers.lock().unwrap().len() < 2 {
                            thread::sleep(Duration::from_millis(10));
                        }
                        let ports = lines.map(|(index, line)| hub.plug_in(index, line));
                        put_back.send(ports).expect("the test has not ended");
                    });
                }
                match closed.round < experiment.options().rounds {
                    true => driver.aggregator().proceed(),
                    false => driver.aggregator().finish(),
                }
            }
            Event::Failed(failure) => panic!("{failure}"),
            Event::Finished(_) => break,
            _ => {}
        }
    }
    assert_eq!(so_far, transcripts(&simulated(&experiment)));
    for port in &addresses[1..3] {
        assert!(notes.contains(&format!("{port} is gone")), "{notes}");
        assert!(
            notes.contains(&format!("has appeared: asking whether {port} is there")),
            "{notes}"
        );
    }
}
