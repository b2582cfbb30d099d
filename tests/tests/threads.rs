//! The rungs in this process: workers in threads, behind channels and behind pseudo-terminals.

use embedded_io_adapters::std::FromStd;
use smidgen::driver::Driver;
use smidgen::experiment::Experiment;
use smidgen::training::World;
use smidgen::transport::{Link, loopback};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_tests::conformance::{FEW_DIGITS, experiment, run, simulated, transcripts};
use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::thread;

/// Words of memory of a worker, as on a small board.
const MEMORY_LEN: usize = 1 << 12;

/// The worker of a board, in a thread that ends with its line.
fn start(index: usize, line: impl Read + Write + Send + 'static) {
    thread::spawn(move || {
        let board = Board { name: "thread", identity: index as u64 + 1 };
        let mut worker = Worker::new::<Objectives>(board, vec![0; MEMORY_LEN]);
        // It ends with an error or without when the host hangs up; both are the end of the board.
        let _ = serve(&mut FromStd::new(line), &mut worker, &mut Objectives, &mut ());
    });
}

fn assert_conforms(experiment: &Experiment, driver: Driver) {
    let mut driver = driver.with_objective(experiment.objective());
    let rounds = run(experiment, &mut driver).unwrap_or_else(|error| panic!("{error}"));
    let simulated = simulated(experiment);
    assert_eq!(transcripts(&rounds), transcripts(&simulated));
    for (real, model) in rounds.iter().zip(&simulated) {
        let (f64s, fixed) = (real.gradient_norm_squared, model.gradient_norm_squared);
        let (Some(f64s), Some(fixed)) = (f64s, fixed) else { panic!("both know the gradient") };
        assert!((f64s / fixed - 1.0).abs() < 1e-5, "round {}: {f64s} and {fixed}", real.round);
    }
    let identities = [0, 1, 2, 3].map(|worker| driver.aggregator().identity(worker).cloned());
    assert_eq!(identities.map(|identity| identity.map_or(0, |it| it.identity)), [1, 2, 3, 4]);
}

#[test]
fn workers_behind_channels_conform() {
    let experiment = experiment(FEW_DIGITS);
    let (events, received) = channel();
    let mut links = Vec::new();
    for index in 0..4 {
        let (host, board) = loopback();
        start(index, board);
        links.push(Link::attach(index, host.into_halves(), events.clone()));
    }
    let places = (1..=4).map(|n| format!("channel {n}")).collect();
    assert_conforms(&experiment, Driver::new(experiment.setup.clone(), links, places, received));
}

#[cfg(unix)]
#[test]
fn workers_behind_pseudo_terminals_conform() {
    use smidgen_tests::pty::pair;
    let experiment = experiment(FEW_DIGITS);
    let (events, received) = channel();
    let (mut ports, mut links, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..4 {
        let (board, port) = pair();
        start(index, board);
        let address = port.address();
        let link = Link::open(index, &address, 115_200, events.clone());
        links.push(link.unwrap_or_else(|error| panic!("{error}")));
        places.push(address.to_string());
        ports.push(port);
    }
    assert_conforms(&experiment, Driver::new(experiment.setup.clone(), links, places, received));
}
