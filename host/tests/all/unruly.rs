//! Tests of the binary with misbehaving boards next to healthy ones: boards that flood or close their line, fall
//! silent, or repeat one answer. Rounds close, or the run ends with an error.

use crate::support::boards::{frame, listener, ready, work, worker};
use crate::support::{Running, command, records, transcripts};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// Misbehaviour of a board.
#[derive(Clone, Copy, Debug)]
enum Vice {
    /// Sends these bytes forever, as fast as possible.
    Flood(&'static [u8]),
    /// Accepts a connection and closes it.
    Close,
    /// Accepts a connection and shuts down its sending side.
    HalfClose,
    /// Reads everything and sends nothing.
    Mute,
    /// Neither reads nor sends.
    Deaf,
    /// Gives the same answer to every request.
    Parrot,
}

/// Switch of the misbehaviour of a fleet, and the number of reads of mute boards meanwhile.
#[derive(Default)]
struct Astray {
    now: AtomicBool,
    heard: AtomicU32,
}

impl Vice {
    /// Misbehaves on a connection. Connections to be kept open are added to `kept`.
    fn practise(
        self,
        mut stream: TcpStream,
        kept: &mut Vec<TcpStream>,
        identity: u64,
        astray: &Astray,
    ) {
        let mut heard = [0; 1024];
        match self {
            Self::Flood(bytes) => {
                let flood: Vec<u8> = bytes.iter().copied().cycle().take(1 << 16).collect();
                while stream.write_all(&flood).is_ok() {}
            }
            Self::Close => drop(stream),
            Self::HalfClose => {
                let _ = stream.shutdown(Shutdown::Write);
                kept.push(stream);
            }
            Self::Mute => {
                while let Ok(1..) = stream.read(&mut heard) {
                    astray.heard.fetch_add(1, Relaxed);
                }
            }
            Self::Deaf => kept.push(stream),
            Self::Parrot => {
                let answer = frame(ready("parrot", identity));
                while let Ok(1..) = stream.read(&mut heard) {
                    let _ = stream.write_all(&answer);
                }
            }
        }
    }
}

/// A line that ends when its board begins to misbehave.
struct Line {
    stream: TcpStream,
    astray: Arc<Astray>,
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A time-out, because a board that has answered may receive no further request.
        self.stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        loop {
            let outcome = self.stream.read(buffer);
            if self.astray.now.load(Relaxed) {
                self.stream.set_read_timeout(None)?;
                return Ok(0);
            }
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Boards on sockets, some of which misbehave while the switch is on.
struct Fleet {
    ports: Vec<String>,
    astray: Arc<Astray>,
}

impl Fleet {
    fn new(vices: &[Option<Vice>]) -> Self {
        let astray = Arc::default();
        let board = |(index, vice): (usize, &Option<Vice>)| {
            start(index as u64 + 1, vice.map(|vice| (vice, Arc::clone(&astray))))
        };
        Self { ports: vices.iter().enumerate().map(board).collect(), astray }
    }

    /// Returns the arguments of a run with these boards.
    fn arguments(&self, options: &str) -> String {
        let ports: String = self.ports.iter().map(|port| format!(" --port {port}")).collect();
        format!("run{ports} --rows 100 --k 3 --out run {options}")
    }

    fn set_astray(&self, now: bool) {
        self.astray.now.store(now, Relaxed);
    }
}

/// Starts a board that keeps its state when its line is reopened, and returns its address.
fn start(identity: u64, vice: Option<(Vice, Arc<Astray>)>) -> String {
    let (listener, address) = listener();
    thread::spawn(move || {
        let (mut worker, mut kept) = (worker("thread", identity), vec![]);
        let never = Arc::default();
        let astray = vice.as_ref().map_or(&never, |(_, astray)| astray);
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_nodelay(true).expect("a socket has it");
            let line = stream.try_clone().expect("a socket can be cloned");
            if !astray.now.load(Relaxed) {
                work(Line { stream: line, astray: Arc::clone(astray) }, &mut worker);
            }
            if let Some((vice, _)) = vice
                && astray.now.load(Relaxed)
            {
                vice.practise(stream, &mut kept, identity, astray);
            }
        }
    });
    address
}

/// A run of the binary, which is killed when this value is dropped.
struct Run {
    running: Running,
    folder: TempDir,
}

impl Run {
    fn new(arguments: &str) -> Self {
        Self::within(tempdir().expect("there is room"), arguments)
    }

    fn within(folder: TempDir, arguments: &str) -> Self {
        let said = fs::File::create(folder.path().join("said")).expect("there is room");
        let running = Running::start(command(folder.path(), arguments).stderr(said));
        Self { running, folder }
    }

