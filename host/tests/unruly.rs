//! The real binary with boards that flood their line, close it again and again, fall silent, or say the same whatever they are
//! asked, beside healthy ones: rounds go on, or the run ends with a sentence.
#![cfg(target_os = "linux")]

use embedded_io_adapters::std::FromStd;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use serde_json::Value;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{Ready, SCHEMA, Up, VERSION};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// What a board does in place of its work.
#[derive(Clone, Copy, Debug)]
enum Vice {
    /// It sends these bytes for ever, as fast as it can.
    Flood(&'static [u8]),
    /// The other end of the line accepts and closes.
    Close,
    /// It accepts and says that it will send nothing.
    HalfClose,
    /// It hears everything and says nothing.
    Mute,
    /// It does not even hear.
    Deaf,
    /// It answers everything with the same words.
    Parrot,
}

/// The word of a board that was asked who it is for the first time.
fn ready(identity: u64) -> Vec<u8> {
    let ready = Ready {
        version: VERSION,
        schema: SCHEMA,
        echo: 1,
        board: "parrot",
        identity,
        memory: 1 << 14,
        objectives: "logistic",
        session: 0,
        opened: 0,
        model_digest: 0,
        estimator_digest: 0,
        rejected: [0; Reject::COUNT],
        overruns: 0,
        saturated: 0,
    };
    let mut out = [0; FRAME_LEN_MAX];
    let len = Up::Ready(ready).emit(&[], &Context::SETUP, &mut out);
    out[..len].to_vec()
}

impl Vice {
    /// What it does with a connection; those that it keeps are put to `kept`.
    fn practise(self, mut stream: TcpStream, kept: &mut Vec<TcpStream>, identity: u64) {
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
            Self::Mute => drop(io::copy(&mut stream, &mut io::sink())),
            Self::Deaf => kept.push(stream),
            Self::Parrot => {
                let mut heard = [0; FRAME_LEN_MAX];
                while let Ok(1..) = stream.read(&mut heard) {
                    let _ = stream.write_all(&ready(identity));
                }
            }
        }
    }
}

/// A line that ends when its board goes astray.
struct Line {
    stream: TcpStream,
    is_astray: Arc<AtomicBool>,
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A board that has answered may be told nothing any more, and goes astray all the same.
        self.stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        loop {
            let outcome = self.stream.read(buffer);
            if self.is_astray.load(Relaxed) {
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

/// Boards behind sockets, some of which have a vice, and practise it while they are astray.
struct Fleet {
    ports: Vec<String>,
    is_astray: Arc<AtomicBool>,
}

impl Fleet {
    fn new(vices: &[Option<Vice>]) -> Self {
        let is_astray = Arc::new(AtomicBool::new(false));
        let board = |(index, vice): (usize, &Option<Vice>)| {
            start(index as u64 + 1, vice.map(|vice| (vice, is_astray.clone())))
        };
        Self { ports: vices.iter().enumerate().map(board).collect(), is_astray: is_astray.clone() }
    }

    /// Arguments of a run with them.
    fn arguments(&self, options: &str) -> String {
        let ports: String = self.ports.iter().map(|port| format!(" --port {port}")).collect();
        format!("run{ports} --rows 100 --k 3 --out run {options}")
    }
}

/// Starts a board, which keeps its state when its line is opened anew; returns its address.
fn start(identity: u64, vice: Option<(Vice, Arc<AtomicBool>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        let board = Board { name: "thread", identity };
        let mut worker = Worker::new::<Logistic>(board, vec![0; 1 << 14]);
        let mut kept = vec![];
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_nodelay(true).expect("a socket has it");
            let never = Arc::default();
            let is_astray = vice.as_ref().map_or(&never, |(_, is_astray)| is_astray).clone();
            let line = stream.try_clone().expect("a socket can be cloned");
            if !is_astray.load(Relaxed) {
                let mut line = FromStd::new(Line { stream: line, is_astray: is_astray.clone() });
                // The host hanging up ends it, with an error or without.
                let _ = serve(&mut line, &mut worker, &mut Logistic, &mut ());
            }
            if let Some((vice, is_astray)) = &vice
                && is_astray.load(Relaxed)
            {
                vice.practise(stream, &mut kept, identity);
            }
        }
    });
    format!("tcp:{address}")
}

/// A run of the binary, which ends with the test.
struct Run {
    child: Option<Child>,
    folder: TempDir,
}

impl Run {
    fn new(arguments: &str) -> Self {
        Self::within(tempdir().expect("there is room"), arguments)
    }

