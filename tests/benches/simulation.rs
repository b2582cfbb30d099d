//! Measures a round of the simulation on one processor and on all, and compares it with a vectorised NumPy round of the
//! same work in the same run.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench simulation [-- SET…]
//! ```
//!
//! The NumPy round is `simulation.py`, run by the Python of `scripts/setup.sh`, or by `python3` without it, with one
//! thread. Machines are shared and noisy: time on the processor is measured, and the best of several runs counts. The
//! data set `dense` is generated: bytes without a pattern in 1,000 columns.

use rustix::time::{ClockId, clock_gettime};
use smidgen::run::experiment::Experiment;
use smidgen_aggregator::Share;
use smidgen_firmware::data::Data;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_protocol::batch::Selection;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::shard::Shard;
use smidgen_protocol::vector::Ratio;
use smidgen_tests::conformance::{experiment, run, simulation};
use smidgen_tests::shared;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const WORKERS: usize = 20;
const RUNS: u32 = 7;

/// A data set with the options of its runs.
struct Set {
    name: &'static str,
    k: u32,
    gamma: &'static str,
    /// Rounds of a run. A run of few rounds is subtracted, so that times are without the start.
    rounds: u32,
}

const FEW: u32 = 2;

const SETS: [Set; 5] = [
    Set { name: "mushrooms", k: 1, gamma: "0.1", rounds: 500 },
    Set { name: "phishing", k: 1, gamma: "0.1", rounds: 500 },
    Set { name: "w1a", k: 3, gamma: "0.1", rounds: 500 },
    Set { name: "a9a", k: 1, gamma: "0.1", rounds: 200 },
    Set { name: DENSE, k: 10, gamma: "1e-6", rounds: 30 },
];

/// The generated set, of this many rows and columns.
const DENSE: &str = "dense";
const DENSE_ROWS: usize = 10_000;
const DENSE_COLUMNS: usize = 1_000;

