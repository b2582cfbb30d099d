//! Measures the duration of a simulated round, for comparison with two published figures.
//!
//! mushrooms, n = 20, K = 1, 32 bits, one thread: 2.6 ms in the NumPy program of EF21's authors and 0.47 ms in a
//! well-vectorised NumPy round, both measured elsewhere. Machines are shared and noisy: time on the processor is
//! measured, and the best of several runs counts.

use rustix::time::{ClockId, clock_gettime};
use smidgen_tests::conformance::{experiment, run, simulation};
use smidgen_tests::shared;

const ROUNDS: u32 = 1000;
const RUNS: u32 = 7;
const AUTHORS_MS: f64 = 2.6;
const VECTORISED_MS: f64 = 0.47;

fn main() {
    let Some(path) = shared::path("mushrooms", "benchmark of a round") else { return };
    let path = path.to_str().expect("the path is text");
    for downlink in ["sparse", "dense"] {
        let options = format!(
            "--dataset {path} --workers 20 --lambda 0.1 --k 1 --value-bits 32 --init full --step qm \
             --rounds {ROUNDS} --downlink {downlink}"
        );
        let experiment = experiment(&options);
        let best = (0..RUNS).map(|_| {
            let mut world = simulation(&experiment);
            let start = processor_ms();
            run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
            (processor_ms() - start) / f64::from(ROUNDS)
        });
        let best = best.fold(f64::INFINITY, f64::min);
        println!(
            "{downlink} downlink: {best:.3} ms a round, {:.1} times the authors' program, {:.1} times a vectorised round",
            AUTHORS_MS / best,
            VECTORISED_MS / best
        );
    }
}

/// Processor time of this process in milliseconds.
fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
