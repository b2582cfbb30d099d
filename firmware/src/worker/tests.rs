//! Scenarios of the worker machine, with a minimal [`host`] as its peer.

mod host;

use super::*;
use crate::journal::{DataChunk, DataId};
use crate::objective::Objective;
use host::{BOARD, Distance, EXPONENTS, GAMMA_N, Host, bodies, emit, payload, widened};
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::frame;
use smidgen_protocol::message::{Downlink, Exponents, Init, Part};
use smidgen_protocol::method::Method;
use smidgen_protocol::vector::{Ratio, rescale, rescale_sum};

#[test]
fn hello_reports_identity_and_state() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 9 };
    let ready = payload(&host.ask(hello, &[]), &Context::SETUP);
    let Ok((Up::Ready(ready), [])) = Up::parse(&ready) else { panic!("a Ready") };
    assert_eq!((ready.version, ready.schema), (VERSION, SCHEMA));
    assert_eq!((ready.board, ready.identity), (BOARD.name, BOARD.identity));
    assert_eq!((ready.objectives, ready.session, ready.echo), (Distance::NAME, 0, 9));

    host.set_up();
    host.begin();
    host.next_round();
    let ready = payload(&host.ask(hello, &[]), &Context::SETUP);
    let Ok((Up::Ready(ready), [])) = Up::parse(&ready) else { panic!("a Ready") };
    assert_eq!((ready.session, ready.opened), (host.configure.session, host.configure.ticket));
    assert_eq!(ready.model_digest, digest::vector(&host.x));
    assert_eq!(ready.estimator_digest, digest::vector(&host.mirror));
}

#[test]
fn invalid_configuration_is_refused() {
    let mut host = Host::new(5, Downlink::Sparse, Init::Full);
    let good = host.configure;
    let need_of = |configure: &Configure| memory_len::<Distance>(configure) as u32;
    let (room, need) = (need_of(&good), need_of(&Configure { dimension: 6, ..good }));
    for (configure, refusal) in [
        (Configure { dimension: 6, ..good }, Refusal::Memory { need, room }),
        (Configure { objective: "another", ..good }, Refusal::Objective),
        (Configure { data_len: 0, ..good }, Refusal::Data),
        (Configure { session: 0, ..good }, Refusal::Configuration),
        (Configure { worker: 0, ..good }, Refusal::Configuration),
        (Configure { k: 6, ..good }, Refusal::Configuration),
        (Configure { k: 0, ..good }, Refusal::Configuration),
        (Configure { value_bits: 33, ..good }, Refusal::Configuration),
    ] {
        host.configure = configure;
        let message = host.configure();
        assert_eq!(host.refused(message, &[]), refusal);
        assert_eq!(host.worker.state(), None);
    }
    host.configure = good;
    host.set_up();
}

#[test]
fn data_transfer_resumes_and_verifies_checksum() {
    let mut host = Host::new(50, Downlink::Dense, Init::Full);
    let good = host.configure.data_checksum;
    host.configure.data_checksum ^= 1;
    let configure = host.configure();
    host.acknowledged(configure, &[]);
    assert_eq!(host.send_chunk(0, 20), 20);
    assert_eq!(host.send_chunk(30, 20), 20, "a chunk after a gap is ignored");
    assert_eq!(host.send_chunk(0, 20), 20, "a repeated chunk is ignored");
    let part = host.data[20..30].to_vec();
    let message = Down::Data { ticket: host.next_ticket(), offset: 20 };
    assert_eq!([(); 2].map(|()| host.acknowledged(message, &part)), [30; 2]);
    assert_eq!(host.rejected(Reject::Repeated), 1);
    let last = host.data[30..].to_vec();
    let message = Down::Data { ticket: host.next_ticket(), offset: 30 };
    assert_eq!(host.refused(message, &last), Refusal::Data);
    assert_eq!(
        host.refused(message, &last),
        Refusal::Data,
        "a repeated request gets the same answer"
    );
    assert_eq!(host.rejected(Reject::Repeated), 2);
    assert_eq!(host.send_chunk(0, 20), 20, "invalid data are discarded");
    let begin = Down::Begin { ticket: host.next_ticket(), round: 0 };
    assert_eq!(host.deliver(&host.frame(begin, &[])), None, "there are no data");
    assert_eq!(host.rejected(Reject::Unexpected), 1);

    host.configure.data_checksum = good;
    host.set_up();
    let one_more = Down::Data { ticket: host.next_ticket(), offset: 49 };
    assert_eq!(host.acknowledged(one_more, &[1, 2]), 50);
    host.begin();
}

