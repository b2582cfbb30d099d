//! Slow workers, silent workers, failures, and long runs.

use super::*;
use smidgen_aggregator::{Failure, Reason};

#[test]
fn requests_are_repeated_at_the_pace_of_a_slow_worker() {
    let mut bench = Bench::new(setup(5, 2));
    bench.nodes[1].takes = Duration::from_secs(30);
    let again = |bench: &Bench<Slope>| [0, 1].map(|w| bench.host.traffic(w).1.retransmitted_frames);
    for _ in 0..4 {
        bench.close();
        bench.host.proceed();
    }
    let learnt = again(&bench);
    assert_eq!(learnt[0], 0, "the fast one is not asked twice");
    for _ in 0..4 {
        bench.close();
        bench.host.proceed();
    }
    assert_eq!(again(&bench), learnt, "nor the slow one, now that its pace is known");
    assert_eq!([bench.host.reboots(0), bench.host.reboots(1)], [0, 0]);
}

#[test]
fn silence_counts_from_the_request() {
    let mut bench = Bench::new(setup(5, 2));
    bench.nodes[1].takes = Duration::from_secs(200);
    for _ in 0..3 {
        bench.close();
        bench.host.proceed();
    }
    let asked = bench.now;
    bench.rule = Box::new(|request| match request.worker {
        0 => Fault::Down(Damage::Lost),
        _ => PASS,
    });
    assert!((0..100).any(|_| bench.step() && bench.host.silent_since(0).is_some()));
    assert_eq!(bench.host.silent_since(0), Some(asked));
    assert!(bench.now - asked < Duration::from_secs(1));
}

/// The link of worker 0 is reopened repeatedly, and stays silent.
#[test]
fn a_reopened_link_does_not_restart_the_timeout() {
    type IsAwaited = fn(&Option<Down>) -> bool;
    let requests: [(&str, IsAwaited, _); 4] = [
        ("hello", |message| matches!(message, Some(Down::Hello { .. })), None),
        ("configure", |message| matches!(message, Some(Down::Configure(_))), None),
        ("probe", |message| matches!(message, Some(Down::Probe { .. })), None),
        ("round", is_round, Some(1)),
    ];
    for (name, is_awaited, round) in requests {
        let mut bench = Bench::new(setup(5, 2));
        bench.until_asked(0, round, is_awaited);
        bench.rule = Box::new(|_| Fault::Down(Damage::Lost));
        let first = bench.now;
        let silences: Vec<_> = (0..600)
            .map(|_| {
                bench.transmit();
                bench.now += Duration::from_millis(100);
                bench.host.handle_reconnect(0);
                bench.host.silent_since(0)
            })
            .collect();
        assert!(silences.iter().all(|since| *since == Some(first)), "{name}: {silences:?}");
    }
}

/// The worker answers every `Hello`, and nothing else.
#[test]
fn an_answer_without_progress_does_not_restart_the_timeout() {
    type IsAwaited = fn(&Option<Down>) -> bool;
    let requests: [(IsAwaited, _); 2] =
        [(|message| matches!(message, Some(Down::Configure(_))), None), (is_round, Some(1))];
    for (is_awaited, round) in requests {
        let mut bench = Bench::new(setup(5, 2));
        bench.until_asked(0, round, is_awaited);
        let first = bench.now;
        bench.rule = Box::new(move |request| match (request.worker, request.message) {
            (0, Some(Down::Hello { .. })) => PASS,
            (0, _) => Fault::Down(Damage::Lost),
            _ => PASS,
        });
        while bench.host.answered_at(0) < first + Duration::from_secs(60) {
            assert!(bench.step());
        }
        let since = bench.host.silent_since(0);
        assert!(since.is_some_and(|since| since <= first + Duration::from_secs(1)), "{since:?}");
    }
}

#[test]
fn a_worker_that_only_identifies_itself_is_stuck() {
    let mut bench = Bench::new(setup(5, 2)).with_rule(|Request { worker, message, .. }| {
        if worker == 0 && is_round(&message) { Fault::Down(Damage::Lost) } else { PASS }
    });
    let Failure { worker, reason, .. } = bench.fail();
    assert_eq!((worker, reason), (0, Reason::Stuck));
    assert_eq!(bench.host.reboots(0), 0);
}

#[test]
fn an_endlessly_restarting_worker_fails() {
    let rules: [fn(Request) -> Fault; 2] = [
        |request| match request.message {
            Some(Down::Configure(_)) if request.worker == 0 => Fault::RebootAfter,
            _ => PASS,
        },
        |request| match request.message {
            Some(Down::Begin { .. }) if request.worker == 0 => Fault::RebootBefore,
            _ => PASS,
        },
    ];
    for rule in rules {
        let mut bench = Bench::new(setup(5, 2)).with_rule(rule);
        let Failure { worker, reason, .. } = bench.fail();
        assert_eq!((worker, reason), (0, Reason::Restarts(9)));
        assert_eq!(bench.host.reboots(0), 9);
    }
}

#[test]
fn a_worker_that_restarts_often_but_answers_stays() {
    let setup = setup(5, 2);
    let undisturbed = Bench::new(setup.clone()).run(20);
    let mut bench = Bench::new(setup).with_rule(|Request { worker, message, .. }| {
        if worker == 0 && is_round(&message) { Fault::RebootBefore } else { PASS }
    });
    assert_eq!(bench.run(20), undisturbed);
    assert_eq!(bench.host.reboots(0), 19);
}

/// Rounds use no tickets, so the next request is new after any number of rounds.
#[test]
fn a_request_after_forty_thousand_rounds_is_new() {
    let mut bench = Bench::new(setup(2, 1));
    // x oscillates between 0 and γ, and no value leaves its range.
    bench.nodes[0].objectives = Slope(|x, _| if x > 0.0 { 1.0 } else { -1.0 });
    bench.close();
    let before = bench.ticket(0);
    for _ in 0..40_000 {
        bench.host.proceed();
        bench.close();
    }
    assert_eq!(bench.ticket(0), before, "there was no request");
    bench.nodes[0].objectives = Slope(|x, _| if x > 0.0 { 100.0 } else { -100.0 });
    for _ in 0..4 {
        bench.host.proceed();
        bench.close();
    }
    assert_ne!(bench.ticket(0), before, "the exponents were announced");
    bench.check_states();
    bench.finish();
    assert_eq!(bench.host.reboots(0), 0);
    bench.check_bytes();
    let mut deadlines = 0;
    while let Some(at) = bench.host.poll_timeout() {
        bench.host.handle_timeout(at);
        deadlines += 1;
    }
    assert!(deadlines < 1000, "deadlines that passed are forgotten: {deadlines}");
}
