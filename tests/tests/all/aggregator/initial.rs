//! Runs that start from a given model.

use super::*;
use smidgen_aggregator::{Aggregator, Theory};
use smidgen_protocol::method::Participation;

/// The same x⁰, sent to the workers instead of derived from a seed.
fn given(setup: Setup) -> Setup {
    let mut mantissas = vec![0; setup.dimension as usize];
    let exponent = setup.initial_model.fill(&mut mantissas);
    Setup { initial_model: InitialModel::Given { mantissas, exponent }, ..setup }
}

/// The requests until the first update.
const STAGES: [(&str, Place); 8] = [
    ("load", place(None, |at| matches!(at.message, Some(Down::Data { offset: 1.., .. })))),
    ("first announce", place(None, |at| matches!(at.message, Some(Down::Announce { .. })))),
    ("first part", place(None, |at| writes(&at.message, Part::Model))),
    ("last part", place(None, |at| matches!(at.message, Some(Down::Part { from: 400.., .. })))),
    ("probe", place(None, |at| matches!(at.message, Some(Down::Probe { .. })))),
    ("second announce", place(Some(0), |at| matches!(at.message, Some(Down::Announce { .. })))),
    ("begin", place(Some(0), |at| matches!(at.message, Some(Down::Begin { .. })))),
    ("more", place(Some(0), |at| matches!(at.message, Some(Down::More { .. })))),
];

#[test]
fn a_given_model_has_the_transcript_of_the_seed_that_gives_it() {
    for downlink in [Downlink::Dense, Downlink::Sparse, Downlink::Model] {
        let setup = large(downlink);
        let seeded = Bench::new(setup.clone()).run(ROUNDS);
        assert_eq!(Bench::new(given(setup.clone())).run(ROUNDS), seeded, "{downlink:?}");
        let zero = Setup { initial_model: InitialModel::Seed(0), ..setup };
        assert_ne!(Bench::new(zero).run(ROUNDS), seeded, "{downlink:?}");
    }
}

#[test]
fn a_given_model_survives_every_fault_at_every_stage() {
    check_all_faults(&given(large(Downlink::Sparse)), ROUNDS, &STAGES);
    check_all_faults(&given(large(Downlink::Dense)), ROUNDS, &STAGES[1..6]);
    let restored = &RESTORE_STAGES[..3];
    check_all_faults(&given(large(Downlink::Dense)), ROUNDS, restored);
}

#[test]
fn a_given_model_is_sent_after_constants_are_known() {
    let theory = |setup: Setup| {
        with_method(setup, |method| MethodSpec {
            theory: Some(Theory::new(|l_i| 1.0 / l_i[0])),
            ..method
        })
    };
    let setup = theory(large(Downlink::Sparse));
    let seeded = Bench::new(setup.clone()).run(ROUNDS);
    assert_eq!(Bench::new(given(setup)).run(ROUNDS), seeded);
}

#[test]
fn a_given_model_reaches_workers_that_take_no_part_in_the_next_round() {
    let mut setup = large(Downlink::Sparse);
    setup.shares[1].worker.participation = Participation { probability: 1 << 30, seed: 1 };
    let seeded = Bench::new(setup.clone()).run(ROUNDS);
    assert_eq!(Bench::new(given(setup)).run(ROUNDS), seeded);
}

/// Every worker is sent it once, in as many bytes as a restoration takes.
#[test]
fn a_given_model_is_sent_once() {
    let setup = given(large(Downlink::Sparse));
    let sent = Rc::new(RefCell::new([0; 2]));
    let counted = sent.clone();
    let mut bench = Bench::new(setup).with_rule(move |request| {
        counted.borrow_mut()[request.worker] += usize::from(writes(&request.message, Part::Model));
        PASS
    });
    bench.run(ROUNDS);
    let parts = *sent.borrow();
    assert!((2..=9).contains(&parts[0]), "{parts:?}: 700 mantissas of 28 bits");
    assert_eq!(parts[0], parts[1]);
}

#[test]
#[should_panic(expected = "fits")]
fn a_model_of_another_dimension_is_refused() {
    let setup = Setup { dimension: 701, ..given(large(Downlink::Dense)) };
    let _ = Aggregator::new(setup);
}
