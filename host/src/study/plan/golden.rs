//! Step sizes, theorems and refusals of every method with every step, compared with a table.

use super::steps::admissible;
use crate::cli::{self, Command};
use crate::options::{Choice, Compressor, Downlink, Method, Options};
use crate::run::ExperimentError;
use crate::run::experiment::Experiment;
use smidgen_aggregator::StepRule;
use std::fmt::Write as _;

/// The table, as [`table`] writes it.
const GOLDEN: &str = include_str!("golden.txt");
/// Values of `--step`.
const STEPS: [&str; 7] = ["qm", "am", "auto", "exact", "rare", "tight", "0.25"];
/// Options that change which theorem covers a run.
const VARIANTS: [&str; 23] = [
    "",
    "--lambda 0.1",
    "--lambda 0.1 --regulariser l2",
    "--check-theory",
    "--downlink dense",
    "--downlink ef21-p",
    "--downlink ef21-bc --value-bits 8",
    "--batch 3",
    "--participation 0.5",
    "--participation 1,1,1,0.5 --value-bits 6",
    "--absent skip",
    "--k 4,4,4,64",
    "--k 8 --value-bits 3",
    "--compressor randk --constants boards",
    "--compressor natural",
    "--compressor sign --eta 0.3",
    "--objective least-squares --batch 3",
    "--objective softmax --regulariser l2",
    "--objective perceptron",
    "--objective svm",
    "--objective svm --batch 3 --constants boards",
    "--dataset breast-cancer --scale-columns auto",
    "--dataset breast-cancer --scale-columns auto --intercept",
];

fn parsed(options: &str) -> Options {
    let mut line = format!("smidgen simulate {options}");
    for (option, value) in [
        ("--scale-columns", "off"),
        ("--rows", "40"),
        ("--workers", "4"),
        ("--k", "4"),
        ("--lambda", "0"),
    ] {
        if !options.split_whitespace().any(|word| word == option) {
            write!(line, " {option} {value}").unwrap();
        }
    }
    let cli = cli::parse(line.split_whitespace().map(Into::into)).unwrap();
    let Command::Simulate(options) = cli.command else { unreachable!("the command is simulate") };
    options
}

fn experiment(options: &str) -> Result<Experiment, ExperimentError> {
    Experiment::new(&parsed(options), None, 1)
}

/// Returns γ, its rule, and the basis of the largest known step size.
fn step(options: &str) -> String {
    let experiment = match experiment(options) {
        Ok(experiment) => experiment,
        Err(error) => {
            let error = format!("{error:?}");
            let name = error.split([' ', '"']).next().unwrap_or_default();
            let mut words = name.split(['(', ')']);
            return words.rfind(|word| !word.is_empty()).unwrap_or_default().into();
        }
    };
    let tuned = match experiment.setup.method.step_rule {
        StepRule::Constant => "",
        StepRule::Tuned | StepRule::TunedFromGuess => "~",
    };
    let basis = experiment.longest.map_or("none".into(), |longest| {
        let gap = longest.basis.gap.map_or(String::new(), |gap| format!(" {gap:?}"));
        format!("{:.7e} {:?}{gap}", longest.gamma, longest.basis.theorem)
    });
    let floor = experiment.noise_floor().map_or(String::new(), |floor| format!(" {floor:.7e}"));
    format!("{tuned}{:.7e}; {basis}{floor}", experiment.setup.method.gamma)
}

/// Returns the step sizes that a plan lists.
fn offered(options: &str) -> String {
    let Ok(experiment) = experiment(options) else { return "refused".into() };
    let steps = admissible(&experiment, 1e-3).into_iter().map(|step| {
        let rounds = step.rounds_to_target.map_or(String::new(), |rounds| format!(" {rounds:.4e}"));
        let rate = step.linear_rate.map_or(String::new(), |rate| format!(" at {rate:.4e}"));
        format!("{} {:.7e}{rounds}{rate}", step.name, step.gamma)
    });
    steps.collect::<Vec<_>>().join("; ")
}

fn table() -> String {
    let mut table = String::new();
    for &method in Method::ALL {
        for variant in VARIANTS {
            writeln!(table, "{} {variant}", method.name()).unwrap();
            let options = format!("--method {} {variant}", method.name());
            for name in STEPS {
                writeln!(table, "    {name}: {}", step(&format!("{options} --step {name}")))
                    .unwrap();
            }
        }
    }
    for init in ["full", "zero", "compressed"] {
        for variant in VARIANTS {
            let options = format!("{variant} --init {init}");
            writeln!(table, "plan {options}\n    {}", offered(&options)).unwrap();
        }
    }
    table
}

#[test]
fn steps_of_all_methods() {
    let table = table();
    // Writes the table, to inspect it or to accept an intended difference:
    // GOLDEN_OUT=$PWD/host/src/study/plan/golden.txt cargo test -p smidgen --lib steps_of_all_methods
    if let Ok(path) = std::env::var("GOLDEN_OUT") {
        std::fs::write(path, &table).unwrap();
    }
    for (found, expected) in table.lines().zip(GOLDEN.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(table.lines().count(), GOLDEN.lines().count());
}

#[test]
fn table_has_every_compressor_and_downlink() {
    let variants = VARIANTS.map(parsed);
    for &compressor in Compressor::ALL {
        let is_listed = variants.iter().any(|options| options.compressor == compressor);
        assert!(is_listed, "add --compressor {} to VARIANTS", compressor.name());
    }
    for &downlink in Downlink::ALL {
        let is_listed = variants.iter().any(|options| options.downlink == downlink);
        assert!(is_listed, "add --downlink {} to VARIANTS", downlink.name());
    }
}