    /// Waits until `round` or a later round closes with this number of absent boards, and returns it.
    fn wait_for(&mut self, round: u64, absent: u64) -> u64 {
        let (run, mut found) = (self.folder.path().join("run"), 0);
        let what = format!("round {round} without {absent} boards");
        self.running.wait_until(&what, || {
            let last = last(&run).unwrap_or_default();
            found = last.round;
            last.round >= round && last.absent == absent
        });
        found
    }

    /// Returns its last closed round.
    fn round(&self) -> u64 {
        last(&self.folder.path().join("run")).unwrap_or_default().round
    }

    fn wait_until_it_says(&mut self, words: &str) {
        let said = self.folder.path().join("said");
        let what = format!("`{words}` is said");
        self.running
            .wait_until(&what, || fs::read_to_string(&said).is_ok_and(|said| said.contains(words)));
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).expect("it can be read")
    }

    /// Returns its peak memory in bytes.
    fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.running.id());
        let text = fs::read_to_string(&status).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        1024 * kilobytes.expect("Linux reports it")
    }

    /// Waits for its end, and returns its directory, exit code and output.
    fn end(self) -> (TempDir, Option<i32>, String) {
        let Self { running, folder } = self;
        let output = running.output();
        let said = fs::read_to_string(folder.path().join("said")).expect("it can be read")
            + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("panicked"), "{said}");
        (folder, output.status.code(), said)
    }
}

/// A closed round and the number of absent boards.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    round: u64,
    absent: u64,
}

/// Returns the last closed round of a run.
fn last(run: &Path) -> Option<Closed> {
    let mut records = fs::File::open(run.join("rounds.jsonl")).ok()?;
    let len = records.metadata().ok()?.len();
    records.seek(SeekFrom::Start(len.saturating_sub(4096))).ok()?;
    let mut end = String::new();
    records.read_to_string(&mut end).ok()?;
    let (whole, _) = end.rsplit_once('\n')?;
    let record: Value = serde_json::from_str(whole.lines().last()?).ok()?;
    let of = |name: &str| record[name].as_u64().unwrap_or(0);
    Some(Closed { round: of("round"), absent: of("absent") })
}

/// Both fleets run at the same time, so that other load on the machine slows both.
#[test]
fn unruly_boards_do_not_slow_a_healthy_fleet() {
    let options = "--absent skip=0.5 --rounds 1000000 --checkpoint-every 1000000";
    let vices = [Vice::Close, Vice::HalfClose, Vice::Mute, Vice::Deaf, Vice::Flood(&[0])];
    let fleets = [&[][..], &vices.map(Some)].map(|v| Fleet::new(&[&[None; 3], v].concat()));
    let [mut alone, mut beside] =
        fleets.each_ref().map(|fleet| Run::new(&fleet.arguments(options)));
    alone.wait_for(100, 0);
    beside.wait_for(100, 0);
    fleets[1].set_astray(true);
    beside.wait_for(100, 5);
    let (before, start) = ([&alone, &beside].map(Run::round), Instant::now());
    // Long enough for the flood to return.
    beside.wait_until_it_says("sends without end: closed for 20 s");
    let (after, seconds) = ([&alone, &beside].map(Run::round), start.elapsed().as_secs_f64());
    for told in ["is lost each time it is opened", "is gone (", "is silent"] {
        beside.wait_until_it_says(told);
    }
    let (peak, said) = (beside.peak_memory(), beside.said());
    let [alone, beside] = [0, 1].map(|fleet| (after[fleet] - before[fleet]) as f64);
    println!(
        "{:.0} rounds/s alone, {:.0} beside, {:.2} for each; {peak} bytes at most",
        alone / seconds,
        beside / seconds,
        beside / alone
    );
    assert!(said.lines().count() < 60, "many losses give few messages: {said}");
    assert!((1_000_000..100_000_000).contains(&peak), "{peak} bytes of memory");
    // About 1 on an idle machine, and 0.6 on one with six times as much work as processors.
    assert!(beside > alone / 4.0, "{alone} rounds alone, {beside} beside");
}

/// Returns the error of a run with such a board, from the start or from round `rounds`.
fn last_words(vice: Vice, rounds: u64, options: &str) -> String {
    let fleet = Fleet::new(&[None, Some(vice)]);
    fleet.set_astray(rounds == 0);
    let mut run = Run::new(&fleet.arguments(options));
    if rounds > 0 {
        run.wait_for(rounds, 0);
        fleet.set_astray(true);
    }
    let (_, code, said) = run.end();
    assert_eq!(code, Some(2), "{vice:?}: {said}");
    let last = said.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(last.contains(&fleet.ports[1]), "{vice:?}: {said}");
    last.to_owned()
}

