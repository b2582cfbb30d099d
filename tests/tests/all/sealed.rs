//! Runs with a key: the same transcripts in every world, and no answer to another key or to plain frames.

use embedded_io_adapters::std::FromStd;
use smidgen::world::World;
use smidgen::world::driver::Driver;
use smidgen::world::transport::Links;
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{BROADCAST, Down, SCHEMA, VERSION};
use smidgen_protocol::seal::{BOOT_LEN, HostSeal, Key, SEAL_LEN, WorkerSeal};
use smidgen_tests::conformance::{
    DIGITS, FEW_DIGITS, experiment, key, run, run_with, sealed, simulated, transcripts,
};
use smidgen_tests::emulation::{self, driver, start, start_keyed};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

#[test]
fn a_key_changes_no_transcript_in_simulation() {
    for options in [
        "",
        "--method ef21-w --split sorted-norm --value-bits 4",
        "--method ef21-hb --init full",
        "--method ef21+ --batch 8",
        "--method econtrol",
        "--downlink ef21-p",
        "--downlink dense --init full --value-bits 32 --k 64",
        "--objective softmax --participation 0.5",
        "--constants boards --step am",
        "--faults loss=0.2,corrupt=0.05,duplicate=0.1,noise=0.1,cut=0.1,split --seed 3",
    ] {
        let plain = experiment(&format!("--rows 400 --rounds 20 {options}"));
        let keyed = sealed(experiment(&format!("--rows 400 --rounds 20 {options}")));
        assert_eq!(transcripts(&simulated(&keyed)), transcripts(&simulated(&plain)), "{options}");
    }
}

#[test]
fn a_frame_costs_seventeen_bytes_more() {
    let options = "--workers 8 --rounds 50";
    let (plain, keyed) = (simulated(&experiment(options)), simulated(&sealed(experiment(options))));
    for (plain, keyed) in plain.iter().zip(&keyed).skip(1) {
        for (plain, keyed) in
            [(plain.cost.uplink, keyed.cost.uplink), (plain.cost.downlink, keyed.cost.downlink)]
        {
            assert_eq!((keyed.frames, keyed.payload_bytes), (plain.frames, plain.payload_bytes));
            assert_eq!(keyed.wire_bytes, plain.wire_bytes + SEAL_LEN as u64 * plain.frames);
        }
    }
}

/// Runs of the same seed are equal to the byte, although a key uses random numbers.
#[test]
fn a_seed_repeats_a_sealed_run() {
    let options = "--rounds 30 --faults loss=0.2,corrupt=0.1,split --seed 5";
    let [one, other] = [(); 2].map(|()| simulated(&sealed(experiment(options))));
    assert_eq!(one, other);
}

fn assert_conforms(options: &str, boards: &[&str], test: &str) {
    let Some(emulators) = start_keyed(boards, &key(), test) else { return };
    emulation::assert_conforms(&sealed(experiment(options)), &emulators, test);
}

#[test]
fn a_key_changes_no_transcript_on_a_cortex_m0() {
    assert_conforms(FEW_DIGITS, &["microbit"; 4], "a_key_changes_no_transcript_on_a_cortex_m0");
}

#[test]
fn a_key_changes_no_transcript_on_mixed_boards() {
    let boards = ["mps2-m3", "stm32f405", "microbit", "mps2-m33"];
    assert_conforms(FEW_DIGITS, &boards, "a_key_changes_no_transcript_on_mixed_boards");
}

#[test]
fn a_restarted_board_with_a_key_rejoins_the_run() {
    let test = "a_restarted_board_with_a_key_rejoins_the_run";
    let Some(mut emulators) = start_keyed(&["mps2-m3"; 4], &key(), test) else { return };
    let experiment = sealed(experiment(DIGITS));
    let mut driver = driver(&experiment, &emulators);
    let rounds = run_with(&experiment, &mut driver, |record| {
        if record.round == 10 {
            emulators[1].restart().unwrap_or_else(|error| panic!("{error}"));
        }
    });
    let rounds = rounds.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)));
    assert_eq!(driver.aggregator().reboots(1), 1);
}

