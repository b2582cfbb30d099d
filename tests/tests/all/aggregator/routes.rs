//! Boards that move to other links.

use super::rescaling::{alike, first_rescaling};
use super::*;
use smidgen_aggregator::{Event, Identity, Reason};
use std::cell::Cell;

/// A run of four whose updates and downlinks take several frames.
fn four() -> Setup {
    with_method(setup(300, 4), |method| MethodSpec { downlink: Downlink::Sparse, ..method })
}

/// Rotates the cables of `links` by one link.
fn rotate(bench: &mut Bench<Slope>, links: &[usize], noticed: bool) {
    let nodes: Vec<_> = links.iter().map(|&link| bench.cables[link]).collect();
    for (&link, &node) in links.iter().zip(nodes.iter().cycle().skip(1)) {
        bench.cables[link] = node;
    }
    for &link in links.iter().filter(|_| noticed) {
        bench.host.handle_reconnect(link);
    }
}

/// Runs to the last of `rounds` rounds; returns the transcript and the workers that moved, sorted.
fn go_on(bench: &mut Bench<Slope>, rounds: u32) -> (u64, Vec<usize>) {
    let mut moved = vec![];
    let transcript = loop {
        match bench.advance() {
            Some(Event::Closed(closed)) if closed.round + 1 == rounds => break closed.transcript,
            Some(Event::Closed(_)) => bench.host.proceed(),
            Some(Event::Moved(worker)) => moved.push(worker),
            Some(Event::Failed(failure)) => panic!("{failure}"),
            _ => {}
        }
    };
    bench.finish();
    moved.sort_unstable();
    (transcript, moved)
}

#[test]
fn exchanged_boards_find_their_workers_at_every_stage() {
    let undisturbed = Bench::new(four()).run(ROUNDS);
    // Boards identified in set-up keep their worker; the others take the worker of their link.
    type Run = fn(&mut Bench<Slope>);
    let places: [(&str, bool, Run); 6] = [
        ("configure", false, |bench| {
            bench.until_asked(0, None, |message| matches!(message, Some(Down::Configure(_))));
        }),
        ("probe", true, |bench| {
            bench.until_asked(0, None, |message| matches!(message, Some(Down::Probe { .. })));
        }),
        ("announce", true, |bench| {
            bench.until_asked(0, Some(0), |message| matches!(message, Some(Down::Announce { .. })));
        }),
        ("begin", true, |bench| {
            bench.until_asked(0, Some(0), |message| matches!(message, Some(Down::Begin { .. })));
        }),
        ("idle", true, |bench| bench.until_updated(0, 1)),
        ("round", true, |bench| bench.until_round(0, 2)),
    ];
    for links in [&[0, 1][..], &[0, 2, 1], &[3, 1, 2, 0]] {
        for ((name, all, run), noticed) in
            places.into_iter().flat_map(|at| [(at, false), (at, true)])
        {
            let mut bench = Bench::new(four());
            bench.nodes[3].takes = Duration::from_millis(5);
            run(&mut bench);
            rotate(&mut bench, links, noticed);
            let (transcript, moved) = go_on(&mut bench, ROUNDS);
            let what = format!("{links:?} at {name}, noticed: {noticed}");
            assert_eq!(transcript, undisturbed, "{what}");
            let mut links = links.to_vec();
            links.sort_unstable();
            assert!(!all || moved == links, "{what}: {moved:?}");
            let reboots: u32 = (0..4).map(|worker| bench.host.reboots(worker)).sum();
            assert!(reboots == 0 || !all, "{what}: no worker was restarted");
            bench.check_bytes_in_all();
            if all {
                bench.check_states();
            }
        }
    }
}