/// Milliseconds of a round.
struct Times {
    /// Processor time.
    round: f64,
    /// Processor time of the gradients alone.
    gradients: f64,
    /// Time by the clock on all processors, and on one.
    elapsed: [f64; 2],
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let folder = tempfile::tempdir().expect("there is room");
    let threads = rayon::current_num_threads();
    println!(
        "| set | rows · columns | ms a round | of it gradients | NumPy, f64 | times as fast | NumPy, f32 \
         | times as fast | by the clock, {threads} threads | times as fast |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    );
    for set in SETS.iter().filter(|set| names.is_empty() || names.iter().any(|n| n == set.name)) {
        let Some(path) = find(set.name, folder.path()) else { continue };
        let row = measured(set, &path);
        println!("{row}");
    }
}

/// Returns the row of a set.
fn measured(set: &Set, path: &Path) -> String {
    let path = path.to_str().expect("the path is text");
    let [few, many] = [FEW, set.rounds].map(|rounds| {
        experiment(&format!(
            "--dataset {path} --workers {WORKERS} --lambda 0.1 --k {} --value-bits 32 --init full \
             --step {} --rounds {rounds}",
            set.k, set.gamma
        ))
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
    let [start, whole] = [&few, &many].map(|it| pool.install(|| best(it)));
    let on_all = [&few, &many].map(best);
    let rounds = f64::from(set.rounds - FEW);
    let clocks = [on_all, [start, whole]].map(|[few, many]| (many[1] - few[1]) / rounds);
    let times = Times {
        round: (whole[0] - start[0]) / rounds,
        gradients: gradients(&many),
        elapsed: clocks,
    };
    let numpy = numpy(set, path);
    let mut row = format!(
        "| {} | {}·{} | {:.3} | {:.3} |",
        set.name,
        row_count(&many),
        many.setup.dimension,
        times.round,
        times.gradients
    );
    for kind in ["float64", "float32"] {
        let best = numpy.iter().filter(|(name, _)| name.ends_with(kind)).map(|(_, time)| *time);
        match best.reduce(f64::min) {
            Some(best) => write!(row, " {best:.3} | {:.1} |", best / times.round),
            None => write!(row, " – | – |"),
        }
        .expect("a string takes everything");
    }
    let [on_all, on_one] = times.elapsed;
    write!(row, " {on_all:.3} | {:.2} |", on_one / on_all).expect("a string takes everything");
    row
}

fn row_count(experiment: &Experiment) -> u32 {
    let rows = |share: &Share| Shard::open(&share.data).map_or(0, |shard| shard.header.rows);
    experiment.setup.shares.iter().map(rows).sum()
}

/// The least times of whole runs: of processors, and by the clock.
fn best(experiment: &Experiment) -> [f64; 2] {
    let clocks = [ClockId::ProcessCPUTime, ClockId::Monotonic];
    (0..RUNS).fold([f64::INFINITY; 2], |[least, shortest], _| {
        let mut world = simulation(experiment);
        let start = clocks.map(ms);
        run(experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
        let end = clocks.map(ms);
        [least.min(end[0] - start[0]), shortest.min(end[1] - start[1])]
    })
}

/// The least processor time of the gradients of all workers, at a model with random coordinates.
fn gradients(experiment: &Experiment) -> f64 {
    let dimension = experiment.setup.dimension as usize;
    let mut seed = 1;
    let x: Vec<i32> = (0..dimension).map(|_| random(&mut seed) as i32 >> 8).collect();
    let (mut gradient, mut scratch) = (vec![0; dimension], vec![0; dimension]);
    let shares = &experiment.setup.shares;
    let data: Vec<Vec<u64>> = shares.iter().map(|share| words(&share.data)).collect();
    let mut all = || {
        let start = ms(ClockId::ProcessCPUTime);
        for (data, share) in data.iter().zip(shares) {
            let len = share.data.len();
            Logistic::default().evaluate(Evaluation {
                objective: Logistic::NAME,
                x: &x,
                x_exponent: 26,
                gradient: &mut gradient,
                gradient_exponent: 20,
                loss_exponent: 20,
                regulariser: Regulariser::Nonconvex,
                lambda: Ratio { mantissa: 1 << 30, exponent: 33 },
                data: Data::Sent(&bytemuck::cast_slice(data)[..len]),
                rows: Selection::ALL,
                scratch: &mut scratch,
                saturated: &mut 0,
            });
        }
        ms(ClockId::ProcessCPUTime) - start
    };
    (0..10 * RUNS).map(|_| all()).fold(f64::INFINITY, f64::min)
}

/// Data at the alignment that a worker has.
fn words(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

/// Milliseconds of a round in NumPy for each way to store the rows; none without NumPy.
fn numpy(set: &Set, path: &str) -> BTreeMap<String, f64> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = here.join("../target/python/bin/python3");
    let python = if own.exists() { own } else { "python3".into() };
    let arguments = [path, &WORKERS.to_string(), &set.k.to_string(), set.gamma];
    let output = Command::new(python)
        .arg(here.join("benches/simulation.py"))
        .args(arguments)
        .args([(set.rounds / 2).to_string(), RUNS.to_string()])
        .envs(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"].map(|it| (it, "1")))
        .output();
    match output {
        Ok(output) if output.status.success() => {
            serde_json::from_slice(&output.stdout).expect("an object of numbers")
        }
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            eprintln!("SKIPPED: NumPy: {}", error.lines().last().unwrap_or_default());
            BTreeMap::new()
        }
        Err(error) => {
            eprintln!("SKIPPED: NumPy: python3 does not start: {error}");
            BTreeMap::new()
        }
    }
}

/// The file of a set.
fn find(name: &str, folder: &Path) -> Option<PathBuf> {
    if name != DENSE {
        return shared::path(name, "benchmark of the simulation");
    }
    let (path, mut text, mut seed) = (folder.join(DENSE), String::new(), 7);
    for _ in 0..DENSE_ROWS {
        write!(text, "{}", random(&mut seed) & 1).expect("a string takes everything");
        for column in 1..=DENSE_COLUMNS {
            // Not 0, which the format leaves out.
            let value = 1 + random(&mut seed) % 127;
            let sign = if random(&mut seed) & 1 == 0 { "" } else { "-" };
            write!(text, " {column}:{sign}{value}").expect("a string takes everything");
        }
        text.push('\n');
    }
    std::fs::write(&path, text).expect("there is room");
    Some(path)
}

/// Pseudo-random numbers (Marsaglia's xorshift), reproducible and of low quality.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 32
}

fn ms(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
