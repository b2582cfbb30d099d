//! Emulated boards: the images for real boards give the transcripts of simulation, bit for bit.

use smidgen::boards::board::Emulation;
use smidgen::boards::image;
use smidgen::options::{Compressor, Downlink, Method};
use smidgen::record::RoundRecord;
use smidgen::world::World;
use smidgen::world::emulator::{Emulator, EmulatorError};
use smidgen_tests::conformance::{
    DIGITS, FEW_DIGITS, each, experiment, run, run_with, simulated, transcripts,
};
use smidgen_tests::emulation::{self, boards_for, driver, image_of, start};

fn assert_conforms(options: &str, boards: &[&str], test: &str) {
    let Some(emulators) = start(boards, test) else { return };
    emulation::assert_conforms(&experiment(options), &emulators, test);
}

/// Every board gives the transcript of simulation: the smallest with data that fit it, and those whose emulators
/// interpret each instruction, ten times slower, with a part of the data.
#[test]
fn every_board_conforms() {
    let test = "every_board_conforms";
    let digits = boards_for(&experiment(DIGITS), test);
    for board in emulation::boards(test) {
        let is_fast = matches!(board.emulation, Some(Emulation::Qemu(_)));
        let options = if is_fast && digits.contains(&board.name) { DIGITS } else { FEW_DIGITS };
        assert_conforms(options, &[board.name; 4], test);
    }
}

#[test]
fn all_boards_conform_in_one_run() {
    let test = "all_boards_conform_in_one_run";
    let boards: Vec<_> = emulation::boards(test).iter().map(|board| board.name).collect();
    let options = format!("{FEW_DIGITS} --workers {}", boards.len());
    assert_conforms(&options, &boards, test);
}

/// The example for Embassy: the worker is a task of an async program.
#[test]
fn a_worker_as_an_async_task_conforms() {
    let test = "a_worker_as_an_async_task_conforms";
    let Some((board, _)) = image_of("mps2-m3", test) else { return };
    let program = image::build_example(board, "embassy").unwrap_or_else(|error| panic!("{error}"));
    let emulators = [1, 2].map(|identity| {
        let image = image::open(&program).unwrap_or_else(|error| panic!("{error}"));
        Emulator::start(board, image, identity).unwrap_or_else(|error| panic!("{error}"))
    });
    let experiment = experiment(&format!("{FEW_DIGITS} --workers 2"));
    emulation::assert_conforms(&experiment, &emulators, test);
}

/// Boards keep running from method to method: each run is a session of its own.
#[test]
fn the_family_on_two_boards() {
    let test = "the_family_on_two_boards";
    let Some(emulators) = start(&["microbit", "mps2-m4"], test) else { return };
    let choices = [
        each::<Method>("--step 0.1 --method"),
        each::<Compressor>("--step 0.1 --compressor"),
        each::<Downlink>("--downlink"),
    ];
    let combinations = [
        "--method ef21-w --split sorted-norm --value-bits 4",
        "--method ef21-prox --l1 0.01",
        "--participation 0.5",
        "--batch 8",
        "--method ef21-w --batch 16 --participation 0.5 --seed 2",
        "--method ef21-sgdm --batch 1 --init full",
        "--objective least-squares --batch 8",
        "--step auto",
        "--constants boards --step am",
        "--constants boards --step tight --lambda 0",
        "--constants boards --step tight --regulariser l2 --lambda 0.01",
    ];
    let all = choices.into_iter().flatten().chain(combinations.map(str::to_owned));
    for (session, method) in (1..).zip(all) {
        let options = format!("--rows 100 --workers 2 --rounds 12 {method}");
        let mut experiment = experiment(&options);
        if experiment.setup.shares.len() > emulators.len() {
            // Clones are workers of their own.
            continue;
        }
        experiment.setup.session = session;
        let mut driver = driver(&experiment, &emulators);
        let rounds = run(&experiment, &mut driver).unwrap_or_else(|e| panic!("{method}: {e}"));
        assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)), "{method}");
    }
}

