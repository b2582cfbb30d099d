//! Simulation: faults and restarts cost time but change no transcript, nor does the kind of downlink; every byte is
//! counted.

use smidgen::record::{RoundRecord, Times};
use smidgen::world::World;
use smidgen_aggregator::Event;
use smidgen_tests::conformance::{
    DIGITS, FEW_DIGITS, experiment, run, simulated, simulation, transcripts,
};
use smidgen_tests::faulty::{Fault, FaultySimulation};
use std::time::Duration;

/// Asserts that both ends of every link count every byte that reached them, and the host every byte that it sent.
fn assert_bytes_explained(world: &mut FaultySimulation, workers: usize, what: &str) {
    world.drain();
    for worker in 0..workers {
        let (down, up) = world.line_statistics(worker);
        let at_worker = world.worker(worker);
        let explained = at_worker.counters().bytes() + at_worker.pending() as u64;
        assert_eq!(
            down.arriving(),
            explained + world.forgotten(worker),
            "{what}: down to {worker}"
        );
        let arrived = up.arriving() - world.dropped(worker);
        let aggregator = world.aggregator();
        let explained = aggregator.counters(worker).bytes() + aggregator.pending(worker) as u64;
        assert_eq!(arrived, explained, "{what}: up from {worker}");
        let (uplink, downlink) = aggregator.traffic(worker);
        assert_eq!((uplink.wire_bytes, downlink.wire_bytes), (arrived, down.sent), "{what}");
    }
}

/// While the host is silent, a board restarts with bytes on their way, and a link is plugged in again.
#[test]
fn draining_lets_planned_faults_happen() {
    let experiment = experiment(FEW_DIGITS);
    let mut world = FaultySimulation::new(&experiment);
    while !matches!(world.next_event().expect("no fault yet"), Event::Closed(_)) {}
    world.aggregator().proceed();
    let (_, sent) = world.line_statistics(0);
    while world.line_statistics(0).1.sent == sent.sent {
        world.advance().expect("no fault yet");
    }
    let (now, unplugged) = (world.now(), Duration::from_secs(1));
    let faults = [Fault::Reboot, Fault::Unplug(unplugged)];
    (0..).zip(faults).for_each(|(board, fault)| world.plan(now, board, fault));
    assert_bytes_explained(&mut world, experiment.workers.len(), "drained");
    assert_eq!(world.occurred(), faults);
    assert!(world.dropped(0) > 0, "board 0 had bytes on their way");
    assert_eq!(world.now(), now + unplugged);
}

#[test]
fn two_hundred_seeds_of_faults_leave_the_transcript() {
    let clean = simulated(&experiment(DIGITS));
    let (mut lost, mut corrupted, mut duplicated) = (0, 0, 0);
    for seed in 0..200 {
        let options =
            format!("{DIGITS} --faults loss=0.2,corrupt=0.05,duplicate=0.1,split --seed {seed}");
        let experiment = experiment(&options);
        let mut world = FaultySimulation::new(&experiment);
        let rounds = run(&experiment, &mut world).unwrap_or_else(|error| panic!("{seed}: {error}"));
        assert_eq!(transcripts(&rounds), transcripts(&clean), "seed {seed}");
        assert_bytes_explained(&mut world, 4, &format!("seed {seed}"));
        for worker in 0..4 {
            let (down, up) = world.line_statistics(worker);
            lost += down.lost + up.lost;
            corrupted += down.corrupted_frames + up.corrupted_frames;
            duplicated += down.duplicated + up.duplicated;
        }
    }
    assert!(lost > 0 && corrupted > 0 && duplicated > 0, "the faults took place");
}

#[test]
fn reboots_in_the_middle_of_rounds_leave_the_transcript() {
    for options in [
        DIGITS,
        &format!("{DIGITS} --init full --faults loss=0.2,split --seed 9"),
        &format!("{DIGITS} --batch 16 --seed 3 --faults loss=0.2,corrupt=0.05,duplicate=0.1,split"),
    ] {
        let experiment = experiment(options);
        let mut world = FaultySimulation::new(&experiment);
        for (round, worker) in [(0, 2), (1, 0), (7, 1), (20, 3), (21, 3), (50, 0)] {
            world.reboot_in_round(round, worker);
        }
        let rounds = run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
        let clean = smidgen_tests::conformance::experiment(
            options.split(" --faults").next().expect("there is a first part"),
        );
        assert_eq!(transcripts(&rounds), transcripts(&simulated(&clean)), "{options}");
        let reboots: u32 = (0..4).map(|worker| world.aggregator().reboots(worker)).sum();
        assert!(reboots >= 5, "{reboots} reboots were noticed");
        assert_bytes_explained(&mut world, 4, options);
    }
}

