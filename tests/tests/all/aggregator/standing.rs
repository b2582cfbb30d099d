//! Rounds that close without a worker, and its readmission.

use super::*;
use smidgen_aggregator::{Aggregator, Closed, Event, Identity, Reason};
use smidgen_protocol::method::draw;
use smidgen_tests::frames::answers;
use std::cell::Cell;

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(1));

/// A run of three workers in which worker 1 restarts before every request from round 2 on, while `broken` is set.
fn flaky(broken: &Rc<Cell<bool>>) -> Bench<Slope> {
    let broken = broken.clone();
    let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 3) };
    Bench::new(setup).with_rule(move |request: Request| {
        let begun = request.round.is_some_and(|round| round >= 2);
        match broken.get() && begun && request.worker == 1 {
            true => Fault::RebootBefore,
            false => PASS,
        }
    })
}

/// Runs until a round closes; returns it, the reasons of exclusions, and the workers that were readmitted.
fn close(bench: &mut Bench<Slope>) -> (Closed, Vec<Reason>, Vec<usize>) {
    let (mut reasons, mut back) = (vec![], vec![]);
    for _ in 0..20_000 {
        match bench.advance() {
            Some(Event::Closed(closed)) => return (closed, reasons, back),
            Some(Event::Excluded { worker, failure }) => {
                assert_eq!(worker, 1);
                reasons.extend(failure.map(|failure| failure.reason));
            }
            Some(Event::Readmitted(worker)) => back.push(worker),
            Some(Event::Failed(failure)) => panic!("{failure}"),
            _ => {}
        }
    }
    panic!("no round is closed");
}

#[test]
fn an_endless_restarter_is_excluded_until_its_link_is_reopened() {
    let broken = Rc::new(Cell::new(true));
    let mut bench = flaky(&broken);
    let mut left_out = vec![];
    for round in 0..6 {
        let (closed, reasons, _) = close(&mut bench);
        assert_eq!((closed.round, closed.excluded), (round, u32::from(round >= 2)));
        left_out.extend(reasons);
        bench.host.proceed();
    }
    assert!(matches!(left_out[..], [Reason::Restarts(_)]), "{left_out:?}");
    assert!(bench.host.is_excluded(1));

    broken.set(false);
    bench.host.handle_reconnect(1);
    let rounds: Vec<_> = (0..20)
        .map(|_| {
            let (closed, reasons, back) = close(&mut bench);
            assert_eq!(reasons, []);
            bench.host.proceed();
            (closed.excluded, back)
        })
        .collect();
    assert!(rounds.iter().any(|(_, back)| back[..] == [1]), "{rounds:?}");
    assert_eq!(rounds.last().map(|(absent, _)| *absent), Some(0));
    close(&mut bench);
    bench.check_states();
    bench.finish();
}

/// It gets requests after 10 s, 20 s, 40 s …; the others do not wait for it meanwhile.
#[test]
fn a_quarantined_board_is_retried_after_growing_pauses() {
    let broken = Rc::new(Cell::new(true));
    let mut bench = flaky(&broken);
    bench.nodes[0].takes = Duration::from_millis(500);
    let mut reasons = vec![];
    let mut asked = vec![];
    let (mut sent, mut left_out_at) = (0, Duration::ZERO);
    for _ in 0..400 {
        let (closed, left_out, back) = close(&mut bench);
        if !left_out.is_empty() {
            left_out_at = bench.now;
        }
        reasons.extend(left_out);
        assert!(
            back.is_empty(),
            "it is not waited for before it has shown that it can be restored"
        );
        let frames = bench.host.traffic(1).1.frames;
        if closed.round > 3 && frames > sent {
            asked.push((bench.now - left_out_at).as_secs());
        }
        sent = frames;
        bench.host.proceed();
    }
    assert!(matches!(reasons[..], [Reason::Restarts(_)]), "said once: {reasons:?}");
    asked.dedup();
    assert_eq!(asked, [10, 30, 70, 150]);
    assert_eq!(bench.host.exclusions(1), 1);

    broken.set(false);
    let came_back = (0..500).find(|_| {
        let (closed, ..) = close(&mut bench);
        bench.host.proceed();
        closed.excluded == 0
    });
    assert!(came_back.is_some_and(|rounds| rounds < 400), "after 160 s: {came_back:?}");
    assert_eq!(bench.host.exclusion_reason(1), Some(&reasons[0]));
    close(&mut bench);
    bench.check_states();
    bench.finish();
    bench.check_bytes();
}

