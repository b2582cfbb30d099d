//! `--step auto` against theory and against the best fixed step: rounds until ‖∇f‖² has fallen to a fraction of its
//! start.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench step_auto -- [SET…] [OPTION…]
//! ```
//!
//! Sets are digits, breast-cancer, mushrooms, phishing and a9a (all without SET); what begins with `--` is added to
//! every run, such as `--participation 0.5`. 8 workers, contiguous blocks, λ = 1e-3; K = 1, d/20 and d/8. Each run is
//! the whole path: fixed point, frames, aggregator. The best fixed step is searched among theory · 2^e, for each
//! target by itself.

use smidgen::problem::dataset::Dataset;
use smidgen::run::experiment::Experiment;
use smidgen_tests::conformance::{experiment, run, simulation};
use smidgen_tests::shared;
use std::fmt::Write as _;

/// Fractions of ‖∇f(x⁰)‖².
const TARGETS: [f64; 3] = [1e-2, 1e-4, 1e-6];
/// The longest fixed step tried is theory · 2^16.
const DOUBLINGS_MAX: i32 = 16;
const SETS: [&str; 5] = ["digits", "breast-cancer", "mushrooms", "phishing", "a9a"];

/// Rounds to each target; none where it was not reached.
type Rounds = [Option<u32>; 3];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let first = arguments.iter().position(|a| a.starts_with("--")).unwrap_or(arguments.len());
    let (sets, extra) = arguments.split_at(first);
    let extra = extra.join(" ");
    println!("| set | d | K | auto | best fixed | theory |\n|---|---|---|---|---|---|");
    for set in SETS.into_iter().filter(|set| sets.is_empty() || sets.iter().any(|s| s == set)) {
        let Some(path) = find(set) else { continue };
        let dimension = Dataset::load(&path).expect("it is a data set").dimension();
        let rounds = if set == "a9a" { 1500 } else { 4000 };
        for k in [1, (dimension / 20).max(2), dimension / 8] {
            let base = format!(
                "--dataset {path} --workers 8 --lambda 1e-3 --k {k} --rounds {rounds} --init full {extra}"
            );
            println!("| {set} | {dimension} | {k} | {} |", row(&base));
        }
    }
}

/// Auto, the best fixed step for each target, and theory.
fn row(base: &str) -> String {
    let auto = rounds(&format!("{base} --step auto"));
    let gamma = experiment(&format!("{base} --step am")).setup.method.gamma;
    let fixed: Vec<Rounds> = (0..=DOUBLINGS_MAX)
        .map(|e| rounds(&format!("{base} --step {}", gamma * f64::from(e).exp2())))
        .collect();
    let best = [0, 1, 2].map(|target| fixed.iter().filter_map(|rounds| rounds[target]).min());
    [auto, best, fixed[0]].map(show).join(" | ")
}

fn show(rounds: Rounds) -> String {
    let mut text = String::new();
    for (index, rounds) in rounds.iter().enumerate() {
        let separator = if index == 0 { "" } else { " / " };
        let rounds = rounds.map_or("–".to_owned(), |rounds| rounds.to_string());
        write!(text, "{separator}{rounds}").expect("text can be written to a string");
    }
    text
}

/// A run until the last target.
fn rounds(options: &str) -> Rounds {
    let experiment = experiment(options);
    let start = start(&experiment);
    let options = format!("{options} --target {}", TARGETS[2] * start);
    let experiment = smidgen_tests::conformance::experiment(&options);
    let records = run(&experiment, &mut simulation(&experiment))
        .unwrap_or_else(|error| panic!("{options}: {error}"));
    TARGETS.map(|target| {
        let reached = |norm: f64| norm <= target * start;
        let record = records.iter().find(|r| r.gradient_norm_squared.is_some_and(reached));
        record.map(|record| record.round)
    })
}

/// ‖∇f(x⁰)‖².
fn start(experiment: &Experiment) -> f64 {
    experiment
        .objective()
        .expect("the host has the rows")
        .loss_and_norm_squared(&vec![0.0; experiment.shape.preparation.dimension()])
        .1
}

/// The name or path of a set.
fn find(set: &str) -> Option<String> {
    match set {
        "digits" => Some(set.to_owned()),
        "breast-cancer" => Some("breast-cancer-standardised".to_owned()),
        _ => Some(shared::path(set, "step_auto")?.to_str().expect("the path is text").to_owned()),
    }
}
