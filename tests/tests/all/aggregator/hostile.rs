//! Workers that send arbitrary messages in valid frames.

use super::*;
use proptest::prelude::*;
use smidgen_aggregator::Event;
use smidgen_firmware::objective::Objective;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{Loss, Ready, Refusal, SCHEMA, Ticket, Up, VERSION};
use smidgen_protocol::method::{Budget, Compressor};
use smidgen_protocol::round::{LossChange, Update};
use smidgen_protocol::sparse::encode;
use smidgen_tests::bench::slope::with_k;
use smidgen_tests::frames::frame;
use std::collections::BTreeMap;

fn emit(message: Up, body: &[u8], context: Context) -> Vec<u8> {
    frame(|out| message.emit(body, &context, out))
}

/// A body of an update with K = 2 of d = 10.
fn body(entries: &[(u32, i64)]) -> Vec<u8> {
    let mut body = [0; 64];
    let budget = Budget { k: 2, value_bits: 8, compressor: Compressor::TopK };
    let terms = budget.terms(10, entries[0].0, &[], 0);
    let written = encode(&mut body, &terms, terms.last, entries.iter().copied());
    body[..written.len].to_vec()
}

fn emit_update(update: Update, body: &[u8], context: Context) -> Vec<u8> {
    frame(|out| update.draft(body, &context, out).close())
}

/// A run in round 1, with unanswered requests.
fn asked() -> Bench<Slope> {
    let mut bench = Bench::new(with_method(with_k(2, setup(10, 2)), |method| MethodSpec {
        value_bits: 8,
        ..method
    }));
    bench.close();
    bench.host.proceed();
    bench.rule = Box::new(|_| Fault::Down(Damage::Lost));
    bench.transmit();
    bench
}

#[test]
fn updates_that_break_the_rules_are_rejected_under_their_reason() {
    let mut bench = asked();
    let context = Context { session: 0x5e55, worker: 1, round: 1, ..Context::SETUP };
    let update = Update::Last(LossChange::default());
    for (wire, reason) in [
        (emit_update(update, &body(&[(0, 1), (3, 1), (4, 1)]), context), Reject::Body),
        (emit_update(update, &[0xaa; 40], context), Reject::Body),
        (emit_update(update, &body(&[(0, 1)]), Context { round: 0, ..context }), Reject::Repeated),
        (emit_update(update, &body(&[(0, 1)]), Context { round: 2, ..context }), Reject::Checksum),
        (emit_update(update, &body(&[(0, 1)]), Context { worker: 2, ..context }), Reject::Checksum),
        (emit_update(update, &body(&[(1, 1)]), Context { from: 1, ..context }), Reject::Checksum),
        (
            emit(Up::Ack { ticket: 1, value: 0 }, &[], Context { round: 0, ..context }),
            Reject::Repeated,
        ),
    ] {
        let before = (bench.host.counters(0).rejected(reason).frames, digests(&bench));
        bench.arrive(0, &wire);
        assert_eq!(bench.host.counters(0).rejected(reason).frames, before.0 + 1, "{reason:?}");
        assert_eq!(digests(&bench), before.1, "{reason:?}");
        assert_eq!(bench.transmit(), 0, "the round is still asked for");
    }
    // The parts of an update share its budget.
    bench.arrive(0, &emit_update(Update::Part, &body(&[(0, 1), (3, 1)]), context));
    assert_eq!(bench.transmit(), 1);
    assert_eq!(bench.asked(0), Some(Down::More { from: 4 }));
    bench.arrive(0, &emit_update(update, &body(&[(4, 1)]), Context { from: 4, ..context }));
    assert_eq!(bench.transmit(), 0, "the rest is still asked for");
    bench.check_bytes_up();
}

/// The worker accepts data or state repeatedly, without progress.
#[test]
fn answers_without_progress_do_not_restart_the_timeout() {
    type IsAwaited = fn(&Option<Down>) -> bool;
    let while_loading: IsAwaited =
        |message| matches!(message, Some(Down::Data { offset: 1.., .. }));
    let while_restored: IsAwaited = |message| matches!(message, Some(Down::Part { from: 1.., .. }));
    for (is_awaited, round) in [(while_loading, None), (while_restored, Some(1))] {
        let mut bench = Bench::new(setup(1200, 2));
        if let Some(round) = round {
            bench.until_round(0, round);
            bench.reboot(0);
        }
        bench.until_asked(0, round, is_awaited);
        let first = bench.now;
        bench.rule = Box::new(|_| Fault::Down(Damage::Lost));
        let held = |bench: &Bench<Slope>| match bench.asked(0) {
            Some(Down::Data { offset: held, .. } | Down::Part { from: held, .. }) => held,
            other => panic!("{other:?}"),
        };
        let most = held(&bench);
        assert!(most > 1);
        for turn in 0..100 {
            bench.transmit();
            bench.now += Duration::from_secs(1);
            // Every second answer reports more than the one before it, but never more than `most`.
            let value = [most, most / 2][turn % 2];
            let again = forge(&bench, 1, 0, value, &[]);
            bench.arrive(0, &again);
            assert_eq!(bench.host.silent_since(0), Some(first));
            bench.transmit();
            assert_eq!(held(&bench), value);
        }
    }
}

