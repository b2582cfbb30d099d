//! A run with all kinds of faults at once, drawn from a seed, in the spirit of TigerBeetle's VOPR.
//!
//! ```text
//! seed ─> problem, method, workers │ faults of lines │ faults of workers │ restarts of the host
//! phase one: all faults at once, every round is checked
//! phase two: no more faults, and the run must end in time
//! ```
//!
//! The transcripts must be those of the same run without faults, as long as no round was closed without a
//! worker (`--absent skip`).

use crate::conformance::{experiment, sealed, try_experiment};
use crate::faulty::{Fault, FaultySimulation};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smidgen::options::{Choice, Compressor, Downlink, Init, Method, Objective};
use smidgen::run::ExperimentError;
use smidgen::run::experiment::Experiment;
use smidgen::world::World;
use smidgen_aggregator::{Aggregator, Closed, Event, Setup, Snapshot};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;
use std::panic::catch_unwind;
use std::time::Duration;

/// Number of rounds after the last fault.
const HEALTHY_ROUNDS: u32 = 10;
/// Time limit for these rounds; on an unknown link a gradient may take five minutes.
const HEALTHY_TIME_MAX: Duration = Duration::from_secs(600);
/// Maximum number of restarts, all of which the host tolerates between two updates of a worker.
const REBOOTS_MAX: usize = 6;
/// Maximum number of planned power cuts, which take place only if enough is written to flash.
const POWER_CUTS_MAX: usize = 3;
/// Maximum number of frames sent by an attacker without the key.
const ATTACKS_MAX: usize = 40;
/// Maximum number of draws of options.
const DRAWS_MAX: usize = 1000;
/// Number of values of `--seed`.
const OPTION_SEEDS: u64 = u32::MAX as u64;

/// A run and its faults.
#[derive(Clone, Debug)]
pub struct Case {
    /// The run, as options of `smidgen simulate`.
    pub options: String,
    /// The faults of its lines, as a value of `--faults`.
    pub faults: String,
    /// Rounds of phase one.
    rounds: u32,
    /// Faults of boards; times are multiples of the duration of the run without faults.
    board_faults: Vec<(f64, usize, Fault)>,
    /// Rounds after which the host is replaced by one that resumes the run.
    host_ends: BTreeSet<u32>,
    /// Whether workers have journals.
    journals: bool,
    /// Whether there is a key, and an attacker without it.
    keyed: bool,
}

/// Counts of events, to see that every fault was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Closed rounds.
    pub rounds: u64,
    /// Comparisons of a mirror with its worker.
    pub comparisons: u64,
    /// Lost frames, those in outages included.
    pub lost: u64,
    /// Outages of one direction.
    pub outages: u64,
    /// Truncated frames.
    pub cut: u64,
    /// Corrupted frames.
    pub corrupted: u64,
    /// Duplicated frames.
    pub duplicated: u64,
    /// Bursts of stray bytes.
    pub noises: u64,
    /// Restarts of workers.
    pub reboots: u64,
    /// Power cuts during a write to flash.
    pub power_cuts: u64,
    /// Restarts that the host noticed.
    pub noticed: u64,
    /// Exclusions of a worker from a round.
    pub absences: u64,
    /// Unplugged links.
    pub unplugged: u64,
    /// Slowed workers.
    pub slowed: u64,
    /// Pairs of boards whose cables were exchanged.
    pub swapped: u64,
    /// Boards moved to the link of another board, which returned on theirs.
    pub displaced: u64,
    /// Frames replayed by an attacker without the key.
    pub replayed: u64,
    /// Plain frames forged by an attacker without the key.
    pub forged: u64,
    /// Runs with a key.
    pub keyed: u64,
    /// Workers that began to read their line late, several frames at once.
    pub drowsy: u64,
    /// Replaced hosts.
    pub host_ends: u64,
    /// The longest duration of the rounds after the last fault.
    pub healthy_time_max: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.rounds += other.rounds;
        self.comparisons += other.comparisons;
        self.lost += other.lost;
        self.outages += other.outages;
        self.cut += other.cut;
        self.corrupted += other.corrupted;
        self.duplicated += other.duplicated;
        self.noises += other.noises;
        self.reboots += other.reboots;
        self.power_cuts += other.power_cuts;
        self.noticed += other.noticed;
        self.absences += other.absences;
        self.unplugged += other.unplugged;
        self.slowed += other.slowed;
        self.drowsy += other.drowsy;
        self.swapped += other.swapped;
        self.displaced += other.displaced;
        self.replayed += other.replayed;
        self.forged += other.forged;
        self.keyed += other.keyed;
        self.host_ends += other.host_ends;
        self.healthy_time_max = self.healthy_time_max.max(other.healthy_time_max);
    }
}