#[test]
fn data_chunks_are_journaled_once() {
    let mut host = Host::new(50, Downlink::Dense, Init::Full);
    let configure = host.configure();
    host.acknowledged(configure, &[]);
    host.send_chunk(0, 20);
    let data_id = DataId { checksum: host.configure.data_checksum, len: 50 };
    let first = DataChunk { data_id, offset: 0, bytes: &host.data[..16] };
    assert_eq!(host.worker.poll_data_chunk(), Some(first), "whole grains");
    assert_eq!(host.worker.poll_data_chunk(), None);
    let message = Down::Data { ticket: host.next_ticket(), offset: 20 };
    assert_eq!(host.refused(message, &[0; 30]), Refusal::Data);
    assert_eq!(host.worker.poll_data_chunk(), None, "invalid data are discarded");

    host.set_up();
    let all = DataChunk { data_id, offset: 0, bytes: &host.data };
    assert_eq!(host.worker.poll_data_chunk(), Some(all));
    host.configure.session += 1;
    let configure = host.configure();
    assert_eq!(host.acknowledged(configure, &[]), 50);
    assert_eq!(host.worker.poll_data_chunk(), None, "they were returned before");
}

#[test]
fn data_of_previous_run_are_reused() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Full);
    host.configure.session += 1;
    host.configure.dimension = 4;
    let configure = host.configure();
    assert_eq!(host.acknowledged(configure, &[]), 0, "the data have another dimension");
    host.configure.session += 1;
    host.configure.dimension = 5;
    host.configure.downlink = Downlink::Dense;
    let configure = host.configure();
    assert_eq!(host.acknowledged(configure, &[]), 5, "all data are in memory");
    host.configure.session += 1;
    host.configure.data_checksum ^= 1;
    let configure = host.configure();
    assert_eq!(host.acknowledged(configure, &[]), 0, "the checksum differs");
}

#[test]
fn probe_reports_range_and_keeps_state() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    host.set_up();
    let probe = Down::Probe {
        ticket: host.next_ticket(),
        exponents: Exponents { gradient: 3, ..EXPONENTS },
    };
    let answer = host.ask(probe, &[]);
    let range = payload(&answer, &host.worker_context());
    let Ok((Up::Range { gradient_max, .. }, [])) = Up::parse(&range) else { panic!("a Range") };
    let largest = host.data.iter().map(|b| b.cast_signed().unsigned_abs()).max().unwrap();
    assert_eq!(gradient_max, u32::from(largest) << 3);
    assert_eq!(host.ask(probe, &[]), answer);
    assert_eq!(host.objective.evaluations, 1);

    host.begin();
    let late = Down::Probe { ticket: host.next_ticket(), exponents: EXPONENTS };
    assert_eq!(host.deliver(&host.frame(late, &[])), None, "it would overwrite the update");
}

#[test]
fn minibatch_survives_reboot_and_probe_uses_all_rows() {
    let mut host = Host::new(5, Downlink::Sparse, Init::Compressed);
    let batch = Batch { size: 3, seed: 9 };
    host.configure.batch = batch;
    host.set_up();
    let probe = Down::Probe { ticket: host.next_ticket(), exponents: EXPONENTS };
    host.ask(probe, &[]);
    assert_eq!(host.objective.rows, Some(Selection::ALL));
    host.begin();
    for round in 1..4 {
        host.next_round();
        assert_eq!(host.objective.rows, Some(batch.selection(1, round)));
    }
    let message = host.step_and_tell();
    let update = host.deliver(&message);
    let rows = host.objective.rows;
    host.reboot();
    host.restore();
    let begin = Down::Begin { ticket: host.next_ticket(), round: host.round };
    assert_eq!(host.deliver(&host.frame(begin, &[])), update);
    assert_eq!(host.objective.rows, rows);
}