fn digests(bench: &Bench<Slope>) -> [u64; 2] {
    [0, 1].map(|worker| bench.host.mirror(worker).digest())
}

/// Bytes that may arrive, mostly close to the awaited answer.
#[derive(Clone, Debug)]
enum Arrival {
    /// A message: its kind, the offset of its numbers, its content, and whether the host has sent its requests before.
    Forged {
        kind: usize,
        off: u16,
        value: u32,
        body: Vec<u8>,
        is_asked: bool,
    },
    Noise(Vec<u8>),
    /// The run proceeds by a number of steps.
    Steps(u8),
}

fn arrivals() -> impl Strategy<Value = Arrival> {
    let value = prop_oneof![Just(0), Just(10), Just(u32::MAX), any::<u32>()];
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        6 => (0usize..7, 0u16..3, value, bytes(20), any::<bool>()).prop_map(
            |(kind, off, value, body, is_asked)| Arrival::Forged { kind, off, value, body, is_asked }
        ),
        1 => bytes(700).prop_map(Arrival::Noise),
        3 => (1u8..30).prop_map(Arrival::Steps),
    ]
}

/// A frame of the worker on link 0 that the host accepts as correct, and as the answer to its latest request if `off`
/// is 0.
fn forge(bench: &Bench<Slope>, kind: usize, off: u16, value: u32, body: &[u8]) -> Vec<u8> {
    let worker = bench.worker(0);
    let ticket = bench.ticket(worker).wrapping_add(off);
    let (echo, from) = match bench.asked(worker) {
        Some(Down::Hello { echo, .. }) => (echo, 0),
        Some(Down::More { from }) => (0, from),
        _ => (0, 0),
    };
    let session = Context { session: 0x5e55, worker: worker as u16 + 1, ..Context::SETUP };
    let round = bench.host.open_round().unwrap_or(0).wrapping_sub(u32::from(off / 2));
    let of_round = Context { round, from: from + u32::from(off % 2), ..session };
    let loss = Loss::new(i64::from(value) - (1 << 31));
    let change = LossChange::between(0, loss.mantissa());
    match kind {
        0 => {
            let ready = Ready {
                version: VERSION,
                schema: SCHEMA,
                echo: echo.wrapping_add(off),
                board: "forged",
                identity: 1 + u64::from(value & 1),
                memory: value,
                objectives: Slope::NAME,
                session: 0x5e55,
                opened: bench.opened(worker).wrapping_add(off),
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
        4 => emit_update(Update::Last(change), body, of_round),
        5 => emit_update(Update::Anew(change), body, of_round),
        _ => emit_update(Update::Part, body, of_round),
    }
}

/// Bytes of bodies that the host took per worker, round and configuration: it keeps them until the update is complete.
struct Kept {
    k: u64,
    taken: BTreeMap<(usize, Option<u32>, Ticket), u64>,
}

impl Kept {
    /// Counts what the host takes while something happens.
    fn count(&mut self, bench: &mut Bench<Slope>, happen: impl FnOnce(&mut Bench<Slope>)) {
        let taken = |bench: &Bench<Slope>, worker| bench.host.traffic(worker).0.payload_bytes;
        let round = bench.host.open_round();
        // Update 0 has all coordinates. Every part but the last has an entry, of 20 bits at most.
        let k = if round > Some(0) { self.k } else { 10 };
        let most = (k + 1) * 2 + k * 3;
        let before = [0, 1].map(|worker| (bench.opened(worker), taken(bench, worker)));
        happen(bench);
        for (worker, (opened, before)) in before.into_iter().enumerate() {
            let kept = self.taken.entry((worker, round, opened)).or_default();
            *kept += taken(bench, worker) - before;
            assert!(*kept <= most, "{kept} bytes of worker {worker}");
        }
    }
}

/// Continues the run after any event.
fn go_on(bench: &mut Bench<Slope>, kept: &mut Kept) {
    while let Some(event) = bench.host.poll_event() {
        if let Event::Closed(_) = event {
            bench.host.proceed();
        }
    }
    kept.count(bench, |bench| {
        bench.step();
    });
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
        let mut kept = Kept { k: k.into(), taken: BTreeMap::new() };
        (0..start).for_each(|_| go_on(&mut bench, &mut kept));
        for arrival in arrivals {
            let wire = match arrival {
                Arrival::Forged { kind, off, value, body, is_asked } => {
                    if is_asked {
                        prop_assert!(bench.transmit() <= 2, "one request per worker");
                    }
                    forge(&bench, kind, off, value, &body)
                }
                Arrival::Noise(bytes) => bytes,
                Arrival::Steps(steps) => {
                    (0..steps).for_each(|_| go_on(&mut bench, &mut kept));
                    continue;
                }
            };
            let all_are_known = (0..2).all(|worker| bench.host.is_greeted(worker));
            let other = |bench: &Bench<Slope>| {
                let worker = bench.worker(1);
                let mirror = bench.host.mirror(worker).mantissas().to_vec();
                (worker, mirror, *bench.host.counters(worker), bench.host.reboots(worker))
            };
            let before = other(&bench);
            kept.count(&mut bench, |bench| bench.arrive(0, &wire));
            // Before all workers are identified, a worker may take any free place.
            prop_assert!(other(&bench) == before || !all_are_known);
            bench.check_bytes_in_all();
        }
    }
}