/// A violated guarantee, and the case that shows it.
#[derive(Debug)]
pub struct Broken {
    seed: u64,
    case: Case,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, case, what } = self;
        writeln!(f, "{what}\n{case:?}")?;
        write!(f, "again: cargo run --release -p smidgen-tests --example torture -- {seed}")
    }
}

impl Case {
    /// The case of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let workers = rng.random_range(1..=6);
        let (options, forgetful) = draw_options(&mut rng, workers);
        let rounds = rng.random_range(8..40);
        let all = rounds + HEALTHY_ROUNDS;
        let options = format!("{options} --rounds {all} --seed {}", seed % OPTION_SEEDS);
        let count = if forgetful { 0 } else { rng.random_range(0..=REBOOTS_MAX) };
        let mut board_faults: Vec<_> = (0..count).map(|_| Fault::Reboot).collect();
        for _ in 0..rng.random_range(0..4) {
            board_faults.push(Fault::Unplug(Duration::from_millis(rng.random_range(1..20_000))));
        }
        for _ in 0..rng.random_range(0..3) {
            board_faults.push(Fault::Slow(Duration::from_millis(rng.random_range(1..3_000))));
        }
        for _ in 0..rng.random_range(0..4) {
            board_faults.push(Fault::Drowsy(Duration::from_millis(rng.random_range(1..100))));
        }
        for _ in 0..if workers > 1 { rng.random_range(0..4) } else { 0 } {
            board_faults.push(draw_move(&mut rng, workers));
        }
        let mut place = |fault| (draw_time(&mut rng), rng.random_range(0..workers), fault);
        let mut board_faults: Vec<_> = board_faults.into_iter().map(&mut place).collect();
        let ends = if forgetful { 0 } else { rng.random_range(0..3) };
        let host_ends = (0..ends).map(|_| rng.random_range(0..rounds)).collect();
        let faults = draw_faults(&mut rng);
        let journals = rng.random_bool(0.5);
        if journals {
            for _ in 0..if forgetful { rng.random_range(0..=REBOOTS_MAX) } else { 0 } {
                board_faults.push((
                    draw_time(&mut rng),
                    rng.random_range(0..workers),
                    Fault::Reboot,
                ));
            }
            for _ in 0..rng.random_range(0..=POWER_CUTS_MAX) {
                let cut = Fault::PowerCut(rng.random_range(1..1_500));
                // Data are written when they arrive, which is early.
                board_faults.push((draw_time(&mut rng) / 10.0, rng.random_range(0..workers), cut));
            }
        }
        let keyed = rng.random_bool(0.5);
        for _ in 0..if keyed { rng.random_range(0..ATTACKS_MAX) } else { 0 } {
            board_faults.push((
                draw_time(&mut rng),
                rng.random_range(0..workers),
                draw_attack(&mut rng),
            ));
        }
        Self { options, faults, rounds, board_faults, host_ends, journals, keyed }
    }
}

/// An action of an attacker who hears all lines and can send on them, but does not have the key.
fn draw_attack(rng: &mut ChaCha8Rng) -> Fault {
    let up = rng.random_bool(0.5);
    match rng.random_range(0..4) {
        0 => Fault::Forge { up },
        1 => Fault::Replay { up, ago: rng.random_range(0..256) },
        // A recent frame: the awaited answer, or the request that is being answered.
        _ => Fault::Replay { up, ago: rng.random_range(0..8) },
    }
}

/// Exchanged cables, or a board that is moved to the link of another one.
fn draw_move(rng: &mut ChaCha8Rng, workers: usize) -> Fault {
    let other = rng.random_range(0..workers);
    if rng.random_bool(0.5) {
        return Fault::Swap { with: other, noticed: rng.random_bool(0.5) };
    }
    Fault::Displace(other, Duration::from_millis(rng.random_range(1..20_000)))
}

