//! Before the first round: identification, configuration, data, probe.

use smidgen_firmware::journal::{DataChunk, DataId};
use smidgen_firmware::objective::Objective;
use smidgen_firmware::worker::memory_len;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::digest;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{
    Configure, Down, Downlink, Exponents, Init, Refusal, SCHEMA, Up, VERSION,
};
use smidgen_tests::host::training::{BOARD, Distance, EXPONENTS};
use smidgen_tests::host::{Host, payload};

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
    assert_eq!(ready.model_digest, digest::vector(&host.model.x));
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
    let begin = Down::Begin { ticket: host.next_ticket(), round: 0, known: host.known };
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
    assert_eq!(host.objectives.evaluations, 1);

    host.begin();
    let late = Down::Probe { ticket: host.next_ticket(), exponents: EXPONENTS };
    assert_eq!(host.deliver(&host.frame(late, &[])), None, "it would overwrite the update");
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
fn begin_requires_announced_exponents() {
    let mut host = Host::new(5, Downlink::Dense, Init::Full);
    let configure = host.configure();
    host.acknowledged(configure, &[]);
    assert_eq!(host.send_chunk(0, 5), 5);
    let begin = Down::Begin { ticket: host.next_ticket(), round: 0, known: host.known };
    assert_eq!(host.deliver(&host.frame(begin, &[])), None);
    assert_eq!(host.rejected(Reject::Unexpected), 1);
    host.finish_setup();
    host.begin();
}
