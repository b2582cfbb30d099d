//! `--step auto` against the best fixed step: rounds and kB on all wires until ‖∇f‖² has fallen to a fraction of its
//! start.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench step_auto -- [SET…] [SEED:BITS…] [OPTION…]
//! ```
//!
//! Sets are digits, breast-cancer, mushrooms, phishing and a9a (all without SET); what begins with `--` is added to
//! every run, such as `--participation 0.5`. 8 workers, contiguous blocks, λ = 1e-3; K = 1, d/20 and d/8. Each run is
//! the whole path: fixed point, frames, aggregator. It is repeated with rows in other orders, by seeds, and values of
//! other widths: 1:8 2:6 3:10, unless others are named. A cell is the median, and the range of `auto`. The best fixed
//! step is searched among theory · 2^e, for each run, target and measure by itself (bytes to the last target among those
//! that are not slower to it in rounds).

use smidgen::problem::dataset::Dataset;
use smidgen::run::experiment::Experiment;
use smidgen::run::training::{Goal, collect};
use smidgen_tests::conformance::experiment;
use smidgen_tests::shared;
use std::thread;

/// Fractions of ‖∇f(x⁰)‖².
const TARGETS: [f64; 3] = [1e-2, 1e-4, 1e-6];
/// Seed of the order of the rows, and bits of a value.
type Run = (u32, u8);
/// The runs, unless others are named.
const RUNS: [Run; 3] = [(1, 8), (2, 6), (3, 10)];
/// Rounds of a run at most.
const ROUNDS: u32 = 4000;
/// The longest fixed step tried is theory · 2^16.
const DOUBLINGS_MAX: i32 = 16;
/// The first one tried. The others are limited by its rounds, so it should not be the worst.
const DOUBLINGS_FIRST: i32 = 6;
/// Rounds of a tie at the first target.
const TIE: f64 = 20.0;
const SETS: [&str; 5] = ["digits", "breast-cancer", "mushrooms", "phishing", "a9a"];

/// What a run needed to each target, or the least that some run did; infinity where it was not reached.
#[derive(Clone, Copy)]
struct Needs {
    rounds: [f64; 3],
    kilobytes: [f64; 3],
}

impl Needs {
    const NONE: Self = Self { rounds: [f64::INFINITY; 3], kilobytes: [f64::INFINITY; 3] };
}

/// The needs of `auto` and of the best fixed steps in one run.
#[derive(Clone, Copy)]
struct Pair {
    auto: Needs,
    fixed: Needs,
}

/// Cells in which `auto` is ahead, by target.
#[derive(Default)]
struct Score {
    rounds: [u32; 3],
    kilobytes: [u32; 3],
    /// The same over all targets, as a mean over runs.
    runs: f64,
    /// Rounds of `auto` over those of the best fixed step.
    ratios: [Vec<f64>; 3],
    cells: u32,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let first = arguments.iter().position(|a| a.starts_with("--")).unwrap_or(arguments.len());
    let (chosen, extra) = arguments.split_at(first);
    let extra = extra.join(" ");
    let (runs, sets): (Vec<_>, Vec<_>) = chosen.iter().partition(|word| word.contains(':'));
    let runs = if runs.is_empty() {
        RUNS.to_vec()
    } else {
        runs.into_iter().map(|run| parse_run(run)).collect()
    };
    let unknown = sets.iter().find(|set| !SETS.contains(&set.as_str()));
    assert!(unknown.is_none(), "{unknown:?} is none of {SETS:?}");
    println!("| set | d | K | auto, rounds | best fixed | auto, kB | best fixed |");
    println!("|---|---|---|---|---|---|---|");
    let mut score = Score::default();
    for set in SETS.into_iter().filter(|set| sets.is_empty() || sets.iter().any(|s| *s == set)) {
        let Some(path) = find(set) else { continue };
        let dimension = Dataset::load(&path).expect("it is a data set").dimension();
        for k in [1, (dimension / 20).max(2), dimension / 8] {
            let base = format!(
                "--dataset {path} --workers 8 --lambda 1e-3 --k {k} --rounds {ROUNDS} --init full {extra}"
            );
            let pairs = pairs(&base, &runs);
            score.count(&pairs);
            println!("| {set} | {dimension} | {k} | {} |", row(&pairs));
        }
    }
    score.print();
}

fn parse_run(word: &str) -> Run {
    let (seed, bits) = word.split_once(':').expect("a run has a colon");
    (seed.parse().expect("a seed is a number"), bits.parse().expect("bits are a number"))
}

/// Runs everything for a cell.
fn pairs(base: &str, runs: &[Run]) -> Vec<Pair> {
    thread::scope(|scope| {
        let spawn = |&(seed, bits): &Run| {
            scope.spawn(move || pair(&format!("{base} --shuffle {seed} --value-bits {bits}")))
        };
        let runs: Vec<_> = runs.iter().map(spawn).collect();
        runs.into_iter().map(|run| run.join().expect("a run does not panic")).collect()
    })
}

fn pair(options: &str) -> Pair {
    let auto = experiment(&format!("{options} --step auto"));
    let rounds = auto.options().rounds;
    Pair {
        auto: needs(&auto, rounds),
        fixed: best_fixed(experiment(&format!("{options} --step am"))),
    }
}

