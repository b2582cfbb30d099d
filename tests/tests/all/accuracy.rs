//! Digits in ten classes on eight workers: test accuracy as that of a float program, within a limit of bytes.

use smidgen::problem::dataset::{Dataset, Labels};
use smidgen::world::World;
use smidgen_tests::classifier::{Classifier, rows};
use smidgen_tests::conformance::{experiment, run, simulation};

/// Held-out rows: the last ones, by other writers than the first, or those of a shuffled order.
const TEST_ROWS: usize = 300;
/// Orders of the rows; 300 rows alone tell accuracies apart by some two points.
const SHUFFLES: [Option<u32>; 8] =
    [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7)];

/// Accuracies for the orders.
type Accuracies = [f64; SHUFFLES.len()];

/// Returns the accuracies of the float program after this many steps of gradient descent.
fn float(sizes: &[usize], gamma: f64, steps: usize) -> Accuracies {
    SHUFFLES.map(|seed| {
        let mut digits = Dataset::load_with("digits", Labels::Classes).expect("the set is bundled");
        if let Some(seed) = seed {
            digits = digits.shuffle(seed);
        }
        let (training, test) = digits.hold_out(TEST_ROWS).expect("there are more rows");
        let (training, test) = (rows(&training), rows(&test));
        let mut classifier = Classifier::new(sizes);
        (0..steps).for_each(|_| classifier.step(&training, gamma));
        classifier.accuracy(&test)
    })
}

/// Trains on eight workers; accuracies must be within a point of `float` in the mean, within two for each order, and all
/// wire bytes of a run within `bytes_max`.
fn check(options: &str, float: Accuracies, bytes_max: u64) {
    let all = format!("--workers 8 --test-rows {TEST_ROWS} --lambda 1e-4 --value-bits 4 {options}");
    let accuracies = SHUFFLES.map(|seed| {
        let shuffle = seed.map_or(String::new(), |seed| format!(" --shuffle {seed}"));
        let experiment = experiment(&(all.clone() + &shuffle));
        let mut world = simulation(&experiment);
        let rounds = run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
        let test = experiment.test(&world.aggregator().model()).expect("rows were held out");
        let accuracy = test.accuracy.expect("there are classes");
        let bytes: u64 = rounds.iter().map(|round| round.cost.wire_bytes()).sum();
        println!("{options}{shuffle}: accuracy {accuracy:.3}, {bytes} bytes");
        assert!(bytes <= bytes_max, "{bytes} bytes");
        accuracy
    });
    println!("{options}: accuracies {accuracies:.3?}, float {float:.3?}");
    // In whole rows, so that two points are not a little more than two.
    let rows = |accuracy: f64| (TEST_ROWS as f64 * accuracy).round();
    let losses =
        accuracies.iter().zip(float).map(|(&accuracy, float)| rows(float) - rows(accuracy));
    let losses: Vec<f64> = losses.map(|rows| 100.0 * rows / TEST_ROWS as f64).collect();
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let is_close = mean <= 1.0 && losses.iter().all(|&loss| loss <= 2.0);
    assert!(is_close, "{accuracies:?}, not {float:?}: {mean:.2} points worse in the mean");
}

#[test]
fn softmax_regression_is_as_good_as_a_float_program() {
    let float = float(&[64, 10], 1.0, 500);
    check("--objective softmax --step 3 --k 10 --rounds 200", float, 215_000);
}

#[test]
fn a_perceptron_is_as_good_as_a_float_program() {
    let float = float(&[64, 32, 10], 1.0, 300);
    check("--objective perceptron --step 2 --k 20 --rounds 200", float, 430_000);
    // Without a step by theory, auto starts from that of softmax regression.
    check("--objective perceptron --k 20 --rounds 200", float, 430_000);
}
