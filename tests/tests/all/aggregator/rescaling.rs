//! Exponents that change between rounds.

use super::*;

/// All workers hold the same data, so that their gradients vanish.
pub(super) fn alike(mut setup: Setup) -> Setup {
    let data = setup.shares[0].data.clone();
    setup.shares.iter_mut().for_each(|share| share.data.clone_from(&data));
    setup
}

/// The first round before which the grid of gradients changes.
pub(super) fn first_rescaling(setup: &Setup) -> u32 {
    let mut bench = Bench::new(setup.clone());
    let exponents = (0..12).map(|_| {
        bench.close();
        let exponent = bench.host.exponents().gradient;
        bench.host.proceed();
        exponent
    });
    let exponents: Vec<_> = exponents.collect();
    let changes = exponents.windows(2).position(|pair| pair[0] != pair[1]);
    changes.expect("gradients vanish") as u32 + 1
}

#[test]
fn exponents_may_change_in_the_round_of_a_reboot() {
    for setup in
        [large(Downlink::Dense), large(Downlink::Sparse), with_momentum(large(Downlink::Sparse))]
    {
        let setup = alike(setup);
        let round = first_rescaling(&setup);
        let at = |is_at| place(Some(round), is_at);
        check_all_faults(
            &setup,
            round + 2,
            &[
                ("announce", at(|at| matches!(at.message, Some(Down::Announce { .. })))),
                ("part", at(|at| matches!(at.message, Some(Down::Part { .. })))),
                ("round", at(|at| is_round(&at.message))),
                ("more", at(|at| matches!(at.message, Some(Down::More { .. })))),
            ],
        );
    }
}

const GAMMA: f64 = 1.0 / 1024.0;

/// 1, then 4, then nearly nothing, while x moves away from 0.
fn cliff(x: f64, _: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x.abs() < 3.0 * GAMMA {
        4.0
    } else {
        2f64.powi(-27)
    }
}

#[test]
fn estimators_may_fall_from_top_to_bottom_of_their_range() {
    for downlink in [Downlink::Dense, Downlink::Sparse] {
        let setup = with_method(setup(2, 1024), |method| MethodSpec {
            downlink,
            gamma: GAMMA,
            value_bits: 32,
            ..method
        });
        let mut bench = Bench::new(setup);
        bench.nodes.iter_mut().for_each(|node| node.objectives = Slope(cliff));
        let largest = |bench: &Bench<Slope>| bench.host.mirror(1023).mantissas()[0];
        for mantissa in [1 << 27, 1 << 29, 1] {
            bench.close();
            assert_eq!(largest(&bench), mantissa);
            bench.check_states();
            bench.host.proceed();
        }
        (0..6).for_each(|_| {
            bench.close();
            bench.host.proceed();
        });
        bench.close();
        assert_eq!(largest(&bench), 1 << 27, "all bits are used again");
        bench.check_states();
        bench.finish();
        assert_eq!(bench.host.saturated(), 0);
        assert!(bench.nodes.iter().all(|node| node.worker.counters().saturated == 0));
    }
}
