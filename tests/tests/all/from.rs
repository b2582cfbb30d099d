//! Runs that start from the model of another run: the same transcript in every world.

use smidgen::options::Objective;
use smidgen::record::Model;
use smidgen::run::experiment::Experiment;
use smidgen_tests::conformance::{each, experiment, run, simulated, trained, transcripts};
use smidgen_tests::emulation::{driver, start};
use tempfile::TempDir;

/// Trains with these options, and returns an experiment that continues in the given world, with its folder.
fn continued(options: &str, more: &str) -> (TempDir, Model, Experiment) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let model = trained(&experiment(options));
    model.write(folder.path()).expect("there is room");
    let from = folder.path().join("model.json");
    let from = from.to_str().expect("the path is UTF-8").to_owned();
    (folder, model, experiment(&format!("{options} {more} --from {from}")))
}

#[test]
fn a_run_continues_with_the_loss_of_its_model() {
    let tables = each::<Objective>("--objective").into_iter();
    let tables = tables.map(|objective| format!("--rows 200 --workers 4 --rounds 20 {objective}"));
    let recordings = ["softmax", "perceptron"]
        .map(|objective| format!("--recordings example --rounds 20 --objective {objective}"));
    for options in tables.chain(recordings) {
        let (_folder, model, experiment) = continued(&options, "");
        let rounds = simulated(&experiment);
        let (before, after) = (model.loss.expect("it is known"), rounds[0].loss);
        // The first loss is that of a probe, of some 21 bits.
        let objective = experiment.objective().expect("the host has the rows");
        let (exact, _) = objective.loss_and_norm_squared(&model.values);
        assert!((exact - after).abs() < 1e-5 * exact, "{options}: {exact} and {after}");
        // Later ones are changes, by which the last loss is known to an eighth of its last change.
        assert!((before - exact).abs() < 1e-2 * exact, "{options}: {before} and {exact}");
        let continued = trained(&experiment);
        let loss = continued.loss.expect("it is known");
        assert!(continued.round > 0, "{options}");
        assert!(loss < 0.99 * before, "{options}: {loss} after {before}");
    }
}

#[test]
fn lossy_lines_do_not_change_a_continued_run() {
    let options = "--rows 200 --workers 4 --rounds 20 --objective softmax --downlink dense";
    let (_folder, _, clean) = continued(options, "");
    let faults = "--faults loss=0.2,corrupt=0.1,duplicate=0.1";
    let (_folder, _, faulty) = continued(options, faults);
    assert_eq!(transcripts(&simulated(&clean)), transcripts(&simulated(&faulty)));
}

/// Continues runs with these options on two emulated boards and in simulation.
fn assert_conforms(boards: [&str; 2], runs: &[&str]) {
    let test = "emulated_boards_continue_with_the_transcript_of_simulation";
    let Some(emulators) = start(&boards, test) else { return };
    for (session, options) in (1..).zip(runs) {
        let options = format!("--workers 2 --rounds 8 {options}");
        let (_folder, _, mut experiment) = continued(&options, "");
        experiment.setup.session = session;
        let mut driver = driver(&experiment, &emulators);
        let rounds = run(&experiment, &mut driver).unwrap_or_else(|e| panic!("{options}: {e}"));
        assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)), "{options}");
    }
}

#[test]
fn emulated_boards_continue_with_the_transcript_of_simulation() {
    let small = [
        "--rows 100 --objective logistic",
        "--rows 100 --downlink ef21-p --step 0.1",
        "--rows 100 --method ef21-hb --step 0.1",
    ];
    assert_conforms(["microbit", "mps2-m4"], &small);
    // These models exceed the memory of a micro:bit.
    let large = [
        "--rows 40 --objective perceptron --dataset breast-cancer-standardised",
        "--rows 40 --objective softmax --constants boards --step am",
    ];
    assert_conforms(["stm32f405", "mps2-m4"], &large);
}
