//! A Rust module.

use super::about::origin;
use super::source::numbers;
use super::windows;
use crate::model::network::{Layer, Network, Outcome};
use crate::record::Model;
use std::fmt::Write;

/// Computes scores, for every model.
const LAYER: &str = "
fn layer<const INPUTS: usize, const UNITS: usize>(
    input: &[f64; INPUTS],
    weights: &[[i32; INPUTS]; UNITS],
    biases: &[i64; UNITS],
    unit: f64,
) -> [f64; UNITS] {
    let mut outputs = [0.0; UNITS];
    for ((output, weights), bias) in outputs.iter_mut().zip(weights).zip(biases) {
        let mut sum = 0.0;
        for (weight, value) in weights.iter().zip(input) {
            sum += f64::from(*weight) * value;
        }
        *output = (sum + *bias as f64) * unit;
    }
    outputs
}
";

/// The class of the largest score.
const LARGEST: &str = "
/// Returns the index of the predicted class in `CLASSES`: the first one with the largest score.
pub fn class(scores: &[f64; SCORES]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, score) in scores.iter().enumerate() {
        if *score > best.1 {
            best = (index, *score);
        }
    }
    best.0
}
";

/// The class by the sign of the score.
const SIGN: &str = "
/// Returns the index of the predicted class in `CLASSES`: 1 if the score is positive.
pub fn class(scores: &[f64; SCORES]) -> usize {
    usize::from(scores.iter().any(|score| *score > 0.0))
}
";

const NAME: &str = "
/// Returns the name of the predicted class of a row.
pub fn classify(row: &[f64; COLUMNS]) -> &'static str {
    CLASSES.get(class(&scores(row))).copied().unwrap_or_default()
}
";

const VALUE: &str = "
/// Returns the predicted value of a row.
pub fn predict(row: &[f64; COLUMNS]) -> f64 {
    let [value] = scores(row);
    value
}
";

const SIGMOID: &str = "
/// Returns the probabilities of the classes.
pub fn probabilities(scores: &[f64; SCORES]) -> [f64; CLASSES.len()] {
    let [score] = *scores;
    let small = exp(if score > 0.0 { -score } else { score });
    let (likely, unlikely) = (1.0 / (1.0 + small), small / (1.0 + small));
    if score > 0.0 { [unlikely, likely] } else { [likely, unlikely] }
}
";

const SOFTMAX: &str = "
/// Returns the probabilities of the classes.
pub fn probabilities(scores: &[f64; SCORES]) -> [f64; CLASSES.len()] {
    let mut max = f64::NEG_INFINITY;
    for score in scores {
        if *score > max {
            max = *score;
        }
    }
    let (mut powers, mut sum) = ([0.0; CLASSES.len()], 0.0);
    for (power, score) in powers.iter_mut().zip(scores) {
        *power = exp(*score - max);
        sum += *power;
    }
    for power in &mut powers {
        *power /= sum;
    }
    powers
}
";

const TANH: &str = "
fn tanh(x: f64) -> f64 {
    let magnitude = if x < 0.0 { -x } else { x };
    // Below, the difference would cancel: the series of tanh has an error of 2^-55 there.
    if magnitude < 0.0625 {
        let s = x * x;
        return x + x * s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0 - s * (1382.0 / 155_925.0 - s * (21_844.0 / 6_081_075.0))))));
    }
    let small = exp(-2.0 * magnitude);
    let value = (1.0 - small) / (1.0 + small);
    if x < 0.0 { -value } else { value }
}
";

const EXP: &str = "
/// Returns e^x with an error of some 2^-52, without the standard library.
fn exp(x: f64) -> f64 {
    if x > 709.0 {
        return f64::INFINITY;
    }
    if x < -708.0 {
        return 0.0;
    }
    // e^x = 2^k e^r with |r| <= ln(2)/2. The two parts of ln(2) make r exact.
    let k = (x * core::f64::consts::LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }) as i64;
    let r = x - k as f64 * 6.931_471_803_691_238e-1 - k as f64 * 1.908_214_929_270_587_7e-10;
    let mut series = 1.0;
    let mut n = 14.0;
    while n > 0.5 {
        series = 1.0 + series * r / n;
        n -= 1.0;
    }
    series * f64::from_bits(((1023 + k) as u64) << 52)
}
";

