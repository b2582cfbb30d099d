//! Every method: the mirror equals the worker's g_i after every round, under all faults of the line.

use super::*;
use smidgen_aggregator::Theory;
use smidgen_aggregator::ratio::ratio;
use smidgen_protocol::method::{Compressor, Method, Participation, draw};
use smidgen_tests::bench::slope::with_k;

/// A line that loses, repeats and damages frames; where workers can be restored, it restarts them as well.
fn unreliable(seed: u32, reboots: bool) -> impl FnMut(Request) -> Fault {
    let mut requests = 0..;
    move |request| match draw(seed, request.worker as u16, requests.next().unwrap_or(0)) % 100 {
        0..15 => Fault::Down(Damage::Lost),
        15..25 => Fault::Up(Damage::Lost),
        25..35 => Fault::Down(Damage::Repeated),
        35..45 => Fault::Up(Damage::Repeated),
        45..50 => Fault::Up(Damage::Corrupted),
        50..54 if reboots => Fault::RebootBefore,
        _ => PASS,
    }
}

/// Scales and weights of EF21-W; the second worker has three times the weight of the others.
fn weighted(mut setup: Setup) -> Setup {
    for (share, weight) in setup.shares.iter_mut().zip([0.6, 1.8, 0.6]) {
        (share.worker.scale, share.worker.weight) = (1.0 / weight, weight);
    }
    setup
}

fn check(setup: &Setup, seed: u32) {
    let what = format!(
        "{:?} {:?} {:?}",
        setup.method.rule, setup.method.compressor, setup.method.downlink
    );
    let undisturbed = Bench::new(setup.clone()).run(12);
    let rule = unreliable(seed, !setup.method.rule.has_local_state());
    let mut bench = Bench::new(setup.clone()).with_rule(rule);
    let mut closed = bench.close();
    while closed.round + 1 < 12 {
        bench.check_states();
        bench.host.proceed();
        closed = bench.close();
    }
    bench.check_states();
    assert_eq!(closed.transcript, undisturbed, "{what}");
    bench.finish();
    bench.check_bytes();
    assert!(bench.faults > 0);
}

/// K = 3 of d = 20.
fn small() -> Setup {
    with_method(with_k(3, setup(20, 3)), |method| MethodSpec {
        value_bits: 6,
        gamma: 0.2,
        ..method
    })
}

/// Sets the participation of each worker.
fn taking_part(participation: [Participation; 3], mut setup: Setup) -> Setup {
    for (share, participation) in setup.shares.iter_mut().zip(participation) {
        share.worker.participation = participation;
    }
    setup
}

#[test]
fn mirrors_match_workers_with_every_method() {
    let half = Participation { seed: 5, probability: 1 << 31 };
    for method in Method::all(ratio(0.3)) {
        for participation in [Participation::FULL, half] {
            for downlink in Downlink::ALL {
                let setup = taking_part([participation; 3], small());
                let setup =
                    with_method(setup, |spec| MethodSpec { rule: method, downlink, ..spec });
                (0..3).for_each(|seed| check(&setup, seed));
                check(&weighted(setup), 3);
            }
        }
    }
}

#[test]
fn mirrors_match_workers_with_every_compressor() {
    for compressor in Compressor::all(1) {
        let k = if compressor.sends_all_coordinates() { small().dimension } else { 3 };
        for method in [Method::Ef21, Method::Ef21Plus, Method::Ef14] {
            for downlink in [Downlink::Dense, Downlink::Sparse] {
                let setup = with_method(with_k(k, small()), |spec| MethodSpec {
                    compressor,
                    rule: method,
                    downlink,
                    ..spec
                });
                (0..3).for_each(|seed| check(&setup, seed));
            }
        }
    }
}

#[test]
fn mirrors_match_workers_of_unequal_k_and_participation() {
    let often = |probability| Participation { seed: 5, probability };
    let mut setup = taking_part([often(1 << 30), Participation::FULL, often(3 << 30)], small());
    setup.shares.iter_mut().zip([1, 3, 20]).for_each(|(share, k)| share.worker.k = k);
    for downlink in Downlink::ALL {
        let setup = with_method(setup.clone(), |method| MethodSpec { downlink, ..method });
        (0..3).for_each(|seed| check(&setup, seed));
    }
}

#[test]
fn a_reported_step_equals_a_given_one() {
    let given = small();
    let theory = Some(Theory::new(|l_i| 0.2 * (l_i.iter().sum::<f64>() / l_i.len() as f64)));
    let reported = with_method(given.clone(), |method| MethodSpec { gamma: 1.0, theory, ..method });
    let transcript = Bench::new(given).run(12);
    assert_eq!(Bench::new(reported.clone()).run(12), transcript);
    for seed in 0..3 {
        check(&reported, seed);
    }
    let mut bench = Bench::new(reported);
    bench.close();
    assert_eq!((bench.host.gamma(), bench.host.l_i(1)), (0.2, Some(1.0)));
}
