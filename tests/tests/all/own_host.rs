//! The aggregator in a program of one's own, `examples/own-host`.

use smidgen_tests::example::Example;

#[test]
fn aggregator_serves_workers_on_channels() {
    // The mean of the vectors of three workers.
    assert_eq!(Example::new("own-host").cargo(&["run"]), "5.000 16.000 7.000 20.000\n");
}