/// The other workers neither wait nor lose their links.
#[test]
fn a_board_with_a_false_identity_is_excluded_alone() {
    let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 3) };
    let mut bench = Bench::new(setup);
    bench.until_round(0, 2);
    type Expected = fn(&Reason) -> bool;
    let expected: [(u64, Expected); 2] = [
        (1, |reason| *reason == Reason::SameIdentity(0)),
        (77, |reason| matches!(reason, Reason::Stranger(Identity { identity: 77, .. }))),
    ];
    for (identity, is_expected) in expected {
        bench.replace(1, identity);
        let mut reasons = vec![];
        for _ in 0..3000 {
            let (_, left_out, _) = close(&mut bench);
            reasons.extend(left_out);
            bench.host.proceed();
        }
        assert!(matches!(&reasons[..], [reason] if is_expected(reason)), "{reasons:?}");
        assert_eq!([0, 2].map(|honest| bench.host.reboots(honest)), [0, 0]);
        assert_eq!([0, 2].map(|honest| bench.host.exclusions(honest)), [0, 0]);
        assert_eq!([0, 1, 2].map(|worker| bench.host.link(worker)), [0, 1, 2]);
        for honest in [0, 2] {
            let mirror = bench.host.mirror(honest).mantissas();
            assert_eq!(bench.nodes[honest].worker.state().map(|state| state.1), Some(mirror));
        }
        bench.reboot(1);
        bench.host.handle_reconnect(1);
        while close(&mut bench).0.excluded > 0 {
            bench.host.proceed();
        }
        bench.host.proceed();
    }
}

/// Its update of the open round counts once, and it is excluded from the next.
#[test]
fn an_update_counts_although_its_board_is_replaced_meanwhile() {
    let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 3) };
    let mut undisturbed = Bench::new(setup.clone());
    undisturbed.until_updated(0, 2);
    let expected = undisturbed.close();

    let mut bench = Bench::new(setup);
    bench.nodes[0].takes = Duration::from_millis(500);
    bench.until_updated(1, 2);
    assert!(is_round(&bench.asked(0)));
    bench.replace(1, 77);
    // A board with the identity of worker 1 answers once on another link, so that worker 1 must identify itself.
    bench.host.handle_reconnect(0);
    let (_, hello) = bench.next_frame().expect("worker 0 must identify itself");
    let mut twin = Bench::new(super::setup(6, 3)).nodes.remove(1);
    let answer = answers(&mut twin.worker, &mut twin.objectives, &hello).concat();
    bench.arrive(0, &answer);
    let closed = bench.close();
    assert_eq!((closed.round, closed.excluded), (2, 0));
    assert_eq!(closed.transcript, expected.transcript);

    bench.host.proceed();
    let (closed, reasons, _) = close(&mut bench);
    assert_eq!((closed.round, closed.excluded), (3, 1));
    assert!(matches!(&reasons[..], [Reason::Stranger(_)]), "{reasons:?}");
    // The right board returns, restarted.
    bench.reboot(1);
    bench.host.handle_reconnect(1);
    bench.host.proceed();
    while close(&mut bench).0.excluded > 0 {
        bench.host.proceed();
    }
    bench.check_states();
    bench.finish();
}

#[test]
fn the_round_timeout_is_a_timeout_of_the_aggregator() {
    let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 3) };
    let mut bench = Bench::new(setup).with_rule(|request: Request| {
        let pulled = request.worker == 1 && request.round >= Some(2);
        if pulled { Fault::Down(Damage::Lost) } else { PASS }
    });
    bench.until_round(0, 2);
    let asked = bench.now;
    let (closed, ..) = close(&mut bench);
    assert_eq!((closed.round, closed.excluded), (2, 1));
    assert_eq!(bench.now, asked + Duration::from_secs(1), "not at the next timer");
}

