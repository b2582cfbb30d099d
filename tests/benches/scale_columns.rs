//! `--scale-columns auto` against the columns of the file and against `--standardise`: rounds and bytes on all wires to
//! a loss.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench scale_columns -- [SET…] [LOSS…] [OPTION…]
//! ```
//!
//! Sets are those of [`SETS`] (all without SET); from the first word that begins with `--` on, words are added to every
//! run. λ = 0, so that scaled columns leave the function as it is. Without LOSS, levels of the loss are
//! f* + q (f(x⁰) − f*), where f* is the least loss that a run with the same function reached. Standardised columns are
//! another function if the model has no bias; their runs have the same levels. Each run is repeated on shuffled rows; a
//! cell is the median and the range. The last column is the least loss of a run.

use smidgen::options::{Choice, ScaleColumns};
use smidgen::record::RoundRecord;
use smidgen_tests::conformance::{simulated, try_experiment};
use smidgen_tests::shared;

/// Seeds of the order of the rows.
const SEEDS: [u32; 5] = [1, 2, 3, 4, 5];
/// Rounds of a run, unless they are given.
const ROUNDS: &str = "--rounds 1000";

/// A data set with the options of its runs.
struct Set {
    name: &'static str,
    options: &'static str,
    /// The objective, if it has a bias of its own; that of the others is `--intercept`.
    with_bias: Option<&'static str>,
}

const SETS: [Set; 10] = [
    Set { name: "breast-cancer", options: "--workers 8 --k 2", with_bias: None },
    Set { name: "breast-cancer", options: "--workers 8", with_bias: Some("perceptron") },
    Set { name: "australian", options: "--workers 10 --k 1", with_bias: None },
    Set { name: "digits", options: "--workers 8 --k 3", with_bias: None },
    Set { name: "digits", options: "--workers 8", with_bias: Some("softmax") },
    Set { name: "digits", options: "--workers 8", with_bias: Some("perceptron") },
    Set { name: "mushrooms", options: "--workers 10", with_bias: None },
    Set { name: "phishing", options: "--workers 10", with_bias: None },
    Set { name: "w1a", options: "--workers 10", with_bias: None },
    Set { name: "a1a", options: "--workers 10", with_bias: None },
];

/// Levels of the loss.
enum Levels {
    /// Fractions of the gap between f(x⁰) and f*.
    Gaps([f64; 3]),
    Losses(Vec<f64>),
}

/// What a run needed to come to a level.
#[derive(Clone, Copy)]
struct Need {
    rounds: u32,
    kilobytes: f64,
}

/// Runs of one kind, by seed; `None` if the columns cannot be standardised.
type Runs = Vec<Option<Vec<RoundRecord>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let first = arguments.iter().position(|a| a.starts_with("--")).unwrap_or(arguments.len());
    let (words, extra) = arguments.split_at(first);
    let losses: Vec<f64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let names: Vec<_> = words.iter().filter(|word| word.parse::<f64>().is_err()).collect();
    let levels = match losses.is_empty() {
        true => Levels::Gaps([0.1, 0.03, 0.01]),
        false => Levels::Losses(losses),
    };
    let is_asked = |set: &&Set| names.is_empty() || names.iter().any(|name| *name == set.name);
    let rounds = if extra.iter().any(|word| word == "--rounds") { "" } else { ROUNDS };
    println!("| set | columns | rounds | kB on all wires | least loss |\n|---|---|---|---|---|");
    for set in SETS.iter().filter(is_asked) {
        let Some(data) = find(set.name) else { continue };
        let options = [set.options, &extra.join(" ")].join(" ");
        let base = format!("--dataset {data} --lambda 0 {rounds} {options}");
        match set.with_bias {
            None => {
                rows(set.name, &levels, &base, false);
                rows(
                    &format!("{}, intercept", set.name),
                    &levels,
                    &format!("{base} --intercept"),
                    true,
                );
            }
            Some(objective) => rows(
                &format!("{}, {objective}", set.name),
                &levels,
                &format!("{base} --objective {objective}"),
                true,
            ),
        }
    }
}