#[test]
fn board_that_is_unruly_from_the_start_ends_the_run_with_an_error() {
    let repeated: &'static [u8] = frame(ready("parrot", 2)).leak();
    let cases = [
        (Vice::Close, "the other end has closed it"),
        (Vice::HalfClose, "the other end has closed it"),
        (Vice::Mute, "nothing came"),
        (Vice::Deaf, "nothing came"),
        (Vice::Flood(&[0]), "it sends without end"),
        (Vice::Flood(b"log\n\0"), "it sends without end"),
        (Vice::Flood(repeated), "it sends without end"),
        (Vice::Parrot, "has not answered for"),
    ];
    thread::scope(|scope| {
        for (vice, expected) in cases {
            scope.spawn(move || {
                for options in ["--absent wait=4", "--absent skip=1"] {
                    // With `skip` such a board has two minutes; the driver has a test of that.
                    if matches!(vice, Vice::Parrot) && options.contains("skip") {
                        continue;
                    }
                    let said = last_words(vice, 0, options);
                    assert!(said.contains(expected), "{vice:?} {options}: {said}");
                }
            });
        }
    });
}

#[test]
fn board_that_becomes_unruly_ends_a_run_that_waits_for_it() {
    let cases = [
        (Vice::Close, "has not answered for"),
        (Vice::Mute, "has not answered for"),
        (Vice::Parrot, "has not answered for"),
        (Vice::Flood(&[0]), "it sends without end"),
    ];
    thread::scope(|scope| {
        for (vice, expected) in cases {
            scope.spawn(move || {
                let said = last_words(vice, 10, "--absent wait=4 --rounds 1000000");
                assert!(said.contains(expected), "{vice:?}: {said}");
            });
        }
    });
}

/// The first request waits a little for the open round, which an absent board keeps open.
#[test]
fn first_request_while_a_board_is_absent_stops_the_run_in_order() {
    for (vice, request) in [(Vice::Close, Signal::TERM), (Vice::Mute, Signal::INT)] {
        let fleet = Fleet::new(&[None, Some(vice)]);
        let mut run = Run::new(&fleet.arguments("--rounds 1000000"));
        run.wait_for(20, 0);
        fleet.set_astray(true);
        match vice {
            // At this message no round closes any more.
            Vice::Close => run.wait_until_it_says("is gone ("),
            // The round is open when the board is asked again.
            _ => run
                .running
                .wait_until("it is asked again", || fleet.astray.heard.load(Relaxed) >= 3),
        }
        let closed = run.wait_for(20, 0);
        run.running.signal(request);
        let (folder, code, said) = run.end();
        assert_eq!(code, Some(130), "{said}");
        assert!(
            said.contains(&format!("round {closed};")) && said.contains("smidgen resume"),
            "{said}"
        );
        assert!(folder.path().join("run/report.html").exists(), "{said}");

        fleet.set_astray(false);
        let rounds = closed + 10;
        let resumed = Run::within(folder, &format!("resume run --rounds {rounds}"));
        let (folder, code, said) = resumed.end();
        assert_eq!(code, Some(0), "{said}");
        assert_transcripts(folder.path(), rounds);
    }
}

/// The run ends without waiting, even while lines are flooded.
#[test]
fn second_request_while_boards_are_absent_stops_the_run_at_once() {
    let unruly = [Vice::Mute, Vice::Close, Vice::Flood(&[0])].map(Some);
    let fleet = Fleet::new(&[&[None][..], &unruly].concat());
    let mut run = Run::new(&fleet.arguments("--rounds 1000000 --absent skip=100000"));
    run.wait_for(20, 0);
    fleet.set_astray(true);
    run.wait_until_it_says("sends without end");
    run.running.signal(Signal::TERM);
    run.wait_until_it_says("a second request stops at once");
    run.running.signal(Signal::INT);
    let (_, code, said) = run.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("stopped on request"), "{said}");
}

/// Asserts that the transcripts of a run equal those of its simulation.
fn assert_transcripts(folder: &Path, rounds: u64) {
    let options = format!("simulate --workers 2 --rows 100 --k 3 --rounds {rounds} --out sim");
    let (simulated, code, said) = Run::new(&options).end();
    assert_eq!(code, Some(0), "{said}");
    let [real, simulated] =
        [folder.join("run"), simulated.path().join("sim")].map(|run| records(&run));
    assert_eq!(transcripts(&real).len() as u64, rounds + 1);
    assert!(transcripts(&real) == transcripts(&simulated), "the transcripts differ");
}