/// A time: mostly early, during set-up and the first rounds, sometimes long after the end of a run without faults.
fn draw_time(rng: &mut ChaCha8Rng) -> f64 {
    10f64.powf(rng.random_range(-3.0..1.0))
}

/// Options of a run, and whether its workers keep local state, which a restart loses. The product says which
/// combinations it has: options that contradict each other are drawn again.
fn draw_options(rng: &mut ChaCha8Rng, workers: usize) -> (String, bool) {
    for _ in 0..DRAWS_MAX {
        let (problem, method) = (draw_problem(rng), draw_method(rng));
        let options = format!("{problem} {method} --workers {workers}");
        match try_experiment(&options) {
            Ok(experiment) => return (options, experiment.setup.method.rule.has_local_state()),
            Err(ExperimentError::Specification(_)) => {}
            Err(error) => panic!("{options}: {error}"),
        }
    }
    panic!("all of {DRAWS_MAX} drawn combinations of options contradict each other")
}

fn draw_method(rng: &mut ChaCha8Rng) -> String {
    let (method, compressor) = (choose::<Method>(rng), choose::<Compressor>(rng));
    let (downlink, init) = (choose::<Downlink>(rng), choose::<Init>(rng));
    let step = ["auto", "auto", "am", "0.01"].choose(rng).expect("some");
    let participation = if rng.random_ratio(1, 3) { "--participation 0.6" } else { "" };
    let absent = if rng.random_ratio(1, 4) { "--absent skip=0.3" } else { "" };
    let batch = if rng.random_ratio(1, 3) { "--batch 5" } else { "" };
    let bits = [2, 3, 4, 8, 13, 32].choose(rng).expect("some");
    let k = rng.random_range(1..=30);
    format!(
        "--method {method} {participation} {batch} {absent} --compressor {compressor} --downlink {downlink} \
         --step {step} --init {init} --value-bits {bits} --k {k}"
    )
}

/// A value of an option; the first, which is the most common, more often than the others.
fn choose<C: Choice>(rng: &mut ChaCha8Rng) -> &'static str {
    let first = rng.random_ratio(1, 4);
    C::ALL[if first { 0 } else { rng.random_range(0..C::ALL.len()) }].name()
}

fn draw_problem(rng: &mut ChaCha8Rng) -> String {
    let dataset = ["digits", "breast-cancer"].choose(rng).expect("some");
    let objective = choose::<Objective>(rng);
    let rows = rng.random_range(24..160);
    let lambda = ["0", "0.001", "0.1"].choose(rng).expect("some");
    format!("--dataset {dataset} --rows {rows} --objective {objective} --lambda {lambda}")
}

fn draw_faults(rng: &mut ChaCha8Rng) -> String {
    let mut faults = Vec::new();
    for (name, worst) in [
        ("loss", 0.3),
        ("outage", 0.02),
        ("cut", 0.2),
        ("corrupt", 0.2),
        ("garble", 0.003),
        ("noise", 0.2),
        ("duplicate", 0.3),
    ] {
        if rng.random_bool(0.5) {
            faults.push(format!("{name}={:.4}", rng.random_range(0.0..worst)));
        }
    }
    if rng.random_bool(0.5) {
        faults.push("split".into());
    }
    if faults.is_empty() { "none".into() } else { faults.join(",") }
}

/// Runs the case of a seed with its faults.
///
/// # Errors
/// If a guarantee is violated.
pub fn torture(seed: u64) -> Result<Tally, Box<Broken>> {
    let case = Case::draw(seed);
    let outcome = catch_unwind(|| {
        let (transcripts, time) = clean(&case);
        Torment::new(&case, time).run(&transcripts)
    });
    let outcome = outcome.unwrap_or_else(|_| Err("it panicked, see above".into()));
    outcome.map_err(|what| Box::new(Broken { seed, case, what }))
}

