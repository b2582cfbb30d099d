//! Rounds, repeated and late frames.

use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{Configure, Down, Downlink, Exponents, Init, Part};
use smidgen_protocol::round::Start;
use smidgen_protocol::vector::{rescale, rescale_sum};
use smidgen_tests::frames::framed;
use smidgen_tests::host::training::{EXPONENTS, GAMMA_N, bodies, widened};
use smidgen_tests::host::{Host, emit};

#[test]
fn repeated_round_resends_same_bytes() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Compressed);
    let message = host.step_and_tell();
    let update = host.deliver(&message).unwrap();
    host.collect(update.clone());
    let before = (host.objectives.evaluations, host.worker.state().map(|(x, _)| x.to_vec()));
    for _ in 0..3 {
        assert_eq!(host.deliver(&message).as_ref(), Some(&update));
    }
    assert_eq!(host.ask(Down::More { from: 0 }, &[]), update);
    let after = (host.objectives.evaluations, host.worker.state().map(|(x, _)| x.to_vec()));
    assert_eq!(before, after);
    assert_eq!(host.rejected(Reject::Repeated), 3);
}

#[test]
fn request_repeated_during_evaluation_is_answered_once() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    host.set_up();
    let begin = Down::Begin { ticket: host.next_ticket(), round: 0, known: host.known };
    let mut message = host.frame(begin, &[]);
    for _ in 0..2 {
        host.send(&message);
        host.send(&message);
        assert_eq!(host.worker.poll_transmit(&mut [0; FRAME_LEN_MAX]), None);
        let update = host.serve().unwrap();
        assert_eq!(host.serve(), None);
        host.collect(update);
        message = host.step_and_tell();
    }
    assert_eq!(host.rejected(Reject::Repeated), 2);
}

#[test]
fn round_after_repeated_round_gets_its_own_update() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Compressed);
    let message = host.step_and_tell();
    let update = host.deliver(&message).unwrap();
    host.collect(update);
    let next = host.step_and_tell();
    host.send(&[message, next].concat());
    assert_eq!(host.worker.poll_transmit(&mut [0; FRAME_LEN_MAX]), None);
    let update = host.serve().unwrap();
    host.collect(update);
}

#[test]
fn requests_are_rejected_during_evaluation() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let message = host.step_and_tell();
    host.send(&message);
    let (ticket, exponents) = (host.next_ticket(), Exponents::default());
    let body = &bodies(&[1, 2, 3, 4, 5])[0].2;
    let next = Context { round: 2, ..Context::downlink(host.configure.session) };
    for wire in [
        host.frame(Down::Data { ticket, offset: 0 }, &[1]),
        host.frame(Down::Announce { ticket, exponents, gamma_n: GAMMA_N }, &[]),
        host.frame(Down::Part { ticket, part: Part::Model, from: 0, until: 5 }, body),
        host.frame(Down::Probe { ticket, exponents }, &[]),
        host.frame(Down::Begin { ticket, round: 9, known: host.known }, &[]),
        host.frame(Down::More { from: 0 }, &[]),
        emit(Start::default(), 1, body, next),
    ] {
        let before = host.rejected(Reject::Unexpected);
        host.send(&wire);
        assert_eq!(host.rejected(Reject::Unexpected), before + 1);
    }
    let update = host.serve().unwrap();
    host.collect(update);
    host.next_round();
}

#[test]
fn pace_applies_to_its_own_step() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Full);
    for pace in [0, 11, 0, 24] {
        host.model.pace = pace;
        host.next_round();
    }
    host.reboot();
    host.restore();
    host.begin();
    host.next_round();
}

#[test]
fn late_round_fails_checksum() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let late = host.step_and_tell();
    let update = host.deliver(&late).unwrap();
    host.collect(update);
    host.next_round();
    assert_eq!(host.deliver(&late), None);
    assert_eq!(host.rejected(Reject::Checksum), 1);
    let after_next = Context { round: host.round + 2, ..host.worker_context() };
    let early = emit(Start::default(), 1, &[], after_next);
    assert_eq!(host.deliver(&early), None);
    assert_eq!(host.rejected(Reject::Checksum), 2);
}

