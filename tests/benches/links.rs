//! Measures what a round of a worker costs the host over real links, with fleets of several sizes.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench links
//! ```
//!
//! The boards are threads of another process, so their time is not counted. Each fleet gets a fresh host process, which
//! this program starts too. Machines are shared and noisy: time on the processor is measured, and the best of several
//! runs counts. Linux only: memory and threads are read from `/proc`. 1024 boards need a limit of 1100 open files
//! (`ulimit -n`) and as many threads.

use embedded_io_adapters::std::FromStd;
use smidgen::world::World;
use smidgen::world::transport::Address;
use smidgen_aggregator::Event;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_tests::conformance::experiment;
use smidgen_tests::fleet::{processor_us, rows};
use smidgen_tests::pty;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{array, env, fs, thread};

/// Kinds of links, and how many.
const FLEETS: [(&str, usize); 9] = [
    ("tcp", 2),
    ("tcp", 8),
    ("tcp", 64),
    ("tcp", 256),
    ("tcp", 1024),
    ("unix", 8),
    ("unix", 64),
    ("tty", 8),
    ("tty", 64),
];
/// Rounds of all workers that are measured.
const WORKER_ROUNDS: usize = 51_200;
/// Most rounds: a single link waits for its board most of the time.
const ROUNDS_MAX: usize = 6400;
/// Rounds before those, in which time-outs and buffers reach their size.
const FIRST_ROUNDS: usize = 10;
const RUNS: u32 = 3;
/// Words of memory of a worker.
const MEMORY_LEN: usize = 1 << 9;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["boards", kind, count] => boards(kind, count.parse().expect("it is a number")),
        ["host", kind, count] => host(kind, count.parse().expect("it is a number")),
        _ => table(),
    }
}

fn table() {
    println!(
        "| links | µs a worker-round | rounds a second | kB a board | threads | µs to the next round |"
    );
    println!("|---|---|---|---|---|---|");
    for (kind, count) in FLEETS {
        let runs = (0..RUNS).map(|_| figures(kind, count));
        let best = runs.min_by(|one, other| one[0].total_cmp(&other[0]));
        let [us, rounds, kilobytes, threads, delay] = best.expect("there are runs");
        println!(
            "| {count} {kind} | {us:.1} | {rounds:.0} | {kilobytes:.1} | {threads:.0} | {delay:.0} |"
        );
    }
}

