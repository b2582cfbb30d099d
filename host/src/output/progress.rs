//! Progress of long work, on stderr.
//!
//! A terminal shows one line that is updated in place, drawn by indicatif. A log file gets plain lines: one per phase,
//! one per tenth of slow work, and at least one every ten seconds. indicatif writes nothing to a log file, so the pace
//! of lines and the time left are computed here, for both.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::ops::Deref;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};

use crate::record::{Cost, Norm};
use crate::units::own_name;
use crate::units::quantity::{bytes, number, seconds};
use crate::units::shown::lines;

/// Width of the bar in columns.
const BAR_WIDTH: usize = 8;
/// Shortest time between two updates of a terminal's line.
const TERMINAL_PERIOD: Duration = Duration::from_millis(50);
/// Time between two steps of a spinner.
const TICK_PERIOD: Duration = Duration::from_millis(100);
/// Shortest time between two lines of a log when another tenth of the work is done.
const TENTH_PERIOD: Duration = Duration::from_millis(500);
/// Longest time between two lines of a log during work.
const PLAIN_PERIOD: Duration = Duration::from_secs(10);

/// Progress display of a run: its phase, then its rounds.
pub struct Progress {
    rounds: u32,
    display: Display,
    phase: Option<Phase>,
    transfers: Transfers,
    pace: Option<Pace>,
    status: Option<Status>,
}

/// Transfers to or from workers in a phase, with their sums: fleets are large, and each of their frames is noted.
#[derive(Default)]
struct Transfers {
    /// Bytes done, and all bytes, of each worker.
    workers: BTreeMap<String, (u64, u64)>,
    done: u64,
    total: u64,
    /// Number of workers whose transfer is complete.
    ready: usize,
}

impl Transfers {
    /// Notes how far the transfer of a worker is.
    fn note(&mut self, worker: &str, done: u64, total: u64) {
        let is_ready = |(done, total)| usize::from(done == total);
        if let Some(before) = self.workers.insert(worker.into(), (done, total)) {
            (self.done, self.total) = (self.done - before.0, self.total - before.1);
            self.ready -= is_ready(before);
        }
        (self.done, self.total) = (self.done + done, self.total + total);
        self.ready += is_ready((done, total));
    }
}

impl Progress {
    /// Creates the display of a run of `rounds` rounds, on a terminal if stderr is one.
    pub fn new(rounds: u32) -> Self {
        let display = if io::stderr().is_terminal() {
            Display::Terminal(Bar::default())
        } else {
            Display::Plain(Box::new(io::stderr()))
        };
        Self::on(display, rounds)
    }

    fn on(display: Display, rounds: u32) -> Self {
        let transfers = Transfers::default();
        Self { rounds, display, phase: None, transfers, pace: None, status: None }
    }

    /// Begins a phase, such as `loading data`. It lasts until the next phase or the first round.
    pub fn phase(&mut self, name: &str) {
        self.end_phase();
        self.print_last_round();
        self.display.begin(&lines(name));
        self.phase = Some(Phase { name: lines(name).into_owned(), since: Instant::now() });
        self.pace = None;
        self.transfers = Transfers::default();
    }

    /// Reports that `done` of `total` bytes have been transferred to or from `worker` in this phase.
    pub fn transfer(&mut self, worker: &str, done: u64, total: u64) {
        self.transfers.note(worker, done, total);
        let Transfers { done, total, ready, .. } = self.transfers;
        let pace = self.pace.get_or_insert_with(|| Pace::new(done));
        if self.display.is_due(pace, done, total) {
            let name = self.phase.as_ref().map_or("transfer", |phase| &phase.name);
            let (done_bytes, total_bytes) = (bytes(done), bytes(total));
            let text = format!(
                "{name}  {done_bytes} of {total_bytes}  {ready}/{} workers{}",
                self.transfers.workers.len(),
                time_left(pace.left(done, total)),
            );
            self.display.show(pace, done, total, &text);
        }
    }

    /// Reports that `done` of `total` units of work are done in this phase; `what` describes it.
    pub fn work(&mut self, done: u64, total: u64, what: &str) {
        let pace = self.pace.get_or_insert_with(|| Pace::new(done));
        let left = pace.left(done, total);
        self.step(done, total, &format!("{what}{}", time_left(left)));
    }