/// An answer from before the swap that arrives after it, on the old link, counts as late.
#[test]
fn late_answers_after_a_swap_of_cables_change_nothing() {
    let undisturbed = Bench::new(four()).run(ROUNDS);
    for steps in 0..20 {
        let mut bench = Bench::new(four());
        bench.until_round(0, 1);
        for swaps in 0..2 {
            for _ in 0..steps {
                if let Some(Event::Closed(_)) = bench.advance() {
                    bench.host.proceed();
                }
            }
            rotate(&mut bench, &[0, 1 + swaps], steps % 2 == 0);
        }
        assert_eq!(go_on(&mut bench, ROUNDS).0, undisturbed, "{steps} steps");
        bench.check_states();
        bench.check_bytes_in_all();
    }
}

/// The worker is in the session, but on a grid that differs from that of the round.
#[test]
fn a_worker_that_missed_a_rescaling_rejects_rounds_of_others() {
    for downlink in [Downlink::Dense, Downlink::Sparse] {
        let setup = alike(with_method(setup(5, 2), |method| MethodSpec { downlink, ..method }));
        let rescaled = first_rescaling(&setup);
        let rounds = rescaled + 2;
        let undisturbed = Bench::new(setup.clone()).run(rounds);
        let swapped = Rc::new(Cell::new(false));
        let is_over = swapped.clone();
        let mut bench = Bench::new(setup).with_rule(move |request| {
            let announced =
                request.worker == 1 && matches!(request.message, Some(Down::Announce { .. }));
            match announced && request.round == Some(rescaled) && !is_over.get() {
                true => Fault::Down(Damage::Lost),
                false => PASS,
            }
        });
        bench.until_round(0, rescaled);
        assert!(matches!(bench.asked(1), Some(Down::Announce { .. })));
        assert_eq!(bench.faults, 1);
        rotate(&mut bench, &[0, 1], false);
        swapped.set(true);
        assert_eq!(go_on(&mut bench, rounds), (undisturbed, vec![0, 1]), "{downlink:?}");
        bench.check_states();
        bench.check_bytes_in_all();
    }
}

#[test]
fn a_board_on_the_link_of_an_absent_one_is_found() {
    let undisturbed = Bench::new(four()).run(ROUNDS);
    let mut bench = Bench::new(four());
    bench.until_round(0, 1);
    // Node 0 is on link 1 now, and none is on link 0.
    rotate(&mut bench, &[0, 1], false);
    let away = Rc::new(Cell::new(true));
    let absent = away.clone();
    bench.rule = Box::new(move |request| match request.link {
        0 if absent.get() => Fault::Down(Damage::Lost),
        _ => PASS,
    });
    let moved = bench.until(|event| match event {
        Event::Moved(worker) => Some(*worker),
        _ => None,
    });
    assert_eq!((moved, bench.host.link(0), bench.host.link(1)), (0, 1, 0));
    away.set(false);
    assert_eq!(go_on(&mut bench, ROUNDS), (undisturbed, vec![1]));
    bench.check_states();
    bench.check_bytes_in_all();
}

#[test]
fn a_resumed_host_finds_its_boards_in_any_order_of_links() {
    let undisturbed = Bench::new(four()).run(ROUNDS);
    let mut bench = Bench::new(four());
    bench.close();
    bench.end_host(four());
    rotate(&mut bench, &[0, 2, 3], false);
    let (transcript, moved) = go_on(&mut bench, ROUNDS);
    assert_eq!((transcript, &moved[..]), (undisturbed, &[][..]), "none was elsewhere before");
    assert_eq!([0, 1, 2, 3].map(|worker| bench.host.link(worker)), [3, 1, 0, 2]);
    bench.check_states();
}

#[test]
fn a_resumed_host_gives_the_place_of_a_lost_board_to_a_new_one() {
    let undisturbed = Bench::new(four()).run(ROUNDS);
    let mut bench = Bench::new(four());
    bench.close();
    bench.end_host(four());
    bench.replace(2, 77);
    rotate(&mut bench, &[0, 1], false);
    assert_eq!(go_on(&mut bench, ROUNDS).0, undisturbed);
    let identities = [0, 1, 2, 3].map(|worker| bench.host.identity(worker).unwrap().identity);
    assert_eq!(identities, [1, 2, 77, 4]);
}

