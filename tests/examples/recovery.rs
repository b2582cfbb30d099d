//! Measures the time to recover from faults: `cargo run --release -p smidgen-tests --example recovery`
//!
//! Digits, eight workers, lines of 115200 baud in virtual time. A round with a lost frame closes later than a clean
//! one; a worker that is restarted is loaded and restored before its round closes. No fault costs a round.

use smidgen::world::World;
use smidgen_aggregator::Event;
use smidgen_tests::conformance::experiment;
use smidgen_tests::faulty::{Fault, FaultySimulation};
use std::time::Duration;

const ROUNDS: u32 = 2000;
/// Number of rounds between two restarts.
const REBOOT_PERIOD: u32 = 20;

fn main() {
    println!("| frame loss | fault | times | median | worst |");
    println!("|---|---|---|---|---|");
    let clean = median(&mut durations(0.0, None, false)).as_secs_f64();
    for loss in [0.0, 0.01, 0.05, 0.2] {
        let mut lossy: Vec<_> = durations(loss, None, false)
            .into_iter()
            .filter(|round| round.as_secs_f64() > 1.05 * clean)
            .collect();
        if loss > 0.0 {
            row(loss, "frames of a round are lost", &mut lossy, clean);
        }
        for (what, fault, journals) in [
            ("a board restarts", Fault::Reboot, false),
            ("a board restarts, with a journal", Fault::Reboot, true),
            ("a link is pulled for a second", Fault::Unplug(Duration::from_secs(1)), false),
        ] {
            let all = durations(loss, Some(fault), journals);
            let mut struck: Vec<_> = all
                .chunks(REBOOT_PERIOD as usize)
                .map(|rounds| *rounds.iter().max().expect("a chunk is not empty"))
                .collect();
            row(loss, what, &mut struck, clean);
        }
    }
}

fn row(loss: f64, what: &str, durations: &mut [Duration], clean: f64) {
    let extra = |duration: Duration| (duration.as_secs_f64() - clean).max(0.0);
    let (times, middle) = (durations.len(), extra(median(durations)));
    let worst = durations.iter().copied().map(extra).fold(0.0, f64::max);
    println!("| {} % | {what} | {times} | {middle:.3} s | {worst:.3} s |", 100.0 * loss);
}

fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

/// The duration of every round, from the second on; workers have the fault in turn.
fn durations(loss: f64, fault: Option<Fault>, journals: bool) -> Vec<Duration> {
    let options = format!("--workers 8 --k 4 --step am --rounds {ROUNDS} --faults loss={loss}");
    let experiment = experiment(&options);
    let mut world = FaultySimulation::new(&experiment);
    if journals {
        world = world.with_journals();
    }
    let (mut durations, mut closed_at) = (Vec::new(), None);
    loop {
        match world.next_event().unwrap_or_else(|error| panic!("{error}")) {
            Event::Closed(closed) if closed.round == ROUNDS => return durations,
            Event::Closed(closed) => {
                let now = world.now();
                durations.extend(closed_at.replace(now).map(|before| now - before));
                if let Some(fault) = fault.filter(|_| closed.round % REBOOT_PERIOD == 10) {
                    let worker = (closed.round / REBOOT_PERIOD) as usize % 8;
                    world.plan(now + Duration::from_millis(3), worker, fault);
                }
                world.aggregator().proceed();
            }
            Event::Failed(failure) => panic!("{failure:?}"),
            _ => {}
        }
    }
}
