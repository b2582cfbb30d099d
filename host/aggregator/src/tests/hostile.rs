//! Workers that send arbitrary messages in valid frames.

use super::*;
use proptest::prelude::*;
use smidgen_firmware::objective::Objective;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{Loss, Ready, Refusal, SCHEMA, Up, VERSION};
use smidgen_protocol::method::Compressor;
use smidgen_protocol::sparse::{Encoder, Packing};

fn emit(message: Up, body: &[u8], context: Context) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = message.emit(body, &context, &mut out);
    out[..len].to_vec()
}

/// A body of an update with K = 2 of d = 10.
fn body(entries: &[(u32, i64)]) -> Vec<u8> {
    let mut body = [0; 64];
    let mut encoder = Encoder::new(&mut body, Packing::new(10, 2, 8), 0, entries[0].0);
    entries.iter().for_each(|&(index, mantissa)| encoder.push(index, mantissa).expect("room"));
    let len = encoder.finish();
    body[..len].to_vec()
}

/// A run in round 1, with unanswered requests.
fn asked() -> Bench {
    let mut bench = Bench::new(with_method(with_k(2, setup(10, 2)), |method| MethodSpec {
        value_bits: 8,
        ..method
    }));
    bench.close();
    bench.host.proceed();
    bench.rule = Box::new(|_| Fault::Down(Damage::Lost));
    while bench.host.poll_transmit(bench.now, &mut [0; FRAME_LEN_MAX]).is_some() {}
    bench
}

#[test]
fn updates_that_break_the_rules_are_rejected_under_their_reason() {
    let mut bench = asked();
    let context = Context { session: 0x5e55, worker: 1, round: 1, from: 0 };
    let update = Up::Update { loss: Loss::new(1) };
    for (wire, reason) in [
        (emit(update, &body(&[(0, 1), (10, 1)]), context), Reject::Body),
        (emit(update, &body(&[(0, 1), (3, 1), (4, 1)]), context), Reject::Body),
        (emit(update, &[0xaa; 40], context), Reject::Body),
        (emit(update, &[], context), Reject::Body),
        (emit(update, &body(&[(0, 1)]), Context { round: 0, ..context }), Reject::Repeated),
        (emit(update, &body(&[(0, 1)]), Context { round: 2, ..context }), Reject::Checksum),
        (emit(update, &body(&[(0, 1)]), Context { worker: 2, ..context }), Reject::Checksum),
        (emit(update, &body(&[(1, 1)]), Context { from: 1, ..context }), Reject::Checksum),
        (
            emit(Up::Ack { ticket: 1, value: 0 }, &[], Context { round: 0, ..context }),
            Reject::Repeated,
        ),
    ] {
        let before = (bench.host.counters(0).rejected(reason).frames, digests(&bench));
        bench.arrive(0, &wire);
        assert_eq!(bench.host.counters(0).rejected(reason).frames, before.0 + 1, "{reason:?}");
        assert_eq!(digests(&bench), before.1, "{reason:?}");
        assert_eq!(bench.stage(0), Stage::Round);
    }
    // The parts of an update share its budget.
    bench.arrive(0, &emit(Up::UpdatePart, &body(&[(0, 1), (3, 1)]), context));
    assert_eq!(bench.stage(0), Stage::More);
    bench.arrive(0, &emit(update, &body(&[(4, 1)]), Context { from: 4, ..context }));
    assert_eq!(bench.stage(0), Stage::More);
    bench.check_bytes_up();
}

/// The worker accepts data or state repeatedly, without progress.
#[test]
fn answers_without_progress_do_not_restart_the_timeout() {
    type Awaited = fn(Stage) -> bool;
    let while_loading: Awaited = |stage| matches!(stage, Stage::Load { held: 1.., .. });
    let while_restored: Awaited = |stage| matches!(stage, Stage::Restore { from: 1.., .. });
    for (is_awaited, is_rebooted) in [(while_loading, false), (while_restored, true)] {
        let mut bench = Bench::new(setup(1200, 2));
        if is_rebooted {
            bench.until_stage(0, Stage::Round, Some(1));
            bench.reboot(0);
        }
        while !is_awaited(bench.stage(0)) {
            bench.advance();
        }
        let (first, mut out) = (bench.now, [0; FRAME_LEN_MAX]);
        bench.rule = Box::new(|_| Fault::Down(Damage::Lost));
        let held = |bench: &Bench| match bench.stage(0) {
            Stage::Load { held, .. } | Stage::Restore { from: held, .. } => held,
            stage => panic!("{stage:?}"),
        };
        let most = held(&bench);
        assert!(most > 1);
        for turn in 0..100 {
            while bench.host.poll_transmit(bench.now, &mut out).is_some() {}
            bench.now += Duration::from_secs(1);
            // Every second answer reports more than the one before it, but never more than `most`.
            let value = [most, most / 2][turn % 2];
            let again = forge(&bench, 1, 0, value, &[]);
            bench.arrive(0, &again);
            assert_eq!(held(&bench), value);
            assert_eq!(bench.host.silent_since(0), Some(first));
        }
    }
}