#[test]
fn a_self_tuning_step_does_not_depend_on_the_link() {
    let options = "--dataset digits --workers 8 --k 8 --rounds 60 --step auto --participation 0.5";
    let clean = simulated(&experiment(options));
    for faults in ["loss=0.2,corrupt=0.05,duplicate=0.1", "split"] {
        let experiment = experiment(&format!("{options} --downlink sparse --faults {faults}"));
        let mut world = FaultySimulation::new(&experiment);
        for (round, worker) in [(1, 7), (2, 0), (9, 3), (10, 3), (40, 5)] {
            world.reboot_in_round(round, worker);
        }
        let rounds = run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(transcripts(&rounds), transcripts(&clean), "{faults}");
    }
    let theory = simulated(&experiment(&options.replace("auto", "am")));
    let last = |rounds: &[smidgen::record::RoundRecord]| rounds.last().expect("rounds").loss;
    assert!(last(&clean) < 0.6 * last(&theory), "{} against {}", last(&clean), last(&theory));
}

#[test]
fn unequal_workers_keep_their_transcript_under_faults() {
    let options = "--rows 400 --workers 4 --rounds 40 --k 1,4,16,64 --participation 1,0.5,0.25,1";
    let clean = simulated(&experiment(options));
    let experiment =
        experiment(&format!("{options} --faults loss=0.2,corrupt=0.05,duplicate=0.1,split"));
    let mut world = FaultySimulation::new(&experiment);
    for (round, worker) in [(1, 3), (2, 0), (9, 1), (20, 2)] {
        world.reboot_in_round(round, worker);
    }
    let rounds = run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(transcripts(&rounds), transcripts(&clean));
    assert_bytes_explained(&mut world, 4, options);
    let mut payload = |worker: usize| world.aggregator().traffic(worker).0.payload_bytes;
    assert!(payload(3) > 2 * payload(0), "a larger K takes more bytes");
}

#[test]
fn a_sparse_downlink_saves_bytes_and_keeps_the_transcript() {
    for base in [DIGITS, "--dataset breast-cancer --k 2 --rounds 300 --lambda 0.1 --init full"] {
        let dense = simulated(&experiment(&format!("{base} --downlink dense")));
        let sparse = simulated(&experiment(&format!("{base} --downlink sparse")));
        assert_eq!(transcripts(&dense), transcripts(&sparse), "{base}");
        let bytes = |rounds: &[smidgen::record::RoundRecord]| -> u64 {
            rounds.iter().map(|round| round.cost.downlink.wire_bytes).sum()
        };
        assert!(bytes(&sparse) < bytes(&dense), "{base}");
    }
}

#[test]
fn every_option_changes_the_transcript_and_the_seed_does_not() {
    let last = |options: &str| {
        let rounds = simulated(&experiment(&format!("--rows 400 --rounds 20 {options}")));
        rounds.last().expect("there are rounds").transcript.clone()
    };
    let base = last("--k 4");
    assert_eq!(last("--k 4 --seed 7 --faults loss=0.2,corrupt=0.1"), base);
    for options in ["--value-bits 5", "--step am", "--init full", "--workers 5", "--lambda 0.01"] {
        assert_ne!(last(&format!("--k 4 {options}")), base, "{options}");
    }
    assert_ne!(last("--k 5"), base);
}

#[test]
fn a_line_that_loses_everything_ends_the_run() {
    let experiment = experiment(&format!("{FEW_DIGITS} --faults loss=1"));
    let error = run(&experiment, &mut simulation(&experiment)).expect_err("nothing gets through");
    assert!(error.to_string().contains("no round was closed"), "{error}");
}

