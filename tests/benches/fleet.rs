//! Measures what a round of a worker costs the host, with fleets of several sizes, simulated workers included.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench fleet
//! ```
//!
//! Machines are shared and noisy: time on the processor is measured, and the best of several runs counts. What counts
//! is that the times do not grow with the fleet.

use smidgen_tests::conformance::{experiment, run, simulation};
use smidgen_tests::fleet::{processor_us, rows};

const FLEETS: [usize; 5] = [64, 256, 1024, 4096, 16_384];
/// Rounds of a fleet, which runs few and many of them: their difference is without the start.
const ROUNDS: [u32; 2] = [2, 12];
const RUNS: u32 = 3;

fn main() {
    println!("| workers | µs a worker-round |\n|---|---|");
    for workers in FLEETS {
        let folder = tempfile::tempdir().expect("there is room");
        let data = folder.path().join("rows");
        std::fs::write(&data, rows(workers)).expect("there is room");
        let path = data.to_str().expect("the path is text");
        let [few, many] = ROUNDS.map(|rounds| {
            let options =
                format!("--dataset {path} --workers {workers} --k 1 --step 0.1 --rounds {rounds}");
            let experiment = experiment(&options);
            let times = (0..RUNS).map(|_| {
                let mut world = simulation(&experiment);
                let start = processor_us();
                run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
                processor_us() - start
            });
            times.fold(f64::INFINITY, f64::min)
        });
        let rounds = f64::from(ROUNDS[1] - ROUNDS[0]);
        println!("| {workers} | {:.1} |", (many - few) / rounds / workers as f64);
    }
}
