//! The fuzz targets on fixed inputs: their seeds, and mutated seeds.

use smidgen_protocol::digest::Draws;
use smidgen_tests::fuzz::aggregator::rows_scored;
use smidgen_tests::fuzz::corpus::mutate;
use smidgen_tests::fuzz::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs a target, and prints the input that it panics on.
fn run(target: &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        eprintln!("{} panics on {:02x?}", target.name, input);
        resume_unwind(panic);
    }
}

/// Runs a target on its seeds and on `executions` mutated seeds.
fn fuzz(name: &str, executions: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = (target.seeds)();
    seeds.iter().for_each(|seed| run(target, seed));
    run(target, &[]);
    let mut draws = Draws::new(1);
    let mut input = seeds[0].clone();
    for _ in 0..executions {
        // Every other input continues from the previous one, so that mutations accumulate.
        if draws.below(2) == 0 {
            input.clone_from(&seeds[draws.below(seeds.len() as u32) as usize]);
        }
        mutate(&mut input, &seeds[draws.below(seeds.len() as u32) as usize], &mut draws);
        run(target, &input);
    }
}

#[test]
fn deframer() {
    fuzz("deframer", 100_000);
}

#[test]
fn message() {
    fuzz("message", 200_000);
}

#[test]
fn body() {
    fuzz("body", 100_000);
}

#[test]
fn shard() {
    fuzz("shard", 50_000);
}

#[test]
fn worker() {
    fuzz("worker", 5_000);
}

#[test]
fn recordings() {
    fuzz("recordings", 5_000);
}

#[test]
fn run_beside_the_liar_comes_to_a_score() {
    assert_eq!(rows_scored(), 4);
}

#[test]
fn aggregator() {
    fuzz("aggregator", 3_000);
}

#[test]
fn dataset() {
    fuzz("dataset", 30_000);
}

#[test]
fn config() {
    fuzz("config", 500);
}

#[test]
fn checkpoint() {
    fuzz("checkpoint", 20_000);
}

#[test]
fn record() {
    fuzz("record", 500);
}

#[test]
fn model() {
    fuzz("model", 5_000);
}

#[test]
fn seeds_of_models_are_models() {
    for seed in smidgen_tests::fuzz::corpus::models() {
        let model = smidgen::record::Model::parse(&seed, "seed".as_ref());
        model.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&seed)));
    }
}
