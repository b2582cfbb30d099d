//! Fixed point against the f64 references: the frames on the wire give the same curves.

use smidgen::problem::theory::Mean;
use smidgen_tests::conformance::{experiment, simulated};
use smidgen_tests::reference::{self, ROUNDS, Trajectory};
use smidgen_tests::shared;

const CONTIGUOUS: &str = "--workers 20 --split contiguous --lambda 0.1 --init full";
const ONE_EACH: &str = "--split one-each --lambda 1000 --init full";
/// The references are runs on the columns of the files.
const RAW: &str = "--scale-columns off";

/// Runs a data set and compares ‖∇f(x^t)‖² with a reference, relatively.
fn assert_follows(dataset: &str, options: &str, (step, norms): Trajectory, tolerance: f64) {
    let step = match step {
        Mean::Quadratic => "qm",
        Mean::Arithmetic => "am",
    };
    let options = format!(
        "--dataset {dataset} {options} {RAW} --k 1 --value-bits 32 --step {step} --rounds 2000"
    );
    let rounds = simulated(&experiment(&options));
    for (round, expected) in ROUNDS.into_iter().zip(norms) {
        let norm = rounds[round].gradient_norm_squared.expect("simulation knows it");
        let error = (norm / expected - 1.0).abs();
        assert!(error <= tolerance, "{options}: t = {round}: {norm:e} instead of {expected:e}");
    }
}

/// The same for a file beside the repository.
fn assert_file_follows(
    file: &str,
    options: &str,
    trajectory: Trajectory,
    tolerance: f64,
    test: &str,
) {
    if let Some(path) = shared::path(file, test) {
        assert_follows(path.to_str().expect("the path is text"), options, trajectory, tolerance);
    }
}

#[test]
fn digits_with_either_step() {
    let options = "--workers 10 --split sorted-norm --lambda 1e-3 --init full";
    assert_follows("digits", options, reference::DIGITS_QM, 1e-3);
    assert_follows("digits", options, reference::DIGITS_AM, 1e-3);
}

#[test]
fn mushrooms_with_either_step() {
    let test = "mushrooms_with_either_step";
    assert_file_follows("mushrooms", CONTIGUOUS, reference::MUSHROOMS_QM, 1e-3, test);
    assert_file_follows("mushrooms", CONTIGUOUS, reference::MUSHROOMS_AM, 1e-3, test);
}

#[test]
fn phishing() {
    assert_file_follows("phishing", CONTIGUOUS, reference::PHISHING_QM, 1e-3, "phishing");
}

#[test]
fn phishing_with_compressed_first_estimators() {
    let options = "--workers 20 --lambda 1e-3 --init compressed";
    let test = "phishing_with_compressed_first_estimators";
    assert_file_follows("phishing", options, reference::PHISHING_COMPRESSED_QM, 1e-3, test);
}

#[test]
fn australian_with_raw_features_and_either_step() {
    let test = "australian_with_raw_features_and_either_step";
    assert_file_follows("australian", ONE_EACH, reference::AUSTRALIAN_QM, 1e-2, test);
    assert_file_follows("australian", ONE_EACH, reference::AUSTRALIAN_AM, 1e-2, test);
}

#[test]
fn breast_cancer_with_standardised_columns_and_either_step() {
    let options = "--workers 10 --split sorted-norm --lambda 1e-3 --init full";
    for trajectory in [reference::BREAST_CANCER_QM, reference::BREAST_CANCER_AM] {
        assert_follows("breast-cancer-standardised", options, trajectory, 1e-3);
    }
}

/// w1a with two rows for each of 1000 workers.
const TWO_ROWS: &str = "--rows 2000 --workers 1000 --lambda 1e-3 --init full";

#[test]
fn w1a_with_the_old_step() {
    assert_file_follows("w1a", TWO_ROWS, reference::W1A_QM, 1e-3, "w1a_with_the_old_step");
}

#[test]
fn w1a_with_the_new_step() {
    assert_file_follows("w1a", TWO_ROWS, reference::W1A_AM, 1e-3, "w1a_with_the_new_step");
}

/// With one step, 8 and 4 bits stay within 5 % of the curve of 32 at t = 1000.
#[test]
fn few_bits_follow_the_curve_of_many() {
    let test = "few_bits_follow_the_curve_of_many";
    for (file, options) in
        [("mushrooms", CONTIGUOUS), ("phishing", CONTIGUOUS), ("australian", ONE_EACH)]
    {
        let Some(path) = shared::path(file, test) else { continue };
        let path = path.to_str().expect("the path is text");
        let options = format!("--dataset {path} {options} {RAW} --k 1 --rounds 1000");
        let gamma = experiment(&format!("{options} --step qm --value-bits 32")).setup.method.gamma;
        let norm = |value_bits: u8| {
            let options = format!("{options} --step {gamma} --value-bits {value_bits}");
            let rounds = simulated(&experiment(&options));
            rounds[1000].gradient_norm_squared.expect("simulation knows it")
        };
        let exact = norm(32);
        for value_bits in [8, 4] {
            let error = (norm(value_bits) / exact - 1.0).abs();
            assert!(error <= 0.05, "{file}: {value_bits} bits are off by {error}");
        }
    }
}
