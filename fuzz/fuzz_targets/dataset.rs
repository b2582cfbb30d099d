#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::text::dataset;

fuzz_target!(|input: &[u8]| dataset(input));
