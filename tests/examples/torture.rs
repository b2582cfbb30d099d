//! `cargo run --release -p smidgen-tests --example torture -- SEED | FROM..UNTIL`

use smidgen_tests::torture::{Case, Tally, torture};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "0..1000".into());
    let range = match argument.split_once("..") {
        Some((from, until)) => from.parse().ok().zip(until.parse().ok()),
        None => argument.parse().ok().map(|seed: u64| (seed, seed + 1)),
    };
    let Some((from, until)) = range else {
        eprintln!("give a seed, such as 17, or a range of seeds, such as 0..10000");
        return ExitCode::from(2);
    };
    if until - from == 1 {
        println!("{:#?}", Case::draw(from));
    }
    let (sum, broken) = all(from, until);
    println!("{sum:#?}");
    println!("{broken} of {} seeds are broken", until - from);
    ExitCode::from(u8::from(broken > 0))
}

/// Runs all seeds on all processors, and prints failures at once.
fn all(from: u64, until: u64) -> (Tally, u64) {
    let (next, broken) = (AtomicU64::new(from), AtomicU64::new(0));
    let sum = Mutex::new(Tally::default());
    let work = || {
        let seeds = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&seed| seed < until);
        while let Some(seed) = seeds() {
            match torture(seed) {
                Ok(tally) => *sum.lock().expect("no thread panics with it") += tally,
                Err(what) => {
                    broken.fetch_add(1, Ordering::Relaxed);
                    println!("seed {seed}: {what}");
                }
            }
        }
    };
    thread::scope(|scope| {
        (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| {
            scope.spawn(work);
        });
    });
    (sum.into_inner().expect("no thread panics with it"), broken.into_inner())
}