#[test]
fn curvature_is_answered_only_before_updates() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    host.configure();
    let early = Down::Curvature { ticket: host.next_ticket() };
    assert_eq!(host.deliver(&host.frame(early, &[])), None, "there are no data");
    host.set_up();
    let request = Down::Curvature { ticket: host.next_ticket() };
    assert_eq!(host.refused(request, &[]), Refusal::Objective, "an objective without a bound");

    host.begin();
    let late = Down::Curvature { ticket: host.next_ticket() };
    assert_eq!(host.deliver(&host.frame(late, &[])), None, "it would overwrite the update");
}

#[test]
fn repeated_round_resends_same_bytes() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Compressed);
    let message = host.step_and_tell();
    let update = host.deliver(&message).unwrap();
    host.collect(update.clone());
    let before = (host.objective.evaluations, host.worker.state().map(|(x, _)| x.to_vec()));
    for _ in 0..3 {
        assert_eq!(host.deliver(&message).as_ref(), Some(&update));
    }
    assert_eq!(host.ask(Down::More { from: 0 }, &[]), update);
    let after = (host.objective.evaluations, host.worker.state().map(|(x, _)| x.to_vec()));
    assert_eq!(before, after);
    assert_eq!(host.rejected(Reject::Repeated), 3);
}

#[test]
fn repeated_configure_opens_no_session() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    let configure = host.configure();
    assert_eq!([(); 2].map(|()| host.acknowledged(configure, &[])), [0; 2]);
    host.set_up();
    host.begin();
    assert_eq!(host.deliver(&host.frame(configure, &[])), None, "a late repetition");
    assert_eq!(host.rejected(Reject::Repeated), 2);
    host.next_round();
}

#[test]
fn request_repeated_during_evaluation_is_answered_once() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    host.set_up();
    let begin = Down::Begin { ticket: host.next_ticket(), round: 0 };
    let mut message = host.frame(begin, &[]);
    for _ in 0..2 {
        host.worker.receive(&message);
        host.worker.receive(&message);
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
    host.worker.receive(&[message, next].concat());
    assert_eq!(host.worker.poll_transmit(&mut [0; FRAME_LEN_MAX]), None);
    let update = host.serve().unwrap();
    host.collect(update);
}

#[test]
fn requests_are_rejected_during_evaluation() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let message = host.step_and_tell();
    host.worker.receive(&message);
    let (ticket, exponents) = (host.next_ticket(), Exponents::default());
    let body = &bodies(&[1, 2, 3, 4, 5])[0].2;
    let next = Context { round: 2, ..Context::downlink(host.configure.session) };
    for wire in [
        host.frame(Down::Data { ticket, offset: 0 }, &[1]),
        host.frame(Down::Announce { ticket, exponents, gamma_n: GAMMA_N }, &[]),
        host.frame(Down::Part { ticket, part: Part::Model, from: 0, until: 5 }, body),
        host.frame(Down::Probe { ticket, exponents }, &[]),
        host.frame(Down::Begin { ticket, round: 9 }, &[]),
        host.frame(Down::More { from: 0 }, &[]),
        emit(Down::Round { from: 0 }, 1, body, next),
    ] {
        let before = host.rejected(Reject::Unexpected);
        host.worker.receive(&wire);
        assert_eq!(host.rejected(Reject::Unexpected), before + 1);
    }
    let update = host.serve().unwrap();
    host.collect(update);
    host.next_round();
}

