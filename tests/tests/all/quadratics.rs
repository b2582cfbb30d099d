//! Worked examples of EF21 on quadratic functions, through real shards, workers, frames and the aggregator.

use smidgen::problem::theory::{Mean, top_k_alpha};
use smidgen::run::experiment::Experiment;
use smidgen::world::World;
use smidgen_aggregator::{Aggregator, value};
use smidgen_tests::conformance::{experiment, run, simulated};
use smidgen_tests::reference::{quadratic_example, quadratics, worked_example};
use std::fs;
use tempfile::TempDir;

/// EF21 with Top1 on quadratic functions, as least squares without a regulariser.
fn prepare(folder: &TempDir, text: &str, options: &str) -> Experiment {
    let path = folder.path().join("quadratics");
    fs::write(&path, text).expect("the folder can be written to");
    let path = path.to_str().expect("the path is text");
    experiment(&format!(
        "--dataset {path} --objective least-squares --lambda 0 --k 1 --value-bits 32 {options}"
    ))
}

/// g_i of a worker, as the host mirrors it.
fn estimator(aggregator: &Aggregator, worker: usize) -> Vec<f64> {
    let exponent = aggregator.exponents().gradient;
    let mantissas = aggregator.mirror(worker).mantissas().iter();
    mantissas.map(|&mantissa| value(f64::from(mantissa), exponent)).collect()
}

#[test]
fn the_worked_example_to_six_digits() {
    use worked_example::{C, H, STATES};
    let folder = TempDir::new().expect("a folder");
    for (t, [x, g_1, g_2]) in STATES.into_iter().enumerate().skip(1) {
        let options = format!("--workers 2 --step 0.1 --rounds {t}");
        let experiment = prepare(&folder, &quadratics(&H, &C), &options);
        let mut world = experiment.simulation();
        run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
        let aggregator = world.aggregator();
        let found = [aggregator.model(), estimator(aggregator, 0), estimator(aggregator, 1)];
        for (found, expected) in found.iter().zip([x, g_1, g_2]) {
            let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6);
            assert!(close, "t = {t}: {found:?} is not {expected:?}");
        }
    }
}

/// ‖∇f‖² agrees to 1e-6, relatively above 1 and absolutely below. In the end the grid of x is visible, 2^-23
/// beside coordinates up to 3, seen through curvatures up to 16.
#[test]
fn the_quadratic_example_to_six_digits() {
    use quadratic_example::{C, H, ROUNDS, TRAJECTORIES, smoothness};
    let folder = TempDir::new().expect("a folder");
    for (step, norms) in TRAJECTORIES {
        let name = if step == Mean::Quadratic { "qm" } else { "am" };
        let options = format!("--workers 4 --scale-columns off --step {name} --rounds 2000");
        let experiment = prepare(&folder, &quadratics(&H, &C), &options);
        let gamma = smoothness().gamma(step, top_k_alpha(1, 6));
        assert!((experiment.setup.method.gamma / gamma - 1.0).abs() < 1e-12);
        let rounds = simulated(&experiment);
        for (round, expected) in ROUNDS.into_iter().zip(norms) {
            let found = rounds[round].gradient_norm_squared.expect("simulation knows it");
            let tolerance = 1e-6 * expected.max(1.0);
            let close = (found - expected).abs() <= tolerance;
            assert!(close, "{name}, t = {round}: {found:e}, not {expected:e}");
        }
    }
}