/// The error of a host whose only board is a worker in a thread.
fn refusal(host: Option<Key>, board: Option<Key>) -> String {
    let mut experiment = experiment("--rows 100 --workers 1 --rounds 2");
    if let Some(key) = host {
        experiment = sealed(experiment);
        experiment.setup.seal.as_mut().expect("it is sealed").key = key;
    }
    let (near, far) = UnixStream::pair().expect("there is room");
    thread::spawn(move || {
        let mut worker =
            Worker::new::<Objectives>(Board { name: "thread", identity: 1 }, vec![0; 1 << 12]);
        if let Some(key) = board {
            worker.seal(WorkerSeal::new(key, [1; BOOT_LEN]));
        }
        let _ = serve(&mut FromStd::new(far), &mut worker, &mut Objectives, &mut ());
    });
    let mut links = Links::new().expect("the system has what it takes");
    links.attach(near).expect("it can be watched");
    let places = vec!["socket".into()];
    let mut driver = Driver::new(experiment.setup.clone(), links, places);
    run(&experiment, &mut driver).expect_err("they do not understand each other").to_string()
}

#[test]
fn another_key_or_none_gets_no_answer_and_an_error() {
    let other = || Key::new(&[7; 32]);
    for (host, board) in [(Some(key()), other()), (Some(key()), None)] {
        let error = refusal(host, board);
        assert!(
            error.contains("a board with another key, or without one, does not answer"),
            "{error}"
        );
    }
    let error = refusal(None, Some(key()));
    assert!(error.contains("a board with a key answers only if --key names it"), "{error}");
}

#[test]
fn an_emulated_board_without_the_key_is_refused() {
    let test = "an_emulated_board_without_the_key_is_refused";
    let Some(emulators) = start(&["mps2-m3"], test) else { return };
    let experiment = sealed(experiment("--rows 100 --workers 1 --rounds 2"));
    let mut driver = driver(&experiment, &emulators);
    let error = run(&experiment, &mut driver).expect_err("it holds no key").to_string();
    assert!(error.contains("nothing came"), "{error}");
}

/// A recorded Hello of another host.
fn recorded_hello() -> Vec<u8> {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
    let mut frame = [0; FRAME_LEN_MAX];
    let draft = hello.draft(BROADCAST, &[], &Context::SETUP, &mut frame);
    let len = HostSeal::new(key()).close(draft, || [3; 16]).expect("a Hello can always be asked");
    frame[..len].to_vec()
}

/// The answer of a board to a frame that is repeated until it is answered. A slow board answers all repetitions, which
/// are read as well.
fn answer(line: &mut BufReader<UnixStream>, frame: &[u8]) -> Vec<u8> {
    let read = |line: &mut BufReader<UnixStream>| {
        let mut answer = vec![];
        let is_whole = line.read_until(0, &mut answer).is_ok() && answer.ends_with(&[0]);
        is_whole.then_some(answer)
    };
    for repetitions in 0..30 {
        line.get_mut().write_all(frame).expect("the line is open");
        if let Some(answer) = read(line) {
            (0..repetitions).for_each(|_| drop(read(line)));
            return answer;
        }
    }
    panic!("no answer");
}

/// A Hello that is replayed to a restarted board gets another salt, and so another session key.
#[test]
fn no_start_of_a_board_repeats_a_salt() {
    let test = "no_start_of_a_board_repeats_a_salt";
    for board in ["mps2-m3", "microbit"] {
        let Some(mut emulators) = start_keyed(&[board], &key(), test) else { return };
        let line = UnixStream::connect(emulators[0].socket()).expect("it listens");
        line.set_read_timeout(Some(Duration::from_secs(1))).expect("a second is a time");
        let (mut line, hello) = (BufReader::new(line), recorded_hello());
        let mut salts = HashSet::new();
        for _ in 0..4 {
            let ready = answer(&mut line, &hello);
            // After the first byte of COBS and the count. With a repeated salt the whole frame would be equal, bytes
            // of COBS included.
            assert!(salts.insert(ready[2..18].to_vec()), "{board}: a salt was drawn before");
            emulators[0].reset().unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