    /// As [`Progress::work`], without the time left.
    pub fn step(&mut self, done: u64, total: u64, what: &str) {
        let pace = self.pace.get_or_insert_with(|| Pace::new(done));
        if self.display.is_due(pace, done, total) {
            self.display.show(pace, done, total, what);
        }
    }

    /// Reports a closed round with its loss and norm, and the `total` cost of the run so far.
    pub fn round(&mut self, round: u32, loss: f64, norm: Norm, total: Cost) {
        if self.phase.is_some() {
            self.end_phase();
            self.pace = None;
        }
        let status = Status { round, loss, norm, total };
        let (done, whole) = (u64::from(round), u64::from(self.rounds));
        let pace = self.pace.get_or_insert_with(|| Pace::new(done));
        self.status = Some(status);
        if self.display.is_due(pace, done, whole) {
            let width = self.display.width();
            let text = status.line(self.rounds, pace.left(done, whole), width);
            self.display.show(pace, done, whole, &text);
            if matches!(self.display, Display::Plain(_)) {
                self.status = None;
            }
        }
    }

    /// Prints a line that stays, such as a warning.
    pub fn note(&mut self, text: &str) {
        self.display.line(&own_name::in_commands(text));
    }

    /// Ends the display and leaves the last round as a line.
    pub fn finish(mut self) {
        self.end_phase();
        self.print_last_round();
        if let Display::Terminal(bar) = &mut self.display {
            bar.ticker = None;
            bar.finish_and_clear();
        }
    }

    /// Ends the display and leaves `text` instead of the last round.
    pub fn conclude(mut self, text: &str) {
        self.status = None;
        self.end_phase();
        self.display.line(text);
        self.finish();
    }

    /// Prints the line of the last round, if it was not shown or would be overwritten.
    fn print_last_round(&mut self) {
        if let Some(status) = self.status.take() {
            self.display.line(&status.line(self.rounds, None, usize::MAX));
        }
    }

    fn end_phase(&mut self) {
        let Some(Phase { name, since }) = self.phase.take() else { return };
        if let Display::Terminal(bar) = &self.display {
            bar.println(format!("{name}: {}", seconds(since.elapsed().as_secs_f64())));
        }
    }
}

/// Work before the first round or after the last one.
struct Phase {
    name: String,
    since: Instant,
}

/// Speed of the work, and when it was last shown.
struct Pace {
    since: Instant,
    first: u64,
    shown: Option<Instant>,
    tenth: u64,
}

impl Pace {
    /// Starts measuring now, when `first` units are already done.
    fn new(first: u64) -> Self {
        Self { since: Instant::now(), first, shown: None, tenth: 0 }
    }

    /// Returns the time left until `total` at the pace so far, or `None` before there is a pace.
    fn left(&self, done: u64, total: u64) -> Option<Duration> {
        let pace = (done.checked_sub(self.first)? as f64) / self.since.elapsed().as_secs_f64();
        Duration::try_from_secs_f64(total.saturating_sub(done) as f64 / pace).ok()
    }
}

/// The line on a terminal.
struct Bar {
    line: ProgressBar,
    /// Turns the spinner during a phase.
    ticker: Option<Ticker>,
}

impl Default for Bar {
    fn default() -> Self {
        Self { line: ProgressBar::new_spinner(), ticker: None }
    }
}

impl Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.line
    }
}