#[test]
fn begin_requires_announced_exponents() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    let configure = host.configure();
    host.acknowledged(configure, &[]);
    assert_eq!(host.send_chunk(0, 5), 5);
    let begin = Down::Begin { ticket: host.next_ticket(), round: 0 };
    assert_eq!(host.deliver(&host.frame(begin, &[])), None);
    assert_eq!(host.rejected(Reject::Unexpected), 1);
    host.announce(EXPONENTS);
    host.begin();
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
fn pace_applies_to_its_own_step() {
    let mut host = Host::begun(5, Downlink::Sparse, Init::Full);
    for pace in [0, 11, 0, 24] {
        host.pace = pace;
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
    let early = emit(Down::Round { from: 0 }, 1, &[], Context { worker: 0, ..after_next });
    assert_eq!(host.deliver(&early), None);
    assert_eq!(host.rejected(Reject::Checksum), 2);
}

#[test]
fn unexpected_frames_are_rejected_with_reason() {
    let mut host = Host::begun(5, Downlink::Dense, Init::Full);
    let session = Context::downlink(host.configure.session);
    let begin = Down::Begin { ticket: host.next_ticket(), round: 7 };
    let stranger = Configure { identity: 1, ..host.configure };
    let more = Context { round: 1, ..session };
    let (ticket, part, nothing) = (host.next_ticket(), Part::Model, &bodies(&[0; 5])[0].2);
    for (wire, reason) in [
        (emit(begin, 1, &[], Context::downlink(session.session + 1)), Reject::Checksum),
        (emit(begin, 2, &[], session), Reject::Address),
        (emit(Down::Configure(stranger), 0, &[], Context::SETUP), Reject::Address),
        (emit(Down::More { from: 0 }, 1, &[], more), Reject::Unexpected),
        (emit(Down::Round { from: 9 }, 1, &[0; 3], more), Reject::Body),
        (emit(Down::More { from: 6 }, 1, &[], session), Reject::Body),
        (emit(Down::Part { ticket, part, from: 0, until: 6 }, 1, nothing, session), Reject::Body),
        (emit(Down::Part { ticket, part, from: 3, until: 2 }, 1, nothing, session), Reject::Body),
        (
            emit(Down::Part { ticket, part: Part::Sum, from: 0, until: 5 }, 1, nothing, session),
            Reject::Unexpected,
        ),
        (vec![1, 1, 0], Reject::Undecodable),
        (vec![0xff; 600].into_iter().chain([0]).collect(), Reject::Overlong),
        (unparsable(&session), Reject::Unparsable),
    ] {
        let before = host.rejected(reason);
        let state = host.worker.state().map(|(x, g_i)| (x.to_vec(), g_i.to_vec()));
        assert_eq!(host.deliver(&wire), None, "{reason:?}");
        assert_eq!(host.rejected(reason), before + 1, "{reason:?}");
        assert_eq!(host.worker.state().map(|(x, g_i)| (x.to_vec(), g_i.to_vec())), state);
    }
    host.next_round();
}

/// A frame with a valid checksum and an unknown tag.
fn unparsable(context: &Context) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = frame::emit(context, &mut out, |frame| frame.push(&[1, 99]));
    out[..len].to_vec()
}

#[test]
fn large_update_is_split() {
    let mut host = Host::new(2000, Downlink::Sparse, Init::Full);
    host.set_up();
    let frames = host.begin();
    // 33 bits per entry and 463 bytes per body: 112 entries.
    assert_eq!(frames.len(), 2000usize.div_ceil(112));
    assert_eq!(host.objective.evaluations, 1);
    assert_eq!(host.next_round().len(), 1);
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
fn econtrol_host() -> Host {
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
        let (mirror, sum) = (rebooted.mirror.clone(), rebooted.sum.clone());
        rebooted.restore();
        let begin = Down::Begin { ticket: rebooted.next_ticket(), round: rebooted.round };
        let begin = rebooted.frame(begin, &[]);
        rebooted.worker.receive(&begin);
        let recall = rebooted.worker.local_state_request().expect("a request for local state");
        assert_eq!(recall.name, name);
        recall.mantissas.copy_from_slice(&mantissas);
        rebooted.worker.local_state_ready(told);
        assert!(rebooted.worker.local_state_request().is_none());
        let first = rebooted.serve().expect("an update");
        assert_eq!(rebooted.collect(first) == update, right, "{told:?}");
        (rebooted.mirror, rebooted.sum) = (mirror, sum);
    }
}

#[test]
fn dense_and_sparse_downlinks_give_the_same_model() {
    let mut dense = Host::begun(40, Downlink::Dense, Init::Compressed);
    let mut sparse = Host::begun(40, Downlink::Sparse, Init::Compressed);
    for _ in 0..30 {
        assert_eq!(dense.next_round(), sparse.next_round());
        assert_eq!(dense.worker.state(), sparse.worker.state());
    }
    assert!(sparse.bytes_sent < dense.bytes_sent);
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
    rescale(&mut host.x, EXPONENTS.x, to.x, &mut 0);
    rescale(&mut host.mirror, EXPONENTS.gradient, to.gradient, &mut 0);
    rescale_sum(&mut host.sum_told, EXPONENTS.gradient, to.gradient);
    host.sum = widened(&host.mirror);
    host.exponents = to;
    assert_eq!(host.worker.state(), Some((&host.x[..], &host.mirror[..])));
    host.next_round();
    host.next_round();
}