/// The transcripts of the run without faults, and its duration.
fn clean(case: &Case) -> (Vec<u64>, Duration) {
    let experiment = experiment(&case.options);
    let mut world = experiment.simulation();
    let mut transcripts = Vec::new();
    loop {
        match world.next_event().unwrap_or_else(|error| panic!("{case:?}: {error}")) {
            Event::Closed(closed) => {
                transcripts.push(closed.transcript);
                match closed.round < experiment.options().rounds {
                    true => world.aggregator().proceed(),
                    false => world.aggregator().finish(),
                }
            }
            Event::Finished(_) => return (transcripts, world.now()),
            Event::Failed(failure) => panic!("{case:?}: {failure:?}"),
            _ => {}
        }
    }
}

/// A run with faults.
struct Torment<'c> {
    case: &'c Case,
    experiment: Experiment,
    world: FaultySimulation,
    session: u32,
    /// Whether a round closed without a worker: from then on transcripts differ.
    left_out: bool,
    tally: Tally,
}

impl<'c> Torment<'c> {
    fn new(case: &'c Case, clean_time: Duration) -> Self {
        let mut experiment = experiment(&format!("{} --faults {}", case.options, case.faults));
        if case.keyed {
            experiment = sealed(experiment);
        }
        let mut world = FaultySimulation::new(&experiment);
        if case.journals {
            world = world.with_journals();
        }
        for &(time, worker, fault) in &case.board_faults {
            world.plan(clean_time.mul_f64(time), worker, fault);
        }
        let session = experiment.setup.session;
        Self {
            case,
            experiment,
            world,
            session,
            left_out: false,
            tally: Tally { runs: 1, keyed: case.keyed.into(), ..Tally::default() },
        }
    }

    fn run(&mut self, transcripts: &[u64]) -> Result<Tally, String> {
        let mut cleared_at = None;
        let mut next = 0;
        loop {
            match self.world.next_event().map_err(|error| error.to_string())? {
                Event::Closed(closed) => {
                    self.check(&closed, next, transcripts)?;
                    next += 1;
                    if closed.round == self.case.rounds {
                        self.count_faults();
                        self.world.clear_faults();
                        cleared_at = Some(self.world.now());
                    }
                    self.go_on(closed.round);
                }
                Event::Finished(_) => break,
                Event::Failed(failure) => return Err(format!("it failed: {:?}", failure.reason)),
                _ => {}
            }
        }
        let took = self.world.now() - cleared_at.ok_or("phase two did not begin")?;
        if took > HEALTHY_TIME_MAX {
            return Err(format!("{HEALTHY_ROUNDS} rounds without faults took {took:?}"));
        }
        self.tally.healthy_time_max = took;
        self.check_bytes()?;
        Ok(self.tally)
    }

    /// Checks that rounds close in order with the transcripts of the clean run, and that workers hold what the host
    /// holds.
    fn check(&mut self, closed: &Closed, next: u32, transcripts: &[u64]) -> Result<(), String> {
        self.tally.rounds += 1;
        if closed.round != next {
            return Err(format!("round {} was closed instead of {next}", closed.round));
        }
        self.tally.absences += u64::from(closed.excluded);
        self.left_out |= closed.excluded > 0;
        if !self.left_out && transcripts.get(next as usize) != Some(&closed.transcript) {
            return Err(format!("round {next} has another transcript"));
        }
        for worker in 0..self.experiment.workers.len() {
            let Some(board) = self.world.board(worker) else {
                return Err(format!("worker {worker} took part in round {next} without a name"));
            };
            let at = self.world.worker(board);
            // A worker that was restarted after its update is not in the round.
            let Some((x, g_i)) = at.state().filter(|_| at.round() == Some(next)) else { continue };
            let (x, g_i) = (x.to_vec(), g_i.to_vec());
            let aggregator = self.world.aggregator();
            if aggregator.is_excluded(worker) {
                continue;
            }
            if (&x[..], &g_i[..]) != (aggregator.x(), aggregator.mirror(worker).mantissas()) {
                return Err(format!("round {next}: worker {worker} is not what the host holds"));
            }
            self.tally.comparisons += 1;
        }
        Ok(())
    }

    fn go_on(&mut self, round: u32) {
        if round == self.experiment.options().rounds {
            self.world.aggregator().finish();
        } else if self.case.host_ends.contains(&round) {
            self.end_host();
        } else {
            self.world.aggregator().proceed();
        }
    }