    fn within(folder: TempDir, arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smidgen"));
        // The tests may run in the background of a script, which ignores SIGINT, and so would the run.
        // SAFETY: between fork and exec it makes one system call that is safe there, and nothing else.
        unsafe {
            command.pre_exec(|| Ok(signal(Signal::SIGINT, SigHandler::SigDfl).map(drop)?));
        }
        let child = command
            .args(arguments.split_whitespace())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("said")).expect("there is room"))
            .spawn()
            .expect("the binary starts");
        Self { child: Some(child), folder }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for")
    }

    /// The record of the last closed round.
    fn last(&self) -> Option<Value> {
        let mut records = fs::File::open(self.folder.path().join("run/rounds.jsonl")).ok()?;
        let len = records.metadata().ok()?.len();
        records.seek(SeekFrom::Start(len.saturating_sub(4096))).ok()?;
        let mut end = String::new();
        records.read_to_string(&mut end).ok()?;
        let (whole, _) = end.rsplit_once('\n')?;
        serde_json::from_str(whole.lines().last()?).ok()
    }

    /// Waits until so many boards are left out of a round, which is this one or a later one; returns it.
    fn wait_for(&mut self, round: u64, absent: u64) -> u64 {
        loop {
            let of = |last: &Value, name: &str| last[name].as_u64().unwrap_or(0);
            let last = self.last().map(|last| (of(&last, "round"), of(&last, "absent")));
            if let Some((closed, missed)) = last
                && (closed >= round && missed == absent)
            {
                return closed;
            }
            self.go_on();
        }
    }

    fn wait_until_it_says(&mut self, words: &str) {
        while !self.said().contains(words) {
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        let ended = self.child().try_wait().expect("it is a child");
        assert_eq!(ended, None, "it ended too soon: {}", self.said());
        sleep(Duration::from_millis(10));
    }

    /// The largest memory that it has had, in bytes.
    fn peak_memory(&mut self) -> u64 {
        let status = format!("/proc/{}/status", self.child().id());
        let text = fs::read_to_string(&status).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        1024 * kilobytes.expect("Linux tells it")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).expect("it can be read")
    }

    /// Waits for its end; returns its exit code and what it said.
    fn end(mut self) -> (TempDir, Option<i32>, String) {
        let child = self.child.take().expect("it was not waited for");
        let Output { status, stdout, .. } = child.wait_with_output().expect("it ends");
        let said = self.said() + &String::from_utf8_lossy(&stdout);
        assert!(!said.contains("panicked"), "{said}");
        let folder = std::mem::replace(&mut self.folder, tempdir().expect("there is room"));
        (folder, status.code(), said)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Rounds that close in a second, over so many from the present one on.
fn pace(run: &mut Run, rounds: u64, absent: u64) -> f64 {
    let start = Instant::now();
    let from = run.wait_for(0, absent);
    let to = run.wait_for(from + rounds, absent);
    (to - from) as f64 / start.elapsed().as_secs_f64()
}

#[test]
fn a_healthy_fleet_keeps_its_pace_beside_boards_that_flood_close_and_fall_silent() {
    const ROUNDS: u64 = 10_000;
    let options = "--absent skip=0.5 --rounds 1000000 --every 1000000";
    let healthy = Fleet::new(&[None; 3]);
    let mut alone = Run::new(&healthy.arguments(options));
    alone.wait_for(100, 0);
    let pace_alone = pace(&mut alone, ROUNDS, 0);
    drop(alone);

    let vices = [Vice::Close, Vice::HalfClose, Vice::Mute, Vice::Deaf, Vice::Flood(&[0])];
    let fleet = Fleet::new(&[&[None; 3][..], &vices.map(Some)].concat());
    let mut beside = Run::new(&fleet.arguments(options));
    beside.wait_for(100, 0);
    fleet.is_astray.store(true, Relaxed);
    beside.wait_for(100, 5);
    let pace_beside = pace(&mut beside, ROUNDS, 5);
    for told in ["sends without end: closed for 10 s", "is lost again", "is gone (", "is silent"] {
        beside.wait_until_it_says(told);
    }
    let (peak, said) = (beside.peak_memory(), beside.said());
    println!("{pace_alone:.0} rounds/s alone, {pace_beside:.0} beside; {peak} bytes at most");
    assert!(said.lines().count() < 60, "few words for many losses: {said}");
    assert!((1_000_000..100_000_000).contains(&peak), "{peak} bytes of memory");
    // They are the same but for what else this computer does.
    assert!(pace_beside > pace_alone / 5.0, "{pace_alone} rounds/s alone, {pace_beside} beside");
}

/// What a run says that has such a board from the start, or from the tenth round on.
fn last_words(vice: Vice, rounds: u64, options: &str) -> String {
    let fleet = Fleet::new(&[None, Some(vice)]);
    fleet.is_astray.store(rounds == 0, Relaxed);
    let mut run = Run::new(&fleet.arguments(options));
    if rounds > 0 {
        run.wait_for(rounds, 0);
        fleet.is_astray.store(true, Relaxed);
    }
    let (_, code, said) = run.end();
    assert_eq!(code, Some(2), "{vice:?}: {said}");
    let last = said.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(last.contains(&fleet.ports[1]), "{vice:?}: {said}");
    last.to_owned()
}

#[test]
fn a_board_that_is_unruly_from_the_start_ends_the_run_with_a_sentence() {
    let repeated: &'static [u8] = ready(2).leak();
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
                    // Before the first round there is nobody to go on without; with `skip` a board has two minutes.
                    let is_slow = matches!(vice, Vice::Parrot) && options.contains("skip");
                    if !is_slow {
                        let said = last_words(vice, 0, options);
                        assert!(said.contains(expected), "{vice:?} {options}: {said}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_board_that_becomes_unruly_ends_a_run_that_waits_for_it() {
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

/// The first request waits a little for the open round, which a board that is away keeps open.
#[test]
fn a_request_ends_a_run_in_good_order_while_a_board_is_away() {
    for (vice, request) in [(Vice::Close, Signal::SIGTERM), (Vice::Mute, Signal::SIGINT)] {
        let fleet = Fleet::new(&[None, Some(vice)]);
        let mut run = Run::new(&fleet.arguments("--rounds 1000000"));
        run.wait_for(20, 0);
        fleet.is_astray.store(true, Relaxed);
        match vice {
            // No round closes, and nothing else happens, when this is told.
            Vice::Close => run.wait_until_it_says("is gone ("),
            _ => sleep(Duration::from_secs(1)),
        }
        let closed = run.wait_for(20, 0);
        kill(Pid::from_raw(run.child().id().cast_signed()), request).expect("it runs");
        let (folder, code, said) = run.end();
        assert_eq!(code, Some(130), "{said}");
        assert!(
            said.contains(&format!("round {closed};")) && said.contains("smidgen resume"),
            "{said}"
        );
        assert!(folder.path().join("run/report.html").exists(), "{said}");

        fleet.is_astray.store(false, Relaxed);
        let rounds = closed + 10;
        let resumed = Run::within(folder, &format!("resume run --rounds {rounds}"));
        let (folder, code, said) = resumed.end();
        assert_eq!(code, Some(0), "{said}");
        assert_transcripts(folder.path(), rounds);
    }
}

/// Nothing is waited for, whatever comes on the lines meanwhile.
#[test]
fn a_second_request_ends_a_run_at_once_while_boards_are_away() {
    let unruly = [Vice::Mute, Vice::Close, Vice::Flood(&[0])].map(Some);
    let fleet = Fleet::new(&[&[None][..], &unruly].concat());
    let mut run = Run::new(&fleet.arguments("--rounds 1000000 --absent skip=100000"));
    run.wait_for(20, 0);
    fleet.is_astray.store(true, Relaxed);
    run.wait_until_it_says("sends without end");
    let pid = Pid::from_raw(run.child().id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("it runs");
    run.wait_until_it_says("once more ends at once");
    kill(pid, Signal::SIGINT).expect("it runs");
    let (_, code, said) = run.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("the run was interrupted"), "{said}");
}

/// The transcripts of a run are those of its simulation.
fn assert_transcripts(folder: &Path, rounds: u64) {
    let options = format!("simulate --workers 2 --rows 100 --k 3 --rounds {rounds} --out sim");
    let (simulated, code, said) = Run::new(&options).end();
    assert_eq!(code, Some(0), "{said}");
    let transcripts = |records: &Path| -> Vec<String> {
        let records = fs::read_to_string(records).expect("they are there");
        let transcript = |line: &str| line.split(r#""transcript":"#).nth(1).map(String::from);
        records.lines().filter_map(transcript).collect()
    };
    let [real, simulated] = [folder.join("run"), simulated.path().join("sim")]
        .map(|run| transcripts(&run.join("rounds.jsonl")));
    assert_eq!(real.len() as u64, rounds + 1);
    assert!(real == simulated, "the transcripts differ");
}
