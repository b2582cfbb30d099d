//! Every objective on emulated boards: the images that are flashed give the transcripts of simulation, bit for bit.

use smidgen_tests::conformance::{experiment, run, simulated, transcripts};
use smidgen_tests::emulation::{driver, start};

fn assert_conforms(options: &str, boards: &[&str], test: &str) {
    let Some(emulators) = start(boards, test) else { return };
    let experiment = experiment(&format!("{options} --workers {} --rounds 10", boards.len()));
    let mut driver = driver(&experiment, &emulators);
    let rounds = run(&experiment, &mut driver).unwrap_or_else(|error| panic!("{test}: {error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)), "{test}");
}

#[test]
fn least_squares_on_cortex_m0() {
    let options = "--objective least-squares --regulariser l2 --rows 200 --k 4";
    assert_conforms(options, &["microbit"; 2], "least_squares_on_cortex_m0");
}

#[test]
fn softmax_on_cortex_m0() {
    let options = "--objective softmax --dataset breast-cancer --rows 60 --k 4";
    assert_conforms(options, &["microbit"; 2], "softmax_on_cortex_m0");
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
