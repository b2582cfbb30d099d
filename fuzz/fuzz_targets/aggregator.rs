#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::aggregator::aggregator;

fuzz_target!(|input: &[u8]| aggregator(input));
