//! A real aggregator and real workers on lines where a test decides about every request.

mod hostile;
mod initial;
mod methods;
mod rescaling;
mod routes;
mod standing;
mod time;

use smidgen_aggregator::{DownlinkBudget, InitialModel, MethodSpec, Setup};
use smidgen_protocol::message::{Down, Downlink, Part};
use smidgen_tests::bench::slope::{Slope, setup, with_method};
use smidgen_tests::bench::{Bench, Damage, Fault, PASS, Request, is_round};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A request to worker 0 at which a fault occurs, in that round or later.
#[derive(Clone, Copy)]
struct Place {
    is_at: fn(&Request) -> bool,
    /// None before the first round.
    from: Option<u32>,
    /// Whether the worker was restarted in round 2.
    restoring: bool,
}

const fn place(from: Option<u32>, is_at: fn(&Request) -> bool) -> Place {
    Place { is_at, from, restoring: false }
}

const fn restoring(is_at: fn(&Request) -> bool) -> Place {
    Place { is_at, from: Some(2), restoring: true }
}

/// The requests that every worker gets.
const STAGES: [(&str, Place); 10] = [
    ("greet", place(None, |at| matches!(at.message, Some(Down::Hello { .. })))),
    ("configure", place(None, |at| matches!(at.message, Some(Down::Configure(_))))),
    ("load", place(None, |at| matches!(at.message, Some(Down::Data { offset: 1.., .. })))),
    ("probe", place(None, |at| matches!(at.message, Some(Down::Probe { .. })))),
    ("announce", place(None, |at| matches!(at.message, Some(Down::Announce { .. })))),
    ("begin", place(None, |at| matches!(at.message, Some(Down::Begin { .. })))),
    ("more", place(None, |at| matches!(at.message, Some(Down::More { .. })))),
    ("part", place(None, |at| matches!(at.message, Some(Down::Part { .. })))),
    ("round", place(None, |at| is_round(&at.message))),
    ("verify", place(None, |at| at.is_ending && matches!(at.message, Some(Down::Hello { .. })))),
];

/// The requests to a worker that is restored.
const RESTORE_STAGES: [(&str, Place); 6] = [
    ("configure again", restoring(|at| matches!(at.message, Some(Down::Configure(_))))),
    ("restore model", restoring(|at| writes(&at.message, Part::Model))),
    ("restore estimator", restoring(|at| writes(&at.message, Part::Estimator))),
    ("restore sum", restoring(|at| writes(&at.message, Part::Sum))),
    ("restore velocity", restoring(|at| writes(&at.message, Part::Velocity))),
    ("begin again", restoring(|at| matches!(at.message, Some(Down::Begin { .. })))),
];

fn writes(message: &Option<Down>, wanted: Part) -> bool {
    matches!(message, Some(Down::Part { part, .. }) if *part == wanted)
}

const FAULTS: [Fault; 11] = [
    Fault::Down(Damage::Lost),
    Fault::Down(Damage::Repeated),
    Fault::Down(Damage::Corrupted),
    Fault::Down(Damage::Cut),
    Fault::Up(Damage::Lost),
    Fault::Up(Damage::Repeated),
    Fault::Up(Damage::Corrupted),
    Fault::Up(Damage::Cut),
    Fault::RebootBefore,
    Fault::RebootAfter,
    Fault::Reconnect,
];

impl Place {
    /// Injects the fault once, at the first request of worker 0 in that stage.
    fn strike(self, fault: Fault) -> impl FnMut(Request) -> Fault {
        let (mut prepared, mut struck) = (!self.restoring, false);
        move |request| {
            if request.worker != 0 || struck {
                PASS
            } else if !prepared {
                prepared = is_round(&request.message) && request.round == Some(2);
                if prepared { Fault::RebootBefore } else { PASS }
            } else if (self.is_at)(&request) && request.round >= self.from {
                struck = true;
                fault
            } else {
                PASS
            }
        }
    }

    /// Number of restarts that the host notices: none of a worker without state.
    fn reboots(self, name: &str, fault: Fault) -> u32 {
        let noticed = match fault {
            Fault::RebootBefore => {
                !matches!(name, "greet" | "configure" | "verify" | "configure again")
            }
            Fault::RebootAfter => !matches!(name, "greet" | "verify"),
            _ => false,
        };
        u32::from(self.restoring) + u32::from(noticed)
    }
}

/// Number of rounds of a run.
const ROUNDS: u32 = 4;

/// A setup in which data, downlink and updates take several frames each, with a non-zero model.
fn large(downlink: Downlink) -> Setup {
    let budget = DownlinkBudget { k: 300, value_bits: 16 };
    let downlink_budget = (downlink == Downlink::Model).then_some(budget);
    let setup = Setup { initial_model: InitialModel::Seed(1), ..setup(700, 2) };
    with_method(setup, |method| MethodSpec { downlink, downlink_budget, ..method })
}

fn with_momentum(setup: Setup) -> Setup {
    with_method(setup, |method| MethodSpec { momentum: 0.1, l1: 1e-3, ..method })
}