#[test]
fn a_run_without_workers_fails() {
    let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 2) };
    let mut bench = Bench::new(setup).with_rule(|request: Request| {
        let begun = request.round.is_some_and(|round| round >= 2);
        if begun { Fault::RebootBefore } else { PASS }
    });
    assert!(matches!(bench.fail().reason, Reason::Restarts(_)));
}

#[test]
fn set_up_needs_every_worker() {
    let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 2) };
    let mut bench = Bench::new(setup).with_rule(|request: Request| {
        if request.worker == 1 && !matches!(request.message, Some(Down::Hello { .. })) {
            Fault::RebootBefore
        } else {
            PASS
        }
    });
    assert!(matches!(bench.fail().reason, Reason::Restarts(_) | Reason::Stuck));
}

/// The exclusions of a worker, as its events tell them.
#[derive(Default)]
struct Heard {
    exclusions: u32,
    is_excluded: bool,
    reason: Option<Reason>,
}

impl Heard {
    fn hear(&mut self, event: &Event, worker: usize) {
        match event {
            Event::Excluded { worker: excluded, failure } if *excluded == worker => {
                let reason = failure.as_ref().map(|failure| failure.reason.clone());
                let is_new = !std::mem::replace(&mut self.is_excluded, true);
                assert!(is_new || reason.is_some() && reason != self.reason, "said twice");
                self.exclusions += u32::from(is_new);
                self.reason = reason;
            }
            Event::Readmitted(back) if *back == worker => {
                assert!(std::mem::take(&mut self.is_excluded), "it was not excluded");
            }
            Event::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }

    fn check(&self, host: &Aggregator, worker: usize) {
        assert_eq!(host.exclusions(worker), self.exclusions);
        assert_eq!(host.is_excluded(worker), self.is_excluded);
        assert_eq!(host.exclusion_reason(worker), self.reason.as_ref());
    }
}

/// Worker 1 is silent, restarts, or is replaced, in an order drawn from a seed; worker 0 has no faults.
#[test]
fn events_match_every_change_of_standing() {
    let mut silences_and_failures = [0, 0];
    for seed in 0..60 {
        let mut chance = 0..;
        let mut draw = move || draw(seed, 1, chance.next().unwrap_or(0));
        let trouble = Rc::new(Cell::new(PASS));
        let present = trouble.clone();
        let setup = Setup { round_timeout: TIMEOUT, ..setup(6, 2) };
        let mut bench = Bench::new(setup)
            .with_rule(move |request| if request.worker == 1 { present.get() } else { PASS });
        bench.nodes[0].takes = Duration::from_millis(300);
        bench.until_round(0, 2);
        let (mut heard, mut rounds) = (Heard::default(), 0);
        while rounds < 400 || heard.is_excluded {
            assert!(rounds < 10_000, "{seed}: it does not come back");
            while let Some(event) = bench.host.poll_event() {
                heard.hear(&event, 1);
                if let Event::Excluded { failure, .. } = &event {
                    silences_and_failures[usize::from(failure.is_some())] += 1;
                }
                if let Event::Closed(_) = event {
                    rounds += 1;
                    bench.host.proceed();
                }
            }
            heard.check(&bench.host, 1);
            assert!(bench.step());
            match draw() % 100 {
                _ if rounds >= 300 => {
                    trouble.set(PASS);
                    if bench.host.is_strange(1) {
                        bench.reboot(1);
                    }
                }
                0..2 => trouble.set(Fault::Down(Damage::Lost)),
                2..4 => trouble.set(Fault::RebootBefore),
                4..8 => trouble.set(PASS),
                8 => bench.replace(1, 77),
                9 => bench.reboot(1),
                10 => bench.host.handle_reconnect(1),
                _ => {}
            }
        }
        assert_eq!(bench.close().excluded, 0, "{seed}");
        bench.check_states();
        // Frames to a worker with setbacks count as retransmissions.
        let again = bench.host.traffic(1).1.retransmitted_frames;
        bench.host.proceed();
        bench.close();
        assert_eq!(bench.host.traffic(1).1.retransmitted_frames, again, "{seed}");
    }
    assert!(silences_and_failures.iter().all(|&count| count > 50), "{silences_and_failures:?}");
}
