#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::checkpoint::checkpoint;

fuzz_target!(|input: &[u8]| checkpoint(input));