/// A thread that turns a spinner until it is dropped. indicatif's own ticker panics if the system cannot start a
/// thread.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts the thread. Returns `None` if the system refuses one: the spinner then does not turn.
    fn new(line: ProgressBar) -> Option<Self> {
        let (stop, stopped) = channel();
        let turn = move || {
            while stopped.recv_timeout(TICK_PERIOD) == Err(RecvTimeoutError::Timeout) {
                line.tick();
            }
        };
        let thread = thread::Builder::new().spawn(turn).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        // A tick after this would overwrite the next line.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Destination of the lines.
enum Display {
    Terminal(Bar),
    Plain(Box<dyn Write + Send>),
}

impl Display {
    fn begin(&mut self, name: &str) {
        match self {
            Self::Terminal(bar) => {
                bar.set_style(style("{spinner} {wide_msg}"));
                bar.set_message(name.to_owned());
                bar.ticker = Ticker::new(bar.line.clone());
            }
            Self::Plain(_) => self.line(name),
        }
    }

    /// Returns whether the line should be updated now.
    fn is_due(&self, pace: &Pace, done: u64, total: u64) -> bool {
        let silent = pace.shown.map(|shown| shown.elapsed());
        match self {
            Self::Terminal(_) => silent.is_none_or(|silent| silent >= TERMINAL_PERIOD),
            Self::Plain(_) => {
                // Before the first line too, so that fast work is logged only by its phase.
                let waited = silent.unwrap_or_else(|| pace.since.elapsed());
                let period =
                    if tenth_of(done, total) > pace.tenth { TENTH_PERIOD } else { PLAIN_PERIOD };
                waited >= period
            }
        }
    }

    /// Returns the columns left of a terminal's line next to the bar.
    fn width(&self) -> usize {
        match self {
            Self::Terminal(_) => usize::from(Term::stderr().size().1).saturating_sub(BAR_WIDTH + 1),
            Self::Plain(_) => usize::MAX,
        }
    }

    fn show(&mut self, pace: &mut Pace, done: u64, total: u64, text: &str) {
        let text = &*lines(text);
        // The first progress replaces the spinner by a bar.
        if let (Self::Terminal(bar), None) = (&mut *self, pace.shown) {
            bar.ticker = None;
            bar.set_style(
                style(&format!("{{bar:{BAR_WIDTH}.cyan/dim}} {{wide_msg}}")).progress_chars("━╸─"),
            );
        }
        (pace.shown, pace.tenth) = (Some(Instant::now()), tenth_of(done, total));
        match self {
            Self::Terminal(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(text.to_owned());
            }
            Self::Plain(_) => self.line(text),
        }
    }

    /// Prints a line that stays. A closed stderr must not stop the run, so errors are ignored.
    fn line(&mut self, text: &str) {
        let text = &*lines(text);
        match self {
            Self::Terminal(bar) => bar.println(text),
            Self::Plain(lines) => {
                let _ = writeln!(lines, "{text}");
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is ours")
}

fn tenth_of(done: u64, total: u64) -> u64 {
    10 * done / total.max(1)
}

/// The contents of a round's line.
#[derive(Clone, Copy)]
struct Status {
    round: u32,
    loss: f64,
    norm: Norm,
    total: Cost,
}

impl Status {
    /// Formats the line in at most `width` columns: drops the bytes first, then the loss.
    fn line(&self, rounds: u32, left: Option<Duration>, width: usize) -> String {
        let Self { round, loss, norm, total } = *self;
        let round = format!("round {round}/{rounds}");
        let loss = format!("  f {}", short(loss));
        let norm = match norm {
            Norm::Gradient(value) => format!("  ‖∇f‖² {}", short(value)),
            Norm::Estimator(value) => format!("  ‖g‖² {}", short(value)),
        };
        let (up, down) = (bytes(total.uplink.wire_bytes), bytes(total.downlink.wire_bytes));
        let traffic = format!("  ↑ {up} ↓ {down}");
        let modelled = seconds(total.modelled_seconds);
        let time = match total.elapsed_seconds.map(seconds) {
            Some(elapsed) => [format!("  time {elapsed}"), format!(" (modelled {modelled})")],
            None => [format!("  modelled {modelled}"), String::new()],
        };
        let ([time, beside], left) = (time, time_left(left));
        let choices = [
            [&loss[..], &norm, &traffic, &time, &beside, &left],
            [&loss, &norm, &traffic, &time, &left, ""],
            [&loss, &norm, &time, &beside, &left, ""],
            [&loss, &norm, &time, &left, "", ""],
        ];
        let lines = choices.map(|parts| round.clone() + &parts.concat());
        let fitting = lines.into_iter().find(|line| line.chars().count() <= width);
        fitting.unwrap_or_else(|| round + &norm + &time + &left)
    }
}

/// Formats a value to three digits in ASCII: `0.693`, `1.23e-4`.
fn short(value: f64) -> String {
    if value == 0.0 || (0.01..1e4).contains(&value.abs()) {
        number(value)
    } else {
        format!("{value:.2e}")
    }
}

/// Formats the time left, the end of a progress line.
fn time_left(left: Option<Duration>) -> String {
    left.map(|left| format!("  left {}", FormattedDuration(left))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::record::Traffic;

    /// A log shared by the test and the display.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn progress(&self, rounds: u32) -> Progress {
            Progress::on(Display::Plain(Box::new(self.clone())), rounds)
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().replace('\u{a0}', " ")
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn cost(wire_bytes: u64, modelled_seconds: f64) -> Cost {
        let traffic = Traffic { wire_bytes, ..Traffic::default() };
        Cost {
            uplink: traffic,
            downlink: traffic,
            modelled_seconds,
            elapsed_seconds: Some(1.1 * modelled_seconds),
        }
    }

    /// A pace that began long enough ago for every tenth to be shown.
    fn slow() -> Pace {
        Pace { since: Instant::now() - Duration::from_secs(5), ..Pace::new(0) }
    }

    #[test]
    fn fast_run_logs_its_phases_and_its_last_round() {
        let lines = Lines::default();
        let mut progress = lines.progress(1000);
        progress.phase("sending shards");
        progress.transfer("a", 9, 9);
        for round in 0..1000 {
            progress.round(round, 0.5, Norm::Gradient(1.234e-4), cost(12_345, 1.5));
        }
        progress.note("worker 3 came back");
        progress.phase("writing the report");
        progress.finish();
        let last = "round 999/1000  f 0.500  ‖∇f‖² 1.23e-4  ↑ 12.3 kB ↓ 12.3 kB  time 1.65 s (modelled 1.50 s)";
        let expected = ["sending shards", "worker 3 came back", last, "writing the report", ""];
        assert_eq!(lines.text(), expected.join("\n"));
    }

    #[test]
    fn slow_run_logs_every_tenth_and_after_silence() {
        let display = Display::Plain(Box::new(Lines::default()));
        let mut pace = slow();
        assert!(!display.is_due(&pace, 99, 1000));
        assert!(display.is_due(&pace, 100, 1000));
        pace.tenth = 1;
        assert!(!display.is_due(&pace, 199, 1000));
        pace.since -= PLAIN_PERIOD;
        assert!(display.is_due(&pace, 199, 1000));
        pace.shown = Some(Instant::now());
        assert!(!display.is_due(&pace, 1000, 1000), "it was shown just now");
    }

    #[test]
    fn transfers_of_all_workers_are_summed() {
        let lines = Lines::default();
        let mut progress = lines.progress(1);
        progress.phase("sending shards");
        progress.transfer("a", 0, 1000);
        progress.transfer("b", 0, 1000);
        progress.pace = Some(slow());
        progress.transfer("a", 1000, 1000);
        let told = "sending shards\nsending shards  1.00 kB of 2.00 kB  1/2 workers  left 00:00:0";
        assert!(lines.text().starts_with(told), "{}", lines.text());
    }

    #[test]
    fn line_fits_its_columns() {
        let total = cost(999_400, 99.94);
        let extremes = [
            Status { round: 2000, loss: 1.59e-9, norm: Norm::Gradient(1.234e-11), total },
            Status { round: 9999, loss: f64::NAN, norm: Norm::Estimator(1.234e-11), total },
            Status { round: 0, loss: -1e300, norm: Norm::Gradient(0.0), total },
        ];
        let left = Some(Duration::from_secs(86_399));
        for status in extremes {
            let [wide, usual] = [100, 80].map(|columns| {
                let width = columns - BAR_WIDTH - 1;
                let line = status.line(9999, left, width);
                assert!(line.chars().count() <= width, "{line}");
                line
            });
            assert!(wide.contains('↑') && usual.contains("time"), "{wide}\n{usual}");
            assert!(usual.ends_with("left 23:59:59"), "{usual}");
            let log = status.line(9999, left, usize::MAX);
            assert!(log.contains("time 110\u{a0}s (modelled 99.9\u{a0}s)"), "{log}");
        }
    }

    #[test]
    fn conclusion_replaces_the_last_round() {
        let lines = Lines::default();
        let mut progress = lines.progress(200);
        progress.phase("running");
        progress.round(7, 0.5, Norm::Gradient(1e-4), Cost::default());
        progress.conclude("it was there in round 7");
        assert_eq!(lines.text(), "running\nit was there in round 7\n");
    }

    #[test]
    fn time_left_follows_the_pace() {
        let since = Instant::now() - Duration::from_secs(10);
        let pace = Pace { since, first: 100, shown: None, tenth: 0 };
        let left = pace.left(200, 400).unwrap().as_secs_f64();
        // A busy machine adds to the ten seconds.
        assert!((20.0..60.0).contains(&left), "{left}");
        assert_eq!(pace.left(100, 400), None);
        assert_eq!(pace.left(0, 400), None);
    }
}