fn digests(bench: &Bench) -> [u64; 2] {
    [0, 1].map(|worker| bench.host.mirror(worker).digest())
}

/// Bytes that may arrive, mostly close to the awaited answer.
#[derive(Clone, Debug)]
enum Arrival {
    /// A message: its kind, the offset of its numbers, and its content.
    Forged {
        kind: usize,
        off: u16,
        value: u32,
        body: Vec<u8>,
    },
    Noise(Vec<u8>),
    /// The run proceeds by a number of steps.
    Steps(u8),
}

fn arrivals() -> impl Strategy<Value = Arrival> {
    let value = prop_oneof![Just(0), Just(10), Just(u32::MAX), any::<u32>()];
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        6 => (0usize..7, 0u16..3, value, bytes(20))
            .prop_map(|(kind, off, value, body)| Arrival::Forged { kind, off, value, body }),
        1 => bytes(700).prop_map(Arrival::Noise),
        3 => (1u8..30).prop_map(Arrival::Steps),
    ]
}

/// A frame of the worker on link 0 that the host accepts as correct, and as the answer if `off` is 0.
fn forge(bench: &Bench, kind: usize, off: u16, value: u32, body: &[u8]) -> Vec<u8> {
    let worker = bench.host.machine.routes.worker(0);
    let peer = &bench.host.machine.peers[worker];
    let ticket = peer.exchange.ticket().wrapping_add(off);
    let session = Context { session: 0x5e55, worker: address(worker), ..Context::SETUP };
    let round = bench.host.open_round().unwrap_or(0).wrapping_sub(u32::from(off / 2));
    let from = peer.incoming.next_from + u32::from(off % 2);
    let of_round = Context { round, from, ..session };
    let loss = Loss::new(i64::from(value) - (1 << 31));
    match kind {
        0 => {
            let ready = Ready {
                version: VERSION,
                schema: SCHEMA,
                echo: peer.exchange.echo_awaited().unwrap_or(0).wrapping_add(off),
                board: "forged",
                identity: 1 + u64::from(value & 1),
                memory: value,
                objectives: bench::Slope::NAME,
                session: 0x5e55,
                opened: peer.opened.wrapping_add(off),
                model_digest: 0,
                estimator_digest: 0,
                rejected: [value; Reject::COUNT],
                overruns: value,
                saturated: value,
            };
            emit(Up::Ready(ready), &[], Context::SETUP)
        }
        1 => emit(Up::Ack { ticket, value }, &[], session),
        2 => emit(Up::Range { ticket, gradient_max: value, loss }, &[], session),
        3 => emit(
            Up::Refused { ticket, refusal: Refusal::Memory { need: value, room: 0 } },
            &[],
            session,
        ),
        4 => emit(Up::Update { loss }, body, of_round),
        5 => emit(Up::Anew { loss }, body, of_round),
        _ => emit(Up::UpdatePart, body, of_round),
    }
}

/// Continues the run after any event.
fn go_on(bench: &mut Bench) {
    while let Some(event) = bench.host.poll_event() {
        if let Event::Closed(_) = event {
            bench.host.proceed();
        }
    }
    bench.step();
}

proptest! {
    #[test]
    fn no_message_of_a_worker_harms_the_host_or_other_workers(
        downlink in prop::sample::select(&Downlink::ALL[..]),
        compressor in prop::sample::select(Compressor::all(1).to_vec()),
        start in 0usize..60,
        arrivals in prop::collection::vec(arrivals(), 0..40),
    ) {
        let k = if compressor.sends_all_coordinates() { 10 } else { 2 };
        let setup = with_method(with_k(k, setup(10, 2)), |method| MethodSpec {
            compressor,
            momentum: 0.5,
            downlink,
            ..method
        });
        let mut bench = Bench::new(setup);
        (0..start).for_each(|_| go_on(&mut bench));
        for arrival in arrivals {
            let wire = match arrival {
                Arrival::Forged { kind, off, value, body } => {
                    forge(&bench, kind, off, value, &body)
                }
                Arrival::Noise(bytes) => bytes,
                Arrival::Steps(steps) => {
                    (0..steps).for_each(|_| go_on(&mut bench));
                    continue;
                }
            };
            let all_are_known = (0..2).all(|worker| bench.host.is_greeted(worker));
            let other = |bench: &Bench| {
                let worker = bench.host.machine.routes.worker(1);
                let mirror = bench.host.mirror(worker).mantissas().to_vec();
                (worker, mirror, *bench.host.counters(worker), bench.host.reboots(worker))
            };
            let before = other(&bench);
            bench.arrive(0, &wire);
            // Before all workers are identified, a worker may take any free place.
            prop_assert!(other(&bench) == before || !all_are_known);
            for Peer { incoming, .. } in &bench.host.machine.peers {
                prop_assert!(incoming.entries <= 10 && incoming.bodies.len() <= 11);
            }
            prop_assert!(bench.host.machine.queue.len() <= 2);
            bench.check_bytes_in_all();
        }
    }
}