#[test]
fn a_dense_downlink_in_many_frames() {
    // 64 values of 32 bits take more than one frame, 4096 bytes of data take nine.
    let options = "--dataset digits --init full --value-bits 32 --k 64 --downlink dense --rounds 5";
    assert_conforms(options, &["mps2-m3"; 4], "a_dense_downlink_in_many_frames");
}

/// The bytes that are sent again, down and up, after each `strike`: one on each of these workers, ten rounds apart.
fn restorations(
    (boards, test): ([&str; 4], &str),
    options: &str,
    workers: &[usize],
    strike: fn(&mut Emulator) -> Result<(), EmulatorError>,
) -> Vec<(u64, u64)> {
    let strikes = || workers.iter().copied().zip((10..).step_by(10));
    let mut emulators = start(&boards, test).expect("they started before");
    let experiment = experiment(options);
    let mut driver = driver(&experiment, &emulators);
    let rounds = run_with(&experiment, &mut driver, |record| {
        if let Some((worker, _)) = strikes().find(|&(_, round)| round == record.round as usize) {
            strike(&mut emulators[worker]).unwrap_or_else(|error| panic!("{error}"));
        }
    });
    let rounds = rounds.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)));
    let again = |record: &RoundRecord| {
        (record.cost.downlink.retransmitted_bytes, record.cost.uplink.wire_bytes)
    };
    let restored = strikes().map(|(worker, round)| {
        assert_eq!(driver.aggregator().reboots(worker), 1);
        let struck = again(&rounds[round + 1]);
        (struck.0, struck.1 - again(&rounds[round - 1]).1)
    });
    restored.collect()
}

/// A reset keeps the content of the flash; a restarted emulator has an empty one.
#[test]
fn a_microbit_that_is_reset_keeps_its_data() {
    let test = "a_microbit_that_is_reset_keeps_its_data";
    let Some(emulators) = start(&["microbit"], test) else { return };
    drop(emulators);
    let test = (["microbit"; 4], test);
    let data_len = experiment(FEW_DIGITS).setup.shares[1].data.len() as u64;
    let with = restorations(test, FEW_DIGITS, &[1], Emulator::reset)[0];
    let without = restorations(test, FEW_DIGITS, &[1], Emulator::restart)[0];
    println!("{data_len} bytes of data; down and up with a journal {with:?}, without {without:?}");
    assert!(with.0 < data_len / 4 && without.0 > data_len);
    // e_i, which the host does not know, is restored as well: the transcript proves it.
    restorations(test, &format!("{FEW_DIGITS} --method ef14"), &[1], Emulator::reset);
}

/// QEMU keeps the PSRAM of an mps2 in a file.
#[test]
fn mps2_keeps_its_data_over_a_power_cut() {
    let test = "mps2_keeps_its_data_over_a_power_cut";
    let boards = ["mps2-m3", "mps2-m4", "mps2-m7", "mps2-m33"];
    let Some(emulators) = start(&boards, test) else { return };
    drop(emulators);
    // The host does not know e_i of ef14.
    for method in ["ef21", "ef14"] {
        let options = format!("{FEW_DIGITS} --method {method}");
        let data_len = experiment(&options).setup.shares[1].data.len() as u64;
        let restored = restorations((boards, test), &options, &[0, 1, 2, 3], Emulator::restart);
        for (board, (down, _)) in boards.iter().zip(restored) {
            assert!(down < data_len / 4, "{method}: {board}: {down} of {data_len} bytes");
        }
    }
}

#[test]
fn a_board_killed_and_restarted_during_a_run() {
    let test = "a_board_killed_and_restarted_during_a_run";
    let Some(mut emulators) = start(&["mps2-m3", "stm32f405", "mps2-m4", "mps2-m7"], test) else {
        return;
    };
    let experiment = experiment(DIGITS);
    let mut driver = driver(&experiment, &emulators);
    let rounds = run_with(&experiment, &mut driver, |record| {
        if let Some(dying) = match record.round {
            10 => Some(1),
            25 => Some(3),
            _ => None,
        } {
            emulators[dying].restart().unwrap_or_else(|error| panic!("{error}"));
        }
    });
    let rounds = rounds.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)));
    assert_eq!(driver.aggregator().reboots(1), 1);
    assert_eq!(driver.aggregator().reboots(3), 1);
}
