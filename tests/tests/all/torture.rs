//! Everything at once, for some hundred seeds; thousands are run by `examples/torture.rs`, see `docs/faults.md`.

use smidgen_tests::torture::{Tally, torture};

#[test]
fn three_hundred_seeds_lose_nothing() {
    let mut sum = Tally::default();
    for seed in 0..300 {
        sum += torture(seed).unwrap_or_else(|broken| panic!("{broken}"));
    }
    println!("{sum:?}");
    let Tally { lost, outages, cut, corrupted, duplicated, noises, .. } = sum;
    let tried = [lost, outages, cut, corrupted, duplicated, noises, sum.unplugged, sum.slowed];
    let faults = [sum.noticed, sum.host_ends, sum.swapped, sum.displaced, sum.replayed, sum.forged];
    assert!(tried.into_iter().chain(faults).all(|n| n >= 50), "{sum:?}");
}
