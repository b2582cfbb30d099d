//! Rounds that go on without a worker with whom there can be no run, and its way back.

use super::*;
use std::cell::Cell;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(1));

/// A run of three in which worker 1 forgets everything before every question from round 2 on, while `broken` says so.
fn flaky(broken: &Rc<Cell<bool>>) -> Bench {
    let broken = broken.clone();
    let setup = Setup { patience: PATIENCE, ..setup(6, 3) };
    Bench::new(setup).with_rule(move |exchange: Exchange| {
        let begun = exchange.round.is_some_and(|round| round >= 2);
        match broken.get() && begun && exchange.worker == 1 {
            true => Fault::RebootBefore,
            false => PASS,
        }
    })
}

/// Runs until a round closes; returns it with whoever was left out and came back meanwhile.
fn close(bench: &mut Bench) -> (Closed, Vec<Reason>, Vec<usize>) {
    let (mut reasons, mut back) = (vec![], vec![]);
    for _ in 0..20_000 {
        match bench.advance() {
            Some(Event::Closed(closed)) => return (closed, reasons, back),
            Some(Event::LeftOut { worker, failure }) => {
                assert_eq!(worker, 1);
                reasons.push(failure.expect("it is not just silent").reason);
            }
            Some(Event::Back(worker)) => back.push(worker),
            Some(Event::Failed(failure)) => panic!("{failure}"),
            _ => {}
        }
    }
    panic!("no round is closed");
}

#[test]
fn a_board_that_restarts_for_ever_is_left_out_until_its_link_is_opened_anew() {
    let broken = Rc::new(Cell::new(true));
    let mut bench = flaky(&broken);
    let mut left_out = vec![];
    for round in 0..6 {
        let (closed, reasons, _) = close(&mut bench);
        assert_eq!((closed.round, closed.absent), (round, u32::from(round >= 2)));
        left_out.extend(reasons);
        bench.host.proceed();
    }
    assert!(matches!(left_out[..], [Reason::Restarts(_)]), "{left_out:?}");
    assert!(bench.host.is_absent(1));

    broken.set(false);
    bench.host.handle_reconnect(1);
    let rounds: Vec<_> = (0..20)
        .map(|_| {
            let (closed, reasons, back) = close(&mut bench);
            assert_eq!(reasons, []);
            bench.host.proceed();
            (closed.absent, back)
        })
        .collect();
    assert!(rounds.iter().any(|(_, back)| back[..] == [1]), "{rounds:?}");
    assert_eq!(rounds.last().map(|(absent, _)| *absent), Some(0));
    close(&mut bench);
    bench.check_states();
    bench.finish();
}

#[test]
fn a_run_with_nobody_left_fails() {
    let setup = Setup { patience: PATIENCE, ..setup(6, 2) };
    let mut bench = Bench::new(setup).with_rule(|exchange: Exchange| {
        let begun = exchange.round.is_some_and(|round| round >= 2);
        if begun { Fault::RebootBefore } else { PASS }
    });
    assert!(matches!(bench.fail().reason, Reason::Restarts(_)));
}

#[test]
fn set_up_needs_everybody() {
    let setup = Setup { patience: PATIENCE, ..setup(6, 2) };
    let mut bench = Bench::new(setup).with_rule(|exchange: Exchange| {
        if exchange.worker == 1 && exchange.stage != Stage::Greet {
            Fault::RebootBefore
        } else {
            PASS
        }
    });
    assert!(matches!(bench.fail().reason, Reason::Restarts(_) | Reason::Stuck));
}