/// The least needs over all fixed steps.
fn best_fixed(mut experiment: Experiment) -> Needs {
    let theory = experiment.setup.method.gamma;
    let mut best = Needs::NONE;
    let mut improves = |doublings: i32| {
        experiment.setup.method.gamma = theory * f64::from(doublings).exp2();
        // A run that is later than this cannot be the best for any target.
        let rounds = f64::from(experiment.options().rounds).min(best.rounds[2]);
        let needs = needs(&experiment, rounds as u32);
        let is_better = (0..3).any(|i| needs.rounds[i] < best.rounds[i]);
        for i in 0..3 {
            best.rounds[i] = best.rounds[i].min(needs.rounds[i]);
            best.kilobytes[i] = best.kilobytes[i].min(needs.kilobytes[i]);
        }
        is_better
    };
    for doublings in DOUBLINGS_FIRST..=DOUBLINGS_MAX {
        improves(doublings);
    }
    let mut useless = 0;
    for doublings in (0..DOUBLINGS_FIRST).rev() {
        useless = if improves(doublings) { 0 } else { useless + 1 };
        // Once steps are too short, still shorter ones are no better.
        if useless == 2 {
            break;
        }
    }
    best
}

/// Returns what a run needs to each target. It ends at the last target, or after `rounds` rounds.
fn needs(experiment: &Experiment, rounds: u32) -> Needs {
    let origin = vec![0.0; experiment.shape.preparation.dimension()];
    let objective = experiment.objective().expect("the host has the rows");
    let start = objective.loss_and_norm_squared(&origin).1;
    let goal = Goal { rounds, target: Some(TARGETS[2] * start) };
    let mut needs = Needs::NONE;
    let mut bytes = 0;
    let course = collect(&mut experiment.simulation(), goal, experiment.options().baud, |record| {
        bytes += record.cost.wire_bytes();
        for (i, target) in TARGETS.into_iter().enumerate() {
            let is_reached =
                record.gradient_norm_squared.is_some_and(|norm| norm <= target * start);
            if is_reached && needs.rounds[i].is_infinite() {
                needs.rounds[i] = record.round.into();
                needs.kilobytes[i] = bytes as f64 / 1e3;
            }
        }
    });
    course.unwrap_or_else(|error| panic!("{error}"));
    needs
}

fn row(pairs: &[Pair]) -> String {
    let measures: [fn(Needs) -> [f64; 3]; 2] = [|needs| needs.rounds, |needs| needs.kilobytes];
    let cells = measures.map(|of| {
        let auto = [0, 1, 2].map(|i| range(pairs.iter().map(|pair| of(pair.auto)[i]).collect()));
        let fixed = [0, 1, 2].map(|i| shown(median(pairs, |pair| of(pair.fixed)[i])));
        format!("{} | {}", auto.join(" / "), fixed.join(" / "))
    });
    cells.join(" | ")
}

impl Score {
    fn count(&mut self, pairs: &[Pair]) {
        self.cells += 1;
        for target in 0..3 {
            let auto = median(pairs, |pair| pair.auto.rounds[target]);
            let fixed = median(pairs, |pair| pair.fixed.rounds[target]);
            self.rounds[target] += u32::from(is_ahead(target, auto, fixed));
            if auto.is_finite() && fixed.is_finite() {
                self.ratios[target].push(auto / fixed);
            }
            let auto = median(pairs, |pair| pair.auto.kilobytes[target]);
            let fixed = median(pairs, |pair| pair.fixed.kilobytes[target]);
            self.kilobytes[target] += u32::from(auto < fixed);
            let is_ahead = |pair: &&Pair| {
                is_ahead(target, pair.auto.rounds[target], pair.fixed.rounds[target])
            };
            self.runs += pairs.iter().filter(is_ahead).count() as f64 / pairs.len() as f64;
        }
    }

    fn print(&self) {
        let Self { rounds, kilobytes, runs, ratios, cells } = self;
        let ratios = ratios.each_ref().map(|ratios| {
            let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
            match ratios.is_empty() {
                true => "–".into(),
                false => format!("{:.2}", (sum / ratios.len() as f64).exp()),
            }
        });
        println!(
            "\nOf {cells} cells, auto is ahead in rounds in {rounds:?}, in bytes in {kilobytes:?};"
        );
        println!("in {runs:.1} in all, in rounds, as a mean over runs.");
        println!("Rounds of auto / best fixed, geometric means: {}", ratios.join(" / "));
    }
}

/// Returns whether `auto` needs fewer rounds than `fixed`. At the first target it may need [`TIE`] rounds more.
fn is_ahead(target: usize, auto: f64, fixed: f64) -> bool {
    match target {
        0 => auto.is_finite() && auto <= fixed + TIE,
        _ => auto < fixed,
    }
}

fn median(pairs: &[Pair], of: impl Fn(&Pair) -> f64) -> f64 {
    let mut values: Vec<f64> = pairs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median and the range.
fn range(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (median, least, most) = (values[values.len() / 2], values[0], values[values.len() - 1]);
    match least < most {
        true => format!("{} ({}–{})", shown(median), shown(least), shown(most)),
        false => shown(median),
    }
}

fn shown(value: f64) -> String {
    match value {
        f64::INFINITY => "–".into(),
        value if value < 10.0 && value.fract() != 0.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// The name or path of a set.
fn find(set: &str) -> Option<String> {
    match set {
        "digits" | "breast-cancer" => Some(set.to_owned()),
        _ => Some(shared::path(set, "step_auto")?.to_str().expect("the path is text").to_owned()),
    }
}