/// Prints the rows of a set with these options, which say whether the model has a bias.
fn rows(set: &str, levels: &Levels, options: &str, has_bias: bool) {
    let scaled = ScaleColumns::ALL.iter().map(|it| format!("--scale-columns {}", it.name()));
    let columns: Vec<_> = scaled.chain(["--standardise".into()]).collect();
    let run = |columns: &String| -> Runs {
        SEEDS.map(|seed| run(&format!("{options} {columns} --shuffle {seed}"))).into()
    };
    let runs: Vec<Runs> = columns.iter().map(run).collect();
    // The shuffled rows of all columns are equal, so their levels are.
    let same = if has_bias { &runs[..] } else { &runs[..ScaleColumns::ALL.len()] };
    for (columns, runs) in columns.iter().zip(&runs) {
        let of_seed = |(seed, run): (usize, &Option<Vec<RoundRecord>>)| {
            let least = least(same.iter().filter_map(|runs| runs[seed].as_ref()).flatten());
            Some(needs(run.as_ref()?, levels, least))
        };
        let needs: Vec<_> = runs.iter().enumerate().filter_map(of_seed).collect();
        let (rounds, kilobytes) =
            (cells(&needs, |need| need.rounds.into()), cells(&needs, |need| need.kilobytes));
        let losses: Vec<_> = runs.iter().flatten().map(|run| least(run.iter())).collect();
        let loss = if losses.is_empty() { "refused".into() } else { cell(losses) };
        println!(
            "| {set} | {} | {rounds} | {kilobytes} | {loss} |",
            columns.trim_start_matches("--")
        );
    }
}

/// Returns the least loss of these rounds.
fn least<'r>(rounds: impl Iterator<Item = &'r RoundRecord>) -> f64 {
    rounds.map(|record| record.loss).fold(f64::INFINITY, f64::min)
}

fn run(options: &str) -> Option<Vec<RoundRecord>> {
    let experiment = try_experiment(options).ok()?;
    Some(simulated(&experiment))
}

/// Returns what a run needed to each level; `None` where it was not reached.
fn needs(run: &[RoundRecord], levels: &Levels, least: f64) -> Vec<Option<Need>> {
    let first = run.first().map_or(f64::NAN, |record| record.loss);
    let limits: Vec<f64> = match levels {
        Levels::Gaps(gaps) => gaps.iter().map(|gap| least + gap * (first - least)).collect(),
        Levels::Losses(losses) => losses.clone(),
    };
    let need = |limit: f64| {
        let index = run.iter().position(|record| record.loss <= limit)?;
        let costs = run[..=index].iter().map(|record| &record.cost);
        let bytes: u64 = costs.map(|cost| cost.uplink.wire_bytes + cost.downlink.wire_bytes).sum();
        Some(Need { rounds: run[index].round, kilobytes: bytes as f64 / 1e3 })
    };
    limits.into_iter().map(need).collect()
}

/// Returns a cell for each level, from what the runs needed.
fn cells(needs: &[Vec<Option<Need>>], of: fn(Need) -> f64) -> String {
    let level_count = needs.first().map_or(0, Vec::len);
    let cells: Vec<_> = (0..level_count)
        .map(|level| {
            cell(needs.iter().map(|needs| needs[level].map_or(f64::INFINITY, of)).collect())
        })
        .collect();
    if cells.is_empty() { "refused".into() } else { cells.join(" / ") }
}

/// Returns the median and the range; infinity is a level that was not reached.
fn cell(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let shown = |value: f64| match value {
        f64::INFINITY => "–".into(),
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 && value.fract() != 0.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    };
    let (median, least, most) = (values[values.len() / 2], values[0], values[values.len() - 1]);
    match least < most {
        true if most.is_infinite() => format!("{} ({} to –)", shown(median), shown(least)),
        true => format!("{} ({}–{})", shown(median), shown(least), shown(most)),
        false => shown(median),
    }
}

/// The name or path of a set.
fn find(set: &str) -> Option<String> {
    match set {
        "digits" | "breast-cancer" => Some(set.to_owned()),
        _ => {
            Some(shared::path(set, "scale_columns")?.to_str().expect("the path is text").to_owned())
        }
    }
}