/// Figures of a run in a process of its own.
fn figures(kind: &str, count: usize) -> [f64; 5] {
    let program = env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["host", kind, &count.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("it starts");
    let text = String::from_utf8(output.stdout).expect("it prints numbers");
    let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
    array::from_fn(|_| numbers.next().expect("five numbers"))
}

/// Runs the host of a fleet, and prints its figures.
fn host(kind: &str, count: usize) {
    let program = env::current_exe().expect("this program has a path");
    let mut fleet = Command::new(program)
        .args(["boards", kind, &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(fleet.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().expect("a line").expect("it is text");
    let addresses: Vec<Address> =
        (0..count).map(|_| line().parse().expect("it is an address")).collect();

    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().join("rows");
    fs::write(&data, rows(count)).expect("there is room");
    let path = data.to_str().expect("the path is text");
    let measured = (WORKER_ROUNDS / count).min(ROUNDS_MAX);
    let rounds = FIRST_ROUNDS + measured;
    let options = format!("--dataset {path} --workers {count} --k 1 --step 0.1 --rounds {rounds}");
    let experiment = experiment(&options);

    let memory = status("VmRSS:");
    let names = addresses.iter().map(ToString::to_string).collect();
    let mut driver = experiment.driver(&addresses, names).unwrap_or_else(|error| panic!("{error}"));
    let (mut start, mut spent) = ((0.0, Instant::now()), (0.0, Duration::ZERO));
    loop {
        match driver.next_event().unwrap_or_else(|error| panic!("{error}")) {
            Event::Closed(closed) if closed.round as usize == rounds => {
                spent = (processor_us() - start.0, start.1.elapsed());
                driver.aggregator().finish();
            }
            Event::Closed(closed) => {
                if closed.round as usize == FIRST_ROUNDS {
                    start = (processor_us(), Instant::now());
                }
                driver.aggregator().proceed();
            }
            Event::Failed(failure) => panic!("{failure}"),
            Event::Finished(_) => break,
            _ => {}
        }
    }
    let kilobytes = (status("VmRSS:") - memory) / count as f64;
    let threads = status("Threads:");
    drop(driver);
    drop(fleet.stdin.take());
    let delay = line();
    fleet.wait().expect("it ends");
    let us = spent.0 / (measured * count) as f64;
    let rate = measured as f64 / spent.1.as_secs_f64();
    println!("{us} {rate} {kilobytes} {threads} {delay}");
}

/// A figure of this process.
fn status(name: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
    let number = line.split_whitespace().next().expect("there is a number");
    number.parse().expect("it is a number")
}

/// Serves `count` boards, whose addresses it prints. After the end of its input it prints the median time from the last
/// update of a round to the first request of the next.
fn boards(kind: &str, count: usize) {
    let folder = tempfile::tempdir().expect("there is room");
    let (threads, started) = channel();
    match kind {
        "tcp" => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
            // As many as the host connects to before the first is accepted.
            rustix::net::listen(&listener, count as i32).expect("it can wait for more");
            let address = listener.local_addr().expect("it has an address");
            (0..count).for_each(|_| println!("tcp:{address}"));
            accept(threads, move || {
                let stream = listener.accept()?.0;
                stream.set_nodelay(true)?;
                Ok(stream)
            });
        }
        "unix" => {
            let path = folder.path().join("boards");
            let listener = UnixListener::bind(&path).expect("there is room");
            (0..count).for_each(|_| println!("unix:{}", path.to_str().expect("the path is text")));
            accept(threads, move || Ok(listener.accept()?.0));
        }
        _ => {
            for index in 0..count {
                let (line, port) = pty::pair();
                println!("{}", port.address());
                let sent = threads.send((start(index, line), Some(port)));
                sent.expect("the receiver exists");
            }
        }
    }
    io::stdin().read_to_end(&mut vec![]).expect("the host closes it");
    let join = |(thread, port): Started| {
        drop(port);
        thread.join().expect("it does not panic")
    };
    let turns: Vec<_> = started.try_iter().map(join).collect();
    println!("{}", median_delay(&turns).as_secs_f64() * 1e6);
}

/// A board, and what keeps its line open.
type Started = (JoinHandle<Vec<Turn>>, Option<pty::Port>);

/// Starts a board for each connection.
fn accept<S: Read + Write + Send + 'static>(
    threads: Sender<Started>,
    mut next: impl FnMut() -> io::Result<S> + Send + 'static,
) {
    thread::spawn(move || {
        for index in 0.. {
            let stream = next().expect("the host connects");
            // The bench may be over.
            let _ = threads.send((start(index, stream), None));
        }
    });
}

fn start(index: usize, line: impl Read + Write + Send + 'static) -> JoinHandle<Vec<Turn>> {
    thread::spawn(move || {
        let board = Board { name: "thread", identity: index as u64 + 1 };
        let mut worker = Worker::new::<Objectives>(board, vec![0; MEMORY_LEN]);
        let mut line = FromStd::new(Timed { line, turns: vec![] });
        // It ends when the host closes the line, with or without an error.
        let _ = serve(&mut line, &mut worker, &mut Objectives, &mut ());
        line.into_inner().turns
    })
}

/// An answer of a board, and the first bytes after it.
struct Turn {
    answered: Instant,
    asked: Option<Instant>,
}

/// A line that notes turns.
struct Timed<L> {
    line: L,
    turns: Vec<Turn>,
}

impl<L: Read> Read for Timed<L> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.line.read(buffer)?;
        if let Some(turn) = self.turns.last_mut() {
            turn.asked.get_or_insert_with(Instant::now);
        }
        Ok(len)
    }
}

impl<L: Write> Write for Timed<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turns.push(Turn { answered: Instant::now(), asked: None });
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

/// Median over the rounds of the time from the last answer of any board to the first request to any. Rounds are counted
/// from the end, where boards do not differ: some were asked twice at the start.
fn median_delay(boards: &[Vec<Turn>]) -> Duration {
    let rounds = boards.iter().map(Vec::len).min().unwrap_or(0);
    let delay = |back: usize| {
        let turns = boards.iter().filter_map(|turns| turns.get(turns.len() - 1 - back));
        let (answered, asked): (Vec<_>, Vec<_>) =
            turns.map(|turn| (turn.answered, turn.asked)).unzip();
        let first = asked.into_iter().flatten().min()?;
        first.checked_duration_since(answered.into_iter().max()?)
    };
    let mut delays: Vec<_> = (0..rounds).filter_map(delay).collect();
    delays.sort_unstable();
    delays[delays.len() / 2]
}
