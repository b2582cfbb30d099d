//! Tests of measured time: slow lines are reported, slow boards are not.

use super::{Value, fs, json_lines, served_by, smidgen, stderr, summary_of};
use embedded_io_adapters::std::FromStd;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::{
    Classes, Classification, Evaluation, Objective, ObjectiveInfo, ObjectiveSet,
};
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;
use tempfile::tempdir;

/// Delay added to a line or a board.
const HOLD: Duration = Duration::from_millis(40);
const ROUNDS: u32 = 40;

/// Point at which a frame of the board is delayed.
#[derive(Clone, Copy)]
enum Held {
    Nowhere,
    /// Before its first byte.
    Whole,
    /// After its first half, like by an endpoint without TCP_NODELAY.
    Half,
}

/// The board's end of a line.
struct Line {
    stream: TcpStream,
    held: Held,
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        let first = match self.held {
            Held::Nowhere => frame.len(),
            Held::Whole => 0,
            Held::Half => frame.len() / 2,
        };
        self.stream.write_all(&frame[..first])?;
        if first < frame.len() {
            sleep(HOLD);
        }
        self.stream.write_all(&frame[first..])?;
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// An objective that takes the delay for each gradient.
struct Slow(Duration);

impl ObjectiveSet for Slow {
    const NAMES: &'static str = Logistic::NAME;
    const ALL: &'static [ObjectiveInfo] = &[ObjectiveInfo::of::<Logistic>()];

    fn evaluate_named(&mut self, at: Evaluation<'_>) -> i64 {
        sleep(self.0);
        Logistic::default().evaluate(at)
    }

    fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes> {
        Logistic::classify(request)
    }
}

/// Starts a board on such a line and returns its address.
fn board(identity: u64, held: Held, takes: Duration) -> String {
    served_by(move |stream| {
        stream.set_nodelay(true).expect("it is a socket");
        let mut worker = Worker::new::<Slow>(Board { name: "thread", identity }, vec![0u64; 4096]);
        let mut line = FromStd::new(Line { stream, held });
        // It ends when the host closes the line.
        let _ = serve(&mut line, &mut worker, &mut Slow(takes), &mut ());
    })
}

#[test]
fn slow_lines_are_reported_and_a_slow_board_is_not() {
    let none = Duration::ZERO;
    let boards =
        [board(1, Held::Half, none), board(2, Held::Whole, none), board(3, Held::Nowhere, HOLD)];
    let directory = tempdir().expect("there is room");
    let ports: String = boards.iter().map(|address| format!(" --port {address}")).collect();
    let run = format!("run --rows 60 --step am --rounds {ROUNDS}{ports}");
    let output = smidgen(directory.path(), &run);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");

    let run = directory.path().join("smidgen-out");
    let summary = summary_of(&run);
    assert_eq!(summary["clock"], "host");
    let least = f64::from(ROUNDS + 1) * HOLD.as_secs_f64();
    let seconds = |value: &Value, of: &str| value[of].as_f64().expect("it is a number");
    assert!(seconds(&summary, "elapsed_seconds") >= least, "{summary}");
    assert!(seconds(&summary, "modelled_seconds") < least, "{summary}");
    let total = |worker: usize, of: &str| {
        let times = &summary["workers"][worker]["times"];
        assert_eq!(times["rounds"], ROUNDS + 1);
        seconds(&times["total"], of)
    };
    for worker in 0..3 {
        let parts = ["line", "board", "repeating"];
        let parts = parts.map(|part| total(worker, &format!("{part}_seconds")));
        let round_trip = total(worker, "round_trip_seconds");
        assert!(round_trip >= least, "worker {worker}: {round_trip} s");
        let sum: f64 = parts.iter().sum();
        assert!((sum - round_trip).abs() < 1e-6, "worker {worker}: {parts:?} of {round_trip} s");
    }
    // Frames repeated meanwhile are delayed as well, and count for neither.
    for worker in [0, 1] {
        let waited = total(worker, "line_seconds") + total(worker, "repeating_seconds");
        assert!(waited >= 0.9 * least, "worker {worker}: {waited} s");
    }
    assert!(total(2, "board_seconds") > total(2, "line_seconds"), "{summary}");

    let slow = |address: &str| format!("{address} takes ");
    let report = fs::read_to_string(run.join("report.html")).expect("there is a report");
    for text in [&told, &report] {
        assert!(text.contains("on the line, but its bytes take only"), "{text}");
        assert!(!text.contains(&slow(&boards[2])), "{text}");
    }
    assert!(boards[..2].iter().all(|address| told.contains(&slow(address))), "{told}");
    assert!(report.contains("Other slow lines: ") && report.contains("by the host's clock"));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("by the host's clock (the bytes alone, modelled at"), "{words}");

    for round in json_lines(&run.join("rounds.jsonl")) {
        let boards = round["boards"].as_array().expect("it is a list");
        assert_eq!(boards.len(), 3, "{round}");
        let longest = boards.iter().map(|board| seconds(board, "round_trip_seconds"));
        let longest = longest.fold(0.0, f64::max);
        assert!(seconds(&round, "elapsed_seconds") >= longest - 1e-6, "{round}");
        assert!(longest >= HOLD.as_secs_f64(), "{round}");
    }
}