#[test]
fn a_shard_too_large_is_refused_with_need_and_room() {
    let experiment = experiment(DIGITS);
    let memory = vec![1 << 20, 4096, 1 << 20, 1 << 20];
    let mut world = FaultySimulation::with_memory(&experiment, memory);
    let error = run(&experiment, &mut world).expect_err("4096 bytes are too few").to_string();
    assert!(error.contains("worker 2 (simulated board 2)"), "{error}");
    assert!(error.contains("the board has 4096"), "{error}");
}

/// Seconds of latency, both ways, and of a gradient in simulation.
const DELAY: f64 = 0.0004;
const EVALUATION: f64 = 0.002;
/// Times are rounded to a microsecond.
const EXACT: f64 = 2e-6;

#[test]
fn virtual_time_is_that_of_the_line_and_of_the_worker() {
    let rounds = simulated(&experiment("--dataset digits --k 16 --rounds 20"));
    // Rounds of one request and one answer per worker.
    let plain = rounds.iter().filter(|round| round.cost.uplink.frames == round.boards.len() as u64);
    let mut count = 0;
    for round in plain {
        count += 1;
        for board in &round.boards {
            let times = board.times;
            let line = times.modelled_seconds + DELAY;
            assert!((times.line_seconds - line).abs() < EXACT, "{board:?}");
            assert!((times.board_seconds - EVALUATION).abs() < EXACT, "{board:?}");
            assert!((times.round_trip_seconds - line - EVALUATION).abs() < EXACT, "{board:?}");
        }
        let longest = round.boards.iter().map(|board| board.times.round_trip_seconds);
        let longest = longest.fold(0.0, f64::max);
        let elapsed = round.cost.elapsed_seconds.expect("it was measured");
        assert!((elapsed - longest).abs() < EXACT, "{elapsed} s and {:?}", round.boards);
    }
    assert!(count >= 10, "{count} of {} rounds", rounds.len());
}

#[test]
fn lost_frames_cost_time_of_neither_line_nor_board() {
    let options = "--dataset digits --k 16 --rounds 20";
    let clean = simulated(&experiment(options));
    let lossy = simulated(&experiment(&format!("{options} --faults loss=0.2")));
    assert_eq!(transcripts(&lossy), transcripts(&clean));
    let total = |rounds: &[RoundRecord], part: fn(&Times) -> f64| -> f64 {
        rounds.iter().flat_map(|round| &round.boards).map(|board| part(&board.times)).sum()
    };
    let repeating = |times: &Times| times.repeating_seconds;
    assert_eq!(total(&clean, repeating), 0.0);
    assert!(total(&lossy, repeating) > 0.5);
    let both = [&clean, &lossy].map(|rounds| total(rounds, |times| times.board_seconds));
    assert!((both[1] / both[0] - 1.0).abs() < 0.25, "{both:?}");
    for times in lossy.iter().flat_map(|round| &round.boards).map(|board| board.times) {
        let sum = times.line_seconds + times.board_seconds + times.repeating_seconds;
        assert!((sum - times.round_trip_seconds).abs() < 2.0 * EXACT, "{times:?}");
    }
}

/// All that is recorded of rounds is equal on one thread and on several, also where reads differ in time.
#[test]
fn threads_change_nothing() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("rows");
    let row = |row: usize| {
        let columns = (1..=200).map(|k| format!(" {k}:{}", 1 + (row * 7 + k * k * 13) % 17));
        format!("{}{}\n", row % 2, columns.collect::<String>())
    };
    std::fs::write(&path, (0..1500).map(row).collect::<String>()).expect("there is room");
    let path = path.to_str().expect("the path is text");
    let data = format!("--dataset {path} --workers 8 --k 4 --rounds 20 --step 0.001");
    for options in ["", "--downlink dense", "--faults loss=0.05,split", "--batch 20"] {
        let experiment = experiment(&format!("{data} {options}"));
        let data_len: usize = experiment.setup.shares.iter().map(|share| share.data.len()).sum();
        assert!(data_len > 1 << 18, "they work on threads");
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let rounds = pool.expect("there are threads").install(|| simulated(&experiment));
            let lines = rounds.iter().map(|round| serde_json::to_string(round).expect("numbers"));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(on(1), on(3), "{options}");
    }
}
