//! Real workers on lines where a test decides about every request.

mod bench;
mod hostile;
mod initial;
mod methods;
mod rescaling;
mod routes;
mod standing;
mod time;

use crate::aggregator::Aggregator;
use crate::board::Identity;
use crate::compressor::DownlinkBudget;
use crate::event::{Closed, Event};
use crate::failure::{Failure, Reason};
use crate::method_spec::{MethodSpec, Theory, WorkerSpec};
use crate::model::value;
use crate::peer::Peer;
use crate::setup::{InitialModel, Setup, Share, address};
use crate::stage::Stage;
use bench::{Bench, Damage, Fault, PASS, Request, setup, with_k, with_method};
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::FRAME_LEN_MAX;
use smidgen_protocol::message::{Downlink, Part};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A stage of worker 0 at which a fault occurs, in that round or later.
#[derive(Clone, Copy)]
struct Place {
    stage: fn(Stage) -> bool,
    /// None before the first round.
    from: Option<u32>,
    /// Whether the stage is one of a worker that was restarted in round 2.
    restoring: bool,
}

const fn place(from: Option<u32>, stage: fn(Stage) -> bool) -> Place {
    Place { stage, from, restoring: false }
}

const fn restoring(stage: fn(Stage) -> bool) -> Place {
    Place { stage, from: Some(2), restoring: true }
}

/// The stages of every worker.
const STAGES: [(&str, Place); 10] = [
    ("greet", place(None, |stage| stage == Stage::Greet)),
    ("configure", place(None, |stage| stage == Stage::Configure)),
    ("load", place(None, |stage| matches!(stage, Stage::Load { held: 1.., .. }))),
    ("probe", place(None, |stage| stage == Stage::Probe)),
    ("announce", place(None, |stage| stage == Stage::Announce)),
    ("begin", place(None, |stage| stage == Stage::Begin)),
    ("more", place(None, |stage| stage == Stage::More)),
    ("part", place(None, |stage| matches!(stage, Stage::Part(_)))),
    ("round", place(None, |stage| stage == Stage::Round)),
    ("verify", place(None, |stage| stage == Stage::Verify)),
];

/// The stages of a worker that is restored.
const RESTORE_STAGES: [(&str, Place); 6] = [
    ("configure again", restoring(|stage| stage == Stage::Configure)),
    ("restore model", restoring(|stage| restores(stage, Part::Model))),
    ("restore estimator", restoring(|stage| restores(stage, Part::Estimator))),
    ("restore sum", restoring(|stage| restores(stage, Part::Sum))),
    ("restore velocity", restoring(|stage| restores(stage, Part::Velocity))),
    ("begin again", restoring(|stage| stage == Stage::Begin)),
];

fn restores(stage: Stage, wanted: Part) -> bool {
    matches!(stage, Stage::Restore { part, .. } if part == wanted)
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
        move |Request { worker, stage, round, .. }| {
            if worker != 0 || struck {
                PASS
            } else if !prepared {
                prepared = stage == Stage::Round && round == Some(2);
                if prepared { Fault::RebootBefore } else { PASS }
            } else if (self.stage)(stage) && round >= self.from {
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
    type Strike = fn(&mut Bench, &[u8]);
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
        bench.until_stage(0, Stage::Idle, Some(0));
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
        if request.stage == Stage::Configure && left > 0 {
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
    for (stage, round) in [
        (Stage::Probe, None),
        (Stage::Announce, Some(0)),
        (Stage::Begin, Some(0)),
        (Stage::Round, Some(1)),
    ] {
        let late = Rc::new(RefCell::new(vec![]));
        let first = late.clone();
        let mut bench = Bench::new(setup(5, 2)).with_rule(move |request| {
            let mut first = first.borrow_mut();
            if request.stage == Stage::Configure && request.worker == 0 && first.is_empty() {
                *first = request.frame.to_vec();
                return Fault::Up(Damage::Lost);
            }
            PASS
        });
        bench.until_stage(0, stage, round);
        bench.reboot(0);
        let answers = bench.deliver(0, &late.borrow());
        answers.iter().for_each(|answer| bench.arrive(0, answer));
        assert_eq!(bench.run(ROUNDS), undisturbed, "{stage:?}");
        assert_eq!(bench.host.reboots(0), 1, "{stage:?}");
        bench.check_bytes();
    }
}