    /// Replaces the host by one that resumes from its snapshot, in a new session.
    fn end_host(&mut self) {
        self.session += 1;
        self.tally.host_ends += 1;
        let setup = Setup { session: self.session, ..self.experiment.setup.clone() };
        let snapshot: Option<Snapshot> = self.world.aggregator().snapshot();
        let snapshot = snapshot.expect("a round is closed");
        *self.world.aggregator() = Aggregator::resume(setup, snapshot).expect("it is of this run");
    }

    /// Counts the faults so far.
    fn count_faults(&mut self) {
        for worker in 0..self.experiment.workers.len() {
            let (down, up) = self.world.line_statistics(worker);
            for statistics in [down, up] {
                self.tally.lost += statistics.lost_frames;
                self.tally.outages += statistics.outages;
                self.tally.cut += statistics.cut_frames;
                self.tally.corrupted += statistics.corrupted_frames;
                self.tally.duplicated += statistics.duplicated_frames;
                self.tally.noises += statistics.noises;
            }
            self.tally.noticed += u64::from(self.world.aggregator().reboots(worker));
        }
        self.tally.power_cuts += self.world.power_failures();
        for fault in self.world.occurred() {
            match fault {
                Fault::Reboot => self.tally.reboots += 1,
                Fault::PowerCut(_) => {}
                Fault::Unplug(_) => self.tally.unplugged += 1,
                Fault::Slow(_) => self.tally.slowed += 1,
                Fault::Drowsy(_) => self.tally.drowsy += 1,
                Fault::Swap { .. } => self.tally.swapped += 1,
                Fault::Displace(..) => self.tally.displaced += 1,
                Fault::Replay { .. } => self.tally.replayed += 1,
                Fault::Forge { .. } => self.tally.forged += 1,
            }
        }
    }

    /// Checks that both ends count every byte; a replaced host took its counts along. Where links led to several
    /// workers, the bytes of a worker are those of several boards, so all are added up.
    fn check_bytes(&mut self) -> Result<(), String> {
        self.world.drain();
        let all = 0..self.experiment.workers.len();
        let mut ends: Vec<_> = all.map(|worker| self.bytes(worker)).collect();
        if self.tally.host_ends > 0 {
            ends.clear();
        }
        // Replaying a Hello and its answer on another line is equivalent to an exchanged cable.
        if self.tally.swapped + self.tally.displaced + self.tally.replayed > 0 {
            ends = ends.into_iter().reduce(Ends::plus).into_iter().collect();
        }
        match ends.iter().find(|ends| !ends.add_up()) {
            Some(ends) => Err(format!("bytes do not add up: {ends:?}")),
            None => Ok(()),
        }
    }

    /// The bytes of a worker at the host, and those of the board of the same number.
    fn bytes(&mut self, worker: usize) -> Ends {
        let ((down, up), at) = (self.world.line_statistics(worker), self.world.worker(worker));
        let (sent, arriving) = (down.sent, down.arriving());
        let explained = at.counters().bytes() + at.pending() as u64 + self.world.forgotten(worker);
        let rising = up.arriving() - self.world.dropped(worker);
        let aggregator = self.world.aggregator();
        let (uplink, downlink) = aggregator.traffic(worker);
        let risen = aggregator.counters(worker).bytes() + aggregator.pending(worker) as u64;
        Ends([
            (downlink.wire_bytes, sent),
            (arriving, explained),
            (rising, risen),
            (risen, uplink.wire_bytes),
        ])
    }
}

/// Pairs of byte counts that must be equal: counted down and sent, arrived at the board and counted there, arrived at
/// the host and counted there, counted there and counted up.
#[derive(Debug)]
struct Ends([(u64, u64); 4]);

impl Ends {
    fn plus(self, other: Self) -> Self {
        let mut sums = self.0.into_iter().zip(other.0);
        Self([(); 4].map(|()| {
            let (one, other) = sums.next().expect("four of both");
            (one.0 + other.0, one.1 + other.1)
        }))
    }

    fn add_up(&self) -> bool {
        self.0.iter().all(|(one, other)| one == other)
    }
}
