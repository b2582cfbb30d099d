//! EF21-W generates the iterates of EF21 with the same γ, since TopK is positively homogeneous (Reloaded, section 2):
//! the two differ by their grids alone.

use smidgen::world::World;
use smidgen_tests::conformance::{experiment, run, simulation};

/// The model after the last round.
fn model(options: &str) -> Vec<f64> {
    let experiment = experiment(options);
    let mut world = simulation(&experiment);
    run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
    world.aggregator().model()
}

/// The largest distance of a coordinate, relative to the largest coordinate.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let largest =
        |vector: &mut dyn Iterator<Item = f64>| vector.fold(0.0, |a: f64, b| a.max(b.abs()));
    largest(&mut one.iter().zip(other).map(|(a, b)| a - b)) / largest(&mut one.iter().copied())
}

#[test]
fn weights_change_no_iterate_beyond_the_grid() {
    for problem in [
        "--dataset digits --k 1 --step 0.003",
        "--dataset digits --k 4 --step 0.5",
        "--dataset breast-cancer --k 2 --step 2e-8",
    ] {
        for rounds in [1, 10, 100] {
            let options = format!(
                "{problem} --workers 10 --split sorted-norm --value-bits 32 --init full --rounds {rounds}"
            );
            let plain = model(&format!("{options} --method ef21"));
            let weighted = model(&format!("{options} --method ef21-w"));
            let distance = distance(&plain, &weighted);
            assert!(distance <= 1e-6, "{problem}: {distance:e} after {rounds} rounds");
        }
    }
}
