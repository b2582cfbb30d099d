//! Every objective on emulated boards: their images give the transcripts of simulation, bit for bit.

use smidgen::boards::board::BOARDS;
use smidgen::options::{Objective, Regulariser};
use smidgen_tests::conformance::{each, experiment, run, simulated, transcripts};
use smidgen_tests::emulation::{boards_for, driver, start};

fn assert_conforms(options: &str, boards: &[&str], test: &str) {
    let Some(emulators) = start(boards, test) else { return };
    let experiment = experiment(&format!("{options} --workers {} --rounds 10", boards.len()));
    let mut driver = driver(&experiment, &emulators);
    let rounds = run(&experiment, &mut driver).unwrap_or_else(|error| panic!("{test}: {error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)), "{test}");
}

/// Each objective with one of the regularisers, on all boards but those on which it does not fit with one row either.
#[test]
fn every_objective_conforms_on_every_board() {
    let test = "every_objective_conforms_on_every_board";
    let objectives = each::<Objective>("--objective");
    let regularisers = each::<Regulariser>("--regulariser");
    for (objective, regulariser) in objectives.iter().zip(regularisers.iter().cycle()) {
        let data = "--dataset breast-cancer --k 4 --step 0.1";
        let options = format!("{objective} {regulariser} {data}");
        let with = |rows: usize| format!("{options} --rows {rows}");
        let fit = |options: &str| {
            boards_for(&experiment(&format!("{options} --workers {}", BOARDS.len())), test)
        };
        let (few, boards) = (fit(&with(BOARDS.len())), fit(&with(120)));
        assert_eq!(boards, few, "{objective} is not on every board");
        assert_conforms(&with(120), &boards, test);
    }
}

#[test]
fn softmax_on_cortex_m4() {
    let options = "--objective softmax --rows 400 --k 20 --step 2";
    assert_conforms(options, &["stm32f405"; 2], "softmax_on_cortex_m4");
}

#[test]
fn a_perceptron_on_cortex_m3_and_m4() {
    let options = "--objective perceptron --rows 400 --k 75 --step 1";
    assert_conforms(options, &["mps2-m3", "stm32f405"], "a_perceptron_on_cortex_m3_and_m4");
}
