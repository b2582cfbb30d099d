//! All faults at once for 300 seeds; `examples/torture.rs` runs thousands, see `docs/faults.md`.

use smidgen::options::{Compressor, Downlink, Method, Objective};
use smidgen_tests::conformance::each;
use smidgen_tests::torture::{Case, Tally, torture};

#[test]
fn three_hundred_seeds_keep_their_transcripts() {
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

/// The product refuses some combinations, but none of these choices altogether.
#[test]
fn three_hundred_seeds_try_every_choice() {
    let cases: Vec<_> = (0..300).map(|seed| Case::draw(seed).options + " ").collect();
    let choices = [
        each::<Method>("--method"),
        each::<Compressor>("--compressor"),
        each::<Downlink>("--downlink"),
        each::<Objective>("--objective"),
    ];
    for choice in choices.into_iter().flatten().map(|choice| choice + " ") {
        let count = cases.iter().filter(|options| options.contains(&choice)).count();
        assert!(count >= 5, "{choice}: {count} of 300");
    }
}