/// For any order of links and answers: it waits until all other boards are identified.
#[test]
fn a_new_board_that_answers_first_takes_the_free_place() {
    let undisturbed = Bench::new(four()).run(ROUNDS);
    for (links, strangers) in [(&[2][..], &[2][..]), (&[0, 2], &[2]), (&[1, 2, 3], &[0, 2])] {
        let mut bench = Bench::new(four());
        bench.close();
        bench.end_host(four());
        for &node in strangers {
            bench.replace(node, 77 + node as u64);
        }
        rotate(&mut bench, links, false);
        let cables = bench.cables.clone();
        let mut left = 3;
        bench.rule = Box::new(move |request| {
            let is_known = !strangers.contains(&cables[request.link]);
            match matches!(request.message, Some(Down::Hello { .. })) && is_known && left > 0 {
                true => {
                    left -= 1;
                    Fault::Up(Damage::Lost)
                }
                false => PASS,
            }
        });
        assert_eq!(go_on(&mut bench, ROUNDS).0, undisturbed, "{links:?}");
        for worker in (0..4).filter(|worker| !strangers.contains(worker)) {
            let identity = bench.host.identity(worker).map(|i| i.identity);
            assert_eq!(identity, Some(worker as u64 + 1), "{links:?}");
        }
    }
}

#[test]
fn two_boards_with_one_identity_end_the_run() {
    let mut bench = Bench::new(setup(5, 2));
    bench.replace(1, 1);
    assert_eq!(bench.fail().reason, Reason::SameIdentity(0));

    let mut bench = Bench::new(setup(5, 2));
    bench.until_round(0, 1);
    bench.replace(1, 1);
    let failure = bench.fail();
    assert_eq!((failure.worker, &failure.reason), (1, &Reason::SameIdentity(0)));
    assert_eq!(
        failure.to_string(),
        "worker 2 (bench 0000000000000002): worker 1 has the same identity and answers as well; connect each board \
         only once, and use only one of two boards that the factory gave the same identity; `smidgen image` shows \
         how an emulated one gets its own"
    );
    assert_eq!((bench.host.reboots(0), bench.host.link(0)), (0, 0), "who was there is left alone");
}

#[test]
fn a_stranger_ends_the_run() {
    let mut bench = Bench::new(setup(5, 2));
    bench.until_round(0, 1);
    bench.replace(1, 77);
    let failure = bench.fail();
    assert!(matches!(failure.reason, Reason::Stranger(Identity { identity: 77, .. })), "{failure}");
    assert_eq!(failure.worker, 1);
}

/// A board at a guessed port that is not of the run does not affect it.
#[test]
fn a_foreign_board_at_a_guessed_port_is_ignored() {
    for round_timeout in [None, Some(Duration::from_secs(1))] {
        let setup = Setup { round_timeout, ..setup(5, 2) };
        let undisturbed = Bench::new(setup.clone()).run(ROUNDS);
        let mut bench = Bench::new(setup);
        bench.until_round(0, 1);
        // A foreign board answers once; then the unplugged board is found at the right port.
        let board =
            std::mem::replace(&mut bench.nodes[1], Bench::new(super::setup(5, 2)).nodes.remove(1));
        bench.replace(1, 77);
        bench.host.handle_guess(1);
        while !bench.host.is_strange(1) {
            assert_eq!(bench.advance(), None);
        }
        assert_eq!((bench.host.exclusions(1), bench.host.is_excluded(1)), (0, false));
        bench.nodes[1] = board;
        bench.host.handle_guess(1);
        assert_eq!(go_on(&mut bench, ROUNDS), (undisturbed, vec![]));
        bench.check_states();
    }
}