/// Asserts for every fault at every stage that the transcript is kept, the fault noticed, and every byte counted.
#[track_caller]
fn check_all_faults(setup: &Setup, rounds: u32, stages: &[(&str, Place)]) {
    let undisturbed = Bench::new(setup.clone()).run(rounds);
    for &(name, place) in stages {
        for fault in FAULTS {
            let what = format!("{fault:?} at {name}");
            let mut bench = Bench::new(setup.clone()).with_rule(place.strike(fault));
            assert_eq!(bench.run(rounds), undisturbed, "{what}");
            assert_eq!(bench.faults, 1 + u32::from(place.restoring), "{what} never happened");
            let reboots = [0, 1].map(|worker| bench.host.reboots(worker));
            assert_eq!(reboots, [place.reboots(name, fault), 0], "{what}");
            bench.check_bytes();
        }
    }
}

#[test]
fn a_dense_run_survives_every_fault_at_every_stage() {
    check_all_faults(&large(Downlink::Dense), ROUNDS, &STAGES);
    check_all_faults(&with_momentum(large(Downlink::Dense)), ROUNDS, &RESTORE_STAGES[..3]);
}

#[test]
fn a_sparse_run_survives_every_fault_at_every_stage() {
    check_all_faults(&large(Downlink::Sparse), ROUNDS, &STAGES);
    check_all_faults(&large(Downlink::Sparse), ROUNDS, &RESTORE_STAGES[3..4]);
}

#[test]
fn a_sparse_run_with_momentum_survives_every_fault_at_every_stage() {
    check_all_faults(&with_momentum(large(Downlink::Sparse)), ROUNDS, &RESTORE_STAGES);
}

#[test]
fn a_compressed_model_survives_every_fault_at_every_stage() {
    check_all_faults(&with_momentum(large(Downlink::Model)), ROUNDS, &STAGES);
    check_all_faults(&with_momentum(large(Downlink::Model)), ROUNDS, &RESTORE_STAGES[..3]);
}

#[test]
fn a_worker_may_fail_while_it_waits_for_the_others() {
    let setup = large(Downlink::Sparse);
    let undisturbed = Bench::new(setup.clone()).run(ROUNDS);
    // Each gets the last frame that worker 0 has heard.
    type Strike = fn(&mut Bench<Slope>, &[u8]);
    let strikes: [(u32, Strike); 4] = [
        (0, |bench, late| assert!(!bench.deliver(0, late).is_empty(), "answered once more")),
        (0, |bench, _| bench.host.handle_reconnect(0)),
        (1, |bench, _| bench.reboot(0)),
        (1, |bench, late| {
            bench.reboot(0);
            assert!(bench.deliver(0, late).is_empty(), "of a session that it does not know");
        }),
    ];
    for (reboots, strike) in strikes {
        let last = Rc::new(RefCell::new(vec![]));
        let seen = last.clone();
        let mut bench = Bench::new(setup.clone()).with_rule(move |request| {
            if request.worker == 0 {
                *seen.borrow_mut() = request.frame.to_vec();
            }
            PASS
        });
        bench.nodes[1].takes = Duration::from_millis(5);
        bench.until_updated(0, 0);
        strike(&mut bench, &last.borrow());
        assert_eq!(bench.run(ROUNDS), undisturbed);
        assert_eq!(bench.host.reboots(0), reboots);
        bench.check_bytes();
    }
}

#[test]
fn a_configuration_lost_three_times_is_not_a_restart() {
    let mut left = 3;
    let mut bench = Bench::new(setup(5, 2)).with_rule(move |request| {
        if matches!(request.message, Some(Down::Configure(_))) && left > 0 {
            left -= 1;
            return Fault::Down(Damage::Lost);
        }
        PASS
    });
    bench.run(ROUNDS);
    assert_eq!((bench.faults, bench.host.reboots(0), bench.host.reboots(1)), (3, 0, 0));
}

/// It opens an empty session with the right number.
#[test]
fn a_configuration_that_arrives_after_a_restart_is_detected() {
    let undisturbed = Bench::new(setup(5, 2)).run(ROUNDS);
    type IsAwaited = fn(&Option<Down>) -> bool;
    let requests: [(&str, IsAwaited, _); 4] = [
        ("probe", |message| matches!(message, Some(Down::Probe { .. })), None),
        ("announce", |message| matches!(message, Some(Down::Announce { .. })), Some(0)),
        ("begin", |message| matches!(message, Some(Down::Begin { .. })), Some(0)),
        ("round", is_round, Some(1)),
    ];
    for (name, is_awaited, round) in requests {
        let late = Rc::new(RefCell::new(vec![]));
        let first = late.clone();
        let mut bench = Bench::new(setup(5, 2)).with_rule(move |request| {
            let mut first = first.borrow_mut();
            if matches!(request.message, Some(Down::Configure(_)))
                && request.worker == 0
                && first.is_empty()
            {
                *first = request.frame.to_vec();
                return Fault::Up(Damage::Lost);
            }
            PASS
        });
        bench.until_asked(0, round, is_awaited);
        bench.reboot(0);
        let answers = bench.deliver(0, &late.borrow());
        answers.iter().for_each(|answer| bench.arrive(0, answer));
        assert_eq!(bench.run(ROUNDS), undisturbed, "{name}");
        assert_eq!(bench.host.reboots(0), 1, "{name}");
        bench.check_bytes();
    }
}
