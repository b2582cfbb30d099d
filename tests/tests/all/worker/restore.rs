//! A worker that has lost its state.

use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::message::{Down, Downlink, Init, Part};
use smidgen_protocol::method::Method;
use smidgen_protocol::vector::Ratio;
use smidgen_tests::host::Host;
use smidgen_tests::host::training::{Distance, EXPONENTS, bodies};

#[test]
fn minibatch_survives_reboot_and_probe_uses_all_rows() {
    let mut host = Host::new(5, Downlink::Sparse, Init::Compressed);
    let batch = Batch { size: 3, seed: 9 };
    host.configure.batch = batch;
    host.set_up();
    let probe = Down::Probe { ticket: host.next_ticket(), exponents: EXPONENTS };
    host.ask(probe, &[]);
    assert_eq!(host.objectives.rows, Some(Selection::ALL));
    host.begin();
    for round in 1..4 {
        host.next_round();
        assert_eq!(host.objectives.rows, Some(batch.selection(1, round)));
    }
    let message = host.step_and_tell();
    let update = host.deliver(&message);
    let rows = host.objectives.rows;
    host.reboot();
    host.restore();
    let begin = Down::Begin { ticket: host.next_ticket(), round: host.round, known: host.known };
    assert_eq!(host.deliver(&host.frame(begin, &[])), update);
    assert_eq!(host.objectives.rows, rows);
}

#[test]
fn part_replaces_vector() {
    for downlink in [Downlink::Dense, Downlink::Sparse] {
        let mut host = Host::begun(5, downlink, Init::Compressed);
        host.next_round();
        host.tell(Part::Model, bodies(&[9; 5]));
        host.tell(Part::Estimator, bodies(&[9; 5]));
        if downlink == Downlink::Sparse {
            host.tell(Part::Sum, bodies(&[9; 5]));
        }
        host.write_state();
        host.next_round();
    }
}

#[test]
fn restored_worker_sends_identical_updates() {
    for downlink in [Downlink::Dense, Downlink::Sparse] {
        for init in [Init::Full, Init::Compressed, Init::Zero] {
            let mut uninterrupted = Host::begun(300, downlink, init);
            let mut rebooted = Host::begun(300, downlink, init);
            for round in 1..12 {
                let update = uninterrupted.next_round();
                if round % 4 != 0 {
                    assert_eq!(rebooted.next_round(), update);
                    continue;
                }
                // Power fails while the worker computes, or before its update arrives.
                let message = rebooted.step_and_tell();
                rebooted.deliver(&message);
                rebooted.reboot();
                assert_eq!(rebooted.deliver(&message), None);
                rebooted.restore();
                assert_eq!(rebooted.begin(), update);
            }
        }
    }
}

/// A host with a worker that has local state, after round 0.
fn econtrol_host() -> Host<Distance> {
    let mut host = Host::new(30, Downlink::Sparse, Init::Compressed);
    host.configure.method = Method::EControl { eta: Ratio { mantissa: 3, exponent: 2 } };
    host.reboot();
    host.set_up();
    host.begin();
    host
}

#[test]
fn local_state_is_restored_from_previous_round() {
    let (mut uninterrupted, mut rebooted) = (econtrol_host(), econtrol_host());
    let mut kept = vec![];
    for _ in 0..3 {
        let private = rebooted.worker.poll_local_state().expect("local state after a round");
        kept.push((private.name, private.exponent, private.mantissas.to_vec()));
        assert_eq!(rebooted.worker.poll_local_state(), None, "it is returned once");
        assert!(rebooted.worker.local_state_request().is_none(), "nothing is missing");
        assert_eq!(rebooted.next_round(), uninterrupted.next_round());
    }
    let update = uninterrupted.next_round();
    rebooted.step_and_tell();
    let private =
        rebooted.worker.poll_local_state().map(|p| (p.name, p.exponent, p.mantissas.to_vec()));
    let (name, exponent, mantissas) = private.expect("local state of round 3");
    assert!(kept.iter().all(|(other, ..)| *other != name), "every round has its own name");

    for (told, right) in [(Some(exponent), true), (None, false)] {
        rebooted.reboot();
        let (mirror, sum) = (rebooted.mirror.clone(), rebooted.model.sum.clone());
        rebooted.restore();
        let begin = Down::Begin {
            ticket: rebooted.next_ticket(),
            round: rebooted.round,
            known: rebooted.known,
        };
        let wire = rebooted.frame(begin, &[]);
        rebooted.send(&wire);
        rebooted.note(&begin.into(), &[]);
        let recall = rebooted.worker.local_state_request().expect("a request for local state");
        assert_eq!(recall.name, name);
        recall.mantissas.copy_from_slice(&mantissas);
        rebooted.worker.local_state_ready(told);
        assert!(rebooted.worker.local_state_request().is_none());
        let first = rebooted.serve().expect("an update");
        assert_eq!(rebooted.collect(first) == update, right, "{told:?}");
        (rebooted.mirror, rebooted.model.sum) = (mirror, sum);
    }
}