/// Returns the source of a module.
pub(super) fn module(model: &Model, network: &Network<'_>) -> String {
    let mut code = format!("//! {}\n", origin(model));
    head(&mut code, network);
    for (number, layer) in (1..).zip(network.layers()) {
        arrays(&mut code, number, layer);
    }
    scores(&mut code, network);
    code.push_str(match network.outcome {
        Outcome::Value => VALUE,
        Outcome::Sign { .. } => SIGN,
        Outcome::Largest { .. } => LARGEST,
    });
    let probabilities = match network.outcome {
        Outcome::Value => "",
        Outcome::Sign { has_probabilities: false, .. } => NAME,
        Outcome::Sign { has_probabilities: true, .. } => &[NAME, SIGMOID].concat(),
        Outcome::Largest { .. } => &[NAME, SOFTMAX].concat(),
    };
    code.push_str(probabilities);
    code.push_str(LAYER);
    code.extend(network.windows.map(windows::rust));
    if !network.hidden.is_empty() {
        code.push_str(TANH);
    }
    if code.contains(" exp(") {
        code.push_str(EXP);
    }
    code
}

/// Appends constants: sizes, names, scales.
fn head(code: &mut String, network: &Network<'_>) {
    let (columns, scores) = (network.columns, network.scores.units());
    // A program that includes the file may use some of its items only.
    write!(
        code,
        "//!\n//! It needs neither dependencies nor the standard library, and cannot panic.\n\n\
         #![allow(dead_code)]\n\n\
         /// Number of columns of a row.\npub const COLUMNS: usize = {columns};\n\
         /// Number of scores of a row.\npub const SCORES: usize = {scores};\n"
    )
    .expect("writing to a string");
    match network.outcome {
        Outcome::Value => {}
        Outcome::Sign { classes, .. } | Outcome::Largest { classes } => {
            names(code, "Names of the classes", "CLASSES", classes);
        }
    }
    if !network.column_names.is_empty() {
        names(
            code,
            "Names of the columns, in the order of a row",
            "COLUMN_NAMES",
            network.column_names,
        );
    }
    let reals = |code: &mut String, name: &str, values: &mut dyn Iterator<Item = f64>| {
        writeln!(code, "\nstatic {name}: [f64; COLUMNS] = [").expect("writing to a string");
        numbers(code, "    ", values.map(|value| format!("{value:?}")));
        code.push_str("];\n");
    };
    if !network.scaling.is_empty() {
        reals(code, "CENTRES", &mut network.scaling.iter().map(|scaling| scaling.centre));
        reals(code, "SCALES", &mut network.scaling.iter().map(|scaling| scaling.scale));
    }
}

fn names(code: &mut String, what: &str, name: &str, names: &[String]) {
    let names: Vec<_> = names.iter().map(|name| format!("\"{}\"", name.escape_default())).collect();
    writeln!(
        code,
        "/// {what}.\npub const {name}: [&str; {}] = [{}];",
        names.len(),
        names.join(", ")
    )
    .expect("writing to a string");
}

fn arrays(code: &mut String, number: usize, layer: &Layer) {
    let Layer { inputs, weights, biases, unit } = layer;
    let units = layer.units();
    writeln!(
        code,
        "\n/// Value of a unit of weights and biases.\nconst UNIT_{number}: f64 = {unit:?};\n\
         static WEIGHTS_{number}: [[i32; {inputs}]; {units}] = ["
    )
    .expect("writing to a string");
    for unit in weights.chunks_exact(*inputs) {
        code.push_str("    [\n");
        numbers(code, "        ", unit);
        code.push_str("    ],\n");
    }
    writeln!(code, "];\nstatic BIASES_{number}: [i64; {units}] = [").expect("writing to a string");
    numbers(code, "    ", biases);
    code.push_str("];\n");
}

/// Appends the function that computes scores.
fn scores(code: &mut String, network: &Network<'_>) {
    code.push_str("\n/// Computes the scores of a row.\npub fn scores(row: &[f64; COLUMNS]) -> [f64; SCORES] {\n");
    if !network.scaling.is_empty() {
        code.push_str(
            "    let mut scaled = *row;\n    \
             for ((value, centre), scale) in scaled.iter_mut().zip(&CENTRES).zip(&SCALES) {\n        \
             *value = (*value - centre) / scale;\n    }\n    let row = &scaled;\n",
        );
    }
    let (count, mut input) = (network.hidden.len(), "row");
    for number in 1..=count {
        writeln!(
            code,
            "    let mut units = layer({input}, &WEIGHTS_{number}, &BIASES_{number}, UNIT_{number});\n    \
             for unit in &mut units {{\n        *unit = tanh(*unit);\n    }}"
        )
        .expect("writing to a string");
        input = "&units";
    }
    let last = count + 1;
    writeln!(code, "    layer({input}, &WEIGHTS_{last}, &BIASES_{last}, UNIT_{last})\n}}")
        .expect("writing to a string");
}