#[test]
fn unexpected_frames_are_rejected_with_reason() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let session = Context::downlink(host.configure.session);
    let begin = Down::Begin { ticket: host.next_ticket(), round: 7, known: host.known };
    let stranger = Configure { identity: 1, ..host.configure };
    let more = Context { round: 1, ..session };
    let (ticket, part, nothing) = (host.next_ticket(), Part::Model, &bodies(&[0; 5])[0].2);
    for (wire, reason) in [
        (emit(begin, 1, &[], Context::downlink(session.session + 1)), Reject::Checksum),
        (emit(begin, 2, &[], session), Reject::Address),
        (emit(Down::Configure(stranger), 0, &[], Context::SETUP), Reject::Address),
        (emit(Down::More { from: 0 }, 1, &[], more), Reject::Unexpected),
        (emit(Start { from: 9, pace: 0 }, 1, &[0; 3], more), Reject::Body),
        (emit(Down::More { from: 6 }, 1, &[], session), Reject::Body),
        (emit(Down::Part { ticket, part, from: 0, until: 6 }, 1, nothing, session), Reject::Body),
        (emit(Down::Part { ticket, part, from: 3, until: 2 }, 1, nothing, session), Reject::Body),
        (
            emit(Down::Part { ticket, part: Part::Sum, from: 0, until: 5 }, 1, nothing, session),
            Reject::Unexpected,
        ),
        (vec![1, 1, 0], Reject::Undecodable),
        (vec![0xff; 600].into_iter().chain([0]).collect(), Reject::Overlong),
        // A valid checksum and an unknown tag.
        (framed(&session, &[1, 99]), Reject::Unparsable),
    ] {
        let before = host.rejected(reason);
        let state = host.state();
        assert_eq!(host.deliver(&wire), None, "{reason:?}");
        assert_eq!(host.rejected(reason), before + 1, "{reason:?}");
        assert_eq!(host.state(), state);
    }
    host.next_round();
}

#[test]
fn large_update_is_split() {
    let mut host = Host::new(2000, Downlink::Sparse, Init::Full);
    host.set_up();
    let frames = host.begin();
    // About 27 bits per entry, since magnitudes need fewer than 32, and 463 bytes per body.
    assert_eq!(frames.len(), 15);
    assert_eq!(host.objectives.evaluations, 1);
    assert_eq!(host.next_round().len(), 1);
}

#[test]
fn dense_and_sparse_downlinks_give_the_same_model() {
    let mut dense = Host::begun(40, Downlink::Dense, Init::Compressed);
    let mut sparse = Host::begun(40, Downlink::Sparse, Init::Compressed);
    for _ in 0..30 {
        // Frames differ, since only one of the workers holds the sum that bodies refer to.
        dense.next_round();
        sparse.next_round();
        assert_eq!(dense.worker.state(), sparse.worker.state());
    }
    assert!(sparse.sent < dense.sent);
}

#[test]
fn repeated_announce_rescales_once() {
    let mut host = Host::begun(40, Downlink::Sparse, Init::Full);
    host.next_round();
    let to = Exponents { x: 18, gradient: 13, ..EXPONENTS };
    let message = Down::Announce { ticket: host.next_ticket(), exponents: to, gamma_n: GAMMA_N };
    let answers = [(); 3].map(|()| host.ask(message, &[]));
    assert_eq!([&answers[1], &answers[2]], [&answers[0]; 2]);
    // The host rescales mirror and sum separately; the next change of the sum closes the gap between them.
    rescale(&mut host.model.x, EXPONENTS.x, to.x, &mut 0);
    rescale(&mut host.mirror, EXPONENTS.gradient, to.gradient, &mut 0);
    rescale_sum(&mut host.model.sum_told, EXPONENTS.gradient, to.gradient);
    host.model.sum = widened(&host.mirror);
    host.exponents = to;
    assert_eq!(host.worker.state(), Some((&host.model.x[..], &host.mirror[..])));
    host.next_round();
    host.next_round();
}
